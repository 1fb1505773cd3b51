"""Patient ID and name become a pseudonym, in whatever character set they came."""

from __future__ import annotations

import pytest
from pydicom.charset import encode_string

from appliance.images.deidentify import Deidentifier
from appliance.images.deidentify.character_sets import decode, encode, encodings, repair

from .datasets import (
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    KEY,
    deidentifier,
    element,
    header_of,
    item,
    read,
    sequence,
    text,
)

NAME, PATIENT, CHARACTER_SET = 0x00100010, 0x00100020, 0x00080005
KEPT = 0x00189346


def dataset(label: bytes | None, patient_id: bytes, name: bytes = b"SECRET^A") -> bytes:
    data = b"" if label is None else element(IMPLICIT, CHARACTER_SET, b"CS", text(label))
    data += element(IMPLICIT, NAME, b"PN", text(name))
    return data + element(IMPLICIT, PATIENT, b"LO", text(patient_id))


LABELLED = [
    (b"ISO_IR 100", "Zürich-1", "Zürich-1".encode("latin-1")),
    (b"ISO_IR 192", "患者０１", "患者０１".encode()),
    (b"GB18030", "病人甲乙", "病人甲乙".encode("gb18030")),
    (b"GBK", "病人甲乙", "病人甲乙".encode("gbk")),
    (b"GB18030", "珂\\", "珂\\".encode("gb18030")),  # its second byte is a backslash
    (b"ISO_IR 13", "ﾔﾏﾀﾞ", "ﾔﾏﾀﾞ".encode("shift_jis")),
    (b"\\ISO 2022 IR 87", "山田01", b"\x1b$B;3ED\x1b(B01"),
    (b"ISO 2022 IR 13\\ISO 2022 IR 87", "山田", b"\x1b$B;3ED\x1b(J"),
    (b"\\ISO 2022 IR 149", "김희중", encode_string("김희중", ["iso8859", "euc_kr"])),
    (b"\\ISO 2022 IR 58", "张小东", b"\x1b$)A" + "张小东".encode("gb2312")),
    (b"ISO_IR 144", "Люкceмб", "Люкceмб".encode("iso8859_5")),
    (b"ISO 2020 IR 87", "山田", b"\x1b$B;3ED\x1b(B"),  # malformed labels from here on
    (b"\\ISO 2020 IR 87", "山田", b"\x1b$B;3ED\x1b(B"),
    (b"\\ISO_2022_IR_87", "山田", b"\x1b$B;3ED\x1b(B"),
    (b"\\ISO 2022-IR 87", "山田", b"\x1b$B;3ED\x1b(B"),
    (b"ISO-IR 100", "Zürich-1", "Zürich-1".encode("latin-1")),
    (b"ISO IR 100", "Zürich-1", "Zürich-1".encode("latin-1")),
    (b"iso_ir 192", "患者", "患者".encode()),
    (b"UTF-8", "患者", "患者".encode()),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom compares names by encoding them
@pytest.mark.parametrize(("label", "patient", "value"), LABELLED)
def test_patient_id_is_found_in_the_watch_list(label, patient, value):
    watched = Deidentifier("basic", KEY, {patient: "NETTY-0042"})
    header = watched.header(dataset(label, value), IMPLICIT, complete=True)
    assert header is not None
    assert header.original.patient_id == patient
    assert header.mapped.patient_id == "NETTY-0042"
    out = read(header.data, IMPLICIT)
    assert out.PatientID == out.PatientName == "NETTY-0042"
    assert value not in header.data
    assert b"SECRET" not in header.data


@pytest.mark.parametrize(("label", "patient", "value"), LABELLED)
def test_remote_default_serves_a_dataset_that_names_no_character_set(label, patient, value):
    header = deidentifier().header(
        dataset(None, value), IMPLICIT, complete=True, character_set=label.decode("ascii")
    )
    assert header is not None
    assert header.original.patient_id == patient
    empty = element(IMPLICIT, CHARACTER_SET, b"CS", b"") + dataset(None, value)
    again = deidentifier().header(empty, IMPLICIT, complete=True, character_set=label.decode())
    assert again is not None
    assert again.original.patient_id == patient


def test_what_the_dataset_names_wins_over_the_remote_default():
    data = dataset(b"ISO_IR 192", "患者".encode())
    header = deidentifier().header(data, IMPLICIT, complete=True, character_set="GB18030")
    assert header is not None
    assert header.original.patient_id == "患者"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (b"ISO 2020 IR 87", b"ISO 2022 IR 87"),
        (b"\\ISO 2020 IR 87", b"\\ISO 2022 IR 87"),
        (b"ISO_IR 13\\ISO_2022_IR_87", b"ISO_IR 13\\ISO 2022 IR 87"),
        (b"ISO2022IR87", b"ISO 2022 IR 87"),
        (b"ISO-IR 100", b"ISO_IR 100"),
        (b"ISO_IR_100", b"ISO_IR 100"),
        (b"ISO IR 192", b"ISO_IR 192"),
        (b"utf8", b"ISO_IR 192"),
        (b"gb18030", b"GB18030"),
    ],
)
def test_malformed_label_is_mended_and_reported(wrong, right):
    assert repair(wrong) == right
    header = header_of(dataset(wrong, b"1"), IMPLICIT)
    assert header.coerced == (f"(0008,0005): now {right.decode('ascii')}",)
    assert element(IMPLICIT, CHARACTER_SET, b"CS", text(right)) in header.data


