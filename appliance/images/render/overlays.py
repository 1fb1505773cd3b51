"""Overlay planes: graphics of one bit that lie over the image (PS3.3 Section C.9.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attribute, Attributes
from appliance.images.render.decode import Frame

Array = np.ndarray[Any, np.dtype[Any]]

_GROUPS = range(0x6000, 0x6020, 2)
_WHITE = 255

Ink = int | tuple[int, int, int]
"""A shade, or a colour."""


def _of(group: int, attribute: Attribute) -> Attribute:
    return Attribute(attribute.tag + (group - 0x6000 << 16), attribute.vr)


_ROWS = tuple(_of(group, a.OVERLAY_ROWS) for group in _GROUPS)


@dataclass(frozen=True, slots=True)
class Overlay:
    """One overlay group of a dataset.

    `top`, `left`: where its first pixel lies, from 0; may be outside of the image. It is for
    `frames` frames from `first`, counted from 0. `bits`: its planes, one after the other, in bytes
    whose lowest bit comes first; None where they are in bit `position` of the pixel cells, which is
    retired and still written.
    """

    group: int
    rows: int
    columns: int
    top: int
    left: int
    first: int
    frames: int
    bits: bytes | None
    position: int

    def plane(self, index: int, frame: Frame | None) -> Array | None:
        """Where the overlay of frame `index` (from 0) is set, as (rows, columns) of booleans."""
        if not self.first <= index < self.first + self.frames:
            return None
        if self.bits is None:
            return None if frame is None else self._embedded(frame)
        size = self.rows * self.columns
        at = (index - self.first) * size
        packed = np.frombuffer(self.bits[at // 8 : (at + size + 7) // 8], np.uint8)
        plane = np.unpackbits(packed, bitorder="little")[at % 8 : at % 8 + size]
        return plane.reshape(self.rows, self.columns).astype(bool)

    def _embedded(self, frame: Frame) -> Array | None:
        cells, form = frame.samples, frame.format
        of_image = range(form.shift, form.high + 1)
        if cells.ndim != 2 or cells.dtype.kind == "f" or form.allocated < 8:
            return None
        if self.position in of_image or self.position >= form.allocated:
            return None
        return (cells >> self.position & 1).astype(bool)


def overlays(held: Attributes) -> tuple[Overlay, ...]:
    """The overlays of a dataset; one that contradicts itself is left out."""
    there = [group for group, rows in zip(_GROUPS, _ROWS, strict=True) if rows in held]
    found = (_overlay(held, group) for group in there)
    return tuple(overlay for overlay in found if overlay is not None)


def drawn(
    pixels: Array,
    over: Sequence[Overlay],
    index: int,
    frame: Frame | None,
    shade: Ink | Array = _WHITE,
) -> Array:
    """The picture of frame `index` (from 0) with its overlays in `shade`; `pixels` stay."""
    for overlay in over:
        plane = overlay.plane(index, frame)
        if plane is None or not plane.any():
            continue
        pixels = pixels.copy()
        top, left = max(overlay.top, 0), max(overlay.left, 0)
        visible = plane[top - overlay.top :, left - overlay.left :]
        under = pixels[top : top + visible.shape[0], left : left + visible.shape[1]]
        under[visible[: under.shape[0], : under.shape[1]]] = shade
    return pixels


def activated(held: Attributes) -> dict[int, str]:
    """The graphic layer in which a presentation state shows each overlay group that it shows.

    The groups may be its own or those of the image (PS3.3 Section C.11.7).
    """
    layers = {group: held.text(_of(group, a.OVERLAY_LAYER)) for group in _GROUPS}
    return {group: layer for group, layer in layers.items() if layer}


def _overlay(held: Attributes, group: int) -> Overlay | None:
    of = partial(_of, group)
    rows, columns = held.integer(of(a.OVERLAY_ROWS)), held.integer(of(a.OVERLAY_COLUMNS))
    if not rows or not columns or rows < 0 or columns < 0:
        return None
    top, left = (*held.integers(of(a.OVERLAY_ORIGIN)), 1, 1)[:2]
    first = held.integer(of(a.OVERLAY_FIRST_FRAME)) or 1
    told = held.integer(of(a.OVERLAY_FRAMES))
    embedded = of(a.OVERLAY_DATA) not in held
    # Without Number of Frames in Overlay there is one plane, for all frames (Section C.9.2.1.4).
    frames = told if told and told > 0 else (1 << 31 if embedded else 1)
    overlay = Overlay(
        group=group,
        rows=rows,
        columns=columns,
        top=top - 1,
        left=left - 1,
        first=first - 1,
        frames=frames,
        bits=None if embedded else _bits(held, of(a.OVERLAY_DATA)),
        position=held.integer(of(a.OVERLAY_BIT)) or 0,
    )
    if overlay.bits is not None and len(overlay.bits) * 8 < rows * columns * frames:
        return None
    return overlay


def _bits(held: Attributes, attribute: Attribute) -> bytes:
    raw = held.encoded(attribute)
    if held.little_endian or held.element(attribute)[0] != "OW":
        return raw
    return np.frombuffer(raw[: len(raw) // 2 * 2], np.uint16).byteswap().tobytes()
