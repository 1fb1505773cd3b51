"""Display shutters: what surrounds the region of interest is masked.

PS3.3 Sections C.7.6.11 and C.7.6.15; of a frame, C.7.6.16.2.16. Images have shutters of their own,
and presentation states others in place of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.colour import of_cielab
from appliance.images.render.decode import Frame
from appliance.images.render.groups import Groups
from appliance.images.render.overlays import Overlay, drawn

Array = np.ndarray[Any, np.dtype[Any]]


def own_shutter(held: Attributes, grouped: Groups, index: int) -> Attributes:
    """What says how an image shutters its frame `index` (from 0): its functional group, or all."""
    return next(iter(grouped.of(index, a.FRAME_SHUTTER)), held)


def shuttering(given: Attributes) -> int | None:
    """The overlay group that is a shutter, and so is not drawn; None if none is."""
    shapes = {shape.upper() for shape in given.texts(a.SHUTTER_SHAPE)}
    return given.integer(a.SHUTTER_OVERLAY) if "BITMAP" in shapes else None


def shuttered(
    pixels: Array,
    given: Attributes,
    planes: Sequence[Overlay],
    index: int = 0,
    frame: Frame | None = None,
) -> Array:
    """Shades or colours, with all that a shutter hides in the shutter's own; `pixels` stay.

    given: what describes the shutter; planes: overlays, one of which may be a shutter, for frame
    `index` (from 0).
    """
    shapes = {shape.upper() for shape in given.texts(a.SHUTTER_SHAPE)}
    if not shapes:
        return pixels
    shade = _shade(given, coloured=pixels.ndim > 2)
    for visible in _visible(given, shapes, pixels.shape):
        seen = visible if pixels.ndim == 2 else visible[..., np.newaxis]
        pixels = np.where(seen, pixels, shade)
    hiding = [plane for plane in planes if plane.group == shuttering(given)]
    return drawn(pixels, hiding, index, frame, shade)


def _shade(given: Attributes, *, coloured: bool) -> Array:
    """The shutter's shade or colour, black if it has none."""
    lab = given.integers(a.SHUTTER_COLOUR)
    if coloured and len(lab) == 3:
        return np.array(of_cielab(lab), np.uint8)
    return np.array((given.integer(a.SHUTTER_VALUE) or 0) >> 8 & 0xFF, np.uint8)


def _visible(given: Attributes, shapes: set[str], size: tuple[int, ...]) -> Iterator[Array]:
    """Where each shutter of a geometric shape lets the image be seen. Pixels count from 1."""
    row, column = np.ogrid[1 : size[0] + 1, 1 : size[1] + 1]
    if "RECTANGULAR" in shapes:
        edges = [
            given.integer(edge)
            for edge in (a.SHUTTER_LEFT, a.SHUTTER_RIGHT, a.SHUTTER_UPPER, a.SHUTTER_LOWER)
        ]
        left, right, upper, lower = (0 if edge is None else edge for edge in edges)
        if None not in edges:
            yield (column >= left) & (column <= right) & (row >= upper) & (row <= lower)
    if "CIRCULAR" in shapes:
        centre, radius = given.integers(a.SHUTTER_CENTRE), given.integer(a.SHUTTER_RADIUS)
        if len(centre) >= 2 and radius is not None:
            distance = (row - float(centre[0])) ** 2 + (column - float(centre[1])) ** 2
            yield distance <= float(radius) ** 2
    if "POLYGONAL" in shapes:
        vertices = [float(one - 1) for one in given.integers(a.SHUTTER_VERTICES)]
        corners = [(x, y) for y, x in zip(vertices[::2], vertices[1::2], strict=False)]
        if len(corners) >= 3:
            mask = Image.new("1", (size[1], size[0]))
            ImageDraw.Draw(mask).polygon(corners, fill=1, outline=1)
            yield np.asarray(mask)
