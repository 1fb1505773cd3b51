"""Stored values: bits stored, high bit, sign, byte order, and what does not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from appliance.images.render import Limits, NoPicture, Undecodable, render, render_file
from tests.unit.render import made


def shades(dataset: Dataset) -> list[Any]:
    (picture,) = render(dataset)
    return list(picture.pixels.tolist())


def full_range(dataset: Dataset, low: int, high: int) -> Dataset:
    """With a window that spreads low … high over black … white."""
    dataset.WindowCenter = (low + high + 1) / 2
    dataset.WindowWidth = high - low + 1
    return dataset


@pytest.mark.parametrize("stored", [8, 10, 12, 16])
def test_bits_above_the_stored_ones_do_not_count(stored: int) -> None:
    values = np.array([[0, 1, 2, (1 << stored) - 1]], np.uint16)
    dirt = np.uint16((0xFFFF << stored) & 0xFFFF)
    clean = full_range(made.grey(values, stored), 0, (1 << stored) - 1)
    dirty = full_range(made.grey(values | dirt, stored), 0, (1 << stored) - 1)
    assert shades(dirty) == shades(clean)
    assert shades(clean)[0][-1] == 255


def test_the_sign_bit_is_the_highest_stored_one() -> None:
    values = np.array([[0x0800, 0x0FFF, 0x0000, 0x07FF]], np.int16)
    dataset = full_range(made.grey(values, 12), -2048, 2047)
    assert shades(dataset) == [[0, 127, 127, 255]]


@pytest.mark.parametrize("high", [11, 13, 15])
def test_bits_below_the_high_bit_are_shifted_out(high: int) -> None:
    values = np.array([[0, 1000, 4095]], np.uint16)
    shifted = (values << (high - 11)) | np.uint16((1 << (high - 11)) - 1)
    dataset = full_range(made.grey(shifted, 12, HighBit=high), 0, 4095)
    assert shades(dataset) == [[0, 62, 255]]


def test_one_bit_frames_follow_each_other_within_a_byte() -> None:
    bits = np.array([[[1, 0, 0]], [[0, 1, 1]], [[1, 1, 1]]], np.uint8)
    dataset = made.grey(bits, BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.PixelData = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    pictures = [picture.pixels.tolist() for picture in render(dataset)]
    assert pictures == [[[255, 0, 0]], [[0, 255, 255]], [[255, 255, 255]]]


@pytest.mark.parametrize("dtype", [np.uint32, np.int32])
def test_thirty_two_bits(dtype: type) -> None:
    low = -(2**31) if dtype is np.int32 else 0
    values = np.array([[low, low + 2**31, low + 2**32 - 1]], np.int64).astype(dtype)
    assert shades(made.grey(values)) == [[0, 127, 255]]


@pytest.mark.parametrize(
    ("tag", "dtype", "vr"), [(0x7FE00008, "<f4", "OF"), (0x7FE00009, "<f8", "OD")]
)
def test_floating_point_pixels(tag: int, dtype: str, vr: str, tmp_path: Path) -> None:
    dataset = made.grey(np.zeros((1, 4), np.uint32))
    del dataset.PixelData
    cells = np.array([[-0.5, 0.0, float("nan"), 0.5]], dtype)
    dataset.add_new(tag, vr, cells.tobytes())
    dataset.BitsAllocated = cells.dtype.itemsize * 8
    expected = [[0, 127, 127, 255]]
    assert shades(dataset) == expected
    (picture,) = render_file(made.saved(dataset, tmp_path / "float.dcm"))
    assert picture.pixels.tolist() == expected


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32])
def test_native_syntaxes_show_the_same(syntax: str, dtype: type, tmp_path: Path) -> None:
    cells = np.array([[3, 1, 2], [90, 60, 30], [7, 0, 5]]).astype(dtype)
    plain = made.grey(cells, VOILUTSequence=[made.lut(0, np.arange(0, 200, 2, np.uint16), 8)])
    expected = shades(plain)
    other = made.grey(cells, VOILUTSequence=[made.lut(0, np.arange(0, 200, 2, np.uint16), 8)])
    other.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        order = np.dtype(dtype).newbyteorder(">")
        raw = cells.astype(order).tobytes() + b"\0" * (cells.nbytes % 2)
        if cells.itemsize == 1:
            # As OW, pairs of bytes are words, and change places (PS3.5 Section A.3).
            raw = np.frombuffer(raw, "<u2").astype(">u2").tobytes()
        other.PixelData = raw
        other["PixelData"].VR = "OW"
        item = other.VOILUTSequence[0]
        item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()
    (picture,) = render_file(made.saved(other, tmp_path / "other.dcm"))
    assert picture.pixels.tolist() == expected


def test_big_endian_bytes_as_ob_are_in_order(tmp_path: Path) -> None:
    dataset = made.grey(np.array([[1, 2, 3, 4]], np.uint8))
    expected = shades(dataset)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    (picture,) = render_file(made.saved(dataset, tmp_path / "big.dcm"))
    assert picture.pixels.tolist() == expected


def test_nothing_to_show_is_not_a_fault() -> None:
    with pytest.raises(NoPicture, match="no pixel data"):
        list(render(made.instance()))


def refused(dataset: Dataset, limits: Limits | None = None) -> str:
    with pytest.raises(Undecodable) as refusal:
        list(render(dataset, limits))
    return refusal.value.reason


def test_missing_bytes_are_counted() -> None:
    dataset = made.grey(np.zeros((4, 4), np.uint16))
    dataset.PixelData = dataset.PixelData[:-2]
    assert refused(dataset) == (
        "1 frame(s) of 4 × 4 pixels need 32 bytes, but the pixel data holds 30."
    )


def test_more_frames_than_pixels() -> None:
    dataset = made.grey(np.zeros((4, 4), np.uint16), NumberOfFrames=3)
    assert "3 frame(s)" in refused(dataset)


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("Rows", 0, "no valid Rows"),
        ("Columns", None, "no valid Columns"),
        ("NumberOfFrames", -2, "-2 frames"),
        ("NumberOfFrames", 2_000_000, "2000000 frames"),
        ("BitsAllocated", 12, "12 Bits Allocated"),
        ("BitsAllocated", None, "Bits Allocated is missing"),
        ("BitsStored", 17, "17 Bits Stored do not fit"),
        ("SamplesPerPixel", 3, "has 3"),
        ("PhotometricInterpretation", "RGB", "has 1"),
        ("PhotometricInterpretation", "CMYK", "retired"),
        ("PhotometricInterpretation", "SMITH^JOHN", "not one that DICOM defines"),
    ],
)
def test_contradictions_are_named(attribute: str, value: object, words: str) -> None:
    dataset = made.grey(np.zeros((4, 4), np.uint16))
    setattr(dataset, attribute, value)
    reason = refused(dataset)
    assert words in reason
    assert "SMITH" not in reason


def test_a_frame_larger_than_the_limit_is_refused_before_it_is_decoded() -> None:
    dataset = made.grey(np.zeros((4, 4), np.uint8), Rows=65535, Columns=65535)
    assert "larger than the limit" in refused(dataset)
    small = made.grey(np.zeros((4, 4), np.uint8))
    assert "limit of 15 pixels" in refused(small, Limits(frame_pixels=15))


def test_a_deflated_bomb_is_refused(tmp_path: Path) -> None:
    dataset = made.grey(np.zeros((2000, 2000), np.uint16))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = made.saved(dataset, tmp_path / "bomb.dcm")
    with pytest.raises(Undecodable, match="inflates to more than 1000000 bytes"):
        list(render_file(path, Limits(inflated_bytes=1_000_000)))


def test_a_damaged_deflated_dataset_is_refused(tmp_path: Path) -> None:
    dataset = made.grey(np.zeros((20, 20), np.uint16))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = made.saved(dataset, tmp_path / "damaged.dcm")
    path.write_bytes(path.read_bytes()[:-40] + b"\xff" * 40)
    with pytest.raises(Undecodable):
        list(render_file(path))


@pytest.mark.parametrize("content", [b"", b"not DICOM at all, but a text of some length\n" * 20])
def test_what_is_not_dicom_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(Undecodable):
        list(render_file(path))
