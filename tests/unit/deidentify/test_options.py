"""Every row of Table E.1-1 under every option: as the action says, at three depths."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary

from appliance.images.deidentify import Deidentifier, Header, Malformed, Options, Recipients
from appliance.images.deidentify.options import CODES, NAMES

from . import oracle
from .datasets import (
    ENCODINGS,
    EXPLICIT,
    KEY,
    element,
    item,
    read,
    real_files,
    sequence,
    text,
    write,
)
from .structure import Element, flat, parse
from .test_mutations import DAMAGE, HEADERS, damaged
from .test_survivors import MARK, Marks, plant
from .test_table import AROUND, honoured, nested, planted

PATIENT_ID = "4711"
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIDATCCAemgAwIBAgIUUrMl56bTOMLZCFCkopwjkxvLySwwDQYJKoZIhvcNAQEL
BQAwDzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjIyMjMzNTZaGA8yMTI2MTAyOTIy
MzM1NlowDzENMAsGA1UEAwwEdGVzdDCCASIwDQYJKoZIhvcNAQEBBQADggEPADCC
AQoCggEBANHUvzGiS+tE1Al9EeJ9f+Tu0Y2M4gYSBctnuHq8gX9Xvbf8xB5ZZLbT
K/bHB8YDlUGFnMqBhW0pqNHCuj8eWgNxpglUUJIyvXuqxN3GvEKHdvEkBIGDiSHR
nWXN3Vw8csgEcbusDMTBACk72Mi1yRbsEZMcGi/n/x3rApSpqgka+/ZhdShkSX5W
BuCSY3L4qcCerYDBdMOoifoGXB8bQFAxG3BpcBx51Sud3KET810N/pKC0cCSJNYy
G/ZvtJYuJUBctPl4/1wzbQr8MDMjQE75YnKbR9QZSx+FpppQr2R6/CgNp0FeM5YN
8pUASSHHvyXxSxpbiK1Z9SN1Z8usDzECAwEAAaNTMFEwHQYDVR0OBBYEFHL5rYEt
6iGLB9iN4Jq+kkNIWgrlMB8GA1UdIwQYMBaAFHL5rYEt6iGLB9iN4Jq+kkNIWgrl
MA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADggEBANBJXUPnll1/YLZ2
J83bVa3EwBGagaRT4+fXyXIIga0vUxh2dy6WMLYMG2m3CbE6a2ztW/KuNVOjXKNU
fYy2EGPHhl+I/gotdGR2wN43yCJEa2c9be+u45dTdDfMgFhT2TUBQQP0tD7c5Gej
XJDq4cQz9nzvMGGGak15AX/TBuzbVqtRu7Tncqu6tb+qoBc3odBY7eJaLUhWKB4u
IHWSKwLPua5uXCkf5AMySe8DRmDK5veGNwI6qkTqp7fsBjMAAKJoLDQaNUDPMB6Q
nq6ofcyuS4O8Lrcg7XYmQeVHqs1unKEcflFVevkxxps2lrG4Ddj+2LZ5w/M2DBD+
0xXDPrA=
-----END CERTIFICATE-----
"""
STUDY = "1.2.3.4"
DATE, TIME = b"20230917", b"101112.13"


@cache
def deidentifier(options: tuple[str, ...]) -> Deidentifier:
    return Deidentifier("basic", KEY, options=options)


def header_of(data: bytes, encoding, *options: str) -> Header:
    header = deidentifier(options).header(data, encoding, complete=True)
    assert header is not None
    return header


@cache
def columns() -> dict[int, dict[str, str]]:
    """Of each row, the letters in the columns of options."""
    source = files("appliance.images.deidentify") / "data" / "ps3.15_table_e.1-1.csv"
    return {
        int(row["tag"][1:5] + row["tag"][6:10], 16): {n: row[n] for n in NAMES if row[n]}
        for row in csv.DictReader(source.read_text("utf-8").splitlines())
        if "X" not in row["tag"] and "GGGG" not in row["tag"]
    }


ROWS = tuple(sorted(tag for tag in oracle.TABLE if tag in DicomDictionary))


