"""What JPEG itself loses: files against the pixels that were encoded, at the quality of the box."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from appliance.images.encode import Encoding, encode
from appliance.images.render import render_file
from tools.hospital import corpus, modalities

Array = np.ndarray[Any, np.dtype[Any]]

GREY = ("CT_small.dcm", "MR_small.dcm", "MG.dcm", "XA.dcm", "RF.dcm", "PT.dcm")
COLOUR = ("examples_rgb_color.dcm", "examples_palette.dcm", "OBXXXX1A.dcm", "XC.dcm")
USUAL = Encoding().quality


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    modalities.write(folder)
    return folder


def picture(name: str, made: Path) -> Array:
    path = made / name
    return next(iter(render_file(path if path.exists() else corpus.file(name)))).pixels


def reopened(pixels: Array, quality: int) -> tuple[Array, dict[int, list[int]]]:
    """A picture as a JPEG file gives it back, and the file's quantisation tables."""
    with Image.open(BytesIO(encode(pixels, "jpeg", quality))) as image:
        assert image.mode == ("L" if pixels.ndim == 2 else "RGB")
        return np.asarray(image).astype(float), image.quantization  # type: ignore[attr-defined]


def peak_to_noise(lost: Array) -> float:
    """PSNR in dB."""
    return float(10 * np.log10(255**2 / np.mean(lost**2)))


@pytest.mark.parametrize("name", GREY)
def test_grey_pictures(name: str, made: Path) -> None:
    """Noise of fluoroscopy loses most: 2.7 levels on average, 17 at the worst pixel."""
    pixels = picture(name, made)
    lost = np.abs(reopened(pixels, USUAL)[0] - pixels)
    assert np.ptp(pixels) > 100
    assert lost.mean() <= 3
    assert lost.max() <= 20
    assert peak_to_noise(lost) >= 37


@pytest.mark.parametrize("name", COLOUR)
def test_colour_pictures(name: str, made: Path) -> None:
    """The edges of coloured graphics lose most: 37 levels at the worst pixel."""
    pixels = picture(name, made)
    lost = np.abs(reopened(pixels, USUAL)[0] - pixels)
    assert lost.mean() <= 2
    assert lost.max() <= 40
    assert peak_to_noise(lost) >= 37


def images() -> Iterator[Array]:
    """The worst there is for JPEG: noise, a chequerboard, single lines."""
    yield np.random.default_rng(5).integers(0, 256, (128, 128)).astype(np.uint8)
    yield (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    yield (np.arange(128 * 128).reshape(128, 128) % 7 == 0).astype(np.uint8) * 255


@pytest.mark.parametrize("quality", [50, 75, USUAL, 100])
@pytest.mark.parametrize("pixels", [*images()], ids=["noise", "chequers", "lines"])
def test_no_picture_loses_more_than_the_tables_allow(pixels: Array, quality: int) -> None:
    """By Parseval: each coefficient is off by half a step at most; then values are rounded."""
    shown, tables = reopened(pixels, quality)
    steps = np.array(tables[0], float)
    allowed = np.sqrt(np.mean((steps / 2) ** 2)) + 0.5
    assert np.sqrt(np.mean((shown - pixels) ** 2)) <= allowed
    assert quality < USUAL or steps.mean() <= 13
