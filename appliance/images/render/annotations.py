"""Graphic annotations: text and lines that a presentation state lays over an image.

PS3.3 Sections C.10.5 and C.10.7.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.charset import convert_encodings, decode_bytes

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attribute, Attributes
from appliance.images.render.colour import of_cielab
from appliance.images.render.lettering import MISSING, Font, Lettering, lettering
from appliance.images.render.overlays import Ink
from appliance.images.render.view import Point, View

Array = np.ndarray[Any, np.dtype[Any]]

_MOST_OBJECTS = 10_000
_MOST_POINTS = 100_000
_MOST_CHARACTERS = 10_000
_FAR = 1e6
_WHITE, _BLACK = 255, 0
_SMALLEST_TEXT = 9
_POINTS_OF_ROUND = {"CIRCLE": 2, "ELLIPSE": 4}
_LINE_ENDS = {0x0A, 0x0C, 0x0D}
_STEPS = 8
"""Straight pieces between two points of a curve."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A graphic layer: its name, its place in the order from below, its shade and colour."""

    name: str
    order: int
    shade: int = _WHITE
    colour: tuple[int, int, int] = (_WHITE, _WHITE, _WHITE)

    def ink(self, pixels: Array) -> Ink:
        """What is drawn with on shades (rows, columns) or colours (rows, columns, 3)."""
        return self.shade if pixels.ndim == 2 else self.colour


def layers(state: Attributes) -> dict[str, Layer]:
    """The graphic layers of a presentation state by name."""
    return {layer.name: layer for layer in map(_layer, state.items(a.GRAPHIC_LAYERS))}


def _layer(item: Attributes) -> Layer:
    grey, lab = item.integer(a.LAYER_GREY), item.integers(a.LAYER_COLOUR)
    shade = _WHITE if grey is None else grey >> 8 & 0xFF
    colour = of_cielab(lab) if len(lab) == 3 else (shade, shade, shade)
    return Layer(item.text(a.GRAPHIC_LAYER), item.integer(a.LAYER_ORDER) or 0, shade, colour)


def annotated(
    pixels: Array, state: Attributes, annotations: Iterable[Attributes], view: View
) -> tuple[Array, str]:
    """The shades or colours of a view with annotations drawn on them, and a remark or nothing.

    `annotations`: those items of Graphic Annotation Sequence that are for the image. `pixels` stay.
    """
    known = layers(state)
    unknown = Layer("", 0)
    inked = [(known.get(item.text(a.GRAPHIC_LAYER), unknown), item) for item in annotations]
    if not inked:
        return pixels, ""
    remark = ""
    image = Image.fromarray(pixels)
    encodings = _encodings(state)
    for layer, item in sorted(inked, key=lambda one: one[0].order):
        pen = _Pen(ImageDraw.Draw(image), view, image.size, layer.ink(pixels))
        for graphic in item.items(a.GRAPHIC_OBJECTS)[:_MOST_OBJECTS]:
            pen.graphic(graphic)
        for text in item.items(a.TEXT_OBJECTS)[:_MOST_OBJECTS]:
            letters = lettering(_decoded(text, encodings))
            pen.text(text, letters)
            remark = remark if letters.whole else MISSING
    return np.asarray(image), remark


def _encodings(state: Attributes) -> list[str]:
    try:
        return list(convert_encodings(list(state.texts(a.CHARACTER_SETS)) or "ISO_IR 6"))
    except Exception:  # pydicom raises what a label that it does not know makes it raise
        return ["latin-1"]


