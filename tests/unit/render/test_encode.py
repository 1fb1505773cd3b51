"""Picture files: right format, right size, close to the pixels."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from appliance.images.encode import Encoding, Format, NotEncodable, encode, obstacle

Array = np.ndarray[Any, np.dtype[Any]]

GREY = np.add.outer(np.arange(64), np.arange(96)).astype(np.uint8)
# Red beside blue: what subsampled chroma would mix.
COLOUR = np.zeros((64, 96, 3), np.uint8)
COLOUR[:, ::2, 0] = 255
COLOUR[:, 1::2, 2] = 255


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


@pytest.fixture(params=["jpeg", "png", "webp"])
def format_(request: pytest.FixtureRequest) -> Format:
    wanted: Format = request.param
    if reason := obstacle(wanted):
        pytest.skip(reason)
    return wanted


@pytest.mark.parametrize("pixels", [GREY, np.dstack([GREY, GREY // 2, 255 - GREY])])
def test_formats(format_: Format, pixels: Array) -> None:
    image = opened(encode(pixels, format_, 90))
    assert image.format == format_.upper()
    assert image.size == (96, 64)
    mode = "L" if pixels.ndim == 2 else "RGB"
    decoded = np.asarray(image.convert(mode)).astype(int)
    assert np.abs(decoded - pixels).mean() < (0.01 if format_ == "png" else 4)


def test_grey_jpeg_has_one_component() -> None:
    assert opened(encode(GREY, "jpeg", 90)).mode == "L"


def test_colour_jpeg_keeps_its_chroma() -> None:
    decoded = np.asarray(opened(encode(COLOUR, "jpeg", 95))).astype(int)
    assert np.abs(decoded - COLOUR).max() < 40


def test_quality_is_size(format_: Format) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 96), np.uint8)
    sizes = [len(encode(noise, format_, quality)) for quality in (10, 50, 95)]
    assert sizes == sorted(sizes)
    assert (sizes[0] < sizes[2] / 2) == (format_ != "png")


def test_a_format_that_is_not_built_in_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.features.check", lambda feature: feature != "webp")
    assert obstacle("jpeg") == ""
    with pytest.raises(NotEncodable, match="Pillow was built without webp"):
        encode(GREY, "webp", 90)


def test_a_picture_too_large_for_its_format_is_refused() -> None:
    with pytest.raises(NotEncodable, match="webp picture has at most 16383"):
        encode(np.zeros((1, 16_384), np.uint8), "webp", 90)
    with pytest.raises(NotEncodable, match="jpeg picture has at most 65500"):
        encode(np.zeros((65_501, 1), np.uint8), "jpeg", 90)


def test_suffixes() -> None:
    names: list[tuple[Format, str]] = [("jpeg", ".jpg"), ("png", ".png"), ("webp", ".webp")]
    assert [Encoding(format_).suffix for format_, _ in names] == [suffix for _, suffix in names]
