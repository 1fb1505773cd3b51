"""Pictures become files: JPEG, PNG or WebP."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

Format = Literal["jpeg", "png", "webp"]

_SUFFIXES: dict[Format, str] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """Format of picture files, and quality from 1 to 100 (PNG, which loses nothing, has none)."""

    format: Format = "jpeg"
    quality: int = 90

    @property
    def suffix(self) -> str:
        """The suffix of a picture file's name, with its dot."""
        return _SUFFIXES[self.format]


def encode(pixels: np.ndarray[Any, np.dtype[Any]], format: Format, quality: int = 90) -> bytes:
    """A picture of uint8 pixels, (rows, columns) grey or (rows, columns, 3) RGB, as a file.

    Colour JPEG keeps chroma at full resolution (4:4:4): Doppler colours and the thin coloured
    graphics of ultrasound are what 4:2:0 smears first.
    Raises ValueError if the format cannot hold so many rows or columns.
    """
    # Imported here: the AE names formats, and leaves making them to its workers.
    from PIL import Image

    image = Image.fromarray(pixels)
    _check_size(image, format)
    file = BytesIO()
    if format == "jpeg":
        image.save(file, "JPEG", quality=quality, subsampling=0)
    elif format == "png":
        # Level 1 is several times as fast as the default for a few per cent more bytes.
        image.save(file, "PNG", compress_level=1)
    else:
        # Method 0 is the fastest of WebP's six, and still smaller than JPEG.
        image.save(file, "WEBP", quality=quality, method=0)
    return file.getvalue()


_LARGEST: dict[Format, int] = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383}


def _check_size(image: Image.Image, format: Format) -> None:
    largest = _LARGEST[format]
    if max(image.size) > largest:
        raise ValueError(
            f"{format} holds at most {largest} rows and columns; "
            f"this picture has {image.height} and {image.width}."
        )
