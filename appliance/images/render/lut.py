"""Lookup tables as DICOM stores them: descriptor and data (PS3.3 Section C.11.1.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.images.render.attributes import Attribute, Attributes

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Number of entries, first input value mapped (as 16 bits without a sign), bits per entry."""

    entries: int
    first: int
    bits: int


@dataclass(frozen=True, slots=True)
class Lut:
    """A table of 16-bit entries in native byte order; hashable, so that results can be kept.

    `first` is the input that entry 0 belongs to; inputs outside the table take its first or last
    entry. `bits`: the entries range from 0 to 2**bits - 1.
    """

    first: int
    bits: int
    entries: bytes

    def of(self, values: Array) -> Array:
        """The entries of input values, as 16-bit unsigned integers."""
        table = np.frombuffer(self.entries, np.uint16)
        index = np.clip(values - self.first, 0, len(table) - 1).astype(np.intp)
        found: Array = table[index]
        return found

    @property
    def length(self) -> int:
        """How many entries there are."""
        return len(self.entries) // 2

    @property
    def top(self) -> int:
        """The largest value an entry may have."""
        return (1 << self.bits) - 1


def descriptor(held: Attributes, attribute: Attribute) -> Descriptor | None:
    """A LUT descriptor; None if it is absent or has not three values."""
    values = held.integers(attribute)
    if len(values) < 3:
        return None
    return Descriptor((values[0] & 0xFFFF) or 65536, values[1] & 0xFFFF, values[2])


def entries(held: Attributes, attribute: Attribute, described: Descriptor) -> Array:
    """The data of a LUT as 16-bit values, at most as many as described.

    Entries of 8 bits may be packed two to a word (PS3.3 Section C.11.1.1.1 allows both).
    """
    raw = held.encoded(attribute)
    if described.entries <= len(raw) <= described.entries + 1 and described.entries > 1:
        if not held.little_endian and held.element(attribute)[0] == "OW":
            raw = np.frombuffer(raw[: len(raw) // 2 * 2], ">u2").astype("<u2").tobytes()
        return np.frombuffer(raw, np.uint8)[: described.entries].astype(np.uint16)
    words = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2" if held.little_endian else ">u2")
    return words[: described.entries].astype(np.uint16)


def grey_lut(
    item: Attributes, descriptor_of: Attribute, data: Attribute, signed: bool
) -> Lut | None:
    """The LUT in a Modality or VOI LUT Sequence item; None if it is incomplete.

    `signed`: inputs can be negative, and so can the first value mapped, whose VR the encoding may
    not tell.
    """
    described = descriptor(item, descriptor_of)
    if described is None:
        return None
    table = entries(item, data, described)
    if not len(table):
        return None
    first = described.first
    if signed and first >= 0x8000:
        first -= 0x10000
    # Entries beyond what the descriptor allows are there to be shown: widen the range to them.
    bits = max(described.bits, int(table.max()).bit_length()) if 1 <= described.bits <= 16 else 16
    return Lut(first, bits, table.tobytes())
