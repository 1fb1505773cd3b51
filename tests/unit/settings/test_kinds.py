"""Each kind of value: what it takes, what it refuses, and what it says then."""

from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.settings.kinds import (
    Accession,
    AETitle,
    CharacterSet,
    Choice,
    Date,
    Flag,
    Host,
    LocalAddress,
    Mistake,
    Name,
    Origin,
    PatientID,
    Pem,
    Pseudonym,
    Whole,
    describe,
    did_you_mean,
    quoted,
)
from tests.unit.settings.files import PLAUSIBLE_CERTIFICATE as CERTIFICATE
from tests.unit.settings.files import PLAUSIBLE_KEY as KEY

CERTIFICATES, KEYS = Pem("CERTIFICATE"), Pem("PRIVATE KEY")
WORDS = Choice(("broad", "strict"))
LONGEST_HOST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (AETitle(), "A"),
        (AETitle(), "ABCDEFGHIJKLMNOP"),
        (AETitle(), "CT 1 [a]~"),
        (Name(), "検査室 2"),
        (PatientID(), "0" * 64),
        (PatientID(), "患者７"),
        (Accession(), "0123456789abcdef"),
        (Pseudonym(), "NET 0001"),
        (Host(), "192.0.2.1"),
        (Host(), "2001:db8::1"),
        (Host(), "pacs"),
        (Host(), "PACS_01.example.org."),
        (Host(), "7ct"),
        (Host(), LONGEST_HOST),
        (LocalAddress(), ""),
        (LocalAddress(), "::1"),
        (Origin(), "192.0.2.0/24"),
        (Origin(), "0.0.0.0/0"),
        (Origin(), "2001:db8::/32"),
        (Origin(), "pacs.example.org"),
        (Origin(), "192.0.2.7"),
        (CharacterSet(), "ISO_IR 6"),
        (CharacterSet(), "ISO_IR 13"),
        (CharacterSet(), "ISO_IR 100"),
        (CharacterSet(), "ISO_IR 192"),
        (CharacterSet(), "GB18030"),
        (CharacterSet(), "GBK"),
        (CharacterSet(), "ISO 2022 IR 13"),
        (CharacterSet(), "\\ISO 2022 IR 87"),
        (CharacterSet(), "ISO 2022 IR 6\\ISO 2022 IR 149"),
        (CharacterSet(), "ISO 2022 IR 13\\ISO 2022 IR 87"),
        (CharacterSet(), "\\ISO 2022 IR 58"),
        (CharacterSet(), "ISO 2022 IR 100\\ISO 2022 IR 87\\ISO 2022 IR 149"),
        (Date(), date(1900, 1, 1)),
        (Flag(), False),
        (Whole(0, 5), 0),
        (Whole(0, 5), 5),
        (WORDS, "strict"),
        (CERTIFICATES, CERTIFICATE),
        (CERTIFICATES, CERTIFICATE + "explained:\n" + CERTIFICATE),
        (CERTIFICATES, CERTIFICATE.replace("\n", "\r\n")),
        (KEYS, KEY),
        (KEYS, KEY.replace("PRIVATE", "RSA PRIVATE")),
        (
            KEYS,
            "-----BEGIN EC PARAMETERS-----\nBgA=\n-----END EC PARAMETERS-----\n"
            + KEY.replace("PRIVATE", "EC PRIVATE"),
        ),
    ],
)
def test_what_is_right_is_taken_as_it_is(kind, written):
    assert kind.read(written) == written


