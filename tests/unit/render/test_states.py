"""Presentation states: which image, what part of it, what hides it, and what is drawn on it.

Their grey stages are held to DCMTK in `tests/interop`, whose program draws nothing over an image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from appliance.images.render import Limits, Presented, Renderer, softcopy
from appliance.images.render.source import Source, of_dataset
from tests.unit.render import made, states
from tests.unit.render.test_overlays import put

Array = np.ndarray[Any, np.dtype[Any]]

CELLS = np.arange(96, dtype=np.uint8).reshape(8, 12) * 2


def image(cells: Array = CELLS, uid: str = "2.25.1", **attributes: Any) -> Dataset:
    return made.grey(cells, SOPInstanceUID=uid, **attributes)


def outcomes(state: Dataset, *images: Dataset, limits: Limits | None = None) -> list[Presented]:
    by_uid = {one.SOPInstanceUID: one for one in images}

    def find(uid: str) -> Source | None:
        return of_dataset(by_uid[uid]) if uid in by_uid else None

    return list(Renderer(limits or Limits()).state(of_dataset(state), find))


def shown(state: Dataset, *images: Dataset) -> Array:
    (outcome,) = outcomes(state, *images)
    assert outcome.picture is not None, outcome.remark
    return outcome.picture.pixels


def blank(rows: int = 200, columns: int = 300) -> Dataset:
    return image(np.zeros((rows, columns), np.uint8))


# -- which image


def test_each_frame_of_each_image_in_its_order() -> None:
    one, two = image(uid="2.25.1"), image(np.stack([CELLS] * 3), uid="2.25.2")
    made_of = [
        (outcome.image, outcome.frame, outcome.picture.frame if outcome.picture else None)
        for outcome in outcomes(states.state(one, two), one, two)
    ]
    assert made_of == [
        ("2.25.1", 0, 1),
        ("2.25.2", 1, 2),
        ("2.25.2", 2, 3),
        ("2.25.2", 3, 4),
    ]


def test_an_image_that_is_not_here_takes_nothing_from_the_others() -> None:
    one, two = image(uid="2.25.1"), image(uid="2.25.2")
    first, second = outcomes(states.state(one, two), two)
    assert first.absent and first.picture is None and "not here" in first.remark
    assert second.image == "2.25.2" and second.picture is not None


def test_an_image_that_cannot_be_shown_takes_nothing_from_the_others() -> None:
    one, two = image(uid="2.25.1"), image(uid="2.25.2")
    del one.PixelData
    first, second = outcomes(states.state(one, two), one, two)
    assert not first.absent and "no pixel data" in first.remark
    assert second.picture is not None


def test_a_coloured_image_and_a_mask_are_refused_by_name() -> None:
    colour = made.colour(np.zeros((4, 4, 3), np.uint8), SOPInstanceUID="2.25.1")
    (outcome,) = outcomes(states.state(colour), colour)
    assert "coloured" in outcome.remark
    (outcome,) = outcomes(states.state(image(), MaskSubtractionSequence=[Dataset()]), image())
    assert "mask" in outcome.remark


def test_windows_are_those_of_the_image_they_name() -> None:
    one, two = image(uid="2.25.1"), image(uid="2.25.2")
    first, second = states.window(50, 10), states.window(150, 10)
    first.ReferencedImageSequence = states.referring(one)
    second.ReferencedImageSequence = states.referring(two)
    state = states.state(one, two, SoftcopyVOILUTSequence=[first, second])
    pictures = [outcome.picture for outcome in outcomes(state, one, two)]
    assert [picture.voi if picture else "" for picture in pictures] == [
        "window 50/10 LINEAR",
        "window 150/10 LINEAR",
    ]


def test_references_that_go_nowhere_are_none() -> None:
    assert softcopy.references(of_dataset(made.instance()).attributes) == ()
    assert outcomes(made.instance()) == []


# -- what part of it


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_it_is_turned_clockwise_then_flipped(rotation: int, flip: bool) -> None:
    state = states.state(image(), ImageRotation=rotation, ImageHorizontalFlip="Y" if flip else "N")
    expected = np.rot90(CELLS, -rotation // 90)
    expected = expected[:, ::-1] if flip else expected
    assert np.array_equal(shown(state, image()), expected)


def test_the_displayed_area_is_cut_out() -> None:
    area = states.area(
        image(),
        DisplayedAreaTopLeftHandCorner=[3, 2],
        DisplayedAreaBottomRightHandCorner=[6, 7],
    )
    state = states.state(image(), DisplayedAreaSelectionSequence=[area])
    assert np.array_equal(shown(state, image()), CELLS[1:7, 2:6])


def test_beyond_the_image_there_is_black() -> None:
    area = states.area(
        image(),
        DisplayedAreaTopLeftHandCorner=[-1, 0],
        DisplayedAreaBottomRightHandCorner=[14, 10],
    )
    state = states.state(image(), DisplayedAreaSelectionSequence=[area])
    assert np.array_equal(shown(state, image()), np.pad(CELLS, ((1, 2), (2, 2))))


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({"PresentationPixelAspectRatio": [2, 1]}, (16, 12)),
        ({"PresentationPixelSpacing": [1, 3], "PresentationPixelAspectRatio": None}, (8, 36)),
    ],
)
def test_the_area_says_how_its_pixels_are(given: dict[str, Any], shape: tuple[int, int]) -> None:
    area = states.area(image())
    for name, value in given.items():
        if value is None:
            delattr(area, name)
        else:
            setattr(area, name, value)
    state = states.state(image(), DisplayedAreaSelectionSequence=[area])
    assert shown(state, image()).shape == shape


def test_an_area_without_end_is_refused() -> None:
    area = states.area(image(), DisplayedAreaBottomRightHandCorner=[2**31 - 1, 2**31 - 1])
    (outcome,) = outcomes(states.state(image(), DisplayedAreaSelectionSequence=[area]), image())
    assert outcome.picture is None and "larger than the limit" in outcome.remark


# -- what hides it


def test_shutters() -> None:
    white = image(np.full((50, 60), 255, np.uint8))
    row, column = np.mgrid[1:51, 1:61]
    given = {
        "ShutterLeftVerticalEdge": 10,
        "ShutterRightVerticalEdge": 50,
        "ShutterUpperHorizontalEdge": 5,
        "ShutterLowerHorizontalEdge": 40,
        "CenterOfCircularShutter": [20, 30],
        "RadiusOfCircularShutter": 15,
        "VerticesOfThePolygonalShutter": [1, 1, 1, 60, 50, 30],
        "ShutterPresentationValue": 0x4000,
    }
    visible = {
        "RECTANGULAR": (column >= 10) & (column <= 50) & (row >= 5) & (row <= 40),
        "CIRCULAR": (row - 20) ** 2 + (column - 30) ** 2 <= 225,
    }
    for name, seen in visible.items():
        state = states.state(white, ShutterShape=name, **given)
        assert np.array_equal(shown(state, white), np.where(seen, 255, 0x40))
    both = states.state(white, ShutterShape=["RECTANGULAR", "CIRCULAR"], **given)
    seen = visible["RECTANGULAR"] & visible["CIRCULAR"]
    assert np.array_equal(shown(both, white), np.where(seen, 255, 0x40))
    polygon = shown(states.state(white, ShutterShape="POLYGONAL", **given), white)
    assert polygon[2, 30] == 255 and polygon[45, 2] == polygon[45, 57] == 0x40


# -- what is drawn on it


def layer(name: str, order: int, grey: int) -> Dataset:
    item = Dataset()
    item.GraphicLayer, item.GraphicLayerOrder = name, order
    item.GraphicLayerRecommendedDisplayGrayscaleValue = grey
    return item


def graphic(kind: str, points: list[float], filled: bool = False, units: str = "PIXEL") -> Dataset:
    item = Dataset()
    item.GraphicAnnotationUnits, item.GraphicDimensions = units, 2
    item.NumberOfGraphicPoints, item.GraphicData = len(points) // 2, points
    item.GraphicType, item.GraphicFilled = kind, "Y" if filled else "N"
    return item


def text(value: str, box: list[float] | None, anchor: list[float] | None = None) -> Dataset:
    item = Dataset()
    item.UnformattedTextValue = value
    if box:
        item.BoundingBoxAnnotationUnits = "PIXEL"
        item.BoundingBoxTopLeftHandCorner = box[:2]
        item.BoundingBoxBottomRightHandCorner = box[2:]
        item.BoundingBoxTextHorizontalJustification = "LEFT"
    if anchor:
        item.AnchorPointAnnotationUnits = "PIXEL"
        item.AnchorPoint, item.AnchorPointVisibility = anchor, "Y"
    return item


def annotation(name: str, *objects: Dataset) -> Dataset:
    item = Dataset()
    item.GraphicLayer = name
    item.GraphicObjectSequence = [one for one in objects if "GraphicType" in one]
    item.TextObjectSequence = [one for one in objects if "UnformattedTextValue" in one]
    return item


def annotated(*objects: Dataset, on: Dataset | None = None, **attributes: Any) -> Array:
    on = on or blank()
    state = states.state(
        on,
        GraphicLayerSequence=[layer("ONE", 1, 0xFFFF)],
        GraphicAnnotationSequence=[annotation("ONE", *objects)],
        **attributes,
    )
    return shown(state, on)


def extent(pixels: Array) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is not black."""
    rows, columns = np.nonzero(pixels)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (graphic("POLYLINE", [20, 30, 120, 30, 120, 90]), (20, 30, 120, 90)),
        (graphic("CIRCLE", [100, 80, 140, 80]), (60, 40, 140, 120)),
        (graphic("ELLIPSE", [50, 80, 150, 80, 100, 60, 100, 100], True), (50, 60, 150, 100)),
        (graphic("INTERPOLATED", [10, 10, 60, 10, 110, 10]), (10, 10, 110, 10)),
        (graphic("POINT", [50, 60]), (48, 58, 52, 62)),
        (graphic("POLYLINE", [0.1, 0.5, 0.5, 0.5], units="DISPLAY"), (30, 100, 150, 100)),
    ],
    ids=lambda one: one.GraphicType if isinstance(one, Dataset) else "",
)
def test_graphics_lie_where_they_are_said_to(
    one: Dataset, expected: tuple[int, int, int, int]
) -> None:
    found = extent(annotated(one))
    assert np.abs(np.subtract(found, expected)).max() <= 2


