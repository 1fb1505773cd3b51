"""Fonts for text in pictures: Pillow's own, and one of East Asia where the system has one.

Pillow's has little more than ASCII. A font with Japanese is ten times as large as the rest of the
renderer, and few pictures have text of ours at all: it comes with the image or not (Buildroot's and
Debian's wqy-zenhei, Debian's vlgothic and noto-cjk), and without it a picture says what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from PIL import ImageFont, features

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MISSING: Final = (
    "Some characters of the annotations are in no font of this box: a ? stands for each."
)

_PLACES: Final = (
    "/usr/share/fonts/wqy-zenhei/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/vlgothic/VL-Gothic-Regular.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
)
_OWN: Final = ""
_NOBODYS: Final = "\U0010fffd"
"""A character that no font has: what is drawn for it is drawn for all that are missing."""


@dataclass(frozen=True, slots=True)
class Lettering:
    """Lines of text, a font that has their characters, and whether it has all of them.

    `file` is the font's, "" for Pillow's own. What it does not have is a question mark in `lines`.
    """

    lines: tuple[str, ...]
    file: str
    whole: bool

    def font(self, size: int) -> Font:
        """The font, its letters `size` pixels high."""
        return _font(self.file, size)


def lettering(lines: Sequence[str]) -> Lettering:
    """The lines in the first font that has all their characters, or in the last there is."""
    characters = {character for line in lines for character in line}
    files = (_OWN, *_installed())
    file = next((one for one in files if all(_has(one, c) for c in characters)), files[-1])
    shown = tuple("".join(c if _has(file, c) else "?" for c in line) for line in lines)
    return Lettering(shown, file, shown == tuple(lines))


@cache
def _installed() -> tuple[str, ...]:
    """The first of the fonts of East Asia that is there, if one is and can be drawn."""
    if not features.check("freetype2"):
        return ()
    return tuple(place for place in _PLACES if Path(place).exists())[:1]


@lru_cache(maxsize=4096)
def _has(file: str, character: str) -> bool:
    """Whether a font has a shape of its own for a character."""
    if character.isspace():
        return True
    font = _font(file, 24)
    if not isinstance(font, ImageFont.FreeTypeFont):
        return character.isascii()
    shape, nothing = font.getmask(character), font.getmask(_NOBODYS)
    return (shape.size, bytes(shape)) != (nothing.size, bytes(nothing))


@lru_cache(maxsize=32)
def _font(file: str, size: int) -> Font:
    if file:
        return ImageFont.truetype(file, size)
    return ImageFont.load_default(size if features.check("freetype2") else None)
