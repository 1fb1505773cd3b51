"""How the pixels of an instance are laid out: the Image Pixel Module (PS3.3 Section C.7.6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.limits import Limits
from appliance.images.render.refusal import Undecodable
from appliance.images.render.source import Source

Array = np.ndarray[Any, np.dtype[Any]]

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_THREE_SAMPLES = frozenset(
    {
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_PARTIAL_422",
        "YBR_PARTIAL_420",
        "YBR_ICT",
        "YBR_RCT",
    }
)


@dataclass(frozen=True, slots=True)
class StoredFormat:
    """Where a sample is within its cell: `stored` bits whose highest is `high`, of `allocated`."""

    allocated: int
    stored: int
    high: int
    signed: bool

    @property
    def shift(self) -> int:
        """Bits below the sample."""
        return self.high + 1 - self.stored

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest value of an integer sample."""
        low = -(1 << (self.stored - 1)) if self.signed else 0
        return low, low + (1 << self.stored) - 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows, columns, frames and samples of an instance, checked against each other."""

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: bool
    format: StoredFormat
    floating: bool

    @property
    def frame_samples(self) -> int:
        """Samples in one frame, chroma at full resolution."""
        return self.rows * self.columns * self.samples


def real(cells: Array, stored: StoredFormat) -> Array:
    """Stored values as numbers: other bits masked out, sign extended. Floating point as it is."""
    if cells.dtype.kind == "f":
        return cells
    if stored.stored == stored.allocated and stored.allocated >= 8:
        if not stored.signed:
            return cells
        size = cells.dtype.itemsize
        return cells.astype(f"u{size}", copy=False).view(f"i{size}")
    values: Array = (cells.astype(np.int64) >> stored.shift) & ((1 << stored.stored) - 1)
    if stored.signed:
        sign = 1 << (stored.stored - 1)
        values = (values ^ sign) - sign
    return values


def describes_pixels(held: Attributes) -> bool:
    """Whether a dataset says how its pixels are stored, and so ought to have some."""
    return all(one in held for one in (a.ROWS, a.COLUMNS, a.BITS_ALLOCATED, a.PHOTOMETRIC))


def layout(source: Source, limits: Limits) -> Layout:
    """The layout of an instance that has pixel data; Undecodable if it contradicts itself."""
    held = source.attributes
    rows, columns = _needed(held, a.ROWS, "Rows"), _needed(held, a.COLUMNS, "Columns")
    if rows * columns > limits.frame_pixels:
        raise Undecodable(
            f"A frame of {columns} × {rows} pixels is larger than the limit of "
            f"{limits.frame_pixels} pixels."
        )
    frames = held.integer(a.FRAMES) or 1
    if not 1 <= frames <= limits.frames:
        raise Undecodable(f"{frames} frames are not between 1 and the limit of {limits.frames}.")
    floating = source.pixel_tag != a.PIXELS
    samples = held.integer(a.SAMPLES) or 1
    photometric = _photometric(held, samples)
    return Layout(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        photometric=photometric,
        planar=samples > 1 and held.integer(a.PLANAR) == 1,
        format=_floating_format(source) if floating else _format(held, photometric),
        floating=floating,
    )


def _needed(held: Attributes, attribute: a.Attribute, name: str) -> int:
    value = held.integer(attribute)
    if not value or value < 1:
        raise Undecodable(f"The dataset has pixel data, but no valid {name}.")
    return value


def _photometric(held: Attributes, samples: int) -> str:
    named = held.text(a.PHOTOMETRIC).upper()
    if not named:
        # Retired objects of ACR-NEMA carry none, and are grey.
        named = "MONOCHROME2" if samples == 1 else "RGB"
    if named in GREY or named == "PALETTE COLOR":
        if samples != 1:
            raise Undecodable(f"A {named} image has 1 sample per pixel, this one has {samples}.")
        return named
    if named in _THREE_SAMPLES:
        if samples != 3:
            raise Undecodable(f"A {named} image has 3 samples per pixel, this one has {samples}.")
        return named
    if named in {"HSV", "ARGB", "CMYK"}:
        raise Undecodable(f"The photometric interpretation {named} is retired and not rendered.")
    raise Undecodable("The photometric interpretation is not one that DICOM defines.")


def _format(held: Attributes, photometric: str) -> StoredFormat:
    allocated = held.integer(a.BITS_ALLOCATED)
    if allocated not in {1, 8, 16, 32}:
        raise Undecodable(
            "Bits Allocated is missing."
            if allocated is None
            else f"{allocated} Bits Allocated are not rendered, only 1, 8, 16 and 32."
        )
    stored = held.integer(a.BITS_STORED) or allocated
    if stored > allocated:
        raise Undecodable(f"{stored} Bits Stored do not fit into {allocated} Bits Allocated.")
    high = held.integer(a.HIGH_BIT)
    if high is None or not stored - 1 <= high < allocated:
        high = stored - 1
    indexed = photometric in GREY or photometric == "PALETTE COLOR"
    signed = indexed and held.integer(a.PIXEL_REPRESENTATION) == 1
    return StoredFormat(allocated, stored, high, signed)


def _floating_format(source: Source) -> StoredFormat:
    bits = 32 if source.pixel_tag == a.FLOAT_PIXELS else 64
    return StoredFormat(bits, bits, bits - 1, True)