def dataset(encoding, depth: int) -> bytes:
    """An element of every row, in a dataset or item of a named patient."""
    rows = b"".join(planted(encoding, tag) for tag in ROWS)
    if not depth:
        return rows
    patient = element(encoding, 0x00100020, b"LO", text(PATIENT_ID))
    return patient + nested(encoding, rows, depth)


def is_kept(out: Element | None, before: bytes) -> bool:
    return out is not None and before.endswith(out.value) and bool(out.value)


def is_cleaned(out: Element | None, tag: int, before: bytes) -> bool:
    """Nothing of what was planted is there: dates moved, times kept, words and codes gone."""
    if out is None:
        return True
    if DicomDictionary[tag][0] in ("DA", "DT"):
        return DATE not in out.value and out.value != b"19000101"
    if DicomDictionary[tag][0] == "TM":
        return is_kept(out, before)
    if tag == 0x00080201:  # Timezone Offset From UTC, without which times of day mean less
        return is_kept(out, before)
    return b"PLANTED" not in out.value and b"1.2.3.42" not in out.value


def expected(tag: int, options: tuple[str, ...]) -> str:
    if tag >> 16 in (0, 2):
        return "X"
    letters = {columns()[tag].get(name) for name in options} if tag in columns() else set()
    if letters & {"K", "C"} and tag not in oracle.PATIENT:
        return "C" if "C" in letters else "K"
    return oracle.NAMED[tag]


def wrong(encoding, depth: int, options: tuple[str, ...]) -> list[str]:
    """The rows with which something else was done than the table says."""
    header = header_of(dataset(encoding, depth), encoding, *options)
    assert header.discarded == ()
    elements = parse(header.data, encoding, oracle.SEQUENCES)
    left = {e.tag: e for e in flat(elements) if e.path == (AROUND,) * depth}
    assert set(left) <= {*ROWS} | oracle.MARKERS
    outside = {e.tag for e in elements}
    assert outside - oracle.MARKERS <= ({*ROWS} if not depth else {AROUND, 0x00100020})
    return [
        f"{tag:08X} {expected(tag, options)} {left.get(tag)}"
        for tag in ROWS
        if tag not in oracle.MARKERS and not right(encoding, tag, left.get(tag), options)
    ]


def right(encoding, tag: int, out: Element | None, options: tuple[str, ...]) -> bool:
    action, before = expected(tag, options), planted(encoding, tag)
    if action == "K" and DicomDictionary[tag][0] == "SQ":
        return out is not None and len(out.items or ()) == 1
    if action == "K":
        return is_kept(out, before)
    if action == "C":
        return is_cleaned(out, tag, before)
    return honoured(action, out, before, tag)


CHOICES = [pair for n in (1, 2) for pair in combinations(NAMES, n)]


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_every_row_under_every_option_and_pair_of_options(name, depth):
    choices = [(), *filter(allowed, CHOICES), *ALL]
    assert not {c: rows for c in choices if (rows := wrong(ENCODINGS[name], depth, c))}


ALL = [
    tuple(name for name in NAMES if name != excluded)
    for excluded in ("retain_long_full_dates", "retain_long_modified_dates")
]


def allowed(options: tuple[str, ...]) -> bool:
    try:
        Options(options)
    except ValueError:
        return False
    return True


def test_what_the_standard_excludes():
    assert not allowed(("retain_long_full_dates", "retain_long_modified_dates"))
    with pytest.raises(ValueError, match="no option"):
        Options(("clean_pixel_data",))
    with pytest.raises(ValueError, match="no options"):
        Deidentifier("clear", KEY, options=("retain_uids",))


@pytest.mark.parametrize("option", NAMES)
def test_dataset_says_which_option(option):
    header = header_of(element(EXPLICIT, 0x00100020, b"LO", b"4711"), EXPLICIT, option)
    told = read(header.data, EXPLICIT)
    codes = [item.CodeValue for item in told.DeidentificationMethodCodeSequence]
    assert codes == ["113100", CODES[option][0].decode()]
    temporal = {"retain_long_full_dates": "UNMODIFIED", "retain_long_modified_dates": "MODIFIED"}
    assert told.LongitudinalTemporalInformationModified == temporal.get(option, "REMOVED")


