"""Colours, single bits and doses against what pydicom, or plain arithmetic, makes of them."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, convert_color_space
from pydicom.uid import RLELossless

from appliance.images.render import render, render_file
from tests.unit.render import made
from tools.hospital import corpus

Array = np.ndarray[Any, np.dtype[Any]]

DISCRETE, LINEAR, INDIRECT = 0, 1, 2


def segments(seed: int, channel: int, bits: int, *, repeated: bool) -> list[int]:
    """A segmented table (PS3.3 Section C.7.9.2) whose last two segments repeat the two before.

    They do so by an indirect segment, or written out: pydicom takes the offset of an indirect one,
    which is in bytes, for one in words.
    """
    lengths = np.random.default_rng(seed).integers(3, 25, 4)
    random = np.random.default_rng([seed, channel])
    parts: list[list[int]] = []
    for kind, length in zip((DISCRETE, LINEAR, DISCRETE, LINEAR), lengths, strict=True):
        values = random.integers(0, 1 << bits, length if kind == DISCRETE else 1)
        parts.append([kind, int(length), *map(int, values)])
    if not repeated:
        return [*chain(*parts, *parts[2:])]
    offset = (len(parts[0]) + len(parts[1])) * bits // 8
    where = [offset & 0xFFFF, offset >> 16] if bits == 16 else offset.to_bytes(4, "little")
    return [*chain(*parts), INDIRECT, 2, *where]


def segmented(seed: int, bits: int, entries: int, *, repeated: bool) -> Dataset:
    cells = np.arange(entries, dtype=np.uint8)[None].repeat(2, axis=0)
    dataset = made.grey(cells, PhotometricInterpretation="PALETTE COLOR")
    for channel, name in enumerate(("Red", "Green", "Blue")):
        words = segments(seed, channel, bits, repeated=repeated)
        data = np.array(words, f"<u{bits // 8}").tobytes()
        table = f"{name}PaletteColorLookupTable"
        setattr(dataset, f"{table}Descriptor", [entries, 0, bits])
        setattr(dataset, f"Segmented{table}Data", data + b"\0" * (len(data) % 2))
    return dataset


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("repeated", [False, True], ids=["plain", "indirect"])
@pytest.mark.parametrize("seed", range(4))
def test_segmented_palettes(seed: int, bits: int, repeated: bool) -> None:
    lengths = np.random.default_rng(seed).integers(3, 25, 4)
    entries = int(lengths.sum() + lengths[2:].sum())
    (picture,) = render(segmented(seed, bits, entries, repeated=repeated))
    reference = segmented(seed, bits, entries, repeated=False)
    expected = apply_color_lut(reference.pixel_array, reference) >> (bits - 8)
    assert np.abs(picture.pixels.astype(int) - expected).max() <= 1
    assert np.ptp(picture.pixels) > 150


@pytest.mark.parametrize("shape", [(8, 8), (3, 5), (5, 7, 9), (4, 1, 3)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_single_bits(shape: tuple[int, ...], photometric: str) -> None:
    """Also where frames begin within a byte."""
    bits = np.random.default_rng(3).integers(0, 2, shape).astype(np.uint8)
    dataset = made.grey(bits, BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.PhotometricInterpretation = photometric
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    expected = dataset.pixel_array.reshape(-1, *shape[-2:]) * 255
    if photometric == "MONOCHROME1":
        expected = 255 - expected
    shown = np.stack([picture.pixels for picture in render(dataset)])
    assert np.array_equal(shown, expected)


DOSES = [path for path in corpus.files() if path.name.startswith("rtdose")]


@pytest.mark.parametrize("path", DOSES, ids=lambda path: path.name)
def test_doses(path: Path) -> None:
    """From the lowest to the highest dose of the whole grid, in Gy."""
    dataset = dcmread(path)
    stored = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    gray = [[float(one) * float(dataset.DoseGridScaling) for one in plane.flat] for plane in stored]
    low, high = min(map(min, gray)), max(map(max, gray))
    for plane, picture in zip(gray, render_file(path), strict=True):
        expected = [255 * (one - low) / (high - low) for one in plane]
        assert np.abs(picture.pixels.reshape(-1) - np.array(expected)).max() <= 1
        assert picture.voi == "min–max"


NOISE = np.random.default_rng(9).integers(0, 256, (2, 12, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("compressed", [False, True], ids=["native", "RLE"])
def test_planes_and_frames_of_colour(photometric: str, planar: int, compressed: bool) -> None:
    """RLE is always in planes, whatever the attribute says (PS3.5 Section 8.2.2)."""
    dataset = made.colour(NOISE, photometric)
    if compressed:
        dataset.compress(RLELossless, generate_instance_uid=False)
    elif planar:
        dataset.PixelData = NOISE.transpose(0, 3, 1, 2).tobytes()
    dataset.PlanarConfiguration = planar
    shown = np.stack([picture.pixels for picture in render(dataset)])
    expected = convert_color_space(NOISE, photometric, "RGB") if photometric != "RGB" else NOISE
    assert np.abs(shown.astype(int) - expected).max() <= 2


def test_ybr_full_422_of_frames() -> None:
    dataset = made.colour(NOISE, "YBR_FULL_422")
    packed = np.random.default_rng(2).integers(0, 256, (2, 12, 8, 4)).astype(np.uint8)
    dataset.PixelData = packed.tobytes()
    # Two pixels Y1 Y2 share Cb Cr (PS3.3 Section C.7.6.3.1.2).
    pairs = np.stack([packed[..., [0, 2, 3]], packed[..., [1, 2, 3]]], axis=3)
    expected = convert_color_space(pairs.reshape(2, 12, 16, 3), "YBR_FULL", "RGB")
    shown = np.stack([picture.pixels for picture in render(dataset)])
    assert np.abs(shown.astype(int) - expected).max() <= 2
