"""Colour: RGB, YBR of every kind, palettes, and what a JPEG codestream says of its colours."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from appliance.images.render import Undecodable, render
from tests.unit.render import made

Array = np.ndarray[Any, np.dtype[Any]]


def shown(dataset: Dataset) -> Array:
    (picture,) = render(dataset)
    assert picture.pixels.dtype == np.uint8
    assert picture.voi == ""
    return picture.pixels


def noise(*shape: int) -> Array:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def of_ybr(cells: Array) -> Array:
    """PS3.3 Section C.7.6.3.1.2, inverted, in floating point."""
    y, cb, cr = (cells[..., i].astype(float) for i in range(3))
    red = y + 1.402 * (cr - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    blue = y + 1.772 * (cb - 128)
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 255)


def test_rgb_is_left_as_it_is() -> None:
    cells = noise(6, 8, 3)
    assert np.array_equal(shown(made.colour(cells)), cells)


def test_planes_are_interleaved() -> None:
    cells = noise(6, 8, 3)
    dataset = made.colour(cells, PlanarConfiguration=1)
    dataset.PixelData = cells.transpose(2, 0, 1).tobytes()
    assert np.array_equal(shown(dataset), cells)


def test_ybr_full() -> None:
    cells = noise(30, 40, 3)
    assert np.abs(shown(made.colour(cells, "YBR_FULL")) - of_ybr(cells)).max() <= 1


def test_two_pixels_of_ybr_full_422_share_their_chroma() -> None:
    packed = np.array([[200, 50, 90, 160]], np.uint8)
    dataset = made.colour(np.zeros((1, 2, 3), np.uint8), "YBR_FULL_422")
    dataset.PixelData = packed.tobytes()
    expected = of_ybr(np.array([[[200, 90, 160], [50, 90, 160]]]))
    assert np.abs(shown(dataset) - expected).max() <= 1


def test_ybr_full_422_that_is_not_subsampled_is_read_as_it_is() -> None:
    cells = noise(6, 8, 3)
    assert np.abs(shown(made.colour(cells, "YBR_FULL_422")) - of_ybr(cells)).max() <= 1


def test_422_of_an_odd_number_of_columns_is_refused() -> None:
    dataset = made.colour(np.zeros((2, 3, 3), np.uint8), "YBR_FULL_422")
    dataset.PixelData = bytes(12)
    with pytest.raises(Undecodable, match="even number of columns"):
        list(render(dataset))


def test_ybr_partial_422_runs_from_16_to_235() -> None:
    dataset = made.colour(np.zeros((1, 2, 3), np.uint8), "YBR_PARTIAL_422")
    dataset.PixelData = bytes([16, 235, 128, 128])
    assert shown(dataset).tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize(("dtype", "shift"), [(np.uint16, 8), (np.uint32, 24)])
def test_the_highest_eight_bits_are_shown(dtype: type, shift: int) -> None:
    cells = noise(4, 4, 3)
    wide = (cells.astype(np.uint64) << shift | 0x5A).astype(dtype)
    assert np.array_equal(shown(made.colour(wide)), cells)


def test_colour_of_ten_bits_in_sixteen() -> None:
    cells = np.array([[[0, 512, 1023]]], np.uint16)
    assert shown(made.colour(cells, BitsStored=10, HighBit=9)).tolist() == [[[0, 128, 255]]]


def test_frames_of_colour() -> None:
    cells = noise(3, 4, 4, 3)
    pictures = list(render(made.colour(cells)))
    assert [picture.frame for picture in pictures] == [1, 2, 3]
    assert all(np.array_equal(p.pixels, c) for p, c in zip(pictures, cells, strict=True))


def test_palette() -> None:
    red, green, blue = (np.array(c, np.uint8) for c in ([1, 2, 3], [10, 20, 30], [100, 150, 200]))
    dataset = made.palette(np.array([[0, 1, 2, 9]], np.uint8), red, green, blue)
    assert shown(dataset).tolist() == [[[1, 10, 100], [2, 20, 150], [3, 30, 200], [3, 30, 200]]]


def test_values_below_the_first_mapped_take_the_first_colour() -> None:
    channel = np.array([50, 60], np.uint8)
    dataset = made.palette(np.array([[0, 5, 6]], np.uint8), channel, channel, channel, first=5)
    assert shown(dataset)[0, :, 0].tolist() == [50, 50, 60]


def test_signed_palette_indices() -> None:
    channel = np.array([50, 60, 70], np.uint8)
    dataset = made.palette(np.array([[-1, 0, 1]], np.int16), channel, channel, channel)
    dataset.PixelRepresentation = 1
    for name in ("Red", "Green", "Blue"):
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "SS", [3, -1, 8])
    assert shown(dataset)[0, :, 0].tolist() == [50, 60, 70]


def test_palette_of_sixteen_bits() -> None:
    channel = np.array([0, 0x80FF, 0xFFFF], np.uint16)
    dataset = made.palette(np.array([[0, 1, 2]], np.uint8), channel, channel, channel)
    assert shown(dataset)[0, :, 0].tolist() == [0, 0x80, 0xFF]


def test_palette_of_eight_bits_that_says_sixteen() -> None:
    channel = np.array([0, 100, 255], np.uint16)
    dataset = made.palette(np.array([[0, 1, 2]], np.uint8), channel, channel, channel)
    assert shown(dataset)[0, :, 0].tolist() == [0, 100, 255]


def test_palette_for_indices_of_sixteen_bits() -> None:
    channel = np.arange(65536, dtype=np.uint16)
    cells = np.array([[0, 256, 65535]], np.uint16)
    assert shown(made.palette(cells, channel, channel, channel))[0, :, 2].tolist() == [0, 1, 255]


def segmented(words: list[int], entries: int) -> Dataset:
    dataset = made.grey(
        np.arange(entries, dtype=np.uint8)[None], PhotometricInterpretation="PALETTE COLOR"
    )
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [entries, 0, 16])
        data = np.array(words, "<u2").tobytes()
        setattr(dataset, f"Segmented{name}PaletteColorLookupTableData", data)
    return dataset


def test_segments_are_discrete_linear_and_indirect() -> None:
    words = [0, 2, 0, 256 * 10, 1, 4, 256 * 50, 2, 1, 0, 0]
    red = shown(segmented(words, 8))[0, :, 0].tolist()
    # Two values as they are, four steps from 10 to 50, and the first segment once more.
    assert red == [0, 10, 20, 30, 40, 50, 0, 10]


@pytest.mark.parametrize("words", [[1, 3, 5], [0, 9, 1], [2, 1, 400, 0], [7, 1, 0], [2, 1, 0, 0]])
def test_damaged_segments_are_refused_or_end_early(words: list[int]) -> None:
    with pytest.raises(Undecodable):
        list(render(segmented(words, 8)))


def test_a_palette_without_data_is_refused() -> None:
    dataset = made.grey(np.zeros((2, 2), np.uint8), PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(Undecodable, match="palette has no valid descriptor"):
        list(render(dataset))


def jpeg(cells: Array, mode: str = "RGB", **options: Any) -> bytes:
    """A JPEG of three components without JFIF marker, and so without a word on its colours."""
    file = BytesIO()
    Image.fromarray(cells, mode).save(file, "JPEG", quality=95, subsampling=0, **options)
    data = file.getvalue()
    while data[2:4] in (b"\xff\xe0", b"\xff\xee"):
        length = int.from_bytes(data[4:6], "big")
        data = data[:2] + data[4 + length :]
    return data


def identified(data: bytes, identifiers: bytes) -> bytes:
    """The JPEG with other component identifiers, in frame and scan header."""
    out = bytearray(data)
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for index, identifier in enumerate(identifiers):
        out[frame + 10 + 3 * index] = identifier
        out[scan + 5 + 2 * index] = identifier
    return bytes(out)


def marked(data: bytes, transform: int | None) -> bytes:
    """The JPEG with a JFIF marker, or with an Adobe marker that names a transform."""
    if transform is None:
        return data[:2] + b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + data[2:]
    return data[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\0\0\0\0" + bytes([transform]) + data[2:]


SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[60:220:5, 40:200:5], 128), axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("named", "transformed", "change"),
    [
        ("YBR_FULL", True, lambda data: data),
        ("YBR_FULL_422", True, lambda data: data),
        ("RGB", False, lambda data: data),
        ("RGB", True, lambda data: marked(data, None)),
        ("RGB", True, lambda data: marked(data, 1)),
        ("YBR_FULL", False, lambda data: marked(data, 0)),
        ("YBR_FULL_422", False, lambda data: identified(data, b"RGB")),
        ("RGB", False, lambda data: identified(data, b"RGB")),
    ],
    ids=["tag", "422", "tag RGB", "JFIF", "Adobe 1", "Adobe 0", "RGB identifiers", "both RGB"],
)
def test_the_codestream_decides_what_its_colours_are(
    named: str, transformed: bool, change: Any
) -> None:
    """Saved as RGB, Pillow transforms to YCbCr; saved as if YCbCr, it leaves the samples."""
    stream = jpeg(SMOOTH, "RGB" if transformed else "YCbCr")
    dataset = made.colour(SMOOTH, named)
    made.encapsulated(dataset, JPEGBaseline8Bit, [change(stream)])
    assert np.abs(shown(dataset).astype(int) - SMOOTH).max() <= 6


def test_subsampled_chroma_is_never_rgb() -> None:
    file = BytesIO()
    Image.fromarray(SMOOTH).save(file, "JPEG", quality=95, subsampling=2)
    data = file.getvalue()
    stream = data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]
    dataset = made.encapsulated(made.colour(SMOOTH, "RGB"), JPEGBaseline8Bit, [stream])
    assert np.abs(shown(dataset).astype(int) - SMOOTH).max() <= 8
