"""Sequences in every form that PS3.5 Section 7.5 allows, at every depth."""

from __future__ import annotations

from itertools import product

import pytest

from . import oracle
from .datasets import (
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    deidentifier,
    element,
    header_of,
    item,
    read,
    sequence,
    text,
)
from .structure import flat, parse

KEPT = 0x00189346
NAME = 0x00100010
MANUFACTURER = 0x00080070
CONTENT = 0x0040A730


def inner(encoding):
    return element(encoding, MANUFACTURER, b"LO", b"ACME") + element(
        encoding, 0x00081030, b"LO", b"SECRET"
    )


@pytest.mark.parametrize("open_sequence", [False, True])
@pytest.mark.parametrize("open_item", [False, True])
@pytest.mark.parametrize("name", ENCODINGS)
def test_form_stays_and_lengths_are_right(name, open_sequence, open_item):
    encoding = ENCODINGS[name]
    content = inner(encoding)
    for _ in range(4):
        contents = [item(encoding, content, delimited=open_item), item(encoding, b"")]
        content = sequence(encoding, KEPT, *contents, delimited=open_sequence)
    header = header_of(content, encoding)
    expected = element(encoding, MANUFACTURER, b"LO", b"ACME")
    for _ in range(4):
        contents = [item(encoding, expected, delimited=open_item), item(encoding, b"")]
        expected = sequence(encoding, KEPT, *contents, delimited=open_sequence)
    assert expected in header.data
    assert b"SECRET" not in header.data
    parse(header.data, encoding, oracle.SEQUENCES)


@pytest.mark.parametrize("open_ended", [False, True])
@pytest.mark.parametrize("name", ["explicit", "big endian"])
def test_sequence_of_vr_un_is_implicit_little_endian(name, open_ended):
    encoding = ENCODINGS[name]
    within = item(IMPLICIT, inner(IMPLICIT), delimited=open_ended)
    end = item(IMPLICIT, b"")[:0] + b"\xfe\xff\xdd\xe0\0\0\0\0"
    if open_ended:
        data = element(encoding, KEPT, b"UN", within + end, length=UNDEFINED)
    else:
        data = element(encoding, KEPT, b"UN", within)
    header = header_of(data, encoding)
    assert b"SECRET" not in header.data
    (out,) = (e for e in flat(parse(header.data, encoding, oracle.SEQUENCES)) if e.tag == KEPT)
    assert out.vr == b"UN"
    assert [e.value for e in out.items[0]] == [b"ACME"]


@pytest.mark.parametrize("name", ENCODINGS)
def test_removed_sequence_of_undefined_length_goes_whole(name):
    encoding = ENCODINGS[name]
    deep = inner(encoding)
    for delimited in (True, False, True):
        deep = sequence(
            encoding, KEPT, item(encoding, deep, delimited=delimited), delimited=delimited
        )
    request = sequence(encoding, 0x00400275, item(encoding, deep, delimited=True), delimited=True)
    header = header_of(request + element(encoding, 0x00400280, b"ST", b"X "), encoding)
    assert b"SECRET" not in header.data
    assert b"ACME" not in header.data
    assert header.discarded == ()


def test_removed_sequence_may_hold_one_of_vr_un():
    end = b"\xfe\xff\xdd\xe0\0\0\0\0"
    within = item(IMPLICIT, inner(IMPLICIT), delimited=True) + end
    unknown = element(EXPLICIT, 0x00091001, b"UN", within, length=UNDEFINED)
    request = sequence(
        EXPLICIT, 0x00400275, item(EXPLICIT, unknown, delimited=True), delimited=True
    )
    header = header_of(request + element(EXPLICIT, 0x00409224, b"FD", bytes(8)), EXPLICIT)
    assert header.data.endswith(element(EXPLICIT, 0x00409224, b"FD", bytes(8)))
    assert b"ACME" not in header.data


@pytest.mark.parametrize("name", ["explicit", "big endian"])
def test_removed_sequence_may_hold_a_vr_of_a_later_edition(name):
    encoding = ENCODINGS[name]
    later = element(encoding, 0x00091001, b"UT", b"\xff" * 300).replace(b"UT", b"ZZ")
    content = item(encoding, later, delimited=True)
    request = sequence(encoding, 0x00400275, content, delimited=True)
    header = header_of(request + element(encoding, 0x00409224, b"FD", bytes(8)), encoding)
    assert header.data.endswith(element(encoding, 0x00409224, b"FD", bytes(8)))


@pytest.mark.parametrize("name", ["explicit", "big endian"])
def test_undeclared_sequence_is_gone_through_by_its_vr(name):
    encoding = ENCODINGS[name]
    data = sequence(encoding, MANUFACTURER, item(encoding, inner(encoding)))
    header = header_of(data, encoding)
    assert b"ACME" in header.data
    assert b"SECRET" not in header.data


