"""Datasets that break the rules: refused with tag and offset, or mended and said so."""

from __future__ import annotations

import pytest

from appliance.images.deidentify import Malformed

from . import oracle
from .datasets import (
    BIG,
    CT,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    deidentifier,
    element,
    header_of,
    item,
    read,
    real_files,
    sequence,
    text,
)
from .structure import parse

KEPT = 0x00189346
MANUFACTURER = 0x00080070
MODALITY = 0x00080060


def refusal(data: bytes, encoding) -> str:
    with pytest.raises(Malformed) as refused:
        header_of(data, encoding)
    return str(refused.value)


@pytest.mark.parametrize("name", ENCODINGS)
def test_value_that_overruns_the_dataset_is_refused(name):
    encoding = ENCODINGS[name]
    first = element(encoding, MODALITY, b"CS", b"CT")
    data = first + element(encoding, MANUFACTURER, b"LO", b"ACME", length=400)
    assert refusal(data, encoding) == (
        f"(0008,0070) at offset {len(first)} is longer than what it stands in"
    )


@pytest.mark.parametrize("name", ENCODINGS)
def test_header_that_is_cut_off_is_refused(name):
    encoding = ENCODINGS[name]
    data = element(encoding, MODALITY, b"CS", b"CT") + b"\x08\x00\x70"
    assert "offset 10" in refusal(data, encoding)


@pytest.mark.parametrize("vr", [b"\0\0", b"??", b"1A", b"lo", b"  "])
def test_impossible_vr_is_refused(vr):
    data = element(EXPLICIT, MODALITY, b"CS", b"CT") + element(EXPLICIT, MANUFACTURER, vr, b"ACME")
    assert refusal(data, EXPLICIT) == "(0008,0070) at offset 10 has an impossible VR"


def test_vr_of_a_later_edition_has_the_long_form_and_its_element_is_dropped():
    data = element(EXPLICIT, MANUFACTURER, b"UT", b"ACME").replace(b"UT", b"ZZ")
    header = header_of(data + element(EXPLICIT, 0x00080090, b"PN", b"A^B "), EXPLICIT)
    assert header.discarded == ("(0008,0070): its value is not of its VR",)
    assert read(header.data, EXPLICIT).ReferringPhysicianName == ""


@pytest.mark.parametrize("tag", [0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD])
def test_stray_delimiter_is_refused(tag):
    data = element(IMPLICIT, MODALITY, b"CS", b"CT") + element(IMPLICIT, tag, b"", b"")
    assert "at offset 10 stands where it cannot" in refusal(data, IMPLICIT)


@pytest.mark.parametrize("name", ENCODINGS)
def test_element_that_overruns_its_item_is_dropped_and_named(name):
    encoding = ENCODINGS[name]
    good = element(encoding, MODALITY, b"CS", b"CT")
    broken = element(encoding, MANUFACTURER, b"LO", b"SECRET", length=4000)
    data = sequence(encoding, KEPT, item(encoding, good + broken), item(encoding, good))
    header = header_of(data + element(encoding, 0x00200011, b"IS", b"7 "), encoding)
    assert len(header.discarded) == 1
    assert header.discarded[0].startswith("(0018,9346)>(0008,0070) at offset ")
    dataset = read(header.data, encoding)
    assert [len(i) for i in dataset[KEPT].value] == [1, 1]
    assert dataset.SeriesNumber == 7
    assert b"SECRET" not in header.data


@pytest.mark.parametrize("name", ENCODINGS)
def test_item_that_overruns_its_sequence_is_dropped_and_named(name):
    encoding = ENCODINGS[name]
    good = item(encoding, element(encoding, MODALITY, b"CS", b"CT"))
    order = "little" if encoding.little_endian else "big"
    broken = good[:4] + (4000).to_bytes(4, order) + good[8:]
    data = sequence(encoding, KEPT, good, broken)
    header = header_of(data + element(encoding, 0x00200011, b"IS", b"7 "), encoding)
    assert len(header.discarded) == 1
    assert header.discarded[0].startswith("(0018,9346)>(FFFE,E000) at offset ")
    dataset = read(header.data, encoding)
    assert len(dataset[KEPT].value) == 1
    assert dataset.SeriesNumber == 7