def found(header: Header, tag: int) -> Element | None:
    elements = parse(header.data, EXPLICIT, oracle.SEQUENCES)
    return next((e for e in elements if e.tag == tag), None)


def patient(*elements: bytes, number: str = PATIENT_ID) -> bytes:
    """A dataset of a named patient; the elements in order, all behind (0008,1080)."""
    return b"".join(
        (
            element(EXPLICIT, 0x00080020, b"DA", DATE),
            element(EXPLICIT, 0x00081030, b"LO", text("CT Chest for Hand 4711 w/o contrast 55F")),
            element(EXPLICIT, 0x00100010, b"PN", text("Hand^Chester", b"PN")),
            element(EXPLICIT, 0x00100020, b"LO", text(number)),
            *elements,
            element(EXPLICIT, 0x0020000D, b"UI", text(STUDY, b"UI")),
        )
    )


def test_description_keeps_what_was_imaged():
    told = read(header_of(patient(), EXPLICIT, "clean_descriptors").data, EXPLICIT)
    assert told.StudyDescription == "CT Chest for w/o contrast"


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("Knee of Dr. Hand", "Knee"),
        ("T2 FLAIR axial 5 mm", "T2 FLAIR axial 5 mm"),
        ("2023-09-17", None),
        ("090-1234-5678 chest", "chest"),
        ("Chester", None),
        ("SMITH^JOHN", None),
        ("CHEST_PA/LAT", "CHEST PA/LAT"),
    ],
)
def test_label_is_cleaned_word_by_word(written, left):
    whole = element(EXPLICIT, 0x0008103E, b"LO", text(written)) + patient_behind()
    told = read(header_of(whole, EXPLICIT, "clean_descriptors").data, EXPLICIT)
    assert told.get("SeriesDescription") == left


def patient_behind() -> bytes:
    """Name and number of a patient."""
    return element(EXPLICIT, 0x00100010, b"PN", text("Hand^Chester", b"PN")) + element(
        EXPLICIT, 0x00100020, b"LO", text(PATIENT_ID)
    )


def test_free_text_is_kept_whole_or_not_at_all():
    def comments(written: str) -> str | None:
        data = patient(element(EXPLICIT, 0x00104000, b"LT", text(written, b"LT")))
        told = read(header_of(data, EXPLICIT, "clean_descriptors").data, EXPLICIT)
        comment = told.get("PatientComments")
        return None if comment is None else str(comment)

    assert comments("chest pain with contrast") == "chest pain with contrast"
    assert comments("chest pain, wife of Yamada") is None


def test_japanese_descriptions():
    def described(written: str) -> str | None:
        data = b"".join(
            (
                element(EXPLICIT, 0x00080005, b"CS", text("ISO_IR 192", b"CS")),
                element(EXPLICIT, 0x0008103E, b"LO", text(written.encode())),
                element(EXPLICIT, 0x00100010, b"PN", text("Te^Ashi=足立^花子".encode(), b"PN")),
                element(EXPLICIT, 0x00100020, b"LO", text(PATIENT_ID)),
            )
        )
        return read(header_of(data, EXPLICIT, "clean_descriptors").data, EXPLICIT).get(
            "SeriesDescription"
        )

    assert described("胸部単純CT") == "胸部単純CT"
    assert described("造影後 足立花子") == "造影後"
    assert described("手塚 胸部") == "胸部"


def test_dates_move_by_the_same_days_for_all_of_a_patient():
    def moved(number: str, *, key: bytes = KEY) -> str:
        box = Deidentifier("basic", key, options=("retain_long_modified_dates",))
        header = box.header(patient(number=number), EXPLICIT, complete=True)
        assert header is not None
        return str(read(header.data, EXPLICIT).StudyDate)

    assert moved("4711") == moved("4711") < "20220917"
    assert moved("4711") != moved("4712")
    assert moved("4711") != moved("4711", key=bytes(32))
    assert moved("") < "20220917", "without a patient ID, by the study"


