"""Palette colour: a stored value is the number of a colour (PS3.3 Section C.7.6.3.1.5 and .6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attribute, Attributes
from appliance.images.render.colour import rgb
from appliance.images.render.decode import Frame
from appliance.images.render.lut import Descriptor, descriptor, entries
from appliance.images.render.pixels import real
from appliance.images.render.refusal import Undecodable

Array = np.ndarray[Any, np.dtype[Any]]

_CHANNELS = (
    (a.RED_DESCRIPTOR, a.RED_DATA, a.RED_SEGMENTED),
    (a.GREEN_DESCRIPTOR, a.GREEN_DATA, a.GREEN_SEGMENTED),
    (a.BLUE_DESCRIPTOR, a.BLUE_DATA, a.BLUE_SEGMENTED),
)
_MOST_ENTRIES = 65536
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours as (entries, 4) uint8, red, green, blue and nothing; the first is of value `first`.

    `first` is as encoded, in 16 bits without a sign.
    """

    first: int
    colours: Array

    def of(self, frame: Frame) -> Array:
        """The frame as (rows, columns, 3) uint8; values outside the palette take its ends."""
        if frame.format.allocated > 16:
            raise Undecodable(f"A palette image of {frame.format.allocated} bits is not rendered.")
        first = self.first
        if frame.format.signed and first >= 0x8000:
            first -= 0x10000
        index = real(frame.samples, frame.format).astype(np.intp) - first
        # Looked up as one number a colour, which is several times as fast as three.
        whole = self.colours.view(np.uint32)[:, 0].take(index, mode="clip")
        rgbx = whole.view(np.uint8).reshape(*frame.samples.shape, 4)
        return np.ascontiguousarray(rgbx[..., :3])


def in_colour(held: Attributes, photometric: str) -> Callable[[Frame], Array]:
    """How the frames of a colour image become RGB, (rows, columns, 3) uint8."""
    return palette(held).of if photometric == "PALETTE COLOR" else rgb


def palette(held: Attributes) -> Palette:
    """The palette of a dataset; Undecodable if it is incomplete."""
    first = 0
    channels: list[Array] = []
    bits = 8
    for described, plain, segmented in _CHANNELS:
        found = descriptor(held, described)
        if found is None:
            raise Undecodable("The palette has no valid descriptor for each of its three channels.")
        data = _data(held, plain, segmented, found)
        if not len(data):
            raise Undecodable("The palette has no data for each of its three channels.")
        if not channels:
            first, bits = found.first, 16 if found.bits > 8 else 8
        channels.append(data)
    length = min(len(data) for data in channels)
    colours = np.zeros((length, 4), np.uint16)
    for index, data in enumerate(channels):
        colours[:, index] = data[:length]
    # Some write 8-bit entries into words and call them 16 bits.
    if bits > 8 and colours.max() > 0xFF:
        colours >>= bits - 8
    return Palette(first, colours.astype(np.uint8))


def _data(held: Attributes, plain: Attribute, segmented: Attribute, found: Descriptor) -> Array:
    if plain in held:
        return entries(held, plain, found)
    wide = found.bits > 8
    raw = held.encoded(segmented)
    order = "<u2" if held.little_endian else ">u2"
    words = np.frombuffer(raw[: len(raw) // 2 * 2], order).astype("<u2")
    units = words if wide else words.view(np.uint8)
    try:
        return np.array(_Segments(units.tolist(), wide).expanded()[: found.entries], np.uint16)
    except IndexError:
        raise Undecodable("The segmented palette is damaged.") from None


class _Segments:
    """The segments of a palette (PS3.3 Section C.7.9.2): discrete, linear, indirect.

    `units`: the data as entries are wide, in 8 or 16 bits. IndexError if they end too early. Lists,
    not arrays: segments are many and short.
    """

    def __init__(self, units: list[int], wide: bool) -> None:
        self._units = units
        self._wide = wide
        self._entries: list[int] = []

    def expanded(self) -> list[int]:
        """All entries."""
        at = 0
        # A palette of an odd number of bytes is filled up by one, which is no segment.
        while at + 1 < len(self._units) and len(self._entries) < _MOST_ENTRIES:
            at = self._segment(at, indirect=True)
        return self._entries

    def _segment(self, at: int, *, indirect: bool) -> int:
        """Expand the segment at `at`, and return where the next one starts."""
        kind, count = self._units[at], self._units[at + 1]
        at += 2
        if not count and not indirect:
            # Thousands of them, repeated thousands of times, would come to no end.
            raise Undecodable("The segmented palette has a segment of no length.")
        if kind == _DISCRETE:
            if at + count > len(self._units):
                raise IndexError(at)
            self._entries += self._units[at : at + count]
            return at + count
        if kind == _LINEAR:
            start, rise = self._entries[-1], self._units[at] - self._entries[-1]
            # Rounded to the nearest, in whole numbers.
            self._entries += [
                start + (2 * rise * step + count) // (2 * count) for step in range(1, count + 1)
            ]
            return at + 1
        if kind == _INDIRECT and indirect:
            width = 2 if self._wide else 4
            self._repeat(self._offset(at), count)
            return at + width
        raise Undecodable("The segmented palette has a segment of an unknown kind.")

    def _offset(self, at: int) -> int:
        """Where an indirect segment points: a number of bytes, the less significant part first."""
        bits = 16 if self._wide else 8
        parts = [self._units[at + i] << bits * i for i in range(32 // bits)]
        return sum(parts) // (2 if self._wide else 1)

    def _repeat(self, at: int, count: int) -> None:
        for _ in range(count):
            if len(self._entries) >= _MOST_ENTRIES:
                return
            at = self._segment(at, indirect=False)