def _decoded(item: Attributes, encodings: Sequence[str]) -> list[str]:
    """The lines of a text object."""
    _, value = item.element(a.TEXT_VALUE)
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = decode_bytes(bytes(value[: 4 * _MOST_CHARACTERS]), encodings, _LINE_ENDS)
    text = str(value or "")[:_MOST_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")
    lines = text.rstrip(" \0\n").split("\n")
    return ["".join(c for c in line if c.isprintable()) for line in lines]


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws the objects of one layer on a picture of `size` (width, height)."""

    draw: ImageDraw.ImageDraw
    view: View
    size: tuple[int, int]
    shade: Ink

    @property
    def width(self) -> int:
        """Of a line, in pixels: as fine as can be seen when the whole picture is."""
        return max(1, round(min(self.size) / 512))

    def graphic(self, item: Attributes) -> None:
        """A point, a line through points, a circle or an ellipse (PS3.3 Table C.10-5)."""
        points = self._points(item, a.GRAPHIC_DATA, item.text(a.GRAPHIC_UNITS))
        kind = item.text(a.GRAPHIC_TYPE).upper()
        if kind == "POINT":
            self._dots(points)
            return
        if _POINTS_OF_ROUND.get(kind) == len(points):
            path = self._round(item, kind)
        elif kind == "INTERPOLATED":
            path = list(_curve(points))
        else:
            path = points
        if len(path) < 2:
            self._dots(path)
        elif item.text(a.GRAPHIC_FILLED).upper() == "Y" and len(path) > 2:
            self.draw.polygon(path, fill=self.shade)
        else:
            self.draw.line(path, fill=self.shade, width=self.width)

    def text(self, item: Attributes, letters: Lettering) -> None:
        """Text in its box, or beside its anchor point, and a line from there if it is visible."""
        if not any(letters.lines):
            return
        box = [
            *self._points(item, a.BOX_TOP_LEFT, item.text(a.BOX_UNITS))[:1],
            *self._points(item, a.BOX_BOTTOM_RIGHT, item.text(a.BOX_UNITS))[:1],
        ]
        anchor = self._points(item, a.ANCHOR_POINT, item.text(a.ANCHOR_UNITS))[:1]
        usual = max(_SMALLEST_TEXT, min(self.size) // 32)
        if len(box) == 2:
            (left, right), (top, bottom) = (sorted(c) for c in zip(*box, strict=True))
            font = self._fitting(letters, right - left, bottom - top)
            if anchor and item.text(a.ANCHOR_VISIBLE).upper() == "Y":
                nearest = min(max(anchor[0][0], left), right), min(max(anchor[0][1], top), bottom)
                self.draw.line([anchor[0], nearest], fill=self.shade, width=self.width)
        elif anchor:
            left, top = anchor[0]
            right, font = left, letters.font(usual)
            if item.text(a.ANCHOR_VISIBLE).upper() == "Y":
                self._dots(anchor)
        else:
            return
        self._write(letters.lines, left, right, top, font, item.text(a.TEXT_JUSTIFICATION).upper())

    def _write(
        self, lines: Sequence[str], left: float, right: float, top: float, font: Font, side: str
    ) -> None:
        across = {"CENTER": (left + right) / 2, "RIGHT": right}.get(side, left)
        place = {"CENTER": "ma", "RIGHT": "ra"}.get(side, "la")
        height = _height(font)
        for number, line in enumerate(lines):
            where = across, top + number * height
            if isinstance(font, ImageFont.FreeTypeFont):
                # Legible on white, too.
                self.draw.text(
                    where, line, self.shade, font, place, stroke_width=1, stroke_fill=_BLACK
                )
            else:
                self.draw.text(where, line.encode("latin-1", "replace"), self.shade, font)

    def _fitting(self, letters: Lettering, width: float, height: float) -> Font:
        """The largest font in which the lines fit into a box, but a legible one."""
        size = int(min(max(height / len(letters.lines), _SMALLEST_TEXT), max(self.size) / 8))
        font = letters.font(max(size, _SMALLEST_TEXT))
        longest = max(font.getlength(line) for line in letters.lines)
        if longest > width > 0:
            font = letters.font(max(int(size * width / longest), _SMALLEST_TEXT))
        return font

    def _dots(self, points: Sequence[Point]) -> None:
        radius = self.width + 1
        for x, y in points:
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=self.shade)

    def _points(self, item: Attributes, attribute: Attribute, units: str) -> list[Point]:
        """Points in the picture; those that are too far away to be meant are left out."""
        values = item.decimals(attribute)[: 2 * _MOST_POINTS]
        pairs = list(zip(values[::2], values[1::2], strict=False))
        return [place for pair in pairs if _near(place := self._place(pair, units))]

    def _place(self, point: Point, units: str) -> Point:
        if units.upper() == "DISPLAY":
            return point[0] * self.size[0], point[1] * self.size[1]
        return self.view.place(point)

    def _round(self, item: Attributes, kind: str) -> list[Point]:
        """A circle (centre, point on it) or ellipse (ends of both axes) as a closed line.

        Made in the image and then placed: where its pixels are not square, a circle is none.
        """
        values = item.decimals(a.GRAPHIC_DATA)
        points = list(zip(values[::2], values[1::2], strict=True))
        if kind == "CIRCLE":
            (cx, cy), (x, y) = points
            one, other = (x - cx, y - cy), (cy - y, x - cx)
        else:
            cx, cy = sum(x for x, _ in points) / 4, sum(y for _, y in points) / 4
            one = (points[1][0] - points[0][0]) / 2, (points[1][1] - points[0][1]) / 2
            other = (points[3][0] - points[2][0]) / 2, (points[3][1] - points[2][1]) / 2
        turns = (2 * math.pi * step / 128 for step in range(129))
        line = [
            (
                cx + one[0] * math.cos(turn) + other[0] * math.sin(turn),
                cy + one[1] * math.cos(turn) + other[1] * math.sin(turn),
            )
            for turn in turns
        ]
        placed = (self._place(point, item.text(a.GRAPHIC_UNITS)) for point in line)
        return [point for point in placed if _near(point)]


def _near(point: Point) -> bool:
    return abs(point[0]) < _FAR and abs(point[1]) < _FAR


def _curve(points: Sequence[Point]) -> Iterator[Point]:
    """A smooth line through points (Catmull-Rom): no curve in particular is asked for."""
    if len(points) < 3:
        yield from points
        return
    closed = points[0] == points[-1]
    before = points[-2] if closed else points[0]
    after = points[1] if closed else points[-1]
    every = [before, *points, after]
    for p0, p1, p2, p3 in zip(every, every[1:], every[2:], every[3:], strict=False):
        for step in range(_STEPS):
            t = step / _STEPS
            yield _between(p0[0], p1[0], p2[0], p3[0], t), _between(p0[1], p1[1], p2[1], p3[1], t)
    yield points[-1]


def _between(p0: float, p1: float, p2: float, p3: float, t: float) -> float:
    bend = (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    return p1 + ((p2 - p0) * t + bend) / 2


def _height(font: Font) -> float:
    if isinstance(font, ImageFont.FreeTypeFont):
        return font.size * 1.1
    return font.getbbox("Ag")[3] + 2.0
