"""Palette colour: a stored value is the number of a colour (PS3.3 Section C.7.6.3.1.5 and .6)."""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attribute, Attributes
from appliance.images.render.decode import Frame
from appliance.images.render.lut import descriptor, entries
from appliance.images.render.pixels import real
from appliance.images.render.refusal import Undecodable

Array = np.ndarray[Any, np.dtype[Any]]

_CHANNELS = (
    (a.RED_DESCRIPTOR, a.RED_DATA, a.RED_SEGMENTED),
    (a.GREEN_DESCRIPTOR, a.GREEN_DATA, a.GREEN_SEGMENTED),
    (a.BLUE_DESCRIPTOR, a.BLUE_DATA, a.BLUE_SEGMENTED),
)


def palette(held: Attributes) -> tuple[int, Array]:
    """First stored value mapped, and the colours from there on as (entries, 3) uint8."""
    channels = [_channel(held, *channel) for channel in _CHANNELS]
    first, bits = channels[0][0], channels[0][1]
    length = min(len(data) for _, _, data in channels)
    colours = np.stack([data[:length] for _, _, data in channels], axis=1)
    # Some write 8-bit entries into words and call them 16 bits.
    if bits > 8 and colours.max() > 0xFF:
        colours = colours >> (bits - 8)
    return first, colours.astype(np.uint8)


def coloured(frame: Frame, first: int, colours: Array) -> Array:
    """The frame as (rows, columns, 3) uint8; values outside the palette take its nearest end."""
    if frame.format.allocated > 16:
        raise Undecodable(f"A palette image of {frame.format.allocated} bits is not rendered.")
    if frame.format.signed and first >= 0x8000:
        first -= 0x10000
    index = real(frame.samples, frame.format).astype(np.int64) - first
    return colours.take(np.clip(index, 0, len(colours) - 1), axis=0)


def _channel(
    held: Attributes, described: Attribute, plain: Attribute, segmented: Attribute
) -> tuple[int, int, Array]:
    """First value mapped, bits and entries of one channel."""
    found = descriptor(held, described)
    if found is None:
        raise Undecodable("The palette has no valid descriptor for each of its three channels.")
    data = entries(held, plain, found) if plain in held else _segments(held, segmented, found.bits)
    if not len(data):
        raise Undecodable("The palette has no data for each of its three channels.")
    bits = 16 if found.bits > 8 else 8
    return found.first, bits, data[: found.entries]


def _segments(held: Attributes, attribute: Attribute, bits: int) -> Array:
    """Expand a segmented palette (PS3.3 Section C.7.9.2): discrete, linear, indirect segments."""
    raw = held.encoded(attribute)
    if bits <= 8 and held.element(attribute)[0] != "SQ":
        words = _bytes_of(raw, held)
    else:
        order = "<u2" if held.little_endian else ">u2"
        words = np.frombuffer(raw[: len(raw) // 2 * 2], order).astype(np.int64)
    out: list[int] = []
    try:
        _expand(words.tolist(), 0, len(words), out, wide=bits > 8, nested=False)
    except IndexError:
        raise Undecodable("The segmented palette is damaged.") from None
    return np.array(out[:65536], np.uint16)


def _bytes_of(raw: bytes, held: Attributes) -> Array:
    if not held.little_endian:
        raw = np.frombuffer(raw[: len(raw) // 2 * 2], ">u2").astype("<u2").tobytes()
    return np.frombuffer(raw, np.uint8).astype(np.int64)


def _expand(
    words: list[int], at: int, end: int, out: list[int], *, wide: bool, nested: bool
) -> None:
    while at + 2 <= end and len(out) < 65536:
        kind, count = words[at], words[at + 1]
        at += 2
        if kind == 0:
            if at + count > len(words):
                raise IndexError(at)
            out.extend(words[at : at + count])
            at += count
        elif kind == 1:
            start, last = out[-1], words[at]
            out.extend(start + round((last - start) * step / count) for step in range(1, count + 1))
            at += 1
        elif kind == 2 and not nested:
            low, high = (words[at], words[at + 1])
            offset = low | high << 16
            if not wide:
                offset = low | high << 8 | words[at + 2] << 16 | words[at + 3] << 24
            at += 2 if wide else 4
            _repeat(words, offset, count, out, wide=wide)
        else:
            raise Undecodable("The segmented palette has a segment of an unknown kind.")


def _repeat(words: list[int], offset: int, count: int, out: list[int], *, wide: bool) -> None:
    """Copy `count` segments that start `offset` bytes into the data."""
    at = offset // 2 if wide else offset
    for _ in range(count):
        length = words[at + 1] if words[at] == 0 else 1
        _expand(words, at, at + 2 + length, out, wide=wide, nested=True)
        at += 2 + length
