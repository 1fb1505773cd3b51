"""Pictures become files: JPEG, PNG or WebP."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Format = Literal["jpeg", "png", "webp"]

_SUFFIXES: dict[Format, str] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
_LARGEST: dict[Format, int] = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383}
_CODECS: dict[Format, str] = {"jpeg": "jpg", "png": "zlib", "webp": "webp"}


class NotEncodable(ValueError):
    """A picture cannot be written in a format; the text says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Format of picture files, and quality from 1 to 100 (PNG, which loses nothing, has none).

    `animation`: of several frames there is, beside a picture of each, an animation of all.
    """

    format: Format = "jpeg"
    quality: int = 90
    animation: bool = True

    @property
    def suffix(self) -> str:
        """The suffix of a picture file's name, with its dot."""
        return _SUFFIXES[self.format]


def obstacle(format: Format) -> str:
    """Why pictures of a format cannot be written on this machine; "" if they can.

    Loads Pillow.
    """
    from PIL import features

    if features.check(_CODECS[format]):
        return ""
    return f"Pillow was built without {format}, so no pictures can be written in that format."


def encode(pixels: np.ndarray[Any, np.dtype[Any]], format: Format, quality: int = 90) -> bytes:
    """A picture of uint8 pixels, (rows, columns) grey or (rows, columns, 3) RGB, as a file.

    Colour JPEG keeps chroma at full resolution (4:4:4): Doppler colours and the thin coloured
    graphics of ultrasound are what 4:2:0 smears first. The rest is set for speed.
    Raises NotEncodable if the format cannot hold so many rows or columns, or is not built in.
    """
    # Imported here: the AE names formats, and leaves making them to its workers.
    from PIL import Image

    if max(pixels.shape[:2]) > _LARGEST[format]:
        rows, columns = pixels.shape[:2]
        raise NotEncodable(
            f"A {format} picture has at most {_LARGEST[format]} rows and columns, "
            f"this one has {rows} and {columns}."
        )
    if reason := obstacle(format) if format == "webp" else "":
        raise NotEncodable(reason)
    image = Image.fromarray(pixels)
    file = BytesIO()
    if format == "jpeg":
        image.save(file, "JPEG", quality=quality, subsampling=0)
    elif format == "png":
        # Level 1 is several times as fast as the default, for a few per cent more bytes.
        image.save(file, "PNG", compress_level=1)
    else:
        # Method 0 is the fastest of WebP's seven, and still smaller than JPEG.
        image.save(file, "WEBP", quality=quality, method=0)
    return file.getvalue()
