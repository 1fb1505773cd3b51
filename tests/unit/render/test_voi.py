"""The VOI formulas, against exact arithmetic of the standard's own text (PS3.3 C.11.2.1.2-3)."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.images.render import render
from appliance.images.render.modality import Rescale
from appliance.images.render.pixels import StoredFormat
from appliance.images.render.table import Stages, Tables
from appliance.images.render.voi import Extent, Window
from tests.unit.render import made

RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)


def linear(x: int, centre: Fraction, width: Fraction) -> int:
    if x <= centre - Fraction(1, 2) - (width - 1) / 2:
        return 0
    if x > centre - Fraction(1, 2) + (width - 1) / 2:
        return 255
    return math.floor(((x - (centre - Fraction(1, 2))) / (width - 1) + Fraction(1, 2)) * 255)


def linear_exact(x: int, centre: Fraction, width: Fraction) -> int:
    if x <= centre - width / 2:
        return 0
    if x > centre + width / 2:
        return 255
    return math.floor(((x - centre) / width + Fraction(1, 2)) * 255)


@settings(max_examples=40, deadline=None)
@given(
    centre=st.integers(-4000, 4000),
    width=st.integers(1, 8000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT"]),
)
def test_linear_windows_are_those_of_exact_arithmetic(
    centre: int, width: int, function: str
) -> None:
    exact = linear if function == "LINEAR" else linear_exact
    stages = Stages(
        StoredFormat(16, 16, 15, True), Rescale(), Window(centre, width, function), False
    )
    values = np.arange(-5000, 5000, 7)
    expected = [exact(int(x), Fraction(centre), Fraction(width)) for x in values]
    assert stages.shades(values).tolist() == expected


def test_sigmoid_is_the_formula_of_the_standard() -> None:
    cells = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)
    dataset = made.grey(cells, WindowCenter=2048, WindowWidth=700, VOILUTFunction="SIGMOID")
    (picture,) = render(dataset)
    expected = [math.floor(255 / (1 + math.exp(-4 * (x - 2048) / 700))) for x in range(4096)]
    assert picture.pixels.reshape(-1).tolist() == expected
    assert picture.voi == "window 2048/700 SIGMOID"


def test_the_first_of_several_windows_is_used() -> None:
    dataset = made.grey(RAMP, WindowCenter=[100, 5000], WindowWidth=[50, 9000])
    (picture,) = render(dataset)
    assert picture.voi == "window 100/50 LINEAR"
    assert picture.pixels.reshape(-1)[130] == 255


def test_a_window_comes_after_rescale() -> None:
    cells = np.array([[0, 1024, 2048]], np.uint16)
    dataset = made.grey(
        cells, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=0.5, WindowWidth=2049
    )
    (picture,) = render(dataset)
    assert picture.pixels.tolist() == [[0, 127, 255]]


@pytest.mark.parametrize("width", [0, -5])
def test_an_impossible_width_is_no_window(width: int) -> None:
    dataset = made.grey(RAMP, WindowCenter=100, WindowWidth=width)
    (picture,) = render(dataset)
    assert picture.voi == "min–max"


def test_a_width_below_one_is_taken_as_linear_exact() -> None:
    cells = np.arange(0, 1000, dtype=np.uint16).reshape(10, 100)
    dataset = made.grey(
        cells, RescaleSlope="0.001", RescaleIntercept="0", WindowCenter="0.5", WindowWidth="0.5"
    )
    (picture,) = render(dataset)
    shades = picture.pixels.reshape(-1)
    assert (shades[250], shades[500], shades[750]) == (0, 127, 255)


def test_a_window_of_width_one_is_a_threshold() -> None:
    dataset = made.grey(RAMP, WindowCenter=100, WindowWidth=1)
    (picture,) = render(dataset)
    assert set(picture.pixels.reshape(-1)[:100].tolist()) == {0}
    assert set(picture.pixels.reshape(-1)[100:].tolist()) == {255}


def test_a_lut_comes_before_a_window() -> None:
    entries = np.arange(4096, dtype=np.uint16)[::-1].copy()
    dataset = made.grey(RAMP, WindowCenter=100, WindowWidth=50)
    dataset.VOILUTSequence = [made.lut(0, entries, 12)]
    (picture,) = render(dataset)
    assert picture.voi == "VOI LUT"
    assert picture.pixels.reshape(-1)[0] == 255
    assert picture.pixels.reshape(-1)[4095] == 0


def test_inputs_outside_a_lut_take_its_ends() -> None:
    dataset = made.grey(np.array([[0, 10, 11, 12, 500]], np.uint16))
    dataset.VOILUTSequence = [made.lut(10, np.array([51, 102, 204], np.uint16), 8)]
    (picture,) = render(dataset)
    assert picture.pixels.tolist() == [[51, 51, 102, 204, 204]]


def test_a_lut_may_start_below_zero() -> None:
    dataset = made.grey(np.array([[-3, -2, -1, 0]], np.int16))
    dataset.VOILUTSequence = [made.lut(-2, np.array([10, 20, 30], np.uint16), 8)]
    (picture,) = render(dataset)
    assert picture.pixels.tolist() == [[10, 10, 20, 30]]


def test_a_lut_that_starts_at_32768_of_unsigned_values_does_not_start_below_zero() -> None:
    dataset = made.grey(np.array([[0, 32768, 32769, 65535]], np.uint16))
    dataset.VOILUTSequence = [made.lut(32768, np.array([10, 20], np.uint16), 8)]
    (picture,) = render(dataset)
    assert picture.pixels.tolist() == [[10, 10, 20, 20]]


def test_eight_bit_pixels_may_have_a_lut_of_more_than_256_entries() -> None:
    """pydicom's apply_voi reduces such a LUT to what 8 bits can index, and gets it wrong."""
    dataset = made.grey(np.arange(256, dtype=np.uint8).reshape(16, 16))
    dataset.RescaleSlope, dataset.RescaleIntercept = 4, 0
    dataset.VOILUTSequence = [made.lut(0, np.arange(1024, dtype=np.uint16) // 4, 8)]
    (picture,) = render(dataset)
    assert picture.pixels.reshape(-1).tolist() == list(range(256))


def test_entries_of_eight_bits_may_be_packed_two_to_a_word() -> None:
    dataset = made.grey(np.array([[0, 1, 2]], np.uint8))
    dataset.VOILUTSequence = [made.lut(0, np.array([7, 99, 200], np.uint8), 8)]
    (picture,) = render(dataset)
    assert picture.pixels.tolist() == [[7, 99, 200]]


def test_a_lut_of_65536_entries_says_0() -> None:
    dataset = made.grey(RAMP)
    dataset.VOILUTSequence = [made.lut(0, np.arange(65536, dtype=np.uint16)[::-1].copy(), 16)]
    (picture,) = render(dataset)
    assert np.array_equal(picture.pixels, (65535 - RAMP) >> 8)


def test_entries_above_the_described_bits_widen_the_range() -> None:
    dataset = made.grey(np.array([[0, 1]], np.uint8))
    dataset.VOILUTSequence = [made.lut(0, np.array([0, 1023], np.uint16), 8)]
    (picture,) = render(dataset)
    assert picture.pixels.tolist() == [[0, 255]]


def test_without_any_the_extent_of_the_values_is_shown_and_named() -> None:
    (picture,) = render(made.grey(np.array([[-100, 0, 155]], np.int16)))
    assert picture.pixels.tolist() == [[0, 100, 255]]
    assert picture.voi == "min–max"


def test_multi_frame_grayscale_secondary_capture_stores_p_values() -> None:
    dataset = made.grey(np.array([[[10, 200]]], np.uint8))
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.2"
    (picture,) = render(dataset)
    assert picture.pixels.tolist() == [[10, 200]]
    assert picture.voi == "P-values"


def test_frames_share_one_extent() -> None:
    cells = np.array([[[0, 10]], [[20, 51]]], np.uint8)
    pictures = list(render(made.grey(cells)))
    assert [p.pixels.tolist() for p in pictures] == [[[0, 50]], [[100, 255]]]
    assert [p.frame for p in pictures] == [1, 2]


def test_an_image_of_one_value_is_black() -> None:
    (picture,) = render(made.grey(np.full((2, 2), 700, np.uint16)))
    assert picture.pixels.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("value", "limit", "dtype", "expected"),
    [
        (-2000, None, np.int16, [[0, 0, 127, 255]]),
        (-2000, -1900, np.int16, [[0, 0, 127, 255]]),
        (-1900, -2000, np.int16, [[0, 0, 127, 255]]),
        (-2000, 0, np.int16, [[0, 0, 0, 255]]),
    ],
)
def test_padding_is_left_out_of_the_extent(
    value: int, limit: int | None, dtype: type, expected: list[list[int]]
) -> None:
    dataset = made.grey(np.array([[-2000, 0, 50, 100]], dtype))
    dataset.add_new(0x00280120, "SS", value)
    if limit is not None:
        dataset.add_new(0x00280121, "SS", limit)
    (picture,) = render(dataset)
    assert picture.pixels.tolist() == expected


@settings(max_examples=200, deadline=None)
@given(data=st.data(), dtype=st.sampled_from([np.int16, np.uint16, np.int8, np.uint8]))
def test_padding_wherever_it_lies_is_left_out(data: st.DataObject, dtype: type) -> None:
    ends = np.iinfo(dtype)
    values = st.one_of(
        st.integers(int(ends.min), int(ends.max)),
        st.sampled_from([int(ends.min), int(ends.min) + 1, 0, int(ends.max) - 1, int(ends.max)]),
    )
    low, high = sorted((data.draw(values), data.draw(values)))
    image = data.draw(st.lists(values, min_size=1, max_size=12))
    cells = np.array([image], dtype)
    is_image = (cells < low) | (cells > high)
    vr = "SS" if ends.min < 0 else "US"
    dataset = made.grey(cells)
    dataset.add_new(0x00280120, vr, low)
    dataset.add_new(0x00280121, vr, high)
    if not is_image.any():
        assert not next(render(dataset)).pixels.any()
        return
    without = made.grey(np.where(is_image, cells, cells[is_image].min()))
    shown, expected = next(render(dataset)).pixels, next(render(without)).pixels
    assert shown[is_image].tolist() == expected[is_image].tolist()


def test_padding_named_as_unsigned_means_the_same_bits() -> None:
    dataset = made.grey(np.array([[-2000, 0, 50, 100]], np.int16))
    dataset.add_new(0x00280120, "US", 65536 - 2000)
    (picture,) = render(dataset)
    assert picture.pixels.tolist() == [[0, 0, 127, 255]]


def test_padding_does_not_change_a_window() -> None:
    dataset = made.grey(RAMP, WindowCenter=100, WindowWidth=50, PixelPaddingValue=100)
    plain = made.grey(RAMP, WindowCenter=100, WindowWidth=50)
    assert np.array_equal(next(render(dataset)).pixels, next(render(plain)).pixels)


def test_tables_are_kept_and_bounded() -> None:
    tables = Tables(capacity=2)
    form = StoredFormat(16, 16, 15, False)
    stages = [Stages(form, Rescale(), Extent(0, high), False) for high in (10, 20, 30)]
    first = tables.of(stages[0])
    assert tables.of(stages[0]) is first
    tables.of(stages[1])
    tables.of(stages[2])
    assert tables.of(stages[2]) is tables.of(stages[2])
    assert tables.of(stages[0]) is not first
    assert np.array_equal(tables.of(stages[0]), first)