@pytest.mark.parametrize("name", ENCODINGS)
def test_garbage_in_a_sequence_of_known_length_goes(name):
    encoding = ENCODINGS[name]
    data = element(encoding, KEPT, b"SQ", b"GARBAGE, SECRET ")
    header = header_of(data + element(encoding, 0x00200011, b"IS", b"7 "), encoding)
    assert b"GARBAGE" not in header.data
    assert len(header.discarded) == 1
    dataset = read(header.data, encoding)
    assert (len(dataset[KEPT].value), dataset.SeriesNumber) == (0, 7)


@pytest.mark.parametrize("name", ENCODINGS)
def test_garbage_in_a_sequence_of_unknown_length_is_refused(name):
    encoding = ENCODINGS[name]
    data = element(encoding, KEPT, b"SQ", b"GARBAGE, SECRET ", length=UNDEFINED)
    assert "stands where an item should" in refusal(data, encoding)


@pytest.mark.parametrize("name", ENCODINGS)
def test_missing_delimiters(name):
    encoding = ENCODINGS[name]
    content = item(encoding, element(encoding, MODALITY, b"CS", b"CT"), delimited=True)
    within = sequence(encoding, KEPT, content, delimited=True)
    assert refusal(within[:-8], encoding)
    assert refusal(within[:-16], encoding)
    known_end = sequence(encoding, 0x0040A170, item(encoding, within[:-8]))
    header = header_of(known_end, encoding)
    assert len(header.discarded) == 1
    parse(header.data, encoding, oracle.SEQUENCES)


@pytest.mark.parametrize("name", ENCODINGS)
def test_needless_delimiters_are_left_out(name):
    encoding = ENCODINGS[name]
    content = element(encoding, MODALITY, b"CS", b"CT")
    item_end = item(encoding, b"", delimited=True)[-8:]
    sequence_end = sequence(encoding, KEPT, delimited=True)[-8:]
    data = element(encoding, KEPT, b"SQ", item(encoding, content + item_end) + sequence_end)
    header = header_of(data, encoding)
    assert sequence(encoding, KEPT, item(encoding, content)) in header.data
    assert header.discarded == ()


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("name", ENCODINGS)
def test_elements_out_of_order_and_twice(name, depth):
    encoding = ENCODINGS[name]
    body = b"".join(
        (
            element(encoding, 0x00200011, b"IS", b"7 "),
            element(encoding, MODALITY, b"CS", b"CT"),
            sequence(encoding, KEPT, item(encoding, element(encoding, MODALITY, b"CS", b"MR"))),
            element(encoding, MODALITY, b"CS", b"US"),
            element(encoding, 0x00100020, b"LO", b"ID"),
            element(encoding, 0x00100020, b"LO", b"SECRET"),
            element(encoding, 0x00100010, b"PN", b"SECRET"),
        )
    )
    for _ in range(depth):
        body = sequence(encoding, 0x0040A170, item(encoding, body))
    header = header_of(body, encoding)
    parse(header.data, encoding, oracle.SEQUENCES)
    path = "(0040,A170)>" * depth
    assert {
        f"{path}(0008,0060): it is there twice",
        f"{path}(0010,0020): it is there twice",
    } == set(header.discarded)
    assert f"{path}(0008,0060): moved to its place" in header.coerced
    assert b"SECRET" not in header.data
    dataset = read(header.data, encoding)
    for _ in range(depth):
        dataset = dataset[0x0040A170].value[0]
    assert dataset.Modality == "CT"
    assert dataset.PatientID == dataset.PatientName == deidentifier().pseudonym("ID")
    if not depth:
        assert header.modality == "CT"
        assert header.original.patient_id == "ID"


def test_a_palette_with_its_uid_twice():
    (real,) = (r for r in real_files() if r.name == "winter.dcm")
    header = header_of(real.data, real.encoding)
    assert header.discarded == ("(0008,0018): it is there twice",)


@pytest.mark.parametrize("name", ENCODINGS)
def test_value_that_is_not_of_its_vr_is_dropped(name):
    encoding = ENCODINGS[name]
    data = b"".join(
        (
            element(encoding, 0x00080008, b"CS", b"ORIGINAL\0\0\x10\0\x10\0SECRET"),
            element(encoding, MODALITY, b"CS", b"CT"),
            element(encoding, 0x00280010, b"US", b"\1\0\2"),
            element(encoding, 0x00280011, b"US", b"SECRET SECRET "),
            element(encoding, 0x00280100, b"US", b"\1\1"),
        )
    )
    header = header_of(data, encoding)
    assert header.discarded == (
        "(0008,0008): its value is not of its VR",
        "(0028,0010): its value is not of its VR",
        "(0028,0011): its value is not of its VR",
    )
    assert b"SECRET" not in header.data
    assert len(read(header.data, encoding)) == 2 + len(oracle.MARKERS)


