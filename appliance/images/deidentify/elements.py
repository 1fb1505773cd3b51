"""Data elements as bytes: their headers, their extent, their encodings (PS3.5 Sections 7 and A)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
_LONGEST_SHORT: Final = 0xFFFE
PIXEL_DATA: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, double float and integer pixel data: where the header of an instance ends."""

TEXT_VRS: Final = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
"""VRs whose values are characters, in which no NUL stands but as padding (PS3.5 Section 6.2)."""

WORDS: Final = {
    b"AT": 4, b"FL": 4, b"FD": 8, b"OB": 1, b"OD": 8, b"OF": 4, b"OL": 4, b"OV": 8, b"OW": 2,
    b"SL": 4, b"SS": 2, b"SV": 8, b"UL": 4, b"UN": 1, b"US": 2, b"UV": 8,
}  # fmt: skip
"""Bytes per value of the VRs that hold numbers; 1 where any length will do."""

LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""VRs whose explicit form has a length of 32 bits after two reserved bytes (PS3.5 Table 7.1-1)."""

VRS: Final = TEXT_VRS | frozenset(WORDS) | {b"SQ"}


class Malformed(ValueError):
    """A dataset that cannot be followed: the message says at which tag and offset, and why."""


class Broken(Exception):
    """Here the bytes do not go on as elements; whoever knows where they end may go on there."""


class Incomplete(Exception):
    """The bytes at hand end before the place that is looked for."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the elements of a dataset are laid out: Implicit VR Little Endian, or explicit VR."""

    implicit: bool
    little_endian: bool

    def __post_init__(self) -> None:
        if self.implicit and not self.little_endian:
            raise ValueError("there is no implicit VR big endian encoding; use explicit VR for it")


class Codec:
    """Reads and writes the elements of one encoding.

    `brief` unpacks group, element and length of an element without VR; `explicit` group, element,
    VR and the 16 bits behind it; `long` a length of 32 bits.
    """

    __slots__ = (
        "brief",
        "encoding",
        "explicit",
        "implicit",
        "item_end",
        "item_open",
        "long",
        "sequence_end",
    )

    def __init__(self, encoding: Encoding) -> None:
        order = "<" if encoding.little_endian else ">"
        self.encoding = encoding
        self.implicit = encoding.implicit
        self.brief = Struct(order + "HHI")
        self.explicit = Struct(order + "HH2sH")
        self.long = Struct(order + "I")
        self.item_open = self.brief.pack(0xFFFE, 0xE000, UNDEFINED)
        self.item_end = self.brief.pack(0xFFFE, 0xE00D, 0)
        self.sequence_end = self.brief.pack(0xFFFE, 0xE0DD, 0)

    def head(self, tag: int, vr: bytes, length: int) -> bytes:
        """What stands before a value of that many bytes.

        A value too long for the short form of its VR becomes one of VR UN (PS3.5 Section 6.2.2).
        """
        group, element = tag >> 16, tag & 0xFFFF
        if self.implicit:
            return self.brief.pack(group, element, length)
        if length > _LONGEST_SHORT and vr not in LONG_VRS:
            vr = b"UN"
        if vr in LONG_VRS:
            return self.explicit.pack(group, element, vr, 0) + self.long.pack(length)
        return self.explicit.pack(group, element, vr, length)

    def element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        """A whole element, its value padded to even length (PS3.5 Section 6.2)."""
        if len(value) % 2:
            value += b" " if vr in TEXT_VRS and vr != b"UI" else b"\0"
        return self.head(tag, vr, len(value)) + value

    def item(self, content: bytes) -> bytes:
        """An item of defined length around its elements."""
        return self.brief.pack(0xFFFE, 0xE000, len(content)) + content

    def measure(self, data: bytes, at: int, limit: int) -> tuple[int, bytes, int, int]:
        """Tag, VR (empty if implicit), offset and length of the value of the element at `at`.

        A VR that is not known yet has the long form (PS3.5 Section 7.1.2).
        Raises Broken if no element can stand there, Incomplete if its header crosses `limit`.
        """
        if self.implicit:
            return self.delimiter(data, at, limit)
        if at + 8 > limit:
            raise Incomplete
        group, element, vr, length = self.explicit.unpack_from(data, at)
        tag = group << 16 | element
        if group == 0xFFFE:
            return self.delimiter(data, at, limit)
        if vr in VRS and vr not in LONG_VRS:
            return tag, vr, at + 8, length
        if not (vr.isalpha() and vr.isupper()):
            raise Broken(f"{name(tag)} at offset {at} has an impossible VR")
        if at + 12 > limit:
            raise Incomplete
        return tag, vr, at + 12, self.long.unpack_from(data, at + 8)[0]

    def delimiter(self, data: bytes, at: int, limit: int) -> tuple[int, bytes, int, int]:
        """As `measure`, for a place where only items and delimiters stand: they have no VR."""
        if at + 8 > limit:
            raise Incomplete
        group, element, length = self.brief.unpack_from(data, at)
        return group << 16 | element, b"", at + 8, length

    def extents(self, data: bytes, at: int, limit: int) -> Iterator[tuple[int, int, int]]:
        """Tag, start and end of each element from `at` to `limit`, sequences as wholes.

        Raises Broken or Incomplete where they do not fill the range.
        """
        while at < limit:
            tag, vr, value, length = self.measure(data, at, limit)
            if length == UNDEFINED:
                end = skip(data, value, limit, self if vr != b"UN" else IMPLICIT)
            else:
                end = value + length
            if end > limit:
                raise Incomplete
            yield tag, at, end
            at = end

    def number(self, value: bytes) -> int:
        """An unsigned number of any size, 0 without bytes."""
        return int.from_bytes(value, "little" if self.encoding.little_endian else "big")

    def find(self, data: bytes, wanted: int) -> bytes:
        """The value of the first element of this tag outside of sequences, empty without one."""
        for tag, start, stop in self.extents(data, 0, len(data)):
            if tag == wanted:
                _tag, _vr, value, _length = self.measure(data, start, stop)
                return data[value:stop]
        return b""


def skip(data: bytes, at: int, limit: int, codec: Codec) -> int:
    """The end of a value of undefined length that starts at `at`, its delimiter included.

    Works without recursion, so that no nesting is too deep for it. The fragments of encapsulated
    pixel data are items too (PS3.5 Section A.4). Raises Broken or Incomplete.
    """
    around = [(codec, True)]  # what the position is inside of: True a sequence, False an item
    while around:
        codec, among_items = around[-1]
        if among_items:
            tag, vr, value, length = codec.delimiter(data, at, limit)
        else:
            tag, vr, value, length = codec.measure(data, at, limit)
        if tag == (SEQUENCE_END if among_items else ITEM_END):
            around.pop()
            at = value
        elif (tag == ITEM) != among_items or (tag >> 16 == 0xFFFE and tag != ITEM):
            raise Broken(f"{name(tag)} at offset {at} stands where it cannot")
        elif length == UNDEFINED:
            around.append((IMPLICIT if vr == b"UN" else codec, not among_items))
            at = value
        else:
            at = value + length
        if at > limit:
            raise Incomplete
    return at


def name(tag: int) -> str:
    """A tag as the standard writes it, (gggg,eeee)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


IMPLICIT: Final = Codec(Encoding(implicit=True, little_endian=True))
EXPLICIT_LITTLE: Final = Codec(Encoding(implicit=False, little_endian=True))
EXPLICIT_BIG: Final = Codec(Encoding(implicit=False, little_endian=False))
CODECS: Final = {codec.encoding: codec for codec in (IMPLICIT, EXPLICIT_LITTLE, EXPLICIT_BIG)}
