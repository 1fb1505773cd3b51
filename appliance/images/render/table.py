"""All grey stages as one table: stored cell in, shade of 8 bits out.

There are at most 65,536 cells and, in a CT image, four times as many pixels; and images of a series
mostly share their parameters, so that a table serves many of them.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from appliance.images.render.lut import Lut
from appliance.images.render.modality import Modality
from appliance.images.render.pixels import StoredFormat, real
from appliance.images.render.voi import Voi

Array = np.ndarray[Any, np.dtype[Any]]

_TABLE_BITS = 16
_CELLS_AT_ONCE = 1 << 15
_PIXELS_AT_ONCE = 1 << 18
# Far above the error of a few operations in 64 bits, far below a shade: an exact 127 stays 127.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Stages:
    """What is done to the stored values of a grey frame. Hashable: equal stages, equal table.

    `presentation`: the Presentation LUT, whose input is the range of its entries whatever it calls
    the first of them (PS3.3 Section C.11.4).
    """

    format: StoredFormat
    modality: Modality
    voi: Voi
    inverted: bool
    presentation: Lut | None = None

    def shades(self, values: Array) -> Array:
        """The shades (uint8) of real stored values: modality, VOI, presentation, floor."""
        fraction = self.voi.of(self.modality.of(values))
        if self.presentation is not None:
            last = self.presentation.length - 1
            entry = self.presentation.first + np.floor(fraction * last + _ROUNDING)
            fraction = self.presentation.of(entry) / self.presentation.top
        if self.inverted:
            fraction = 1 - fraction
        return (fraction * 255 + _ROUNDING).astype(np.uint8)


@dataclass(slots=True)
class Tables:
    """Tables made before, the least recently used one dropped first. Not for several threads."""

    capacity: int = 16
    _made: OrderedDict[Stages, Array] = field(default_factory=OrderedDict)
    _index: Array = field(default_factory=lambda: np.empty(_CELLS_AT_ONCE, np.intp))

    def of(self, stages: Stages) -> Array:
        """The table of cells (2**allocated entries, uint8) for stages of at most 16 bits."""
        table = self._made.get(stages)
        if table is None:
            table = _table(stages)
            self._made[stages] = table
            if len(self._made) > self.capacity:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(stages)
        return table

    def apply(self, cells: Array, stages: Stages) -> Array:
        """The shades (uint8, same shape) of a frame's cells."""
        if cells.dtype.kind == "f" or stages.format.allocated > _TABLE_BITS:
            return _directly(cells, stages)
        table = self.of(stages)
        flat = cells.reshape(-1)
        shades = np.empty(flat.shape, np.uint8)
        # numpy looks up by indices of 64 bits. Made a part at a time they stay in the cache, which
        # takes a third off; "clip", which never happens, spares the copy that "raise" would make.
        for at in range(0, len(flat), _CELLS_AT_ONCE):
            part = flat[at : at + _CELLS_AT_ONCE]
            index = self._index[: len(part)]
            np.copyto(index, part)
            table.take(index, mode="clip", out=shades[at : at + _CELLS_AT_ONCE])
        return shades.reshape(cells.shape)


def _table(stages: Stages) -> Array:
    """Shades of all values that `stored` bits can hold, repeated for all other bits of the cell."""
    stored = stages.format
    values = np.arange(1 << stored.stored, dtype=np.int64)
    if stored.signed:
        sign = 1 << (stored.stored - 1)
        values = (values ^ sign) - sign
    shades = stages.shades(values)
    if stored.allocated == 1:
        return shades
    below = np.repeat(shades, 1 << stored.shift)
    return np.tile(below, 1 << (stored.allocated - stored.high - 1))


def _directly(cells: Array, stages: Stages) -> Array:
    """Shades without a table, a part at a time so that 64-bit intermediates stay small."""
    flat = cells.reshape(-1)
    shades = np.empty(flat.shape, np.uint8)
    for at in range(0, len(flat), _PIXELS_AT_ONCE):
        part = np.nan_to_num(real(flat[at : at + _PIXELS_AT_ONCE], stages.format))
        shades[at : at + _PIXELS_AT_ONCE] = stages.shades(part)
    return shades.reshape(cells.shape)
