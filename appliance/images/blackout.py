"""Cells of pixels in which nothing is to be read any more: black, or free of bits that hide."""

from __future__ import annotations

from typing import Any

import numpy as np

from appliance.images.deidentify.regions import Blank
from appliance.images.render.pixels import StoredFormat

Array = np.ndarray[Any, np.dtype[Any]]


def masked(blank: Blank, rows: Array, columns: int) -> Array:
    """True where a pixel is blacked out, as (len(rows), columns); `rows` by their numbers."""
    found = np.full((len(rows), columns), bool(blank.keep))
    for rectangles, value in ((blank.keep, False), (blank.blank, True)):
        for left, top, width, height in rectangles:
            found[(rows >= top) & (rows < top + height), left : left + width] = value
    return found


def black(form: StoredFormat, photometric: str, floating: bool) -> tuple[int, ...]:
    """The cells of a black pixel, of one that has a single sample the one."""
    if photometric.startswith("YBR"):
        chroma = 1 << (form.stored - 1) << form.shift
        return 0, chroma, chroma
    if floating or not photometric.startswith("MONOCHROME"):
        return (0,)
    low, high = form.range
    value = high if photometric == "MONOCHROME1" else low
    return ((value & ((1 << form.stored) - 1)) << form.shift,)


def beside(cells: Array, form: StoredFormat, padding: int | None) -> Array:
    """The bits of each cell that are neither stored, nor copies of the sign, nor padding.

    A single 0, for all cells, where there are none.
    """
    every = (1 << form.allocated) - 1
    outside = every & ~(((1 << form.stored) - 1) << form.shift)
    if not outside or not np.bitwise_or.reduce(cells, axis=None) & outside:
        return np.zeros((), cells.dtype)
    found: Array = cells & outside
    if form.signed:
        above = every & ~((1 << form.high + 1) - 1)
        copies = (cells >> form.high & 1).astype(bool) & (found & above == above)
        found[copies] &= every & ~above
    if padding is not None:
        found[cells == padding & every] = 0
    return found
