"""The reader: a whole file, every mistake at its place, all at once, and nothing but Problems."""

import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.settings.model import (
    TLS,
    Box,
    Fleet,
    Images,
    LocalAE,
    Network,
    Panel,
    Query,
    RemoteAE,
    Settings,
    Storage,
    Timeouts,
    Update,
    Watch,
)
from appliance.settings.problems import Problem, dotted
from appliance.settings.reader import Problems, read
from appliance.settings.units import DAY, GIB, HOUR, KIB, MIB, TIB
from tests.unit.settings.files import (
    ANOTHER_KEY,
    CERTIFICATE,
    KEY,
    PASSWORD,
    PLAUSIBLE_CERTIFICATE,
    TOKEN,
    WHOLE,
)


def problems(text):
    with pytest.raises(Problems) as caught:
        read(text)
    return caught.value.problems


def test_a_whole_file_is_read():
    assert read(WHOLE) == Settings(
        revision=7,
        box=Box("検査室 2", "en", "Europe/Berlin", ("A-1", "A-2")),
        network=Network(
            dhcp=False,
            address="192.0.2.1/24",
            gateway="192.0.2.254",
            dns=("192.0.2.53",),
            ntp=("192.0.2.123", "ntp.example.org"),
            vlan=20,
            interface="eth1",
        ),
        panel=Panel(PASSWORD, TOKEN, CERTIFICATE, KEY, ("192.0.2.0/24",)),
        update=Update("https://updates.example/netty.raucb", while_receiving=True),
        fleet=Fleet("https://hawkbit.example:8443", "abc", "CLINICS"),
        ae=LocalAE(
            title="NETTY_2",
            port=11112,
            address="192.0.2.1",
            max_pdu=64 * KIB,
            profile="strict",
            unsolicited="store",
            associations_per_remote=4,
            stall=90,
            largest_header=8 * MIB,
        ),
        tls=TLS(
            certificate=CERTIFICATE,
            key=KEY,
            authorities=PLAUSIBLE_CERTIFICATE + PLAUSIBLE_CERTIFICATE,
            port=2763,
            require_certificate=False,
        ),
        remotes=(
            RemoteAE(
                name="main",
                title="PACS",
                host="192.0.2.10",
                port=11113,
                query=True,
                retrieve="get",
                relational=True,
                character_set="\\ISO 2022 IR 87",
                calls_as=("PACS", "PACS_SCU"),
                calls_from=("192.0.2.0/28", "pacs.example.org", "2001:db8::/64"),
                tls=True,
            ),
            RemoteAE(name="modality", title="CT 1", host="ct1", query=False),
        ),
        query=Query(
            every=HOUR,
            use_accession=True,
            study_window=30 * DAY,
            timeouts=Timeouts(association=5, response=10, total=1200),
            settle=0,
            retry_first=120,
            retry_longest=DAY,
        ),
        watch=(
            Watch("00012345", "NET-0001", "A1", date(2025, 4, 1), ("main",)),
            Watch("患者 7"),
        ),
        images=Images(
            format="png",
            quality=80,
            keep_dicom=False,
            deidentify="clear",
            workers=3,
            animation=False,
            overlays=False,
            largest_frame=100,
            most_frames=5000,
        ),
        storage=Storage(reserve=3 * GIB // 2, keep_days=400, quota=2 * TIB),
    )


def test_a_revision_alone_is_enough():
    assert read("revision = 1") == Settings(1)


@pytest.mark.parametrize(
    "text",
    [
        "query.timeouts.total = '5 s'",
        "[query]\ntimeouts = {total = '5 s'}",
        "[query]\ntimeouts.total = '5 s'",
        "[query.timeouts]\ntotal = '5 s'",
        "query = {timeouts = {total = '5 s'}}",
        '[query]\n[query.timeouts]\n\'total\' = """5 s"""',
    ],
)
def test_every_way_to_write_a_table_is_read(text):
    assert read(f"revision = 1\n{text}").query.timeouts == Timeouts(total=5)


def test_lists_of_tables_are_read_in_either_form():
    entry = "name = 'a', title = 'A', host = 'h'"
    inline = f"revision = 1\nremote = [{{{entry}}}]\nwatch = []"
    headed = "revision = 1\n[[remote]]\n" + entry.replace(", ", "\n")
    assert read(inline) == read(headed) == Settings(1, remotes=(RemoteAE("a", "A", "h"),))


REMOTE = '[[remote]]\nname = "a"\ntitle = "A"\nhost = "192.0.2.1"\n'
ANOTHER = '[[remote]]\nname = "b"\ntitle = "B"\nhost = "192.0.2.2"\n'
TLS_TABLE = f"[tls]\ncertificate = '''\n{CERTIFICATE}'''\nkey = '''\n{KEY}'''\n"


@pytest.mark.parametrize(
    ("text", "place", "key", "message"),
    [
        # Keys and tables.
        ("[box]", (1, 1), "revision", "found nothing; add a line such as revision = 1 above the"),
        ("revision = 0", (1, 12), "revision", "expected a whole number, 1 or more, found 0"),
        ("revision = 0x" + "f" * 5000, (1, 12), "revision", "a number of more than 18 digits"),
        ("revision=1\nrevison = 2", (2, 1), "revison", "did you mean revision?"),
        ("revision=1\n[remotes]", (2, 2), "remotes", "did you mean remote?"),
        ("revision=1\n[[remotes]]", (2, 3), "remotes", "did you mean remote?"),
        ("revision=1\n[firewall]", (2, 2), "firewall", "the keys here are revision, box, network"),
        ("revision=1\n[audit]\nhost = 'x'", (2, 2), "audit", "one that is not known"),
        ("revision=1\n[ae]\n\ntitel = 'A'", (4, 1), "ae.titel", "did you mean title?"),
        ("revision=1\n[ae]\n'max-pdu' = 1", (3, 1), "ae.max-pdu", "did you mean max_pdu?"),
        ("revision=1\n[ae]\nquality = 1", (3, 1), "ae.quality", "it belongs under [images]"),
        (
            "revision=1\n[box]\nrevision=1",
            (3, 1),
            "box.revision",
            "it belongs at the top of the file, above the first table",
        ),
        ("revision=1\nport=1", (2, 1), "port", "belongs under [ae] or under [tls] or under [[rem"),
        ("revision=1\n[ae]\nvoltage=1", (3, 1), "ae.voltage", "remove it; the keys here are title"),
        ("revision=1\n[ae]\n'a b' = 1", (3, 1), 'ae."a b"', "expected a key of [ae]"),
        ("revision=1\nae = 5", (2, 6), "ae", "found 5; write [ae], and its keys below"),
        ("revision=1\n[[ae]]\nport=104", (2, 1), "ae", "found a list; write [ae]"),
        ("revision=1\nremote = 5", (2, 10), "remote", "found 5; write [[remote]] above each"),
        ("revision=1\nwatch = ['1']", (2, 10), "watch[1]", "expected a table"),
        (
            "revision=1\n" + REMOTE.replace("[[remote]]", "[remote]"),
            (2, 1),
            "remote",
            "found a table; write [[remote]] above each",
        ),
        ("revision=1\n[query]\ntimeouts = 60", (3, 12), "query.timeouts", "[query.timeouts]"),
        ("revision=1\n[query.timeouts]\nx = 1", (3, 1), "query.timeouts.x", "association, resp"),
        # What is required.
        ("revision=1\n" + REMOTE[:-19], (2, 1), "remote[1].host", 'such as host = "192.0.2.10"'),
        ("revision=1\n[[watch]]", (2, 1), "watch[1].patient_id", 'patient_id = "00012345"'),
        (
            f"revision=1\n[tls]\ncertificate = '''\n{CERTIFICATE}'''",
            (2, 1),
            "tls.key",
            "add key = '''…''' with the PEM text",
        ),
        # Values: one of each kind; the others stand with their kinds.
        ("revision=1\n[ae]\ntitle=''", (3, 7), "ae.title", "found an empty text"),
        ("revision=1\n[ae]\nport =  0", (3, 9), "ae.port", "expected a whole number, 1 to 65535"),
        ("revision=1\n[ae]\naddress='x'", (3, 9), "ae.address", "names do not work"),
        ("revision=1\n[ae]\nmax_pdu=16384", (3, 9), "ae.max_pdu", "write the unit, too, in quotes"),
        ("revision=1\n[ae]\nmax_pdu='2 KiB'", (3, 9), "ae.max_pdu", "4 KiB to 128 KiB"),
        ("revision=1\n[ae]\nprofile='brod'", (3, 9), "ae.profile", 'did you mean "broad"?'),
        ("revision=1\n[query]\nevery=15", (3, 7), "query.every", '"15 s" or "15 min" or "15 h"'),
        ("revision=1\n[images]\nquality=101", (3, 9), "images.quality", "1 to 100"),
        ("revision=1\n[images]\nkeep_dicom='no'", (3, 12), "images.keep_dicom", "write false"),
        ("revision=1\n[storage]\nkeep_days='9 days'", (3, 11), "storage.keep_days", "write 9"),
        ("revision=1\n" + REMOTE + "calls_as='A'", (6, 10), "remote[1].calls_as", 'write ["A"]'),
        ("revision=1\n" + REMOTE + "calls_as=5", (6, 10), "remote[1].calls_as", 'write ["…"]'),
        (
            "revision=1\n" + REMOTE + "calls_from=['h',\n  'h/8']",
            (7, 3),
            "remote[1].calls_from[2]",
            'found "h/8"',
        ),
        (
            "revision=1\n" + REMOTE + "character_set='UTF-8'",
            (6, 15),
            "remote[1].character_set",
            'did you mean "ISO_IR 192"?',
        ),
        (
            "revision=1\n[[watch]]\npatient_id='1'\n[[watch]]\npatient_id = '1*'",
            (5, 14),
            "watch[2].patient_id",
            'found the character "*"; remove "*": in a query it would match other patients, too',
        ),
        (
            "revision=1\n[[watch]]\npatient_id='1'\nsince='2025-04-01'",
            (4, 7),
            "watch[1].since",
            "write 2025-04-01, without quotes",
        ),
        # Settings that contradict each other.
        (
            "revision=1\n" + REMOTE + ANOTHER.replace('"b"', '"a"'),
            (7, 8),
            "remote[2].name",
            'expected a name of its own, found "a", as in line 3',
        ),
        (
            "revision=1\n" + REMOTE + ANOTHER.replace('"B"', '"A"').replace("2.2", "2.1"),
            (6, 1),
            "remote[2]",
            'found "A" from the same address, as in line 2',
        ),
        (
            "revision=1\n" + REMOTE + ANOTHER + "calls_as=['A']\ncalls_from=['192.0.2.0/30']",
            (6, 1),
            "remote[2]",
            'found "A" from the same address',
        ),
        (
            "revision=1\n"
            + REMOTE.replace("192.0.2.1", "PACS.example")
            + ANOTHER.replace("192.0.2.2", "pacs.example.").replace('"B"', '"A"'),
            (6, 1),
            "remote[2]",
            'found "A" from the same address',
        ),
        (
            "revision=1\n" + REMOTE + "[[watch]]\npatient_id='1'\nremotes=['a', 'c']",
            (8, 15),
            "watch[1].remotes[2]",
            'expected the name of a [[remote]], found "c"; write one of these: "a"',
        ),
        (
            "revision=1\n[[watch]]\npatient_id='1'\nremotes=['c']",
            (4, 10),
            "watch[1].remotes[1]",
            "write one of these: there is none yet",
        ),
        (
            "revision=1\n" + REMOTE + "query=false\n[[watch]]\npatient_id='1'\nremotes=['a']",
            (9, 10),
            "watch[1].remotes[1]",
            "which has query = false",
        ),
        (
            "revision=1\n"
            "[[watch]]\npatient_id='1'\npseudonym='X'\n[[watch]]\npatient_id='1'\npseudonym='Y'",
            (7, 11),
            "watch[2].pseudonym",
            "expected the pseudonym that this patient has already, found another one, as in line 4",
        ),
        (
            "revision=1\n[[watch]]\npatient_id='77'\npseudonym='77'",
            (4, 11),
            "watch[1].pseudonym",
            "found the patient's own number",
        ),
        ("revision=1\n[ae]\nport=2762\n" + TLS_TABLE, (4, 1), "tls.port", "the port of [ae]"),
        ("revision=1\n" + TLS_TABLE, (2, 1), "tls.authorities", "or require_certificate = false"),
        (
            "revision=1\n" + REMOTE + "tls = true",
            (6, 7),
            "remote[1].tls",
            "found true; add [tls] with the keys certificate, key and authorities",
        ),
        (
            "revision=1\nremote=[1]\n[[watch]]\npatient_id='1'\nremotes=['a']",
            (2, 9),
            "remote[1]",
            "found 1; write [[remote]]",
        ),
        (
            "revision=1\n" + TLS_TABLE.replace(KEY, ANOTHER_KEY) + "require_certificate=false",
            (CERTIFICATE.count("\n") + 5, 7),
            "tls.key",
            "found the key of another one, as in line 3",
        ),
        (
            "revision=1\n" + TLS_TABLE.replace("[tls]", "[panel]").replace(KEY, ANOTHER_KEY),
            (CERTIFICATE.count("\n") + 5, 7),
            "panel.key",
            "paste the two of one pair",
        ),
        (
            "revision=1\n"
            + TLS_TABLE.replace("[tls]", "[panel]").replace(CERTIFICATE, PLAUSIBLE_CERTIFICATE),
            (8, 7),
            "panel.key",
            "found a pair that OpenSSL does not take",
        ),
        (
            f"revision=1\n{REMOTE}tls=true\n[tls]\ncertificate='''\n{CERTIFICATE}'''",
            (7, 1),
            "tls.key",
            "add key = '''…''' with the PEM text",
        ),
        (
            "revision=1\n[query]\nretry_first='1 h'\nretry_longest='5 min'",
            (4, 15),
            "query.retry_longest",
            "at least the time of retry_first",
        ),
        (
            "revision=1\n[images]\ndeidentify='clear'\noptions=['retain_uids']",
            (4, 9),
            "images.options",
            "options beside",
        ),
        (
            "revision=1\n[images]\n"
            "options=['retain_long_full_dates', 'retain_long_modified_dates']",
            (3, 9),
            "images.options",
            "found both",
        ),
    ],
)
def test_a_mistake_at_its_place(text, place, key, message):
    if key == "tls.port":
        text += "require_certificate = false\n"
    (problem,) = problems(text)
    assert (problem.line, problem.column) == place
    assert problem.key == key
    assert message in str(problem)


@pytest.mark.parametrize(
    "text",
    [
        REMOTE + ANOTHER.replace('"B"', '"A"'),
        REMOTE + ANOTHER.replace("2.2", "2.1"),
        REMOTE + ANOTHER.replace('"B"', '"A"') + "calls_from=['192.0.2.2/31', '2001:db8::/32']",
        REMOTE.replace("192.0.2.1", "one")
        + ANOTHER.replace('"B"', '"A"').replace("192.0.2.2", "two"),
        "[[watch]]\npatient_id='1'\npseudonym='X'\n[[watch]]\npatient_id='1'\npseudonym='X'",
        "[[watch]]\npatient_id='1'\npseudonym='X'\n[[watch]]\npatient_id='1'\naccession='A'",
        "[[watch]]\npatient_id='1'\npseudonym='X'\n[[watch]]\npatient_id='2'\npseudonym='X'",
        REMOTE + "[[watch]]\npatient_id='1'\nremotes=['a']",
        TLS_TABLE + "require_certificate=false",
        TLS_TABLE + "require_certificate=false\n" + REMOTE + "tls=true",
        REMOTE + "tls=false",
        TLS_TABLE + f"authorities='''\n{CERTIFICATE}'''",
        "[query]\nretry_first='5 min'\nretry_longest='5 min'",
    ],
)
def test_what_only_looks_like_a_contradiction_is_right(text):
    assert read("revision = 1\n" + text).revision == 1


def test_all_mistakes_are_found_at_once():
    text = """\
revision = "1"
[ae]
titel = "NETTY"
port = 70000
max_pdu = "1 MB"
[[remote]]
name = "main"
title = "A_TITLE_THAT_IS_LONG"
[[remote]]
name = "main"
title = "PACS"
host = "10.0.0.300"
calls_as = ["A", 5, ""]
[[watch]]
patient_id = "12?"
remotes = ["mian", "main"]
since = "yesterday"
[query]
timeouts = { total = 1000, respons = "5 s" }
[firewall]
dhcp = true
"""
    assert [(each.line, each.column, each.key) for each in problems(text)] == [
        (1, 12, "revision"),
        (3, 1, "ae.titel"),
        (4, 8, "ae.port"),
        (5, 11, "ae.max_pdu"),
        (6, 1, "remote[1].host"),
        (8, 9, "remote[1].title"),
        (10, 8, "remote[2].name"),
        (12, 8, "remote[2].host"),
        (13, 18, "remote[2].calls_as[2]"),
        (13, 21, "remote[2].calls_as[3]"),
        (15, 14, "watch[1].patient_id"),
        (16, 12, "watch[1].remotes[1]"),
        (17, 9, "watch[1].since"),
        (19, 22, "query.timeouts.total"),
        (19, 28, "query.timeouts.respons"),
        (20, 2, "firewall"),
    ]


def test_a_name_that_could_not_be_read_is_not_missed():
    text = (
        "revision = 1\n[[remote]]\nname = 5\ntitle = 'A'\nhost = 'h'\n"
        "[[watch]]\npatient_id = '1'\nremotes = ['a']\n"
    )
    assert [each.key for each in problems(text)] == ["remote[1].name"]
    assert [each.key for each in problems(text.replace("name = 5\n", ""))] == ["remote[1].name"]
    single = text.replace("[[remote]]", "[remote]").replace("5", "'a'")
    assert [each.key for each in problems(single)] == ["remote"]


def test_a_problem_is_one_line_for_people():
    assert str(Problem(2, 7, "ae.port", "a port", "0", "write 104")) == (
        "2:7: ae.port: expected a port, found 0; write 104"
    )
    assert str(Problem(1, 1, "", "a file", "none", "make one")) == (
        "1:1: expected a file, found none; make one"
    )
    first, second = Problem(1, 9, "b", "x", "y", "z"), Problem(2, 1, "a", "x", "y", "z")
    together = Problems([second, first])
    assert together.problems == (first, second)
    assert str(together) == f"{first}\n{second}"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("ae", "port"), "ae.port"),
        (("remote", 1, "calls_as", 0), "remote[2].calls_as[1]"),
        (("a b", "c.d"), '"a b"."c.d"'),
        (("a\nb",), '"a\\u000Ab"'),
        (("k" * 41,), "k" * 40 + "…"),
    ],
)
def test_paths_are_written_as_people_write_them(path, text):
    assert dotted(path) == text


