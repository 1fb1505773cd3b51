"""Modality, presentation and functional groups: which of several transforms applies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from appliance.images.render import render
from tests.unit.render import made

CELLS = np.array([[0, 50, 100]], np.uint16)


def shades(dataset: Dataset) -> list[Any]:
    return [picture.pixels.tolist() for picture in render(dataset)]


def windowed(cells: np.ndarray[Any, Any] = CELLS, **attributes: Any) -> Dataset:
    """With a window in which a modality value is its own shade."""
    return made.grey(cells, WindowCenter=128, WindowWidth=256, **attributes)


def group(**attributes: Any) -> Dataset:
    """A functional group item: Pixel Value Transformation and Frame VOI LUT as named."""
    item, transformation, voi = Dataset(), Dataset(), Dataset()
    for name, value in attributes.items():
        setattr(transformation if name.startswith("Rescale") else voi, name, value)
    if len(transformation):
        item.PixelValueTransformationSequence = [transformation]
    if len(voi):
        item.FrameVOILUTSequence = [voi]
    return item


def test_rescale() -> None:
    assert shades(windowed(RescaleSlope=2, RescaleIntercept=10)) == [[[10, 110, 210]]]


def test_an_intercept_alone_is_enough() -> None:
    assert shades(windowed(RescaleIntercept=10)) == [[[10, 60, 110]]]


def test_a_slope_of_zero_is_an_empty_field() -> None:
    assert shades(windowed(RescaleSlope=0, RescaleIntercept=10)) == [[[10, 60, 110]]]


def test_numbers_that_are_none_do_not_count() -> None:
    dataset = windowed()
    dataset._dict[0x00281053] = _raw(0x00281053, b"1.2.3 ")
    dataset._dict[0x00281052] = _raw(0x00281052, b"5 ")
    assert shades(dataset) == [[[5, 55, 105]]]


def _raw(tag: int, value: bytes) -> Any:
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    return RawDataElement(Tag(tag), "DS", len(value), value, 0, False, True)


def test_a_modality_lut_comes_before_rescale() -> None:
    dataset = windowed(RescaleSlope=2, RescaleIntercept=10)
    dataset.ModalityLUTSequence = [made.lut(50, np.array([7, 9], np.uint16), 16)]
    assert shades(dataset) == [[[7, 7, 9]]]


def test_a_modality_lut_need_not_rise() -> None:
    dataset = made.grey(np.array([[0, 1, 2]], np.uint8))
    dataset.ModalityLUTSequence = [made.lut(0, np.array([5, 255, 0], np.uint16), 8)]
    assert shades(dataset) == [[[5, 255, 0]]]


@pytest.mark.parametrize(
    ("photometric", "shape", "inverse"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "LIN OD", True),
    ],
)
def test_low_values_are_white_at_most_once(
    photometric: str, shape: str | None, inverse: bool
) -> None:
    dataset = windowed(PhotometricInterpretation=photometric)
    if shape:
        dataset.PresentationLUTShape = shape
    assert shades(dataset) == [[[255, 205, 155]]] if inverse else [[[0, 50, 100]]]


def test_inverted_is_an_exact_negative_of_a_lut() -> None:
    plain = made.grey(np.arange(256, dtype=np.uint8).reshape(16, 16))
    curve = (np.linspace(0, 1, 256) ** 0.6 * 4095).astype(np.uint16)
    plain.VOILUTSequence = [made.lut(0, curve, 12)]
    (positive,) = render(plain)
    plain.PhotometricInterpretation = "MONOCHROME1"
    (negative,) = render(plain)
    assert np.array_equal(255 - positive.pixels, negative.pixels)


def test_groups_of_the_frame_come_before_the_shared_ones_and_those_before_the_dataset() -> None:
    cells = np.stack([CELLS] * 3)
    dataset = windowed(cells, RescaleSlope=1, RescaleIntercept=1)
    dataset.SharedFunctionalGroupsSequence = [group(RescaleSlope=1, RescaleIntercept=20)]
    dataset.PerFrameFunctionalGroupsSequence = [
        group(RescaleSlope=2, RescaleIntercept=0),
        group(),
        group(WindowCenter=51, WindowWidth=2),
    ]
    assert shades(dataset) == [[[0, 100, 200]], [[20, 70, 120]], [[0, 255, 255]]]


def test_a_frame_group_may_hold_a_lut() -> None:
    dataset = made.grey(np.stack([CELLS] * 2))
    item = group()
    voi = Dataset()
    voi.VOILUTSequence = [made.lut(0, np.arange(101, dtype=np.uint16) * 2, 8)]
    item.FrameVOILUTSequence = [voi]
    dataset.PerFrameFunctionalGroupsSequence = [group(WindowCenter=128, WindowWidth=256), item]
    assert shades(dataset) == [[[0, 50, 100]], [[0, 100, 200]]]


def test_fewer_groups_than_frames_leave_the_rest_to_the_dataset() -> None:
    dataset = windowed(np.stack([CELLS] * 2))
    dataset.PerFrameFunctionalGroupsSequence = [group(RescaleSlope=2, RescaleIntercept=0)]
    assert shades(dataset) == [[[0, 100, 200]], [[0, 50, 100]]]