def test_only_what_is_filled_has_an_inside() -> None:
    corners = [20.0, 20.0, 100.0, 20.0, 100.0, 100.0, 20.0, 100.0, 20.0, 20.0]
    assert annotated(graphic("POLYLINE", corners))[60, 60] == 0
    assert annotated(graphic("POLYLINE", corners, filled=True))[60, 60] == 255


def test_graphics_go_with_the_image_where_it_is_turned_cut_and_stretched() -> None:
    spot = np.zeros((200, 300), np.uint8)
    spot[60:64, 100:104] = 255
    area = states.area(
        blank(),
        DisplayedAreaTopLeftHandCorner=[51, 31],
        DisplayedAreaBottomRightHandCorner=[250, 130],
        PresentationPixelAspectRatio=[2, 1],
    )
    how = {
        "DisplayedAreaSelectionSequence": [area],
        "ImageRotation": 90,
        "ImageHorizontalFlip": "Y",
    }
    marked = annotated(graphic("POLYLINE", [100, 60, 104, 60, 104, 64, 100, 64], True), **how)
    seen = shown(states.state(blank(), **how), image(spot))
    assert marked.shape == seen.shape
    assert np.abs(np.subtract(extent(marked > 128), extent(seen > 128))).max() <= 1


def test_text_lies_in_its_box() -> None:
    left, top, right, bottom = extent(annotated(text("LEFT\r\nlung", [50, 40, 150, 100])))
    assert left >= 48 and top >= 38 and right <= 152 and bottom <= 108
    assert bottom - top > 25, "two lines"


