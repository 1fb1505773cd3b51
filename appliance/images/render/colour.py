"""Colour images: every photometric interpretation becomes RGB with 8 bits per sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from appliance.images.render.decode import Frame
from appliance.images.render.refusal import Undecodable

Array = np.ndarray[Any, np.dtype[Any]]

# PS3.3 Section C.7.6.3.1.2: YBR_FULL is that of JFIF; YBR_PARTIAL that of ITU-R BT.601, whose
# luma is from 16 to 235 and chroma from 16 to 240.
_PARTIAL = np.array([[1.1644, 0.0, 1.5960], [1.1644, -0.3917, -0.8130], [1.1644, 2.0173, 0.0]])

# CIE XYZ under D50, the white of PCS-Values, to linear sRGB (Bradford adaptation to D65).
_WHITE_D50 = np.array([0.96422, 1.0, 0.82521])
_LINEAR = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def rgb(frame: Frame) -> Array:
    """The frame as (rows, columns, 3) uint8, contiguous."""
    samples = eight_bits(frame)
    if frame.photometric == "RGB":
        return np.ascontiguousarray(samples)
    if frame.photometric == "YBR_FULL":
        full = Image.fromarray(np.ascontiguousarray(samples), "YCbCr")
        return np.asarray(full.convert("RGB"))
    if frame.photometric.startswith("YBR_PARTIAL"):
        return _of_partial(samples)
    raise Undecodable(
        f"Pixels of photometric interpretation {frame.photometric} are not in a form that is "
        "rendered."
    )


def of_cielab(values: Sequence[int]) -> tuple[int, int, int]:
    """The sRGB colour of a CIELab value in 16 bits each (PS3.3 Section C.10.7.1.1)."""
    lightness, red_green, yellow_blue = (
        values[0] / 655.35,
        values[1] / 257 - 128,
        values[2] / 257 - 128,
    )
    y = (lightness + 16) / 116
    roots = np.array([y + red_green / 500, y, y - yellow_blue / 200])
    cubes = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    linear = np.clip(_LINEAR @ (cubes * _WHITE_D50), 0, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(one) for one in shown * 255 + 0.5)
    return red, green, blue


def eight_bits(frame: Frame) -> Array:
    """The highest 8 of the stored bits; fewer than 8 are spread over the range."""
    stored = frame.format
    if stored.allocated == 8 and stored.stored == 8:
        return frame.samples
    values: Array = (frame.samples >> stored.shift) & ((1 << stored.stored) - 1)
    if stored.stored < 8:
        values = values.astype(np.uint16) * 255 // ((1 << stored.stored) - 1)
    else:
        values = values >> (stored.stored - 8)
    eight: Array = values.astype(np.uint8)
    return eight


def _of_partial(samples: Array) -> Array:
    shifted = samples.astype(np.float32) - np.array([16, 128, 128], np.float32)
    shades: Array = np.clip(shifted @ _PARTIAL.T.astype(np.float32) + 0.5, 0, 255)
    return shades.astype(np.uint8)
