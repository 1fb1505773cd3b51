"""What part of an image a presentation state shows, and which way up (PS3.3 C.10.4 and C.10.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.geometry import SQUARE, ratio, squared
from appliance.images.render.limits import Limits
from appliance.images.render.refusal import Undecodable

Array = np.ndarray[Any, np.dtype[Any]]
Point = tuple[float, float]
"""Column and row."""

_QUARTER = 90


@dataclass(frozen=True, slots=True)
class View:
    """An area of the image, its pixels made square, turned clockwise, then flipped.

    `left`, `top`, `right`, `bottom`: the area in pixels of the image, from 0, the last two
    excluded; it may reach beyond the image, where there is black. `aspect`: the height of a pixel
    divided by its width. `quarters`: turns by 90°.
    """

    left: int
    top: int
    right: int
    bottom: int
    aspect: float
    quarters: int
    flipped: bool

    def of(self, pixels: Array, limits: Limits) -> Array:
        """The view of shades or colours. Undecodable if it is larger than the limit."""
        rows, columns = self.bottom - self.top, self.right - self.left
        if rows * columns > limits.frame_pixels:
            raise Undecodable(
                f"A displayed area of {columns} × {rows} pixels is larger than the limit of "
                f"{limits.frame_pixels} pixels."
            )
        area = np.zeros((rows, columns, *pixels.shape[2:]), np.uint8)
        top, left = max(self.top, 0), max(self.left, 0)
        seen = pixels[top : max(self.bottom, 0), left : max(self.right, 0)]
        under = area[top - self.top :, left - self.left :]
        under[: seen.shape[0], : seen.shape[1]] = seen
        turned = np.rot90(squared(area, self.aspect, limits), -self.quarters)
        return np.ascontiguousarray(turned[:, ::-1] if self.flipped else turned)

    def place(self, point: Point) -> Point:
        """Where a point of the image, whose corner is (0, 0), is in the picture."""
        width, height = float(self.right - self.left), float(self.bottom - self.top)
        x, y = point[0] - self.left, point[1] - self.top
        if self.aspect > 1:
            y, height = y * self.aspect, height * self.aspect
        else:
            x, width = x / self.aspect, width / self.aspect
        for _ in range(self.quarters):
            x, y, width, height = height - y, x, height, width
        return (width - x if self.flipped else x), y


def view(state: Attributes, area: Attributes | None, shape: tuple[int, int], aspect: float) -> View:
    """The view of an image of `shape` (rows, columns), whose own pixels have `aspect`.

    `area`: the item of Displayed Area Selection Sequence that is for it, if there is one.
    """
    left, top, bottom, right = 0, 0, *shape
    if area is not None:
        # Corners are named as they appear when it is turned and flipped: either may be the lower.
        corners = area.integers(a.AREA_TOP_LEFT)[:2], area.integers(a.AREA_BOTTOM_RIGHT)[:2]
        if len(corners[0]) == len(corners[1]) == 2:
            left, right = min(corners[0][0], corners[1][0]) - 1, max(corners[0][0], corners[1][0])
            top, bottom = min(corners[0][1], corners[1][1]) - 1, max(corners[0][1], corners[1][1])
        aspect = _aspect(area, aspect)
    return View(
        left,
        top,
        right,
        bottom,
        aspect,
        quarters=(state.integer(a.ROTATION) or 0) // _QUARTER % 4,
        flipped=state.text(a.FLIPPED).upper() == "Y",
    )


def _aspect(area: Attributes, own: float) -> float:
    if a.AREA_SPACING in area:
        return ratio(area.decimals(a.AREA_SPACING))
    if a.AREA_ASPECT in area:
        return ratio(area.decimals(a.AREA_ASPECT))
    return own or SQUARE
