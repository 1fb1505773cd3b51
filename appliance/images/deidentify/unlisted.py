"""Elements that no row names one by one, where an option keeps some: private ones and overlays.

PS3.15 Sections E.3.10 (Retain Safe Private) and E.3.3 (Clean Graphics).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from appliance.images.deidentify.elements import WORDS
from appliance.images.deidentify.table import read_safe_private

CLEANED_VRS: Final = frozenset({b"LO", b"LT", b"SH", b"ST", b"UC", b"UT"})
_SAFE_VRS: Final = frozenset(WORDS) - {b"OB", b"UN"} | {b"CS", b"DS", b"IS"}
_REGION: Final = b"R"
_OVERLAY_TYPE: Final = 0x0040
_OVERLAY_DATA: Final = 0x3000
_OVERLAY_NUMBERS: Final = frozenset(
    {0x10, 0x11, 0x12, 0x15, 0x40, 0x50, 0x51, 0x52, 0x100, 0x102, 0x1301, 0x1302, 0x1303, 0x3000}
)
OVERLAY_TEXTS: Final[dict[int, bytes]] = {0x22: b"LO", 0x45: b"LO", 0x1500: b"LO", 0x4000: b"LT"}
"""Description, subtype, label and comments."""


class Unlisted(NamedTuple):
    """One element: `vr` is empty in the implicit encoding, `whole` its bytes with the header."""

    tag: int
    vr: bytes
    value: bytes
    whole: bytes

    @property
    def group(self) -> int:
        """The group number."""
        return self.tag >> 16

    @property
    def block(self) -> int:
        """The block of a private element (PS3.5 Section 7.8.1): the high byte of its number."""
        return self.tag >> 8 & 0xFF

    @property
    def reserves(self) -> int | None:
        """The block that a private creator element reserves, None for any other element."""
        number = self.tag & 0xFFFF
        return number if 0x10 <= number <= 0xFF else None


@dataclass(frozen=True, slots=True)
class Declared:
    """A block, or one element of it, that the sender declares to identify nobody.

    Private Data Element Characteristics Sequence, PS3.3 Section C.12.1.1.7; `offset` is None for
    all of the block.
    """

    creator: str
    group: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class Creator:
    """A private creator element, and where in the output it goes if its block is not empty.

    `safe`: those elements of the block that identify nobody, see `safe_elements`.
    """

    at: int
    whole: bytes
    safe: Mapping[int, bytes]


def safe_elements(creator: str, group: int, declared: frozenset[Declared]) -> Mapping[int, bytes]:
    """The VRs of those elements of a block that identify nobody, by the low byte of their number.

    The VR is empty where only the sender says so.
    """
    known = _safe().get((creator, group), {})
    said = {each.offset for each in declared if (each.creator, each.group) == (creator, group)}
    if not said:
        return known
    offsets = range(0x100) if None in said else said
    return {**{offset: b"" for offset in offsets if offset is not None}, **known}


def vr_of_safe(element: Unlisted, known: bytes) -> bytes | None:
    """The VR of a private element that identifies nobody; None if its value may yet do so.

    Numbers and code strings are believed, texts of CLEANED_VRS are still to be cleaned, UIDs to be
    mapped; what else a block holds, sequences included, is not kept.
    """
    vr = known if element.vr in (b"", b"UN") else element.vr
    if vr in CLEANED_VRS or vr == b"UI":
        return vr
    return vr if vr in _SAFE_VRS and _sound(element.value, vr) else None


def _sound(value: bytes, vr: bytes) -> bool:
    if vr in WORDS:
        return not len(value) % WORDS[vr]
    return value.strip(b" \0").replace(b"\\", b"").isascii() and b"\0" not in value.rstrip(b"\0")


@cache
def _safe() -> Mapping[tuple[str, int], Mapping[int, bytes]]:
    blocks: dict[tuple[str, int], dict[int, bytes]] = {}
    for row in read_safe_private():
        blocks.setdefault((row.creator, row.group), {})[row.offset] = row.vr
    return blocks


@dataclass(slots=True)
class Overlay:
    """An overlay plane while it is walked over; `at` is where in the output it goes."""

    at: int
    kind: bytes = b""
    data: bool = False
    elements: list[bytes] = field(default_factory=list)

    def take(self, element: Unlisted) -> None:
        """Take an element that is not a text; one that no overlay has is dropped."""
        number = element.tag & 0xFFFF
        if number not in _OVERLAY_NUMBERS:
            return
        if number == _OVERLAY_TYPE:
            self.kind = element.value.strip(b" \0")
        self.data = self.data or number == _OVERLAY_DATA
        self.elements.append(element.whole)

    def kept(self) -> bytes:
        """The elements of a plane that draws a region of interest, and nothing of another."""
        return b"".join(self.elements) if self.kind == _REGION and self.data else b""
