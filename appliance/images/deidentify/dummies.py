"""What is written where a value is replaced: consistent with its VR, and the same for everybody.

PS3.15 Table E.1-1a, action D.
"""

from __future__ import annotations

from typing import Final

from appliance.images.deidentify.elements import Codec

_TEXT: Final = b"REMOVED"
_VALUES: Final = {
    b"AE": _TEXT, b"AS": b"000Y", b"AT": bytes(4), b"CS": _TEXT, b"DA": b"19000101", b"DS": b"0",
    b"DT": b"19000101000000", b"FD": bytes(8), b"FL": bytes(4), b"IS": b"0", b"LO": _TEXT,
    b"LT": _TEXT, b"OB": bytes(2), b"OD": bytes(8), b"OF": bytes(4), b"OL": bytes(4),
    b"OV": bytes(8), b"OW": bytes(2), b"PN": _TEXT, b"SH": _TEXT, b"SL": bytes(4), b"SS": bytes(2),
    b"ST": _TEXT, b"SV": bytes(8), b"TM": b"000000", b"UC": _TEXT, b"UL": bytes(4), b"UN": bytes(2),
    b"UR": b"about:blank", b"US": bytes(2), b"UT": _TEXT, b"UV": bytes(8),
}  # fmt: skip

CONTENT_VALUE: Final = 0x0040A168
CODE_SEQUENCES: Final = frozenset({0x00080082, 0x00401101, CONTENT_VALUE})
"""Sequences of codes whose code itself tells: institution, person, value of a content item."""

GRAPHIC_OBJECTS: Final = 0x00700009
"""Graphic Object Sequence: strokes may write a name."""

PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
CDA: Final = "1.2.840.10008.5.1.4.1.1.104.2"
STL: Final = "1.2.840.10008.5.1.4.1.1.104.3"

_BLANK_PAGE: Final = (
    b"%PDF-1.4\n"
    b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n"
)


def value(vr: bytes) -> bytes:
    """The value that stands for any value of a VR other than SQ and UI, unpadded."""
    return _VALUES[vr]


def coded(codec: Codec, value: bytes, scheme: bytes, meaning: bytes) -> bytes:
    """The elements of a code item."""
    return b"".join(
        (
            codec.element(0x00080100, b"SH", value),
            codec.element(0x00080102, b"SH", scheme),
            codec.element(0x00080104, b"LO", meaning),
        )
    )


def code(codec: Codec) -> bytes:
    """The elements of a code item that says Unknown (SNOMED CT 261665006)."""
    return b"".join(
        (
            codec.element(0x00080100, b"SH", b"261665006"),
            codec.element(0x00080102, b"SH", b"SCT"),
            codec.element(0x00080104, b"LO", b"Unknown"),
        )
    )


def items(tag: int, codec: Codec) -> bytes | None:
    """The one item that stands for all items of a sequence; None if its items are gone through."""
    if tag in CODE_SEQUENCES:
        return codec.item(code(codec))
    if tag == GRAPHIC_OBJECTS:
        return codec.item(point(codec))
    return None


def document(sop_class: str) -> bytes:
    """An empty document of the kind that an encapsulated document storage class holds.

    A reader finds a blank page, not a broken file.
    """
    if sop_class == PDF:
        return _blank_pdf()
    if sop_class == CDA:
        return b'<ClinicalDocument xmlns="urn:hl7-org:v3"/>'
    if sop_class == STL:
        return bytes(84)  # a header of 80 bytes, and the number of triangles: none
    return b"# removed\n"


def point(codec: Codec) -> bytes:
    """The elements of a graphic object that is one point in the corner."""
    short = codec.encoding.little_endian
    one, two = (b"\1\0", b"\2\0") if short else (b"\0\1", b"\0\2")
    return b"".join(
        (
            codec.element(0x00700005, b"CS", b"DISPLAY"),
            codec.element(0x00700020, b"US", two),
            codec.element(0x00700021, b"US", one),
            codec.element(0x00700022, b"FL", bytes(8)),
            codec.element(0x00700023, b"CS", b"POINT"),
            codec.element(0x00700024, b"CS", b"N"),
        )
    )


def _blank_pdf() -> bytes:
    table = [b"0000000000 65535 f \n"]
    table += [b"%010d 00000 n \n" % _BLANK_PAGE.index(b"%d 0 obj" % n) for n in (1, 2, 3)]
    trailer = b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(_BLANK_PAGE)
    return _BLANK_PAGE + b"xref\n0 4\n" + b"".join(table) + trailer
