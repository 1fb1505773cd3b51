"""Pixels that are not square: pictures of them are stretched, so that circles stay circles."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.groups import Groups
from appliance.images.render.limits import Limits
from appliance.images.render.refusal import Undecodable

Array = np.ndarray[Any, np.dtype[Any]]

SQUARE = 1.0
_EXTREME = 20.0
# A spacing is often written with three digits, and must not make a picture one pixel higher.
_TOLERANCE = 0.005


def aspect(held: Attributes, groups: Groups) -> float:
    """The height of a pixel divided by its width.

    From the spacing of pixels or, where there is none, Pixel Aspect Ratio (PS3.3 Section
    C.7.6.3.1.7). All frames are taken to be alike. What no device makes counts as square.
    """
    measures = groups.of(0, a.PIXEL_MEASURES)
    for place in (*measures, held):
        for spacing in (a.PIXEL_SPACING, a.IMAGER_SPACING, a.NOMINAL_SPACING):
            if spacing in place:
                return ratio(place.decimals(spacing))
    return ratio(held.decimals(a.ASPECT_RATIO)) if a.ASPECT_RATIO in held else SQUARE


def ratio(sides: tuple[float, ...]) -> float:
    """Height divided by width, of a height and a width; `SQUARE` if it is that or nonsense."""
    if len(sides) < 2 or min(sides[:2]) <= 0:
        return SQUARE
    found = sides[0] / sides[1]
    if abs(found - 1) < _TOLERANCE or not 1 / _EXTREME <= found <= _EXTREME:
        return SQUARE
    return found


def squared(pixels: Array, aspect: float, limits: Limits) -> Array:
    """The picture with square pixels: its shorter side is stretched, so that nothing is lost."""
    if aspect == SQUARE:
        return pixels
    rows, columns = pixels.shape[:2]
    if aspect > 1:
        rows = round(rows * aspect)
    else:
        columns = round(columns / aspect)
    if rows * columns > limits.frame_pixels:
        raise Undecodable(
            f"With square pixels a frame of {columns} × {rows} is larger than the limit of "
            f"{limits.frame_pixels} pixels."
        )
    stretched = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(stretched)
