"""The presentation stage: whether low values are shown white.

PS3.3 Sections C.7.6.3.1.2 (Photometric Interpretation) and C.11.6 (Presentation LUT Shape).
"""

from __future__ import annotations

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes


def inverted(held: Attributes, photometric: str) -> bool:
    """Whether the output of the VOI stage is inverted, once.

    Presentation LUT Shape decides where it is present: it says of MONOCHROME1 images what their
    photometric interpretation says too, and is not a second inversion.
    """
    shape = held.text(a.PRESENTATION_SHAPE).upper()
    if shape in ("IDENTITY", "INVERSE"):
        return shape == "INVERSE"
    return photometric == "MONOCHROME1"
