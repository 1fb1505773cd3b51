"""Colour images: every photometric interpretation becomes RGB with 8 bits per sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from appliance.images.render.decode import Frame
from appliance.images.render.refusal import Undecodable

Array = np.ndarray[Any, np.dtype[Any]]

# PS3.3 Section C.7.6.3.1.2: YBR_FULL is that of JFIF; YBR_PARTIAL that of ITU-R BT.601, whose
# luma is from 16 to 235 and chroma from 16 to 240.
_PARTIAL = np.array([[1.1644, 0.0, 1.5960], [1.1644, -0.3917, -0.8130], [1.1644, 2.0173, 0.0]])


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