@pytest.mark.parametrize(
    ("kind", "written", "found", "remedy"),
    [
        (AETitle(), "", "an empty text", "or leave the key out"),
        (AETitle(), "   ", '"   "', "must not be spaces alone"),
        (AETitle(), "PACS ", '"PACS "', "remove the spaces"),
        (AETitle(), "ABCDEFGHIJKLMNOPQ", '"ABCDEFGHIJKLMNOPQ"', "shorten it to 16"),
        (AETitle(), "A\\B", "'A\\B'", 'remove "\\": it separates values'),
        (AETitle(), "A\tB", '"A\\u0009B"', "the invisible character U+0009"),
        (AETitle(), "PACS\n", '"PACS\\u000A"', "remove the spaces"),
        (AETitle(), "ＰＡＣＳ", '"ＰＡＣＳ"', 'write "PACS", in half-width letters'),
        (AETitle(), "病院", '"病院"', "only ASCII"),
        (AETitle(), "PA\u200bCS", '"PA\\u200BCS"', "the invisible character U+200B"),
        (AETitle(), 7, "7", "write it in double quotes"),
        (Name(), "-x", '"-x"', "marks command options"),
        (Name(), "n" * 65, "a text of 65 characters that begins", "shorten it to 64"),
        (PatientID(), "12*", 'the character "*"', "it would match other patients, too"),
        (PatientID(), "1?2", 'the character "?"', "it would match other patients, too"),
        (PatientID(), "1\\2", 'the character "\\"', "it would match other patients, too"),
        (PatientID(), "", "an empty text", "or leave the key out"),
        (PatientID(), " 77", "spaces at an end", "remove the spaces"),
        (PatientID(), "7" * 65, "65 characters", "shorten it to 64"),
        (PatientID(), 77, "a number without quotes", "write it in double quotes"),
        (PatientID(), True, "true or false", "write it in double quotes"),
        (PatientID(), date(2025, 4, 1), "a date without quotes", "write it in double quotes"),
        (PatientID(), ["77"], "a list", "write it in double quotes"),
        (Accession(), "A*", 'the character "*"', "it would match other studies, too"),
        (Accession(), "A" * 17, "17 characters", "shorten it to 16"),
        (Pseudonym(), "A^B", '"A^B"', 'remove "^"'),
        (Pseudonym(), "A=B", '"A=B"', 'remove "="'),
        (Pseudonym(), "仮名", '"仮名"', "only ASCII"),
        (Host(), "", '""', "between the quotes"),
        (Host(), "192.0.2.256", '"192.0.2.256"', "no number of the address above 255"),
        (Host(), "192.000.002.010", '"192.000.002.010"', 'write "192.0.2.10", without leading'),
        (Host(), "192.0.2", '"192.0.2"', "four numbers with dots between them, not 3"),
        (Host(), "192..2.1", '"192..2.1"', "four numbers with dots between them, not 3"),
        (Host(), "１９２．０．２．１", '"１９２．０．２．１"', 'did you mean "192.0.2.1"?'),
        (Host(), " pacs ", '" pacs "', 'did you mean "pacs"?'),
        (Host(), "192.0.2.1:104", '"192.0.2.1:104"', 'write "192.0.2.1", and the port under'),
        (Host(), "[2001:db8::1]:104", '"[2001:db8::1]:104"', 'write "2001:db8::1", and the'),
        (Host(), "pacs:104", '"pacs:104"', 'write "pacs", and the port under the key port'),
        (Host(), "http://pacs/", '"http://pacs/"', "write the host alone"),
        (Host(), "192.0.2.0/24", '"192.0.2.0/24"', "stand in calls_from"),
        (Host(), "pacs server", '"pacs server"', "a name of ASCII letters"),
        (Host(), "病院", '"病院"', "a name of ASCII letters"),
        (Host(), LONGEST_HOST + "d", "a text of 254 characters", "a name of ASCII letters"),
        (Host(), "-pacs", '"-pacs"', "a name of ASCII letters"),
        (Host(), 7, "7", "in double quotes"),
        (LocalAddress(), "localhost", '"localhost"', "names do not work"),
        (LocalAddress(), "192.0.2.0/24", '"192.0.2.0/24"', "write one host"),
        (LocalAddress(), False, "false", "in double quotes"),
        (Origin(), "192.0.2.7/24", '"192.0.2.7/24"', 'did you mean "192.0.2.0/24"?'),
        (Origin(), "192.0.2.0/33", '"192.0.2.0/33"', "its length in bits"),
        (Origin(), "192.0.2.*", '"192.0.2.*"', "as a network, such as 192.0.2.0/24"),
        (Origin(), "192.0.2.1-192.0.2.9", '"192.0.2.1-192.0.2.9"', "as a network"),
        (Origin(), "http://pacs/", '"http://pacs/"', "write the host alone"),
        (Origin(), 10, "10", "in double quotes"),
        (CharacterSet(), "ISO_IR 87", '"ISO_IR 87"', "did you mean '\\ISO 2022 IR 87'?"),
        (CharacterSet(), "ISO 2022 IR 87", '"ISO 2022 IR 87"', "mean '\\ISO 2022 IR 87'?"),
        (CharacterSet(), "ISO_IR 101", '"ISO_IR 101"', "as listed"),
        (CharacterSet(), "ISO-IR 100", '"ISO-IR 100"', 'did you mean "ISO_IR 100"?'),
        (CharacterSet(), "iso_ir 192", '"iso_ir 192"', 'did you mean "ISO_IR 192"?'),
        (CharacterSet(), "UTF-8", '"UTF-8"', 'did you mean "ISO_IR 192"?'),
        (CharacterSet(), "\\ISO 2020 IR 87", "'\\ISO 2020 IR 87'", "'\\ISO 2022 IR 87'?"),
        (
            CharacterSet(),
            "ISO_IR 192\\ISO 2022 IR 87",
            "'ISO_IR 192\\ISO 2022 IR 87'",
            'write "ISO_IR 192" alone',
        ),
        (CharacterSet(), "", '""', "as listed"),
        (CharacterSet(), "\\", "'\\'", "as listed"),
        (CharacterSet(), "\\ISO 2022 IR 87\\ISO 2022 IR 87", "'\\ISO", "as listed"),
        (CharacterSet(), 192, "192", "single quotes"),
        (Date(), date(1899, 12, 31), "1899-12-31", "write it like 2025-04-01"),
        (Date(), datetime(2025, 4, 1, 9), "2025-04-01 09:00:00", "write 2025-04-01, without"),
        (Date(), "2025-04-01", '"2025-04-01"', "write 2025-04-01, without quotes"),
        (Date(), "2025/4/1", '"2025/4/1"', "write 2025-04-01, without quotes"),
        (Date(), "2025年4月1日", '"2025年4月1日"', "write 2025-04-01, without quotes"),
        (Date(), 20250401, "20250401", "write 2025-04-01, without quotes"),
        (Date(), "20250231", '"20250231"', "in the calendar"),
        (Date(), "yesterday", '"yesterday"', "write it like 2025-04-01"),
        (Flag(), "true", '"true"', "write true, without quotes"),
        (Flag(), "No", '"No"', "write false, without quotes"),
        (Flag(), 1, "1", "write true, without quotes"),
        (Flag(), 0, "0", "write false, without quotes"),
        (Flag(), "perhaps", '"perhaps"', "write true or false"),
        (Whole(1, 65535), 0, "0", "write a whole number, 1 to 65535"),
        (Whole(1, 65535), 65536, "65536", "write a whole number, 1 to 65535"),
        (Whole(1, 65535), "104", '"104"', "write 104, without quotes"),
        (Whole(1, 65535), "１０４", '"１０４"', "write 104, without quotes"),
        (Whole(1, 65535), "70000", '"70000"', "write a whole number, 1 to 65535"),
        (Whole(1, 65535), 104.0, "104.0", "write a whole number"),
        (Whole(1, 65535), True, "true", "write a whole number"),
        (Whole(1, 65535), 10**30, "a number of more than 18 digits", "write a whole number"),
        (Whole(1, 365, "days"), "30 days", '"30 days"', "write 30, without quotes"),
        (WORDS, "Strict", '"Strict"', 'did you mean "strict"?'),
        (WORDS, "brod", '"brod"', 'did you mean "broad"?'),
        (WORDS, "fast", '"fast"', 'write "broad" or "strict"'),
        (WORDS, 3, "3", 'write "broad" or "strict", in quotes'),
        (CERTIFICATES, "server.pem", "a text without a BEGIN line", "paste the whole PEM file"),
        (CERTIFICATES, CERTIFICATE[:-20], "a BEGIN line without its END", "paste the whole"),
        (CERTIFICATES, CERTIFICATE + CERTIFICATE[:60], "a BEGIN line without its END", "paste"),
        (CERTIFICATES, CERTIFICATE.replace("MB", "M"), "a damaged certificate", "paste"),
        (CERTIFICATES, CERTIFICATE.replace("MB", "M("), "a damaged certificate", "paste"),
        (CERTIFICATES, CERTIFICATE.replace("AQ==", ""), "a damaged certificate", "paste"),
        (CERTIFICATES, CERTIFICATES.sample, "a damaged certificate", "paste the whole PEM file"),
        (CERTIFICATES, KEY, "a block BEGIN PRIVATE KEY", "the certificate here and nothing else"),
        (CERTIFICATES, CERTIFICATE + KEY, "a block BEGIN PRIVATE KEY", "nothing else"),
        (KEYS, CERTIFICATE, "a block BEGIN CERTIFICATE", "the private key here"),
        (KEYS, KEY.replace("PRIVATE", "ENCRYPTED PRIVATE"), "under a password", "openssl pkey"),
        (
            KEYS,
            KEY.replace("-----\nM", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X\n\nM"),
            "under a password",
            "openssl pkey",
        ),
        (
            KEYS,
            "-----BEGIN EC PARAMETERS-----\nBgA=\n-----END EC PARAMETERS-----\n",
            "no block BEGIN PRIVATE KEY",
            "paste",
        ),
        (KEYS, 7, "a number without quotes", "paste"),
    ],
)
def test_what_is_wrong_is_refused_with_its_remedy(kind, written, found, remedy):
    with pytest.raises(Mistake) as caught:
        kind.read(written)
    assert caught.value.expected == kind.expected
    assert found in caught.value.found
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("kind", "written", "secret"),
    [
        (PatientID(), "SECRET*", "SECRET"),
        (PatientID(), " SECRET", "SECRET"),
        (PatientID(), "SECRET" * 20, "SECRET"),
        (PatientID(), 86420, "86420"),
        (Accession(), "SECRET?", "SECRET"),
        (KEYS, "SECRET", "SECRET"),
        (KEYS, KEY.replace("MAU", "SECRET"), "SECRET"),
        (CERTIFICATES, KEY, "MAUC"),
    ],
)
def test_what_is_confidential_is_never_repeated(kind, written, secret):
    with pytest.raises(Mistake) as caught:
        kind.read(written)
    assert secret not in "".join(caught.value.args)