@pytest.mark.parametrize("padding", [b"\0", b" ", b"\0\0\0", b" \0 \0"])
def test_padding_is_no_fault(padding):
    data = element(IMPLICIT, MANUFACTURER, b"LO", b"ACME" + padding)
    header = header_of(data, IMPLICIT)
    assert data in header.data
    assert header.discarded == ()


def test_odd_lengths_are_accepted():
    data = element(IMPLICIT, MANUFACTURER, b"LO", b"ACE") + element(IMPLICIT, MODALITY, b"CS", b"")
    data += element(IMPLICIT, 0x00200011, b"IS", b"7")
    header = header_of(data, IMPLICIT)
    assert element(IMPLICIT, MANUFACTURER, b"LO", b"ACE") in header.data


def test_vr_that_differs_from_the_dictionary_is_tolerated():
    data = b"".join(
        (
            element(EXPLICIT, MANUFACTURER, b"UT", b"ACME"),
            element(EXPLICIT, 0x00081030, b"UN", b"SECRET"),
            element(EXPLICIT, 0x00100010, b"UN", b"SECRET"),
            element(EXPLICIT, 0x00100020, b"SH", b"ID"),
            element(EXPLICIT, 0x0020000D, b"UN", b"1.2.3.42"),
            element(EXPLICIT, 0x00280010, b"UL", b"\1\0\0\0"),
        )
    )
    header = header_of(data, EXPLICIT)
    assert header.discarded == ()
    assert element(EXPLICIT, MANUFACTURER, b"UT", b"ACME") in header.data
    assert element(EXPLICIT, 0x00280010, b"UL", b"\1\0\0\0") in header.data
    dataset = read(header.data, EXPLICIT)
    assert dataset.StudyInstanceUID == deidentifier().uid("1.2.3.42")
    assert dataset.PatientName == dataset.PatientID == deidentifier().pseudonym("ID")
    assert b"SECRET" not in header.data


@pytest.mark.parametrize("profile", ["basic", "clear"])
def test_lengths_that_would_be_wrong_afterwards_go(profile):
    data = element(IMPLICIT, 0x00080000, b"UL", b"\x2a\0\0\0")
    data += element(IMPLICIT, 0x00080001, b"UL", b"\x2a\0\0\0")  # Length to End, retired
    out = parse(header_of(data, IMPLICIT, profile).data, IMPLICIT, oracle.SEQUENCES)
    assert {e.tag for e in out} <= oracle.MARKERS


def test_zeros_that_fill_a_block_are_no_elements():
    data = element(EXPLICIT, MODALITY, b"CS", b"CT")
    for zeros in (1, 7):
        assert header_of(data + bytes(zeros), EXPLICIT).data == header_of(data, EXPLICIT).data
    assert (
        header_of(element(IMPLICIT, MODALITY, b"CS", b"CT") + bytes(512), IMPLICIT).discarded == ()
    )


def test_reports_are_bounded_and_say_no_value():
    twice = element(IMPLICIT, MANUFACTURER, b"LO", b"SECRET") * 900
    header = header_of(twice, IMPLICIT)
    assert 0 < len(header.discarded) <= 100
    assert "SECRET" not in "".join(header.discarded + header.coerced)


def test_dataset_without_any_order_is_refused():
    twice = element(IMPLICIT, MANUFACTURER, b"LO", b"ACME") * 5000
    assert "nothing is in order" in refusal(twice, IMPLICIT)
    down = b"".join(element(IMPLICIT, t, b"", b"") for t in range(0x00280020, 0x00180020, -0x100))
    header = header_of(sequence(IMPLICIT, KEPT, item(IMPLICIT, down * 2)), IMPLICIT)
    assert "nothing is in order" in header.discarded[0]


