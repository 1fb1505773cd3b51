"""Every row of Table E.1-1, at three depths, in three encodings."""

import pytest
from pydicom._dicom_dict import DicomDictionary

from appliance.images.deidentify import EDITION
from appliance.images.deidentify.table import patterns, read_supplement, read_table

from . import oracle
from .datasets import CT, ENCODINGS, element, header_of, item, sequence, text
from .structure import Element, flat, parse

AROUND = 0x00189346
"""CTDI Phantom Type Code Sequence: kept, and PS3.3 expects none of the table's attributes in it."""

_VALUES = {
    b"AE": "PLANTED", b"AS": "042Y", b"CS": "PLANTED", b"DA": "20230917", b"DS": "42.42",
    b"DT": "20230917101112", b"IS": "4242", b"LO": "PLANTED", b"LT": "PLANTED", b"PN": "PLANTED^A",
    b"SH": "PLANTED", b"ST": "PLANTED", b"TM": "101112.13", b"UC": "PLANTED", b"UI": "1.2.3.42",
    b"UN": "PLANTED1", b"UR": "http://planted", b"US": "42", b"UT": "PLANTED", b"OB": "PLANTED1",
}  # fmt: skip


def planted(encoding, tag):
    """An element with a value that must not survive its action; in a sequence, several."""
    vr = DicomDictionary[tag][0].encode() if tag in DicomDictionary else b"LO"
    if vr != b"SQ":
        return element(encoding, tag, vr, text(_VALUES[vr], vr))
    content = b"".join(
        (
            element(encoding, 0x00080100, b"SH", text("PLANTED")),
            element(encoding, 0x00080102, b"SH", text("99PLANTED")),
            element(encoding, 0x00080104, b"LO", text("PLANTED")),
            element(encoding, 0x00081155, b"UI", text("1.2.3.42", b"UI")),
            element(encoding, 0x0040A160, b"UT", text("PLANTED")),
        )
    )
    return sequence(encoding, tag, item(encoding, content))


def nested(encoding, content, depth):
    for _ in range(depth):
        content = sequence(encoding, AROUND, item(encoding, content))
    return content


def found(header, encoding, tag, depth):
    elements = parse(header.data, encoding, oracle.SEQUENCES)
    hits = [e for e in flat(elements) if e.tag == tag and len(e.path) == depth]
    assert len(hits) <= 1
    assert header.discarded == ()
    return hits[0] if hits else None


def honoured(action: str, out: Element | None, before: bytes, tag: int) -> bool:
    """Whether an outcome is one that the letters of an action allow."""
    if out is None:
        return "X" in action
    if not out.value:
        return "Z" in action
    if tag in oracle.PATIENT:
        return b"PLANTED" not in out.value
    if "U" in action and DicomDictionary[tag][0] == "SQ":
        return b"1.2.3.42" not in out.value
    return ("D" in action or "U" in action) and not any(
        mark in out.value for mark in (b"PLANTED", b"1.2.3.42", b"20230917", b"101112", b"42.42")
    )


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("sop_class", [b"", CT], ids=["unknown IOD", "CT"])
def test_action_of_every_row_is_honoured(name, depth, sop_class):
    encoding = ENCODINGS[name]
    wrong = []
    for tag, action in oracle.NAMED.items():
        inner = planted(encoding, tag)
        identity = element(encoding, 0x00080016, b"UI", text(sop_class, b"UI"))
        data = nested(encoding, inner, depth)
        data = data + identity if tag < 0x00080016 and not depth else identity + data
        header = header_of(data, encoding)
        out = found(header, encoding, tag, depth)
        expected = "X" if tag >> 16 in (0, 2) else action
        if not honoured(expected, out, inner, tag):
            wrong.append((f"{tag:08X}", action, out))
    assert not wrong


def test_table_is_the_edition_it_claims_and_whole():
    assert len(read_table()) == 652
    assert EDITION == "2026c"
    assert patterns() == (
        "(50XX,XXXX)",
        "(60XX,3000)",
        "(60XX,4000)",
        "(GGGG,EEEE) WHERE GGGG IS ODD",
    )


def test_supplement_adds_and_never_overrules():
    listed = {row.tag for row in read_table()}
    assert not listed & {row.tag for row in read_supplement()}


@pytest.mark.parametrize("name", ENCODINGS)
def test_rows_that_are_patterns(name):
    encoding = ENCODINGS[name]
    gone = [
        (0x00091001, b"LO"), (0x00090010, b"LO"), (0x50000005, b"US"), (0x501E3000, b"OW"),
        (0x60000010, b"US"), (0x60003000, b"OW"), (0x601E4000, b"LT"), (0x60021500, b"LO"),
        (0x00180015, b"CS"), (0x00080000, b"UL"), (0x0008FFFF, b"LO"), (0x00020010, b"UI"),
    ]  # fmt: skip
    for depth in (0, 1, 3):
        body = b"".join(element(encoding, tag, vr, b"MARK") for tag, vr in sorted(gone))
        header = header_of(nested(encoding, body, depth), encoding)
        left = {e.tag for e in flat(parse(header.data, encoding, oracle.SEQUENCES))}
        assert 0x00180015 in left, "Body Part Examined is not in the table"
        assert not left & ({tag for tag, _ in gone} - {0x00180015})
