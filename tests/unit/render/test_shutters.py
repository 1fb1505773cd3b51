"""The display shutters of images themselves: where they hide, with what, and in which frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydicom.dataset import Dataset

from appliance.images.render import Limits, Renderer, render
from appliance.images.render.colour import of_cielab
from tests.unit.render import made
from tests.unit.render.test_overlays import put

Array = np.ndarray[Any, np.dtype[Any]]

ROWS, COLUMNS = 50, 60
ROW, COLUMN = np.mgrid[1 : ROWS + 1, 1 : COLUMNS + 1]
RECTANGLE = (COLUMN >= 10) & (COLUMN <= 50) & (ROW >= 5) & (ROW <= 40)
CIRCLE = (ROW - 20) ** 2 + (COLUMN - 30) ** 2 <= 15**2


def rectangle(to: Dataset) -> Dataset:
    to.ShutterShape = "RECTANGULAR"
    to.ShutterLeftVerticalEdge, to.ShutterRightVerticalEdge = 10, 50
    to.ShutterUpperHorizontalEdge, to.ShutterLowerHorizontalEdge = 5, 40
    return to


def circle(to: Dataset) -> Dataset:
    to.ShutterShape = "CIRCULAR"
    to.CenterOfCircularShutter, to.RadiusOfCircularShutter = [20, 30], 15
    return to


def white(frames: int = 1) -> Dataset:
    shape = (frames, ROWS, COLUMNS) if frames > 1 else (ROWS, COLUMNS)
    return made.grey(np.full(shape, 255, np.uint8), WindowCenter=128, WindowWidth=256)


def shown(dataset: Dataset) -> Array:
    (picture,) = render(dataset)
    return picture.pixels


@pytest.mark.parametrize(("shutter", "seen"), [(rectangle, RECTANGLE), (circle, CIRCLE)])
@pytest.mark.parametrize("value", [None, 0x4000, 0xFFFF])
def test_what_a_shutter_hides_is_of_its_shade(shutter: Any, seen: Array, value: int | None) -> None:
    dataset = shutter(white())
    if value is not None:
        dataset.ShutterPresentationValue = value
    assert np.array_equal(shown(dataset), np.where(seen, 255, (value or 0) >> 8))


def test_shade_is_of_the_display_and_not_inverted() -> None:
    dataset = circle(white())
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.ShutterPresentationValue = 0x4000
    assert np.array_equal(shown(dataset), np.where(CIRCLE, 0, 0x40))


def test_colour() -> None:
    dataset = circle(made.colour(np.full((ROWS, COLUMNS, 3), 200, np.uint8)))
    dataset.ShutterPresentationValue = 0x4000
    seen = CIRCLE[..., np.newaxis]
    assert np.array_equal(shown(dataset), np.where(seen, 200, [0x40] * 3))
    dataset.ShutterPresentationColorCIELabValue = [35579, 53664, 50858]
    red = shown(dataset)[0, 0]
    assert red[0] >= 250 and red[1:].max() < 5
    assert np.array_equal(shown(dataset), np.where(seen, 200, red))


@pytest.mark.parametrize(
    "lab",
    [(0, 128, 128), (100, 128, 128), (50, 128, 128), (54, 208, 195), (60, 90, 150), (40, 140, 110)],
)
def test_cielab_is_what_littlecms_makes_of_it(lab: tuple[int, int, int]) -> None:
    """L* from 0 to 100, a* and b* from 0 for -128."""
    space, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    way = ImageCms.buildTransform(space, srgb, "LAB", "RGB", renderingIntent=1)
    eight = round(lab[0] * 2.55), *lab[1:]
    theirs = ImageCms.applyTransform(Image.new("LAB", (1, 1), eight), way).getpixel((0, 0))
    mine = of_cielab([eight[0] * 257, lab[1] * 257, lab[2] * 257])
    assert np.abs(np.subtract(theirs, mine)).max() <= 2


def test_shutters_of_frames_come_before_that_of_all() -> None:
    dataset = white(3)
    item, nothing = Dataset(), Dataset()
    item.FrameDisplayShutterSequence = [circle(Dataset())]
    dataset.PerFrameFunctionalGroupsSequence = [nothing, item, nothing]
    first, second, third = (picture.pixels for picture in render(dataset))
    assert np.array_equal(second, np.where(CIRCLE, 255, 0))
    assert first.all() and third.all()
    shared = Dataset()
    shared.FrameDisplayShutterSequence = [rectangle(Dataset())]
    dataset.SharedFunctionalGroupsSequence = [shared]
    first, second, third = (picture.pixels for picture in render(dataset))
    assert np.array_equal(second, np.where(CIRCLE, 255, 0))
    for rest in (first, third):
        assert np.array_equal(rest, np.where(RECTANGLE, 255, 0))


@pytest.mark.parametrize("drawn", [True, False])
def test_an_overlay_that_is_a_shutter_hides_and_is_not_drawn(drawn: bool) -> None:
    dataset = white()
    hidden = np.random.default_rng(3).random((ROWS, COLUMNS)) < 0.5
    put(dataset, hidden)
    dataset.ShutterShape, dataset.ShutterOverlayGroup = "BITMAP", 0x6000
    dataset.ShutterPresentationValue = 0x2000
    (picture,) = Renderer(Limits(), overlays=drawn).dataset(dataset)
    assert np.array_equal(picture.pixels, np.where(hidden, 0x20, 255))


def test_other_overlays_are_drawn_over_a_shutter() -> None:
    dataset = circle(made.grey(np.zeros((ROWS, COLUMNS), np.uint8), WindowCenter=9, WindowWidth=9))
    plane = np.random.default_rng(3).random((ROWS, COLUMNS)) < 0.5
    put(dataset, plane)
    assert np.array_equal(shown(dataset), np.where(plane, 255, 0))


@pytest.mark.parametrize(
    "changed",
    [{"ShutterShape": "STARRY"}, {"CenterOfCircularShutter": 3}, {"RadiusOfCircularShutter": None}],
)
def test_a_shutter_that_says_too_little_hides_nothing(changed: dict[str, Any]) -> None:
    dataset = circle(white())
    for keyword, value in changed.items():
        setattr(dataset, keyword, value)
    assert shown(dataset).all()