def assert_nothing_but_problems(text):
    """Either settings, or problems that each have a place in the text and words on one line."""
    lines = re.sub(r"\r+\n", "\n", text.removeprefix("\ufeff")).split("\n")
    try:
        assert isinstance(read(text), Settings)
    except Problems as caught:
        assert caught.problems
        for each in caught.problems:
            assert 1 <= each.line <= len(lines)
            assert 1 <= each.column <= len(lines[each.line - 1]) + 1
            assert each.expected
            assert each.found
            assert each.remedy
            assert str(each).isprintable()


PARTS = st.sampled_from(
    (
        *('"', "'", '"""', "'''", "\\", "[", "]", "[[", "]]", "{", "}", "=", ".", ",", "#", " "),
        *("\n", "\r", "\t", "\x00", "\u3000", "“", "検", "0", "-1", "9" * 20, "1e999", "nan", "x"),
        *("[ae]\n", "[[remote]]\n", "[watch]\n", "\nport = 1\n", "name", "true", "2025-13-01"),
    )
)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(WHOLE)))
def test_a_truncated_file_has_nothing_but_problems(length):
    assert_nothing_but_problems(WHOLE[:length])


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), st.lists(PARTS, max_size=3)),
        min_size=1,
        max_size=5,
    )
)
def test_a_mutated_file_has_nothing_but_problems(mutations):
    text = WHOLE
    for at, cut, added in mutations:
        text = text[:at] + "".join(added) + text[at + cut :]
    assert_nothing_but_problems(text)