@pytest.mark.parametrize(
    "label", [b"ISO_IR 6", b"\\ISO 2022 IR 87", b"KLINGON", b"ISO_IR 999", b""]
)
def test_right_and_hopeless_labels_stay(label):
    header = header_of(dataset(label, b"1"), IMPLICIT)
    assert header.coerced == ()
    assert element(IMPLICIT, CHARACTER_SET, b"CS", text(label)) in header.data


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("label", [b"", b"ISO_IR 192", b"GB18030", b"\\ISO 2022 IR 87", b"KLINGON"])
def test_bytes_that_the_character_set_lacks_never_fail(label):
    for value in (b"\xff\xfe\x80", b"\x1b$Bx", b"\x1b$B\xff\xff\x1b(B", b"\x1b", b"\x1b%/I"):
        assert isinstance(decode(value, label), str)
        assert isinstance(header_of(dataset(label, value), IMPLICIT).original.patient_id, str)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (b"GB18030\\ISO 2022 IR 87", ("GB18030",)),
        (b"ISO_IR 100\\GB18030", ("latin_1",)),
        (b"KLINGON\\ISO 2022 IR 87", ("iso8859", "iso2022_jp")),
        (b"", ("iso8859",)),
    ],
)
def test_character_sets_that_cannot_be_combined(label, expected):
    assert encodings(label) == expected


def test_absurd_label_is_passed_over():
    label = b"\\".join([b"ISO 2020 IR 87"] * 1000)
    header = header_of(dataset(label, b"42"), IMPLICIT)
    assert header.coerced == ()
    assert header.original.patient_id == "42"


@pytest.mark.parametrize("name", ENCODINGS)
def test_padding_makes_no_other_patient(name):
    encoding = ENCODINGS[name]
    expected = deidentifier().pseudonym("42")
    for value in (b"42", b"42  ", b" 42 ", b"42\0\0"):
        header = header_of(element(encoding, PATIENT, b"LO", value), encoding)
        assert header.original.patient_id == "42"
        assert read(header.data, encoding).PatientID == expected


def test_pseudonym_is_short_and_plain_and_needs_the_key():
    pseudonym = deidentifier().pseudonym("42")
    assert pseudonym.startswith("P-")
    assert len(pseudonym) == 14
    assert set(pseudonym[2:]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    assert pseudonym == Deidentifier("basic", KEY).pseudonym("42")
    assert pseudonym != Deidentifier("basic", bytes(32)).pseudonym("42")
    assert pseudonym != deidentifier().pseudonym("43")
    assert len({deidentifier().pseudonym(str(n)) for n in range(20_000)}) == 20_000


def test_patient_without_id_has_no_pseudonym():
    for value in (b"", b"  ", b"\0\0"):
        header = header_of(dataset(None, value), IMPLICIT)
        out = read(header.data, IMPLICIT)
        assert (out.PatientID, out.PatientName) == ("", "")
        assert header.mapped.patient_id == ""
    alone = header_of(element(IMPLICIT, NAME, b"PN", b"A^B "), IMPLICIT)
    assert read(alone.data, IMPLICIT).PatientName == ""
    assert "PatientID" not in read(alone.data, IMPLICIT)


def test_item_has_its_own_patient_and_may_have_its_own_character_set():
    inner = dataset(b"GB18030", "病人".encode("gb18030"))
    inherits = dataset(None, "患者".encode())
    data = element(IMPLICIT, CHARACTER_SET, b"CS", b"ISO_IR 192")
    data += element(IMPLICIT, NAME, b"PN", b"A^B ") + element(IMPLICIT, PATIENT, b"LO", b"1 ")
    data += sequence(IMPLICIT, KEPT, item(IMPLICIT, inner), item(IMPLICIT, inherits))
    out = read(header_of(data, IMPLICIT).data, IMPLICIT)
    pseudonym = deidentifier().pseudonym
    assert out.PatientID == pseudonym("1")
    assert [i.PatientID for i in out[KEPT].value] == [pseudonym("病人"), pseudonym("患者")]
    assert [i.PatientName for i in out[KEPT].value] == [pseudonym("病人"), pseudonym("患者")]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_chosen_pseudonym_in_another_script_is_written_if_the_dataset_can_hold_it():
    chosen = Deidentifier("basic", KEY, {"42": "患者甲"})
    holds = chosen.header(dataset(b"ISO_IR 192", b"42"), IMPLICIT, complete=True)
    japanese = chosen.header(dataset(b"\\ISO 2022 IR 87", b"42"), IMPLICIT, complete=True)
    lacks = chosen.header(dataset(None, b"42"), IMPLICIT, complete=True)
    assert holds is not None
    assert japanese is not None
    assert lacks is not None
    assert read(holds.data, IMPLICIT).PatientID == holds.mapped.patient_id == "患者甲"
    assert read(japanese.data, IMPLICIT).PatientID == "患者甲"
    assert read(lacks.data, IMPLICIT).PatientID == lacks.mapped.patient_id
    assert lacks.mapped.patient_id == deidentifier().pseudonym("42")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "label", [b"", b"ISO_IR 100", b"ISO_IR 192", b"GB18030", b"\\ISO 2022 IR 87"]
)
def test_text_comes_back_as_it_was_encoded(label):
    for value in ("plain", "患者", "ü"):
        encoded = encode(value, label)
        assert encoded is None or decode(encoded, label) == value
    assert encode("plain", label) == b"plain"


def test_text_of_kept_elements_passes_as_bytes():
    data = element(EXPLICIT, CHARACTER_SET, b"CS", text(b"\\ISO 2022 IR 87"))
    kept = element(EXPLICIT, 0x00080070, b"LO", text(b"\x1b$B;3ED\x1b(B"))
    assert kept in header_of(data + kept, EXPLICIT).data


def test_chosen_pseudonym_is_found_whatever_spaces_stand_around_the_number():
    chosen = Deidentifier("basic", KEY, {" 42 ": "N-1"})
    assert chosen.pseudonym("42") == chosen.pseudonym("42 ") == "N-1"
