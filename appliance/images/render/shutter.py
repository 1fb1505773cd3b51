"""Display shutters: what surrounds the region of interest is masked.

PS3.3 Sections C.7.6.11 and C.7.6.15.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.overlays import Overlay, drawn

Array = np.ndarray[Any, np.dtype[Any]]


def shuttered(pixels: Array, state: Attributes, planes: Sequence[Overlay]) -> Array:
    """The shades with all that a shutter hides in the shutter's own shade; `pixels` stay.

    `planes`: the overlays of the presentation state, one of which may be a shutter.
    """
    shapes = {shape.upper() for shape in state.texts(a.SHUTTER_SHAPE)}
    shade = (state.integer(a.SHUTTER_VALUE) or 0) >> 8 & 0xFF
    for visible in _visible(state, shapes, pixels.shape):
        pixels = np.where(visible, pixels, np.uint8(shade))
    if "BITMAP" in shapes:
        group = state.integer(a.SHUTTER_OVERLAY)
        hiding = [plane for plane in planes if plane.group == group]
        pixels = drawn(pixels, hiding, 0, None, shade)
    return pixels


def _visible(state: Attributes, shapes: set[str], size: tuple[int, ...]) -> Iterator[Array]:
    """Where each shutter of a geometric shape lets the image be seen. Pixels count from 1."""
    row, column = np.ogrid[1 : size[0] + 1, 1 : size[1] + 1]
    if "RECTANGULAR" in shapes:
        edges = [
            state.integer(edge)
            for edge in (a.SHUTTER_LEFT, a.SHUTTER_RIGHT, a.SHUTTER_UPPER, a.SHUTTER_LOWER)
        ]
        left, right, upper, lower = (0 if edge is None else edge for edge in edges)
        if None not in edges:
            yield (column >= left) & (column <= right) & (row >= upper) & (row <= lower)
    if "CIRCULAR" in shapes:
        centre, radius = state.integers(a.SHUTTER_CENTRE), state.integer(a.SHUTTER_RADIUS)
        if len(centre) >= 2 and radius is not None:
            distance = (row - float(centre[0])) ** 2 + (column - float(centre[1])) ** 2
            yield distance <= float(radius) ** 2
    if "POLYGONAL" in shapes:
        vertices = [float(one - 1) for one in state.integers(a.SHUTTER_VERTICES)]
        corners = [(x, y) for y, x in zip(vertices[::2], vertices[1::2], strict=False)]
        if len(corners) >= 3:
            mask = Image.new("1", (size[1], size[0]))
            ImageDraw.Draw(mask).polygon(corners, fill=1, outline=1)
            yield np.asarray(mask)
