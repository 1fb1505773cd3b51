"""Grey images: the stages of each frame, and the window of those that give none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.decode import Frame, Frames
from appliance.images.render.groups import Groups, groups
from appliance.images.render.modality import Modality, ModalityLut, Rescale, modality
from appliance.images.render.pixels import StoredFormat, real
from appliance.images.render.presentation import inverted
from appliance.images.render.table import Stages, Tables
from appliance.images.render.voi import Extent, Voi, voi

Array = np.ndarray[Any, np.dtype[Any]]

# Multi-frame Grayscale Byte and Word Secondary Capture: without a VOI transform, stored values are
# P-values (PS3.3 Sections A.8.3.4 and A.8.4.4), so their whole range is to be shown.
_P_VALUES = frozenset({"1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.3"})

AUTOMATIC = "No window is given: all values are shown, from the lowest to the highest."


@dataclass(frozen=True, slots=True)
class Padding:
    """Stored values that are no image: from Pixel Padding Value to its Range Limit, inclusive."""

    low: int
    high: int


def shown(frames: Frames, tables: Tables) -> Iterator[tuple[Frame, Array, str, str]]:
    """Each frame, its shades (rows, columns), the name of its VOI transform, and a remark."""
    held = frames.source.attributes
    grouped = groups(held)
    inverse = inverted(held, frames.layout.photometric)
    automatic: Extent | None = None
    for index, frame in enumerate(frames):
        transform = modality(held, grouped, index, frame.format)
        found: Voi | None = voi(held, grouped, index, negative(transform, frame.format))
        if found is None and held.text(a.SOP_CLASS) in _P_VALUES:
            found = Extent(*whole(transform, frame.format), "P-values")
        if found is None:
            # One extent for all frames: they are to be compared with each other, or move.
            automatic = automatic or extent(frames, grouped)
            found = automatic
        stages = Stages(frame.format, transform, found, inverse)
        remark = AUTOMATIC if found is automatic else ""
        yield frame, tables.apply(frame.samples, stages), found.name, remark


def extent(frames: Frames, grouped: Groups) -> Extent:
    """The lowest and highest modality value in all frames, padding left out."""
    held = frames.source.attributes
    lows: list[float] = []
    highs: list[float] = []
    for index, frame in enumerate(frames):
        if frame.format.stored == 1:
            return Extent(0, 1, "full range")
        values, left_out = real(frame.samples, frame.format), padding(held, frame.format)
        transform = modality(held, grouped, index, frame.format)
        # A table need not rise with its input.
        rises = isinstance(transform, Rescale)
        found = _ends(values, left_out) if rises else np.unique(_image(values, left_out))
        if not found.size:
            continue
        ends = transform.of(found)
        lows.append(float(ends.min()))
        highs.append(float(ends.max()))
    if not lows:
        return Extent(0, 0)
    return Extent(min(lows), max(highs))


def whole(transform: Modality, stored: StoredFormat) -> tuple[float, float]:
    """The lowest and the highest value that the modality stage can put out."""
    if isinstance(transform, ModalityLut):
        return 0.0, float(transform.lut.top)
    ends = transform.of(np.array(stored.range))
    return float(ends.min()), float(ends.max())


def padding(held: Attributes, stored: StoredFormat) -> Padding | None:
    """Pixel Padding Value and Range Limit (PS3.3 Section C.7.5.1.1.2); None without them."""
    value, limit = held.integer(a.PADDING_VALUE), held.integer(a.PADDING_LIMIT)
    if value is None:
        return None
    both = (value, value if limit is None else limit)
    ends = [_signed(one) if stored.signed else one & 0xFFFF for one in both]
    return Padding(min(ends), max(ends))


def _signed(value: int) -> int:
    return ((value & 0xFFFF) ^ 0x8000) - 0x8000


def _ends(values: Array, left_out: Padding | None) -> Array:
    """The lowest and the highest value that is image; empty if none is."""
    if left_out is not None and values.size and values.dtype.kind != "f":
        low, high = int(values.min()), int(values.max())
        if low >= left_out.low and high > left_out.high:
            # All padding is below the image, as it mostly is. Counted from just above it, unsigned,
            # it comes last: that finds the lowest without a copy of what is image.
            begins = max(low, left_out.high + 1)
            above = (values - values.dtype.type(begins)).view(f"u{values.itemsize}")
            return np.array([begins + int(above.min()), high])
    image = _image(values, left_out)
    return np.array([image.min(), image.max()]) if image.size else image


def _image(values: Array, left_out: Padding | None) -> Array:
    if values.dtype.kind == "f":
        return values[np.isfinite(values)]
    if left_out is None:
        return values
    return values[(values < left_out.low) | (values > left_out.high)]


def negative(transform: Modality, stored: StoredFormat) -> bool:
    """Whether modality values can be negative."""
    if not isinstance(transform, Rescale):
        return False
    low, high = stored.range
    return min(low * transform.slope, high * transform.slope) + transform.intercept < 0
