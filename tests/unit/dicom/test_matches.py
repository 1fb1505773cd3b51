"""What a C-FIND asks for and returns, in every character set that the box decodes."""

from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from appliance.dicom.matches import (
    KEYS,
    Garbled,
    Level,
    Match,
    identifier,
    read_match,
    study_identifier,
)
from appliance.images.deidentify import Deidentifier, Encoding
from tests.unit.dicom.keeping import encoded, image
from tests.unit.dicom.wire import element

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

LEVELS: tuple[Level, ...] = ("STUDY", "SERIES", "IMAGE")

TEXTS = {
    "": "ABC-123",
    "ISO_IR 6": "ABC-123",
    "ISO_IR 100": "Müller-7",
    "ISO_IR 13": "ﾔﾏﾀﾞ7",
    "ISO_IR 192": "山田-김-Ж",
    "GB18030": "王小东7",
    "GBK": "王小东7",
    "\\ISO 2022 IR 87": "山田7",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "ﾔﾏﾀﾞ山田7",
    "ISO 2022 IR 6\\ISO 2022 IR 87": "山田-7",
    "\\ISO 2022 IR 149": "김희중7",
    "\\ISO 2022 IR 58": "王小东7",
}
"""A patient ID that needs each character set (PS3.3 Section C.12.1.1.2)."""

NOT_WRITTEN = ("ISO_IR 13", "\\ISO 2022 IR 58")
"""Read, but not written by pydicom where kana or hanzi stand beside digits: UTF-8 it is then."""

MALFORMED = {
    "ISO 2020 IR 87": "山田7",
    "\\ISO 2020 IR 87": "山田7",
    "\\ISO_2022_IR_87": "山田7",
    "ISO2022 IR 6\\ISO2022IR87": "山田7",
    "UTF-8": "山田7",
    "utf8": "山田7",
    "ISO-IR 100": "Müller-7",
    "iso_ir 192": "山田7",
}
"""Labels that senders are known to get wrong, and a text that needs what they mean."""


def as_sent(text: str, label: str) -> bytes:
    """The bytes of a text, by Python's own codecs: JIS X 0208 between escapes, and so on."""
    if "87" in label:
        return text.encode("iso2022_jp") if "ﾔ" not in text else half_and_full(text)
    if "149" in label:
        return b"".join(
            b"\x1b$)C" + c.encode("euc_kr") if ord(c) > 255 else c.encode() for c in text
        )
    if "58" in label:
        return b"".join(
            b"\x1b$)A" + c.encode("gb2312") if ord(c) > 255 else c.encode() for c in text
        )
    codec = {"ISO_IR 13": "shift_jis", "GB18030": "gb18030", "GBK": "gbk", "": "ascii"}
    unicode = "192" in label or "utf" in label.lower()
    return text.encode(codec.get(label, "utf-8" if unicode else "latin-1"))


def half_and_full(text: str) -> bytes:
    """Half-width kana in JIS X 0201, kanji behind an escape to JIS X 0208 and one back."""
    kanji = "".join(c for c in text if "一" <= c <= "龥")
    at = text.index(kanji)
    jis = kanji.encode("iso2022_jp").removesuffix(b"\x1b(B") + b"\x1b(J"
    return text[:at].encode("shift_jis") + jis + text[at + len(kanji) :].encode("ascii")


def response(label: str | None, patient: bytes) -> bytes:
    declared = element(0x0008_0005, label.encode().ljust(len(label) + len(label) % 2))
    head = b"" if label is None else declared
    return head + element(0x0010_0020, patient + b" " * (len(patient) % 2))


@pytest.mark.parametrize(("label", "text"), [*TEXTS.items(), *MALFORMED.items()])
def test_a_patient_id_in_its_character_set(label: str, text: str) -> None:
    assert read_match("STUDY", response(label, as_sent(text, label)), None).patient_id == text


@pytest.mark.parametrize(("label", "text"), TEXTS.items())
def test_the_default_of_a_remote_that_names_none(label: str, text: str) -> None:
    data = element(0x0010_0020, as_sent(text, label))
    assert read_match("STUDY", data, label).patient_id == text
    empty = element(0x0008_0005, b"") + data
    assert read_match("STUDY", empty, label).patient_id == text


def test_what_a_response_declares_counts_more_than_the_default() -> None:
    data = response("ISO_IR 192", "山田".encode())
    assert read_match("STUDY", data, "ISO_IR 100").patient_id == "山田"


@pytest.mark.parametrize(("label", "text"), [*TEXTS.items(), *MALFORMED.items()])
def test_a_match_and_the_dataset_mean_the_same_patient(label: str, text: str) -> None:
    """Or the pseudonym of the watch list would not be found when the instances come."""
    deidentifier = Deidentifier("basic", bytes(32), {text: "SUBJECT-7"})
    dataset = image(PatientID=None, SpecificCharacterSet=None)
    data = encoded(dataset)
    at = data.index(b"\x20\x00\x0d\x00")
    patient = as_sent(text, label)
    data = (
        element(0x0008_0005, label.encode().ljust(len(label) + len(label) % 2))
        + data[:at]
        + element(0x0010_0020, patient + b" " * (len(patient) % 2))
        + data[at:]
    )
    header = deidentifier.header(data, Encoding(True, True), complete=True)
    assert header is not None
    assert header.original.patient_id == text
    assert header.mapped.patient_id == "SUBJECT-7"


