"""The VOI stage: the values of interest spread over the range from black to white.

PS3.3 Section C.11.2. Every transform maps modality values to 0 … 1, in 64-bit floating point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.groups import Groups
from appliance.images.render.lut import Lut, grey_lut

Array = np.ndarray[Any, np.dtype[Any]]

LINEAR, LINEAR_EXACT, SIGMOID = "LINEAR", "LINEAR_EXACT", "SIGMOID"


@dataclass(frozen=True, slots=True)
class Window:
    """Window Center and Width with a VOI LUT Function (PS3.3 Section C.11.2.1.2 and .3)."""

    centre: float
    width: float
    function: str = LINEAR

    @property
    def name(self) -> str:
        """How a picture's record names it."""
        return f"window {self.centre:g}/{self.width:g} {self.function}"

    def of(self, values: Array) -> Array:
        """0 … 1 for modality values."""
        if self.function == SIGMOID:
            # The exponent is bounded where the result no longer differs from 0 in 64 bits.
            power = np.clip(-4 * (values - self.centre) / self.width, -700, 700)
            result: Array = 1 / (1 + np.exp(power))
            return result
        if self.function == LINEAR_EXACT:
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        if self.width <= 1:
            return (values > self.centre - 0.5).astype(np.float64)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1)


@dataclass(frozen=True, slots=True)
class VoiLut:
    """The first item of VOI LUT Sequence (PS3.3 Section C.11.2.1.1).

    `levels`: how many its result may have.
    """

    lut: Lut
    levels: int = 256
    name: ClassVar[str] = "VOI LUT"

    def of(self, values: Array) -> Array:
        """0 … 1 for modality values, in the levels of 8 bits where nothing else is said.

        Entries are levels already, so they are brought to 8 bits before they may be inverted:
        inverted, a LUT shows the exact negative.
        """
        entries = self.lut.of(np.floor(values)).astype(np.int64)
        return entries * self.levels // (self.lut.top + 1) / (self.levels - 1)


@dataclass(frozen=True, slots=True)
class Extent:
    """From the lowest to the highest value, linearly; all black where they are the same."""

    low: float
    high: float
    name: str = "min–max"

    def of(self, values: Array) -> Array:
        """0 … 1 for modality values."""
        if self.high <= self.low:
            return np.zeros(values.shape)
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)


@dataclass(frozen=True, slots=True)
class Identity:
    """No VOI transform: the whole range of a presentation state's modality values, `low` to `high`.

    Cut into `levels` of equal size, as shifting 12 bits to 8 does.
    """

    low: float
    high: float
    levels: int = 256
    name: ClassVar[str] = "identity"

    def of(self, values: Array) -> Array:
        """0 … 1 for modality values."""
        share = (values - self.low) / (self.high - self.low + 1)
        return np.clip(np.floor(share * self.levels), 0, self.levels - 1) / (self.levels - 1)


Voi = Window | VoiLut | Extent | Identity


def voi(held: Attributes, groups: Groups, frame: int, negative: bool) -> Voi | None:
    """The VOI transform that the dataset gives for a frame, counted from 0; None if it gives none.

    A LUT comes before a window, a frame's functional group before the shared one, and that before
    the dataset. `negative`: modality values can be negative.
    """
    for place in (*groups.of(frame, a.FRAME_VOI_SEQUENCE), held):
        found = _lut(place, negative) or _window(place)
        if found is not None:
            return found
    return None


def _lut(place: Attributes, negative: bool) -> VoiLut | None:
    for item in place.items(a.VOI_LUT_SEQUENCE)[:1]:
        lut = grey_lut(item, a.LUT_DESCRIPTOR, a.LUT_DATA, negative)
        if lut is not None:
            return VoiLut(lut)
    return None


def _window(place: Attributes) -> Window | None:
    centre, width = place.decimal(a.WINDOW_CENTRE), place.decimal(a.WINDOW_WIDTH)
    if centre is None or width is None or width <= 0:
        return None
    function = place.text(a.VOI_FUNCTION).upper()
    if function not in (LINEAR_EXACT, SIGMOID):
        # A width below 1 is not valid for LINEAR; scanners whose values are fractions mean this.
        function = LINEAR if width >= 1 else LINEAR_EXACT
    return Window(centre, width, function)