@pytest.mark.parametrize(
    ("vr", "tag", "value", "moves"),
    [
        (b"DT", 0x0008002A, b"20230917101112.123456+0900", True),
        (b"DT", 0x0008002A, b"202309", False),
        (b"DA", 0x00080022, b"2023.09.17", True),
        (b"DA", 0x00080022, b"20230230", False),
        (b"DA", 0x00080022, b"00010101", False),
        (b"DA", 0x00080022, b"17 Sep", False),
    ],
)
def test_date_is_moved_or_goes(vr, tag, value, moves):
    data = element(EXPLICIT, tag, vr, text(value)) + patient_behind()
    out = found(header_of(data, EXPLICIT, "retain_long_modified_dates"), tag)
    if moves:
        assert out is not None
        assert out.value.startswith(b"20")
        assert out.value[:4] < b"2023"
        assert vr == b"DA" or out.value.strip()[8:] == value[8:]
    else:
        assert out is None or out.value in (b"", b"19000101", b"19000101000000")


def test_uids_stay_for_all_parts_of_the_box():
    box = deidentifier(("retain_uids",))
    header = header_of(patient(), EXPLICIT, "retain_uids")
    assert header.mapped.study == header.original.study == STUDY
    assert box.uid(STUDY) == STUDY
    assert deidentifier(()).uid(STUDY) != STUDY


def content(name: tuple[str, str, str], *value: bytes) -> bytes:
    """A content item with a concept name."""
    code, scheme, meaning = name
    coded = b"".join(
        (
            element(EXPLICIT, 0x00080100, b"SH", text(code)),
            element(EXPLICIT, 0x00080102, b"SH", text(scheme)),
            element(EXPLICIT, 0x00080104, b"LO", text(meaning)),
        )
    )
    return item(EXPLICIT, sequence(EXPLICIT, 0x0040A043, item(EXPLICIT, coded)) + b"".join(value))


def test_report_keeps_findings_and_loses_people():
    finding = ("121071", "DCM", "Finding")
    tree = sequence(
        EXPLICIT,
        0x0040A730,
        content(finding, element(EXPLICIT, 0x0040A160, b"UT", text("acute fracture", b"UT"))),
        content(finding, element(EXPLICIT, 0x0040A160, b"UT", text("seen by Chester", b"UT"))),
        content(
            ("121008", "DCM", "Person Observer Name"),
            element(EXPLICIT, 0x0040A123, b"PN", text("Doe^Jane", b"PN")),
        ),
        content(
            ("121033", "DCM", "Subject Age"),
            sequence(
                EXPLICIT,
                0x0040A300,
                item(EXPLICIT, element(EXPLICIT, 0x0040A30A, b"DS", b"55")),
            ),
        ),
        content(
            ("121206", "DCM", "Distance"),
            sequence(
                EXPLICIT,
                0x0040A300,
                item(EXPLICIT, element(EXPLICIT, 0x0040A30A, b"DS", b"12.5")),
            ),
        ),
    )
    data = patient() + tree
    told = read(header_of(data, EXPLICIT, "clean_structured_content").data, EXPLICIT)
    first, second, person, distance = told.ContentSequence
    assert first.TextValue == "acute fracture"
    assert second.TextValue == "REMOVED"
    assert person.PersonName == "REMOVED"
    assert distance.MeasuredValueSequence[0].NumericValue == "12.5"
    kept = header_of(data, EXPLICIT, "clean_structured_content", "retain_patient_characteristics")
    assert len(read(kept.data, EXPLICIT).ContentSequence) == 5
    basic = read(header_of(data, EXPLICIT).data, EXPLICIT)
    assert [c.get("TextValue") for c in basic.ContentSequence[:2]] == ["REMOVED"] * 2