@pytest.mark.parametrize("level", LEVELS)
def test_the_identifier_asks_for_the_attributes_of_its_level(level: Level) -> None:
    strict = read(identifier(level, {}, "ISO_IR 100", "strict"))
    assert {each.keyword for each in strict} == {"QueryRetrieveLevel", *KEYS[level]}
    broad = read(identifier(level, {}, "ISO_IR 100", "broad"))
    added = {"SOPClassUID"} if level == "IMAGE" else set()
    assert {each.keyword for each in broad} == {"QueryRetrieveLevel", *KEYS[level], *added}
    assert broad.QueryRetrieveLevel == level
    assert all(each.is_empty for each in broad if each.keyword != "QueryRetrieveLevel")


def test_the_attributes_are_those_of_the_conformance_statement() -> None:
    keywords = {keyword for keywords in KEYS.values() for keyword in keywords}
    assert keywords == {
        "PatientID", "AccessionNumber", "SOPInstanceUID", "StudyDate", "StudyTime", "Modality",
        "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber",
    }  # fmt: skip


def test_an_identifier_byte_by_byte() -> None:
    assert identifier("SERIES", {"StudyInstanceUID": "1.2.3"}, "\\ISO 2022 IR 87", "broad") == (
        bytes.fromhex("0800 5200 06000000")
        + b"SERIES"
        + bytes.fromhex("0800 6000 00000000")
        + bytes.fromhex("2000 0D00 06000000")
        + b"1.2.3\0"
        + bytes.fromhex("2000 0E00 00000000")
    )


def test_the_identifier_of_a_retrieval_byte_by_byte() -> None:
    assert study_identifier("1.2.34") == (
        bytes.fromhex("0800 5200 06000000")
        + b"STUDY "
        + bytes.fromhex("2000 0D00 06000000")
        + b"1.2.34"
    )


@pytest.mark.parametrize(("label", "text"), TEXTS.items())
def test_a_key_is_sent_in_the_remotes_character_set(label: str, text: str) -> None:
    data = identifier("STUDY", {"PatientID": text}, label or None, "broad")
    dataset = read(data)
    assert dataset.PatientID == text
    if text.isascii():
        assert "SpecificCharacterSet" not in dataset
    elif label in NOT_WRITTEN:
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
    else:
        assert element(0x0008_0005, label.encode().ljust(len(label) + len(label) % 2)) in data


@pytest.mark.parametrize("character_set", [None, "ISO_IR 100", "\\ISO 2022 IR 87", "ISO_IR 13"])
def test_a_key_that_the_character_set_lacks_is_sent_in_utf_8(character_set: str | None) -> None:
    """Sent with a replacement for what is lacking, it would ask for another patient."""
    dataset = read(identifier("STUDY", {"PatientID": "Ж-山田-김"}, character_set, "broad"))
    assert (dataset.SpecificCharacterSet, dataset.PatientID) == ("ISO_IR 192", "Ж-山田-김")


def read(data: bytes) -> Dataset:
    """Read by pydicom, which must find it in order."""
    dataset = decode(BytesIO(data), True, True)
    assert list(dataset.keys()) == sorted(dataset.keys())
    return dataset


def test_a_whole_match() -> None:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "IMAGE"
    dataset.RetrieveAETitle = "PACS"
    dataset.StudyDate, dataset.StudyTime = "20260401", "101500.5"
    dataset.AccessionNumber, dataset.PatientID, dataset.Modality = "A-7 ", " 4711", "CT"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
    dataset.SOPInstanceUID, dataset.InstanceNumber = "1.2.3.4", 7
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.ReferencedStudySequence = [Dataset(), Dataset()]
    data = encode(dataset, True, True)
    assert data is not None
    assert read_match("IMAGE", data, None) == Match(
        "IMAGE", "4711", "A-7", "1.2", "1.2.3", "1.2.3.4", "20260401", "101500.5", "CT", 7,
        "1.2.840.10008.5.1.4.1.1.2",
    )  # fmt: skip


def test_a_match_without_anything() -> None:
    assert read_match("STUDY", b"", None) == Match("STUDY")


@pytest.mark.parametrize("number", ["", " ", "x", "1.5", "+-3", "1e9", "NaN"])
def test_an_instance_number_that_is_none(number: str) -> None:
    data = element(0x0020_0013, number.encode())
    assert read_match("IMAGE", data, None).instance_number is None


def test_an_unknown_character_set_is_no_reason_to_fail() -> None:
    data = response("ISO_IR 999\\nonsense", b"4711\xff")
    assert read_match("STUDY", data, None).patient_id.startswith("4711")


def test_a_sequence_of_undefined_length_is_passed_over() -> None:
    sequence = bytes.fromhex("0800 1011 FFFFFFFF FEFF00E0 FFFFFFFF 0800 5011 00000000")
    sequence += bytes.fromhex("FEFF0DE0 00000000 FEFFDDE0 00000000")
    data = sequence + element(0x0010_0020, b"4711")
    assert read_match("STUDY", data, None).patient_id == "4711"


@pytest.mark.parametrize(
    "data",
    [b"x", b"\xff" * 20, element(0x0010_0020, b"4711")[:-1], b"\x08\x00\x10\x11" + b"\xff" * 4],
    ids=["a byte", "garbage", "cut off", "a sequence without end"],
)
def test_a_garbled_response_says_so(data: bytes) -> None:
    with pytest.raises(Garbled) as garbled:
        read_match("STUDY", data, None)
    assert str(garbled.value)


@given(st.binary(max_size=300))
def test_no_response_does_worse_than_be_garbled(data: bytes) -> None:
    for level in LEVELS:
        with suppress(Garbled):
            read_match(level, data, "\\ISO 2022 IR 87")


@given(st.sampled_from(sorted(TEXTS)), st.binary(max_size=60))
def test_no_text_does_worse_than_be_unreadable(label: str, patient: bytes) -> None:
    match = read_match("STUDY", response(label, patient), None)
    assert isinstance(match.patient_id, str)