def test_sequence_under_another_vr_is_dropped_and_named():
    data = element(EXPLICIT, KEPT, b"OB", item(EXPLICIT, inner(EXPLICIT)))
    header = header_of(data, EXPLICIT)
    assert b"SECRET" not in header.data
    assert header.discarded == ("(0018,9346): it has not the VR SQ",)


@pytest.mark.parametrize("delimited", [False, True])
@pytest.mark.parametrize("name", ENCODINGS)
def test_nesting_has_a_bound_and_what_is_deeper_goes(name, delimited):
    encoding = ENCODINGS[name]
    content = inner(encoding)
    for _ in range(40):
        content = sequence(
            encoding, KEPT, item(encoding, content, delimited=delimited), delimited=delimited
        )
    header = header_of(content + element(encoding, 0x00200011, b"IS", b"7 "), encoding)
    elements = list(flat(parse(header.data, encoding, oracle.SEQUENCES)))
    assert max(len(e.path) for e in elements) == 31
    assert header.discarded == ("(0018,9346)>" * 32 + "(0018,9346): nested too deep",)
    assert b"ACME" not in header.data
    assert any(e.tag == 0x00200011 and e.value == b"7 " for e in elements)


@pytest.mark.parametrize("profile", ["basic", "clear"])
def test_group_ffff_in_an_item_is_an_element_like_others(profile):
    last = element(IMPLICIT, 0xFFFF00FF, b"LO", b"LAST")
    data = sequence(IMPLICIT, 0x00082218, item(IMPLICIT, inner(IMPLICIT) + last)) + last
    out = parse(header_of(data, IMPLICIT, profile).data, IMPLICIT, oracle.SEQUENCES)
    assert 0x00120062 in {e.tag for e in out}
    assert 0x00120062 not in {e.tag for e in flat(out) if e.path}
    assert [e.value for e in flat(out) if e.tag == 0xFFFF00FF] == (
        [b"LAST"] * 2 if profile == "clear" else []
    )


def test_absurd_nesting_ends_quickly():
    for delimited in (False, True):
        content = b""
        depth = 4000 if delimited else 300
        for _ in range(depth):
            content = sequence(
                IMPLICIT, KEPT, item(IMPLICIT, content, delimited=delimited), delimited=delimited
            )
        header = header_of(content, IMPLICIT)
        assert len(header.discarded) == 1


def content_item(encoding, kind: bytes, *elements: bytes) -> bytes:
    return item(
        encoding,
        b"".join(
            (
                element(encoding, 0x0040A010, b"CS", text("CONTAINS")),
                element(encoding, 0x0040A040, b"CS", text(kind)),
                *elements,
            )
        ),
    )


def code(encoding, value: str, scheme: str | None, meaning: str) -> bytes:
    elements = element(encoding, 0x00080100, b"SH", text(value))
    if scheme is not None:
        elements += element(encoding, 0x00080102, b"SH", text(scheme))
    return item(encoding, elements + element(encoding, 0x00080104, b"LO", text(meaning)))


def report(encoding) -> bytes:
    """A content tree with one item of each kind, every value of it telling who it is."""
    concept = sequence(encoding, 0x0040A043, code(encoding, "121071", "DCM", "Finding"))
    private = sequence(encoding, 0x0040A043, code(encoding, "SECRET1", "99ACME", "SECRET"))
    nameless = sequence(encoding, 0x0040A043, code(encoding, "SECRET1", None, "SECRET"))
    value = sequence(encoding, 0x0040A168, code(encoding, "F", "DCM", "SECRET female"))
    unit = sequence(encoding, 0x004008EA, code(encoding, "kg", "UCUM", "kg"))
    number = element(encoding, 0x0040A30A, b"DS", b"SECRET12")
    measured = sequence(encoding, 0x0040A300, item(encoding, unit + number))
    image = element(encoding, 0x00081155, b"UI", text("1.2.3.42", b"UI"))
    image += element(encoding, 0x00081160, b"IS", b"3 ")
    binary = element(encoding, 0x0040A074, b"OB", b"SECRET")
    leaf = content_item(
        encoding, b"TEXT", concept, binary, element(encoding, 0x0040A160, b"UT", text("SECRET"))
    )
    return sequence(
        encoding,
        CONTENT,
        content_item(
            encoding, b"TEXT", private, element(encoding, 0x0040A160, b"UT", text("SECRET"))
        ),
        content_item(encoding, b"CODE", nameless, value),
        content_item(encoding, b"NUM", concept, measured),
        content_item(
            encoding, b"PNAME", concept, element(encoding, 0x0040A123, b"PN", text("SECRET^A"))
        ),
        content_item(encoding, b"DATE", concept, element(encoding, 0x0040A121, b"DA", b"20230917")),
        content_item(encoding, b"IMAGE", sequence(encoding, 0x00081199, item(encoding, image))),
        content_item(encoding, b"CONTAINER", concept, sequence(encoding, CONTENT, leaf)),
    )


