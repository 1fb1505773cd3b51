"""Pixels that are not square make pictures whose pixels are."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from appliance.images.render import Limits, Undecodable, render
from tests.unit.render import made


def shape(**attributes: object) -> tuple[int, ...]:
    cells = np.arange(200, dtype=np.uint8).reshape(10, 20)
    (picture,) = render(made.grey(cells, **attributes))
    return picture.pixels.shape


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, (10, 20)),
        ({"PixelAspectRatio": [1, 1]}, (10, 20)),
        ({"PixelAspectRatio": [2, 1]}, (20, 20)),
        ({"PixelAspectRatio": [1, 2]}, (10, 40)),
        ({"PixelSpacing": [0.7, 0.7]}, (10, 20)),
        ({"PixelSpacing": [1.5, 1]}, (15, 20)),
        ({"ImagerPixelSpacing": [0.1, 0.3]}, (10, 60)),
        ({"NominalScannedPixelSpacing": [3, 1]}, (30, 20)),
        # What the pixels measure is surer than a ratio that contradicts it.
        ({"PixelSpacing": [1, 1], "PixelAspectRatio": [4, 3]}, (10, 20)),
        # A third decimal is rounding.
        ({"PixelSpacing": ["0.351", "0.352"]}, (10, 20)),
        ({"PixelAspectRatio": [0, 1]}, (10, 20)),
        ({"PixelAspectRatio": [1, 5000]}, (10, 20)),
        ({"PixelAspectRatio": [-2, -1]}, (10, 20)),
        ({"PixelSpacing": [2]}, (10, 20)),
    ],
)
def test_the_shorter_side_is_stretched(
    attributes: dict[str, object], expected: tuple[int, int]
) -> None:
    assert shape(**attributes) == expected


def test_pixel_measures_come_before_the_dataset() -> None:
    measures, item = Dataset(), Dataset()
    measures.PixelSpacing = [2, 1]
    item.PixelMeasuresSequence = [measures]
    assert shape(SharedFunctionalGroupsSequence=[item], PixelSpacing=[1, 1]) == (20, 20)


def test_colour_is_stretched_too() -> None:
    cells = np.zeros((4, 4, 3), np.uint8)
    (picture,) = render(made.colour(cells, PixelAspectRatio=[2, 1]))
    assert picture.pixels.shape == (8, 4, 3)


def test_stretching_makes_nothing_larger_than_the_limit() -> None:
    dataset = made.grey(np.zeros((10, 20), np.uint8), PixelAspectRatio=[1, 19])
    with pytest.raises(Undecodable, match="380 × 10 is larger"):
        list(render(dataset, Limits(frame_pixels=1000)))