def test_text_without_a_box_is_at_its_anchor() -> None:
    left, top, _, _ = extent(annotated(text("here", None, [200, 100])))
    assert abs(left - 200) <= 4 and abs(top - 100) <= 4


@pytest.mark.parametrize("value", ["", " ", "\0\0", "患者 肺", "a" * 5000, "x\n" * 3000])
def test_any_text_is_borne(value: str) -> None:
    annotated(text(value, [50, 40, 150, 100]), SpecificCharacterSet="ISO_IR 192")


def test_layers_lie_over_each_other_in_their_order() -> None:
    square = [20.0, 20.0, 100.0, 20.0, 100.0, 100.0, 20.0, 100.0]
    on = blank()
    state = states.state(
        on,
        GraphicLayerSequence=[layer("TOP", 2, 0x8000), layer("LOW", 1, 0xFFFF)],
        GraphicAnnotationSequence=[
            annotation("TOP", graphic("POLYLINE", square, True)),
            annotation("LOW", graphic("POLYLINE", square, True)),
        ],
    )
    assert shown(state, on)[50, 50] == 0x80


def test_annotations_are_for_the_image_they_name() -> None:
    one, two = blank(), blank()
    two.SOPInstanceUID = "2.25.2"
    mine = annotation("ONE", graphic("POINT", [50, 50]))
    mine.ReferencedImageSequence = states.referring(two)
    state = states.state(one, two, GraphicAnnotationSequence=[mine])
    first, second = outcomes(state, one, two)
    assert first.picture and not first.picture.pixels.any()
    assert second.picture and second.picture.pixels.any()


@pytest.mark.parametrize(
    "points",
    [
        [],
        [1.0],
        [float("nan"), 3.0, 5.0, 5.0],
        [1e30, 1e30, -1e30, 5.0, 7.0, 8.0],
        [float(n % 300) for n in range(20_000)],
    ],
    ids=["none", "half", "no number", "far away", "very many"],
)
@pytest.mark.parametrize("kind", ["POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE", "?"])
def test_any_graphic_is_borne(kind: str, points: list[float]) -> None:
    annotated(graphic(kind, points))


def test_overlays_are_shown_where_the_state_activates_them() -> None:
    chance = np.random.default_rng(1)
    ours, theirs = chance.random((8, 12)) < 0.3, chance.random((8, 12)) < 0.3
    under = image(np.zeros((8, 12), np.uint8))
    put(under, theirs, group=1)
    put(under, np.ones((8, 12), bool), group=2)
    state = states.state(under, GraphicLayerSequence=[layer("A", 1, 0xFFFF), layer("B", 2, 0x8000)])
    put(state, ours)
    state.add_new(0x60001001, "CS", "A")
    state.add_new(0x60021001, "CS", "B")
    expected = np.where(theirs, 0x80, np.where(ours, 255, 0))
    assert np.array_equal(shown(state, under), expected)