@pytest.mark.parametrize("name", ["implicit", "explicit"])
def test_content_tree_keeps_its_shape_and_no_value(name):
    encoding = ENCODINGS[name]
    header = header_of(report(encoding), encoding)
    assert header.discarded == ()
    for secret in (b"SECRET", b"20230917", b"1.2.3.42", b"female"):
        assert secret not in header.data
    tree = read(header.data, encoding).ContentSequence
    assert [i.ValueType for i in tree] == [
        "TEXT", "CODE", "NUM", "PNAME", "DATE", "IMAGE", "CONTAINER",
    ]  # fmt: skip
    assert all(i.RelationshipType == "CONTAINS" for i in tree)
    assert tree[2].ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert tree[0].ConceptNameCodeSequence[0].CodeMeaning == "Unknown"
    assert tree[1].ConceptNameCodeSequence[0].CodeMeaning == "Unknown"
    assert tree[1].ConceptCodeSequence[0].CodeMeaning == "Unknown"
    assert len(tree[2].MeasuredValueSequence) == 0
    reference = tree[5].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == deidentifier().uid("1.2.3.42")
    assert reference.ReferencedFrameNumber == 3
    assert tree[6].ContentSequence[0].TextValue == "REMOVED"


@pytest.mark.parametrize(("name", "delimited"), list(product(["explicit", "big endian"], (0, 1))))
def test_graphic_annotation_becomes_one_point(name, delimited):
    encoding = ENCODINGS[name]
    order = "little" if encoding.little_endian else "big"
    strokes = item(
        encoding,
        element(encoding, 0x00700005, b"CS", text("PIXEL"))
        + element(encoding, 0x00700021, b"US", (40).to_bytes(2, order))
        + element(encoding, 0x00700022, b"FL", b"SIGNATUR" * 40)
        + element(encoding, 0x00700023, b"CS", text("POLYLINE")),
    )
    note = item(encoding, element(encoding, 0x00700006, b"ST", text("SECRET")))
    annotation = element(encoding, 0x00700002, b"CS", text("LAYER"))
    annotation += sequence(encoding, 0x00700008, note)
    annotation += sequence(encoding, 0x00700009, strokes, delimited=bool(delimited))
    compound = element(encoding, 0x00700294, b"CS", text("MULTILINE"))
    annotation += sequence(encoding, 0x00700209, item(encoding, compound))
    header = header_of(sequence(encoding, 0x00700001, item(encoding, annotation)), encoding)
    assert b"SIGNATUR" not in header.data
    assert b"SECRET" not in header.data
    out = read(header.data, encoding).GraphicAnnotationSequence[0]
    assert out.GraphicLayer == "LAYER"
    assert out.TextObjectSequence[0].UnformattedTextValue == "REMOVED"
    (point,) = out.GraphicObjectSequence
    assert (point.GraphicType, point.NumberOfGraphicPoints) == ("POINT", 1)
    assert list(point.GraphicData) == [0, 0]
    assert "CompoundGraphicSequence" not in out


def test_encapsulated_pixels_within_an_item_stay():
    fragments = b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0\4\0\0\0\1\2\3\4"
    pixels = element(
        EXPLICIT, 0x7FE00010, b"OB", fragments + b"\xfe\xff\xdd\xe0\0\0\0\0", length=UNDEFINED
    )
    header = header_of(sequence(EXPLICIT, KEPT, item(EXPLICIT, pixels)), EXPLICIT)
    assert pixels in header.data
    assert header.pixels_at is None


@pytest.mark.parametrize("tag", [NAME, 0x00081030, 0x0020000D, 0x00080050, 0x00080070])
@pytest.mark.parametrize("name", ENCODINGS)
def test_undefined_length_where_no_sequence_can_be(name, tag):
    encoding = ENCODINGS[name]
    end = sequence(encoding, tag, delimited=True)[-8:]
    content = item(encoding, inner(encoding)) + end
    vr = {NAME: b"UT", 0x0020000D: b"UT"}.get(tag, b"UT")
    data = element(encoding, tag, vr, content, length=UNDEFINED)
    header = header_of(data + element(encoding, 0x00280010, b"US", b"\1\1"), encoding)
    assert b"SECRET" not in header.data
    assert header.rows == 257