ALL_KINDS = [
    AETitle(), Name(), PatientID(), Accession(), Pseudonym(), Host(), LocalAddress(), Origin(),
    CharacterSet(), Date(), Flag(), Whole(1, 5), WORDS, CERTIFICATES, KEYS,
]  # fmt: skip


@settings(deadline=None)
@given(
    st.sampled_from(ALL_KINDS),
    st.text()
    | st.text("0123456789.:/-[]% ")
    | st.text("ISO_2022 IR\\GBK187")
    | st.integers()
    | st.floats()
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.booleans()
    | st.lists(st.text())
    | st.dictionaries(st.text(), st.text()),
)
def test_anything_is_taken_or_a_mistake_in_one_line(kind, written):
    try:
        value = kind.read(written)
    except Mistake as mistake:
        for part in mistake.args:
            assert part
            assert part.isprintable()
        return
    assert value == written


def test_an_ae_title_holds_what_the_standard_lets_it_hold():
    # PS3.5 Section 6.2: the default character repertoire without backslash and control characters.
    for number in range(0x20, 0x7F):
        title = f"A{chr(number)}B"
        if chr(number) == "\\":
            with pytest.raises(Mistake):
                AETitle().read(title)
        else:
            assert AETitle().read(title) == title


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", '"plain"'),
        ('"', '"\\""'),
        ("\\x", "'\\x'"),
        ("\\'", '"\\\\\'"'),
        ("\n\u200b", '"\\u000A\\u200B"'),
        ("\U000e0001", '"\\U000E0001"'),
        ("日本", '"日本"'),
    ],
)
def test_texts_are_quoted_as_toml_has_them(value, text):
    assert quoted(value) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (True, "true"),
        (10**18 - 1, "9" * 18),
        (10**18, "a number of more than 18 digits"),
        (-(10**30), "a number of more than 18 digits"),
        (1.5, "1.5"),
        (float("inf"), "inf"),
        ("x" * 60, '"' + "x" * 60 + '"'),
        ("x" * 61, 'a text of 61 characters that begins "' + "x" * 30 + '"'),
        ([1], "a list"),
        ({"a": 1}, "a table"),
        (date(2025, 4, 1), "2025-04-01"),
    ],
)
def test_what_was_found_is_told_in_few_words(written, text):
    assert describe(written) == text


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("titel", "title"),
        ("Title", "title"),
        ("max-pdu", "max_pdu"),
        ("ｔｉｔｌｅ", "title"),
        ("maxpdu", "max_pdu"),
        ("voltage", ""),
        ("", ""),
    ],
)
def test_the_nearest_known_word_is_proposed(word, meant):
    assert did_you_mean(word, ["title", "port", "max_pdu"]) == meant
