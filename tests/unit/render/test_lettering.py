"""Text of annotations: in a font that has its characters, or with a mark and a remark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.images.render import Limits, Picture, Renderer, lettering
from appliance.images.render.lettering import MISSING
from appliance.images.render.source import of_dataset
from tests.unit.render import made, states
from tests.unit.render.test_states import annotation, text

JAPANESE = "右肺に結節あり"
EAST = [place for place in lettering._PLACES if Path(place).exists()]
with_font = pytest.mark.skipif(
    not EAST, reason="no font of East Asia is installed (Debian package fonts-noto-cjk)"
)


def forget() -> None:
    lettering._installed.cache_clear()


@pytest.fixture
def no_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lettering, "_PLACES", ("/nowhere/font.ttc",))
    forget()
    yield
    forget()


def shown(value: str) -> Picture:
    image = made.grey(np.zeros((128, 256), np.uint8))
    state = states.state(
        image,
        SpecificCharacterSet="ISO_IR 192",
        GraphicAnnotationSequence=[annotation("ONE", text(value, [10, 10, 250, 60]))],
    )
    (one,) = Renderer(Limits()).state(of_dataset(state), lambda _: of_dataset(image))
    assert one.picture is not None
    return one.picture


def test_plain_text_is_in_the_font_of_the_library() -> None:
    letters = lettering.lettering(["Nodule, 4.2 mm", "37 °C"])
    assert (letters.file, letters.whole) == ("", True)
    assert letters.lines == ("Nodule, 4.2 mm", "37 °C")
    assert shown("Nodule").remark == ""


@with_font
def test_japanese_is_in_the_font_of_the_system() -> None:
    letters = lettering.lettering([JAPANESE, "4.2 mm"])
    assert (letters.file, letters.whole) == (EAST[0], True)
    picture = shown(JAPANESE)
    assert picture.remark == ""
    other = shown(JAPANESE[::-1])
    assert not np.array_equal(picture.pixels, other.pixels), "the same box for every character"


@with_font
def test_what_lies_beyond_ascii_is_in_the_font_of_the_system() -> None:
    letters = lettering.lettering(["Größe: 7 µm"])
    assert (letters.file, letters.whole) == (EAST[0], True)


@with_font
def test_what_no_font_has_is_marked() -> None:
    letters = lettering.lettering(["右 \U0010fffc"])
    assert letters.lines == ("右 ?",) and not letters.whole


def test_without_a_font_the_picture_says_so(no_font: None) -> None:
    letters = lettering.lettering(["CT: " + JAPANESE])
    assert letters.lines == ("CT: " + "?" * len(JAPANESE),)
    picture = shown(JAPANESE)
    assert picture.remark == MISSING
    assert np.array_equal(picture.pixels, shown("?" * len(JAPANESE)).pixels)
