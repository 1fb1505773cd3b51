"""The frames of an instance as one moving picture: an animated WebP file.

The container (RFC 9649) is written here, a frame at a time, around frames that Pillow encodes: its
own writer of animations wants all frames in memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from appliance.archive.files import PendingFile
from appliance.images.render import Picture

Array = np.ndarray[Any, np.dtype[Any]]

SIDE: Final = 1280
"""Rows and columns of an animation at most. The pictures of the frames have the rest."""

_QUALITY = 75
_LARGEST = 2**32 - 2**24
_ANIMATED = 0x02
_NOT_BLENDED = 0x02
_LONGEST = 2**24 - 1


@dataclass(slots=True)
class Animation:
    """An animation that grows frame by frame in a pending file, repeated for ever when shown."""

    file: PendingFile
    size: tuple[int, int] = (0, 0)
    """Width and height, known with the first frame."""
    _written: int = 0
    _late: float = 0.0

    def add(self, pixels: Array, milliseconds: float) -> None:
        """The next frame: uint8, (rows, columns) or (rows, columns, 3), all of one size.

        Raises OSError if it cannot be written.
        """
        image = _reduced(Image.fromarray(pixels))
        if not self._written:
            self.size = image.size
            self._write(_header(*self.size))
        encoded = BytesIO()
        image.convert("RGB").save(encoded, "WEBP", quality=_QUALITY, method=0)
        # Fractions are carried over: 30 frames take a second, not 990 ms.
        self._late += milliseconds
        shown = min(round(self._late), _LONGEST)
        self._late -= shown
        frame = _three(0) * 2 + _three(self.size[0] - 1) + _three(self.size[1] - 1)
        frame += _three(shown) + bytes([_NOT_BLENDED])
        self._write(_chunk(b"ANMF", frame + encoded.getvalue()[12:]))

    @property
    def full(self) -> bool:
        """Whether the format can hold no more."""
        return self._written > _LARGEST

    def finish(self) -> None:
        """Make the file whole, but not settle it. Raises OSError."""
        self.file.amend(4, struct.pack("<I", self._written - 8))

    def _write(self, part: bytes) -> None:
        self.file.write((part,))
        self._written += len(part)


@dataclass(slots=True)
class Reel:
    """What becomes the animation of an instance, if that has several frames.

    As a context it removes what was not taken out by `film`. Raises OSError where it cannot write.
    """

    final: Path
    wanted: bool = True
    remark: str = ""
    """Why there is no animation although there might be one, in a sentence."""
    _animation: Animation | None = None

    def add(self, picture: Picture) -> None:
        """The next frame, unless the picture stands alone."""
        if picture.frame is None or not picture.milliseconds or not self.wanted:
            return
        if self._animation is None:
            self._animation = Animation(PendingFile.create(self.final))
        self._animation.add(picture.pixels, picture.milliseconds)
        if self._animation.full:
            self.wanted, self.remark = False, "The animation of the frames would be too large."
            self._discard()

    def film(self) -> Animation | None:
        """The animation, whole but not settled; None if there is none."""
        film, self._animation = self._animation, None
        if film is not None:
            film.finish()
        return film

    def __enter__(self) -> Reel:
        return self

    def __exit__(self, *_: object) -> None:
        self._discard()

    def _discard(self) -> None:
        if self._animation is not None:
            self._animation.file.discard()
            self._animation = None


def _reduced(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    if longest <= SIDE:
        return image
    width, height = (max(1, round(side * SIDE / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


def _header(width: int, height: int) -> bytes:
    """RIFF, VP8X and ANIM; the size of the whole is amended in the end."""
    canvas = bytes([_ANIMATED, 0, 0, 0]) + _three(width - 1) + _three(height - 1)
    background, forever = bytes([0, 0, 0, 255]), bytes(2)
    return b"RIFF\0\0\0\0WEBP" + _chunk(b"VP8X", canvas) + _chunk(b"ANIM", background + forever)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _three(number: int) -> bytes:
    return struct.pack("<I", number)[:3]
