"""Masks that presentation states subtract, against PS3.3 C.7.6.10 and PS3.4 N.2.1.2 by hand.

DCMTK does not open such a state, and nothing else at hand subtracts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from appliance.images.render import Limits, Renderer
from appliance.images.render.pipeline import NATIVE
from appliance.images.render.source import of_dataset
from tests.unit.render import made, states

Array = np.ndarray[Any, np.dtype[Any]]

FRAMES = 8
CENTRE, WIDTH = 10, 200
VALUES = np.random.default_rng(4).integers(0, 1024, (FRAMES, 12, 16))


def image(**attributes: Any) -> Dataset:
    return made.grey(VALUES.astype(np.uint16), 10, **attributes)


def subtracting(frames: list[int] | None = None, **said: Any) -> Dataset:
    item = Dataset()
    for keyword, value in said.items():
        setattr(item, keyword, value)
    return states.state(
        image(),
        frames=frames,
        MaskSubtractionSequence=[item],
        RecommendedViewingMode="SUB",
        SoftcopyVOILUTSequence=[states.window(CENTRE, WIDTH)],
    )


def shown(state: Dataset, of: Dataset | None = None) -> dict[int, Array]:
    """The pictures by the number of their frame."""
    outcomes = Renderer(Limits()).state(of_dataset(state), lambda _: of_dataset(of or image()))
    return {one.frame: one.picture.pixels for one in outcomes if one.picture}


def refusal(state: Dataset, of: Dataset | None = None) -> str:
    (one,) = Renderer(Limits()).state(of_dataset(state), lambda _: of_dataset(of or image()))
    assert one.picture is None
    return one.remark


def windowed(values: Array) -> Array:
    """PS3.3 C.11.2.1.2.1."""
    shades = np.clip((values - (CENTRE - 0.5)) / (WIDTH - 1) + 0.5, 0, 1) * 255
    return (shades + 1e-9).astype(np.uint8)


def frame(number: float) -> Array:
    return VALUES[int(number) - 1].astype(float)


def mean(*numbers: int) -> Array:
    return sum(map(frame, numbers), np.zeros(1)) / len(numbers)


def expected(pairs: dict[int, tuple[Array, Array | None]]) -> dict[int, Array]:
    return {
        number: windowed(contrast if mask is None else contrast - mask)
        for number, (contrast, mask) in pairs.items()
    }


def agree(found: dict[int, Array], wanted: dict[int, Array]) -> None:
    assert list(found) == list(wanted)
    for number, pixels in wanted.items():
        assert np.array_equal(found[number], pixels), number


def test_average_of_masks() -> None:
    state = subtracting(MaskOperation="AVG_SUB", MaskFrameNumbers=[1, 2, 8])
    mask = mean(1, 2, 8)
    agree(shown(state), expected({n: (frame(n), mask) for n in range(1, FRAMES + 1)}))


def test_average_of_contrast_frames() -> None:
    """The last frame that is subtracted is that with whom the averaging still fits."""
    state = subtracting(MaskOperation="AVG_SUB", MaskFrameNumbers=1, ContrastFrameAveraging=3)
    pairs = {n: (mean(n, n + 1, n + 2), frame(1)) for n in range(1, 7)}
    agree(shown(state), expected({**pairs, 7: (frame(7), None), 8: (frame(8), None)}))


def test_frames_that_the_state_is_for_and_a_range_of_them() -> None:
    state = subtracting(
        [2, 3, 7],
        MaskOperation="AVG_SUB",
        MaskFrameNumbers=1,
        ApplicableFrameRange=[3, 4, 7, 8],
    )
    pairs = {2: (frame(2), None), 3: (frame(3), frame(1)), 7: (frame(7), frame(1))}
    agree(shown(state), expected(pairs))


@pytest.mark.parametrize("offset", [None, 1, 3, -2])
def test_time_interval_differencing(offset: int | None) -> None:
    state = subtracting(MaskOperation="TID", TIDOffset=offset)
    back = 1 if offset is None else offset
    pairs = {
        n: (frame(n), frame(n - back) if 1 <= n - back <= FRAMES else None)
        for n in range(1, FRAMES + 1)
    }
    agree(shown(state), expected(pairs))


def test_reversed_time_interval_differencing() -> None:
    """The mask goes back by one as the contrast goes on by one."""
    state = subtracting(
        [5, 6, 7, 8], MaskOperation="REV_TID", TIDOffset=1, ApplicableFrameRange=[5, 8]
    )
    pairs = {5: 4, 6: 3, 7: 2, 8: 1}
    agree(shown(state), expected({n: (frame(n), frame(mask)) for n, mask in pairs.items()}))


def test_what_is_subtracted_are_modality_values() -> None:
    state = subtracting([2], MaskOperation="TID")
    state.RescaleSlope, state.RescaleIntercept, state.RescaleType = 3, -500, "US"
    agree(shown(state), expected({2: (3 * frame(2), 3 * frame(1))}))


def test_without_a_window_no_difference_is_in_the_middle() -> None:
    """A difference of 10 bits has 11 and a sign: -1024 is black, 1023 is white."""
    state = subtracting([2], MaskOperation="TID")
    del state.SoftcopyVOILUTSequence
    (pixels,) = shown(state).values()
    share = (frame(2) - frame(1) + 1024) / 2047
    assert np.abs(pixels - share * 255).max() <= 1
    (nothing,) = shown(state, made.grey(np.full((2, 12, 16), 77, np.uint16), 10)).values()
    assert np.unique(nothing).tolist() == [128]


def test_a_state_that_recommends_the_native_view_subtracts_nothing() -> None:
    state = subtracting([2], MaskOperation="TID")
    state.RecommendedViewingMode = "NAT"
    agree(shown(state), expected({2: (frame(2), None)}))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "does not say which mask"),
        ({"MaskOperation": "AVG_SUB"}, "does not say which mask"),
        ({"MaskOperation": "REV_TID", "TIDOffset": 1}, "does not say which mask"),
        ({"MaskOperation": "MAGIC"}, "does not say which mask"),
        ({"MaskOperation": "TID", "MaskSubPixelShift": [0.5, 0]}, "shifts the mask"),
    ],
)
def test_what_is_not_rendered_is_refused_by_name(said: dict[str, Any], why: str) -> None:
    assert why in refusal(subtracting(**said))


def test_masks_are_subtracted_where_pixels_are_logarithmic() -> None:
    state = subtracting([2], MaskOperation="TID")
    assert "linear to X-ray" in refusal(state, image(PixelIntensityRelationship="LIN"))
    assert list(shown(state, image(PixelIntensityRelationship="LOG"))) == [2]


def test_masks_beyond_the_image_leave_frames_as_they_are() -> None:
    state = subtracting([2], MaskOperation="AVG_SUB", MaskFrameNumbers=[1, 999])
    agree(shown(state), expected({2: (frame(2), None)}))


@pytest.mark.parametrize(("mode", "remark"), [("SUB", NATIVE), ("NAT", "")])
def test_an_image_is_shown_as_it_is_stored_and_says_so(mode: str, remark: str) -> None:
    """Its window is for stored values, and nothing says what one of differences would be."""
    item = Dataset()
    item.MaskOperation, item.MaskFrameNumbers = "AVG_SUB", 1
    dataset = image(MaskSubtractionSequence=[item], RecommendedViewingMode=mode)
    dataset.WindowCenter, dataset.WindowWidth = CENTRE, WIDTH
    pictures = list(Renderer(Limits()).dataset(dataset))
    assert {picture.remark for picture in pictures} == {remark}
    agree(
        {picture.frame or 1: picture.pixels for picture in pictures},
        expected({n: (frame(n), None) for n in range(1, FRAMES + 1)}),
    )