def graphic(kind: bytes, points: int) -> bytes:
    return item(
        EXPLICIT,
        b"".join(
            (
                element(EXPLICIT, 0x00700005, b"CS", text("PIXEL", b"CS")),
                element(EXPLICIT, 0x00700020, b"US", b"\2\0"),
                element(EXPLICIT, 0x00700021, b"US", points.to_bytes(2, "little")),
                element(EXPLICIT, 0x00700022, b"FL", b"\1\2\3\4" * 2 * points),
                element(EXPLICIT, 0x00700023, b"CS", text(kind, b"CS")),
            )
        ),
    )


def test_graphics_keep_the_shapes_that_cannot_spell():
    drawn = sequence(
        EXPLICIT,
        0x00700009,
        graphic(b"CIRCLE", 2),
        graphic(b"POLYLINE", 2),
        graphic(b"POLYLINE", 9),
    )
    data = patient() + sequence(EXPLICIT, 0x00700001, item(EXPLICIT, drawn))
    told = read(header_of(data, EXPLICIT, "clean_graphics").data, EXPLICIT)
    kinds = [g.GraphicType for g in told.GraphicAnnotationSequence[0].GraphicObjectSequence]
    assert kinds == ["CIRCLE", "POLYLINE", "POINT"]
    basic = read(header_of(data, EXPLICIT).data, EXPLICIT)
    assert len(basic.GraphicAnnotationSequence[0].GraphicObjectSequence) == 1


def overlay(kind: bytes) -> bytes:
    return b"".join(
        (
            element(EXPLICIT, 0x60000010, b"US", b"\1\0"),
            element(EXPLICIT, 0x60000022, b"LO", text("Chester")),
            element(EXPLICIT, 0x60000040, b"CS", text(kind, b"CS")),
            element(EXPLICIT, 0x60001500, b"LO", text("lesion of Chester")),
            element(EXPLICIT, 0x60003000, b"OW", b"\1\2"),
            element(EXPLICIT, 0x60004000, b"LT", text("seen by Dr. Doe", b"LT")),
        )
    )


def test_overlay_of_a_region_stays_and_one_of_letters_goes():
    regions = read(header_of(patient() + overlay(b"R"), EXPLICIT, "clean_graphics").data, EXPLICIT)
    assert {e.tag & 0xFFFF for e in regions if e.tag.group == 0x6000} == {
        0x10,
        0x40,
        0x1500,
        0x3000,
    }
    assert regions[0x60001500].value == "lesion"
    letters = header_of(patient() + overlay(b"G"), EXPLICIT, "clean_graphics")
    assert b"\0\x60" not in letters.data
    assert b"\0\x60" not in header_of(patient() + overlay(b"R"), EXPLICIT).data


def private(*, declared: bool = False) -> bytes:
    characteristics = item(
        EXPLICIT,
        b"".join(
            (
                element(EXPLICIT, 0x00080301, b"US", b"\x09\0"),
                element(EXPLICIT, 0x00080302, b"LO", text("ACME 1")),
                element(EXPLICIT, 0x00080303, b"CS", text("SAFE", b"CS")),
            )
        ),
    )
    return b"".join(
        (
            sequence(EXPLICIT, 0x00080300, characteristics) if declared else b"",
            element(EXPLICIT, 0x00090010, b"LO", text("ACME 1")),
            element(EXPLICIT, 0x00091001, b"DS", text("1.5", b"DS")),
            element(EXPLICIT, 0x00091002, b"LO", text("chest of Chester")),
            element(EXPLICIT, 0x00091003, b"PN", text("Chester", b"PN")),
            element(EXPLICIT, 0x00091004, b"UI", text("1.2.3.42", b"UI")),
            patient_behind(),
            element(EXPLICIT, 0x70530010, b"LO", text("Philips PET Private Group")),
            element(EXPLICIT, 0x70531000, b"DS", text("0.5", b"DS")),
            element(EXPLICIT, 0x70531001, b"LO", text("Chester")),
        )
    )