def whole(encoding) -> bytes:
    """A small image with a sequence of each form."""
    content = element(encoding, MODALITY, b"CS", b"CT")
    return b"".join(
        (
            element(encoding, 0x00080016, b"UI", text(CT, b"UI")),
            element(encoding, 0x00080018, b"UI", text("1.2.3", b"UI")),
            sequence(encoding, 0x00081115, item(encoding, content, delimited=True), delimited=True),
            element(encoding, 0x00100020, b"LO", b"ID"),
            sequence(encoding, KEPT, item(encoding, content)),
            element(encoding, 0x0020000D, b"UI", text("1.2.4", b"UI")),
            element(encoding, 0x00280010, b"US", b"\2\2"),
            element(encoding, 0x7FE00010, b"OW", b"PIXELS"),
        )
    )


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("name", ENCODINGS)
def test_any_beginning_of_a_dataset_is_either_enough_or_not_yet(name, kind):
    encoding = ENCODINGS[name]
    data = whole(encoding)
    complete = header_of(data, encoding)
    assert complete.pixels_at == data.index(b"PIXELS") - (8 if encoding.implicit else 12)
    for size in range(len(data)):
        header = deidentifier().header(kind(data[:size]), encoding, complete=False)
        if size < complete.pixels_at + 8:
            assert header is None
        else:
            assert header == complete


def test_buffer_may_grow_after_the_call():
    data = bytearray(whole(IMPLICIT))
    assert deidentifier().header(data, IMPLICIT, complete=False) is not None
    data += b"more"
    assert deidentifier().header(data[:20], IMPLICIT, complete=False) is None
    data += b"more"


def test_header_larger_than_the_window():
    big = element(EXPLICIT, 0x00283006, b"OW", bytes(300_000))
    data = whole(EXPLICIT).replace(
        element(EXPLICIT, 0x7FE00010, b"OW", b"PIXELS"),
        big + element(EXPLICIT, 0x7FE00010, b"OW", bytes(400_000)),
    )
    header = header_of(data, EXPLICIT)
    assert big in header.data
    assert len(header.data) < 301_000
    assert deidentifier().header(data[:200_000], EXPLICIT, complete=False) is None


def test_dataset_without_pixels_needs_its_end():
    data = element(BIG, MODALITY, b"CS", b"SR")
    assert deidentifier().header(data, BIG, complete=False) is None
    assert header_of(data, BIG).pixels_at is None


def test_elements_before_the_pixels_in_their_group_stay():
    table = element(EXPLICIT, 0x7FE00001, b"OV", bytes(16))
    header = header_of(table + element(EXPLICIT, 0x7FE00010, b"OB", b"PIXELS"), EXPLICIT)
    assert table in header.data
    assert header.pixels_at == len(table)


@pytest.mark.parametrize("tag", [0x7FE00008, 0x7FE00009, 0x7FE00010])
def test_every_kind_of_pixel_data_ends_the_header(tag):
    before = element(EXPLICIT, 0x00281052, b"DS", b"0 ") + element(
        EXPLICIT, 0x00281053, b"DS", b"1 "
    )
    header = header_of(before + element(EXPLICIT, tag, b"OF", bytes(8)), EXPLICIT)
    assert header.pixels_at == len(before)
    assert b"\xe0\x7f" not in header.data


def test_lengths_that_swallow_their_neighbours_let_nothing_through():
    """Each length of a header is made to end at each later element: the neat ways to hide one."""
    tags = [
        (0x00080008, b"CS", b"ORIGINAL"), (0x00080016, b"UI", text(CT, b"UI")),
        (MODALITY, b"CS", b"CT"), (MANUFACTURER, b"LO", b"ACME"),
        (0x00081030, b"LO", b"SECRET"), (0x00100010, b"PN", b"SECRET"),
        (0x00100020, b"LO", b"SECRET"), (0x00101010, b"AS", b"SECRET"),
        (0x00180050, b"DS", b"5 "), (0x00181000, b"LO", b"SECRET"),
        (0x00200011, b"IS", b"1 "), (0x00280010, b"US", b"\0\2"),
        (0x00280100, b"US", b"\x10\0"), (0x00321060, b"LO", b"SECRET"),
        (0x00400254, b"LO", b"SECRET"),
    ]  # fmt: skip
    for encoding in ENCODINGS.values():
        for wrong in range(len(tags)):
            swallowed = tags[wrong][2]
            for tag, vr, value in tags[wrong + 1 :]:
                swallowed += element(encoding, tag, vr, value)
                data = b"".join(
                    element(encoding, *t, length=len(swallowed) if i == wrong else None)
                    for i, t in enumerate(tags)
                )
                assert b"SECRET" not in header_of(data, encoding).data
