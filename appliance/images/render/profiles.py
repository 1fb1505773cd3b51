"""ICC profiles: what colours are meant becomes sRGB, which every screen takes for granted.

PS3.3 Section C.11.15.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms, features

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes

Array = np.ndarray[Any, np.dtype[Any]]

UNUSABLE = "The ICC profile cannot be used: the colours are shown as they are stored."
_LARGEST = 4 * 2**20


def profile(held: Attributes) -> bytes:
    """The ICC profile of a colour image, of the whole or of its first optical path; b"" if none."""
    for place in (held, *held.items(a.OPTICAL_PATHS)[:1]):
        if a.ICC_PROFILE in place:
            return place.encoded(a.ICC_PROFILE)
    return b""


@dataclass(slots=True)
class Profiles:
    """Transforms to sRGB made before, the least recently used one dropped first."""

    capacity: int = 4
    _made: OrderedDict[bytes, ImageCms.ImageCmsTransform | None] = field(
        default_factory=OrderedDict
    )

    def shown(self, pixels: Array, profile: bytes) -> tuple[Array, str]:
        """RGB pixels in sRGB, and a remark if the profile could not be used."""
        if not profile:
            return pixels, ""
        try:
            transform = self._transform(profile)
            if transform is None:
                return pixels, ""
            image = Image.fromarray(pixels)
            ImageCms.applyTransform(image, transform, inPlace=True)
            return np.asarray(image), ""
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return pixels, UNUSABLE

    def _transform(self, profile: bytes) -> ImageCms.ImageCmsTransform | None:
        """The transform of a profile; None if it is that of sRGB. What Pillow raises, if none."""
        if profile in self._made:
            self._made.move_to_end(profile)
            return self._made[profile]
        if not features.check("littlecms2") or len(profile) > _LARGEST:
            raise ValueError(UNUSABLE)
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        made = None
        if not ImageCms.getProfileDescription(opened).startswith("sRGB"):
            made = ImageCms.buildTransform(
                opened,
                ImageCms.createProfile("sRGB"),
                "RGB",
                "RGB",
                ImageCms.Intent(ImageCms.getDefaultIntent(opened)),
            )
        self._made[profile] = made
        if len(self._made) > self.capacity:
            self._made.popitem(last=False)
        return made
