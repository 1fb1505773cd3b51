"""Overlay planes: beside the pixels and in their unused bits, per frame, and partly outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from appliance.images.render import Limits, Renderer, render, render_file
from tests.unit.render import made

Array = np.ndarray[Any, np.dtype[Any]]


def image(rows: int = 6, columns: int = 9, frames: int = 1) -> Dataset:
    """Black, with a window in which nothing but black is seen."""
    shape = (frames, rows, columns) if frames > 1 else (rows, columns)
    return made.grey(np.zeros(shape, np.uint16), 12, WindowCenter=1000, WindowWidth=100)


def put(dataset: Dataset, planes: Array, origin: tuple[int, int] = (1, 1), group: int = 0) -> None:
    """Add an overlay of booleans, (rows, columns) or (frames, rows, columns)."""
    base = 0x60000000 + (group << 17)
    dataset.add_new(base + 0x10, "US", planes.shape[-2])
    dataset.add_new(base + 0x11, "US", planes.shape[-1])
    dataset.add_new(base + 0x40, "CS", "G")
    dataset.add_new(base + 0x50, "SS", list(origin))
    dataset.add_new(base + 0x100, "US", 1)
    dataset.add_new(base + 0x102, "US", 0)
    if planes.ndim == 3:
        dataset.add_new(base + 0x15, "IS", planes.shape[0])
    packed = np.packbits(planes.reshape(-1), bitorder="little").tobytes()
    dataset.add_new(base + 0x3000, "OW", packed + b"\0" * (len(packed) % 2))


def noise(*shape: int) -> Array:
    return np.random.default_rng(5).random(shape) < 0.5


def shown(dataset: Dataset) -> list[Array]:
    return [picture.pixels > 0 for picture in render(dataset)]


def test_an_overlay_is_white() -> None:
    dataset, plane = image(), noise(6, 9)
    put(dataset, plane)
    (picture,) = render(dataset)
    assert np.array_equal(picture.pixels, np.where(plane, 255, 0))


def test_overlays_are_left_out_where_they_are_not_wanted() -> None:
    dataset = image()
    put(dataset, noise(6, 9))
    (picture,) = Renderer(Limits(), overlays=False).dataset(dataset)
    assert not picture.pixels.any()


@pytest.mark.parametrize("origin", [(3, 4), (-1, -2), (5, 8), (-9, 1), (40, 40)])
def test_what_lies_outside_of_the_image_is_not_seen(origin: tuple[int, int]) -> None:
    dataset, plane = image(), noise(4, 5)
    put(dataset, plane, origin)
    wide = np.zeros((100, 100), bool)
    top, left = 50 + origin[0] - 1, 50 + origin[1] - 1
    wide[top : top + 4, left : left + 5] = plane
    assert np.array_equal(shown(dataset)[0], wide[50:56, 50:59])


def test_several_overlays_lie_over_each_other() -> None:
    dataset, one, other = image(), np.zeros((6, 9), bool), np.zeros((6, 9), bool)
    one[1, 1] = other[4, 7] = True
    put(dataset, one)
    put(dataset, other, group=15)
    assert np.array_equal(shown(dataset)[0], one | other)


def test_frames_of_an_overlay_belong_to_frames_from_its_origin() -> None:
    dataset, planes = image(frames=4), noise(2, 6, 9)
    put(dataset, planes)
    dataset.add_new(0x60000051, "US", 2)
    first, second, third, fourth = shown(dataset)
    assert not first.any() and not fourth.any()
    assert np.array_equal(second, planes[0])
    assert np.array_equal(third, planes[1])


def test_bits_that_the_image_does_not_use_may_hold_an_overlay() -> None:
    plane = noise(6, 9)
    dataset = image()
    dataset.PixelData = (plane.astype("<u2") << 13).tobytes()
    dataset.add_new(0x60000010, "US", 6)
    dataset.add_new(0x60000011, "US", 9)
    dataset.add_new(0x60000050, "SS", [1, 1])
    dataset.add_new(0x60000100, "US", 16)
    dataset.add_new(0x60000102, "US", 13)
    assert np.array_equal(shown(dataset)[0], plane)
    dataset[0x60000102].value = 3
    assert not shown(dataset)[0].any(), "a bit of the image is no overlay"


def test_colour_images_have_overlays_too() -> None:
    dataset, plane = made.colour(np.zeros((6, 9, 3), np.uint8)), noise(6, 9)
    put(dataset, plane)
    (picture,) = render(dataset)
    assert np.array_equal(picture.pixels, np.where(plane, 255, 0)[..., None].repeat(3, axis=2))


def test_words_of_big_endian_files_are_turned(tmp_path: Path) -> None:
    dataset, plane = image(), noise(6, 9)
    put(dataset, plane)
    words = np.frombuffer(dataset[0x60003000].value, "<u2").astype(">u2").tobytes()
    dataset[0x60003000].value = words
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    (picture,) = render_file(made.saved(dataset, tmp_path / "big.dcm"))
    assert np.array_equal(picture.pixels > 0, plane)


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x60000010, "US", 60000),
        (0x60000011, "US", 0),
        (0x60000015, "IS", 2**31 - 1),
        (0x60003000, "OW", b""),
    ],
)
def test_an_overlay_that_contradicts_itself_is_left_out(tag: int, vr: str, value: object) -> None:
    dataset = image()
    put(dataset, noise(6, 9))
    dataset.add_new(tag, vr, value)
    assert not shown(dataset)[0].any()