def test_private_elements_that_are_known_to_be_safe_stay():
    def tags(data: bytes, *options: str) -> set[int]:
        told = read(header_of(data, EXPLICIT, *options).data, EXPLICIT)
        return {int(e.tag) for e in told if e.tag.is_private}

    assert tags(private()) == set()
    assert tags(private(), "retain_safe_private") == {0x70530010, 0x70531000}
    assert tags(private(declared=True), "retain_safe_private") == {
        *(0x00090010, 0x00091001, 0x00091002, 0x00091004, 0x70530010, 0x70531000)
    }
    told = read(header_of(private(declared=True), EXPLICIT, "retain_safe_private").data, EXPLICIT)
    assert told[0x00091002].value == "chest"
    assert told[0x00091004].value == deidentifier(()).uid("1.2.3.42")


def test_nothing_is_cleaned_where_names_may_hide():
    """A sequence that cannot be followed may hold the name that a description repeats."""
    hidden = element(EXPLICIT, 0x00081115, b"UN", b"\xfe\xff\x00\xe0\4\0\0\0MARK")
    data = element(EXPLICIT, 0x0008103E, b"LO", text("chest")) + hidden + patient_behind()
    told = read(header_of(data, EXPLICIT, "clean_descriptors").data, EXPLICIT)
    assert "SeriesDescription" not in told


CLEANING = tuple(name for name in NAMES if name.startswith("clean_"))
TIMES = {"TM", "SH"}
"""Of times that are kept, and of their zone, the value is not looked at."""


@pytest.mark.parametrize("real", real_files()[::3], ids=lambda real: real.name)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_marks_in_a_real_file_do_not_survive_cleaning(real):
    """What cleaning leaves more than the profile is the shape of what it goes through."""
    dataset = read(real.data, real.encoding)
    del dataset[0x7FE00008:]
    marks = Marks()
    plant(dataset, marks, (), real.encoding)
    data = write(dataset, real.encoding)
    options = (*CLEANING, "retain_long_modified_dates", "retain_safe_private")
    basic = set(MARK.findall(header_of(data, real.encoding).data))
    more = set(MARK.findall(header_of(data, real.encoding, *options).data)) - basic
    for mark in more:
        *around, tag = marks.planted[mark]
        cleaned = any("C" in columns().get(s, {}).values() for s in around)
        vr = DicomDictionary[tag][0]
        timed = columns().get(tag, {}).get("retain_long_modified_dates") and vr in TIMES
        assert timed or (cleaned and vr in {"CS", "DS", "IS", "UI"}), (mark, marks.planted[mark])


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(HEADERS)),
    damage=DAMAGE,
    cut=st.none() | st.integers(0, 12_000),
    complete=st.booleans(),
)
def test_damage_under_all_options_yields_a_valid_result_or_a_refusal(name, damage, cut, complete):
    data, encoding = HEADERS[name]
    data = damaged(data, damage, cut)
    try:
        header = sealing().header(data, encoding, complete=complete)
    except Malformed as refused:
        assert "offset" in str(refused)
        return
    assert header is not None or not complete
    if header is not None:
        parse(header.data, encoding, oracle.SEQUENCES | {0x04000500})


@cache
def sealing() -> Deidentifier:
    """A de-identifier with all options that go together, for a recipient."""
    return Deidentifier("basic", KEY, options=ALL[0], recipients=Recipients([CERTIFICATE]))


@pytest.mark.parametrize("delimited", [False, True])
def test_nesting_without_end_is_bounded(delimited):
    """Two thousand sequences in each other, which a walk by recursion would not survive."""
    whole = b""
    for _ in range(2_000):
        whole = sequence(
            EXPLICIT, AROUND, item(EXPLICIT, whole, delimited=delimited), delimited=delimited
        )
    header = sealing().header(patient_behind() + whole, EXPLICIT, complete=True)
    assert header is not None
    assert any("nested too deep" in why for why in header.discarded)


def test_contradictory_patients_have_one_shift():
    """A patient ID within a sequence, or twice, does not decide by how much dates move."""
    other = sequence(
        EXPLICIT, 0x00101002, item(EXPLICIT, element(EXPLICIT, 0x00100020, b"LO", b"9999"))
    )
    name = "retain_long_modified_dates"
    one = read(header_of(patient(), EXPLICIT, name).data, EXPLICIT).StudyDate
    two = read(header_of(patient(other), EXPLICIT, name).data, EXPLICIT).StudyDate
    assert one == two