@settings(deadline=None, max_examples=50)
@given(st.randoms(use_true_random=False))
def test_a_shuffled_file_has_nothing_but_problems(random):
    lines = WHOLE.split("\n")
    random.shuffle(lines)
    assert_nothing_but_problems("\n".join(lines))


@settings(deadline=None, max_examples=100)
@given(st.text() | st.lists(PARTS, max_size=12).map("".join))
def test_any_text_has_nothing_but_problems(text):
    assert_nothing_but_problems(text)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, len(WHOLE)),
    st.integers(0, 12),
    PARTS,
    st.sampled_from(["\n", "\r\n", "\r\r\n"]),
)
def test_line_ends_and_byte_order_mark_change_no_place(at, cut, added, end):
    text = WHOLE[:at] + added.replace("\r", "") + WHOLE[at + cut :]
    try:
        plain = read(text)
    except Problems as caught:
        plain = caught.problems
    try:
        other = read("\ufeff" + text.replace("\n", end))
    except Problems as caught:
        other = caught.problems
    assert other == plain


@pytest.mark.parametrize(
    ("table", "key", "line"),
    [
        ("ae", "port", "port = 11112"),
        ("ae", "max_pdu", 'max_pdu = "64 KiB"'),
        ("query", "every", 'every = "1 h"'),
        ("images", "quality", "quality = 80"),
        ("storage", "quota", 'quota = "2 TiB"'),
    ],
)
def test_a_key_taken_out_leaves_its_default(table, key, line):
    def value(of):
        return getattr(getattr(of, table), key)

    whole, without = read(WHOLE), read(WHOLE.replace(f"{line}\n", "", 1))
    assert value(without) == value(Settings(1)) != value(whole)
