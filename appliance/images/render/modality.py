"""The modality stage: stored values become values of the modality (PS3.3 Section C.11.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.groups import Groups
from appliance.images.render.lut import Lut, grey_lut
from appliance.images.render.pixels import StoredFormat

Array = np.ndarray[Any, np.dtype[Any]]

# In angiography and fluoroscopy the transform leads back to X-ray intensity and is not for display
# (PS3.3 Sections C.8.7.1 and C.8.7.2, Pixel Intensity Relationship; DCMTK leaves it out, too).
_BACKWARDS = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.12.1",
        "1.2.840.10008.5.1.4.1.1.12.2",
        "1.2.840.10008.5.1.4.1.1.12.3",
    }
)


@dataclass(frozen=True, slots=True)
class Rescale:
    """Rescale Slope and Intercept; 1 and 0 leave values as they are."""

    slope: float = 1.0
    intercept: float = 0.0

    def of(self, values: Array) -> Array:
        """Modality values as 64-bit floating point."""
        return values * np.float64(self.slope) + np.float64(self.intercept)


@dataclass(frozen=True, slots=True)
class ModalityLut:
    """Modality LUT Sequence."""

    lut: Lut

    def of(self, values: Array) -> Array:
        """Modality values as 64-bit floating point."""
        return self.lut.of(values).astype(np.float64)


Modality = Rescale | ModalityLut
IDENTITY = Rescale()


def modality(held: Attributes, groups: Groups, frame: int, stored: StoredFormat) -> Modality:
    """The modality transform of a frame, counted from 0.

    A LUT comes before slope and intercept; of these, those of the frame's functional group come
    before the shared ones, and those before the dataset's own.
    """
    if held.text(a.SOP_CLASS) in _BACKWARDS:
        return IDENTITY
    for item in held.items(a.MODALITY_LUT_SEQUENCE)[:1]:
        lut = grey_lut(item, a.LUT_DESCRIPTOR, a.LUT_DATA, stored.signed)
        if lut is not None:
            return ModalityLut(lut)
    for place in (*groups.of(frame, a.PIXEL_VALUE_TRANSFORMATION), held):
        slope, intercept = place.decimal(a.RESCALE_SLOPE), place.decimal(a.RESCALE_INTERCEPT)
        if slope is None and intercept is None:
            continue
        # A slope of 0 would make every pixel the same: it is an empty field, not a transform.
        return Rescale(slope or 1.0, intercept or 0.0)
    return IDENTITY
