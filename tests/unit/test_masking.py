"""Text that is burned into pixels is blacked out, or the image is held back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from appliance.images import masking
from appliance.images.deidentify.regions import shipped_rules
from appliance.images.masking import HELD, Masking
from appliance.images.render import (
    Limits,
    NoPicture,
    Renderer,
    Undecodable,
    codecs,
    render_file,
)
from appliance.settings.model import Mask

from .render import made
from .render.test_colour import jpeg

ROWS, COLUMNS = 48, 64
CLEAR = (8, 16, 40, 24)
"""Left, top, width, height of what stays."""


def region(left: int, top: int, right: int, bottom: int) -> Dataset:
    item = Dataset()
    item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
    return item


def ultrasound(dataset: Dataset, **attributes: Any) -> Dataset:
    dataset.Modality = "US"
    left, top, width, height = CLEAR
    last = left + width - 1, top + height - 1
    dataset.SequenceOfUltrasoundRegions = [region(left, top, *last)]
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def inside() -> Any:
    left, top, width, height = CLEAR
    kept = np.zeros((ROWS, COLUMNS), bool)
    kept[top : top + height, left : left + width] = True
    return kept


def noise(*shape: int, dtype: Any = np.uint8, high: int = 256) -> Any:
    return np.random.default_rng(7).integers(1, high, shape, dtype)


def masked(dataset: Dataset, path: Path, masking: Masking | None = None) -> Dataset:
    made.saved(dataset, path)
    told = (masking or Masking()).file(path, Limits())
    assert told == (ExplicitVRLittleEndian, path.stat().st_size)
    after = dcmread(path)
    assert after.BurnedInAnnotation == "NO"
    assert after.DeidentificationMethodCodeSequence[-1].CodeValue == "113101"
    return after


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("frames", [1, 3])
def test_outside_of_ultrasound_regions_is_black(syntax: Any, frames: int, tmp_path: Path) -> None:
    cells = noise(frames, ROWS, COLUMNS, 3) if frames > 1 else noise(ROWS, COLUMNS, 3)
    dataset = ultrasound(made.colour(cells))
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    dataset.file_meta.TransferSyntaxUID = syntax
    after = masked(dataset, tmp_path / "us.dcm")
    pixels = after.pixel_array
    assert np.array_equal(pixels[..., inside(), :], cells[..., inside(), :])
    assert not pixels[..., ~inside(), :].any()
    assert after.PhotometricInterpretation == "RGB"
    pictures = list(render_file(tmp_path / "us.dcm"))
    assert len(pictures) == frames
    assert all(not picture.pixels[~inside()].any() for picture in pictures)


@pytest.mark.parametrize(
    ("photometric", "cells", "black"),
    [
        ("MONOCHROME2", noise(ROWS, COLUMNS), 0),
        ("MONOCHROME1", noise(ROWS, COLUMNS, dtype=np.uint16, high=4096), 4095),
        ("MONOCHROME2", noise(ROWS, COLUMNS, dtype=np.int16, high=2000), -2048),
    ],
)
def test_black_of_grey_images(photometric: str, cells: Any, black: int, tmp_path: Path) -> None:
    stored = 8 if cells.dtype.itemsize == 1 else 12
    dataset = ultrasound(made.grey(cells, stored, PhotometricInterpretation=photometric))
    pixels = masked(dataset, tmp_path / "us.dcm").pixel_array
    assert np.array_equal(pixels[inside()], cells[inside()])
    assert np.unique(pixels[~inside()]).tolist() == [black]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (3, ROWS - 1, COLUMNS - 1)])
def test_black_of_single_bits(photometric: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Three frames of 47 × 63 bits: the second and third begin within a byte."""
    bits = np.random.default_rng(7).integers(0, 2, shape, np.uint8)
    dataset = ultrasound(made.grey(bits, PhotometricInterpretation=photometric))
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    after = masked(dataset, tmp_path / "us.dcm")
    kept = inside()[: shape[-2], : shape[-1]]
    pixels = after.pixel_array
    assert (after.BitsAllocated, len(after.PixelData)) == (1, len(dataset.PixelData))
    assert np.array_equal(pixels[..., kept], bits[..., kept])
    assert np.unique(pixels[..., ~kept]).tolist() == [int(photometric == "MONOCHROME1")]


def test_black_of_compressed_colour(tmp_path: Path) -> None:
    dataset = ultrasound(made.colour(noise(ROWS, COLUMNS, 3), "YBR_FULL_422"))
    made.encapsulated(dataset, JPEGBaseline8Bit, [jpeg(noise(ROWS, COLUMNS, 3))])
    before = [picture.pixels for picture in render_file(made.saved(dataset, tmp_path / "a.dcm"))]
    after = masked(dataset, tmp_path / "us.dcm")
    assert after.PhotometricInterpretation in ("RGB", "YBR_FULL")
    (picture,) = render_file(tmp_path / "us.dcm")
    assert not picture.pixels[~inside()].any()
    difference = picture.pixels[inside()].astype(int) - before[0][inside()]
    assert abs(difference).max() <= 2


def test_big_endian_words_stay_what_they_are(tmp_path: Path) -> None:
    cells = noise(ROWS, COLUMNS, dtype=np.uint16, high=4096)
    dataset = ultrasound(made.grey(cells, 12))
    dataset.PixelData = cells.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.set_original_encoding(False, False)
    made.saved(dataset, tmp_path / "us.dcm")
    assert Masking().file(tmp_path / "us.dcm", Limits())
    pixels = dcmread(tmp_path / "us.dcm").pixel_array
    assert np.array_equal(pixels[inside()], cells[inside()])


def test_once_masked_is_not_masked_again(tmp_path: Path) -> None:
    path = tmp_path / "us.dcm"
    masked(ultrasound(made.grey(noise(ROWS, COLUMNS))), path)
    once = path.read_bytes()
    assert Masking().file(path, Limits()) == (ExplicitVRLittleEndian, len(once))
    assert path.read_bytes() == once


ACME = Mask(manufacturer="ACME*", model="Scan [1]", rows=ROWS, blank=((0, 0, COLUMNS, 10),))


def test_rule_of_the_settings(tmp_path: Path) -> None:
    made_by = {"Manufacturer": "Acme Medical", "ManufacturerModelName": "SCAN [1]"}
    cells = noise(ROWS, COLUMNS)
    own = Masking((ACME,))
    dataset = made.grey(cells, BurnedInAnnotation="NO", **made_by)
    pixels = masked(dataset, tmp_path / "a.dcm", own).pixel_array
    assert not pixels[:10].any()
    assert np.array_equal(pixels[10:], cells[10:])
    for other in ({**made_by, "Rows": 24}, {**made_by, "ManufacturerModelName": "Scan 1"}):
        path = made.saved(made.grey(cells, **other), tmp_path / "b.dcm")
        assert own.file(path, Limits()) is None


@pytest.mark.parametrize("regions", [[], [region(5, 5, 5, 5)], [Dataset()]])
def test_what_no_rule_covers_is_held_back(regions: list[Dataset], tmp_path: Path) -> None:
    dataset = ultrasound(made.grey(noise(ROWS, COLUMNS)), BurnedInAnnotation="YES")
    dataset.SequenceOfUltrasoundRegions = regions
    path = made.saved(dataset, tmp_path / "us.dcm")
    with pytest.raises(NoPicture) as held:
        Masking().file(path, Limits())
    assert held.value.reason == HELD
    assert Masking(hold=False).file(path, Limits()) is None


def test_rule_may_say_that_there_is_no_text(tmp_path: Path) -> None:
    dataset = made.grey(noise(ROWS, COLUMNS), BurnedInAnnotation="YES")
    path = made.saved(dataset, tmp_path / "ot.dcm")
    assert Masking((Mask(modality="OT"),)).file(path, Limits()) is None


def test_image_that_says_nothing_or_no_is_left_alone(tmp_path: Path) -> None:
    dataset = made.grey(noise(ROWS, COLUMNS))
    path = made.saved(dataset, tmp_path / "ot.dcm")
    assert Masking().file(path, Limits()) is None
    declared = ultrasound(made.grey(noise(ROWS, COLUMNS)), BurnedInAnnotation="NO")
    path = made.saved(declared, tmp_path / "us.dcm")
    assert Masking().file(path, Limits()) is None


BITS = Masking(bits=True)


def test_what_has_no_pixels_is_left_as_it_was(tmp_path: Path) -> None:
    """A presentation state of somebody's that says how many rows it has."""
    state = made.grey(noise(ROWS, COLUMNS))
    del state.PixelData
    path = made.saved(state, tmp_path / "pr.dcm")
    assert BITS.file(path, Limits()) is None


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize(
    ("dtype", "low", "high_bit"), [(np.uint16, 0, 11), (np.int16, -2048, 11), (np.uint16, 0, 13)]
)
def test_bits_beside_the_stored_ones_are_cleared(
    syntax: Any, dtype: Any, low: int, high_bit: int, tmp_path: Path
) -> None:
    """An overlay in the highest bit, as it used to be kept; the picture stays the same."""
    values = np.random.default_rng(7).integers(low, low + 4096, (2, ROWS, COLUMNS))
    shift = high_bit - 11
    cells = (values.astype(np.int32) << shift).astype(dtype)
    hidden = np.random.default_rng(8).random(cells.shape) < 0.1
    bits = cells.view(np.uint16) & (((1 << 12) - 1) << shift)
    dataset = made.grey((bits | hidden.astype(np.uint16) << 15 | shift).view(dtype), 12)
    dataset.HighBit = high_bit
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    dataset.file_meta.TransferSyntaxUID = syntax
    path = made.saved(dataset, tmp_path / "ct.dcm")
    before = [picture.pixels for picture in render_file(path)]
    assert BITS.file(path, Limits()) == (ExplicitVRLittleEndian, path.stat().st_size)
    after = dcmread(path)
    assert np.array_equal(np.frombuffer(after.PixelData, "<u2"), bits.reshape(-1))
    assert "BurnedInAnnotation" not in after
    assert "DeidentificationMethodCodeSequence" not in after
    assert np.array_equal([picture.pixels for picture in render_file(path)], before)
    assert BITS.file(path, Limits()) is None


def test_copies_of_the_sign_and_padding_are_no_hidden_bits(tmp_path: Path) -> None:
    signed = made.grey(noise(ROWS, COLUMNS, dtype=np.int16, high=2000) - 1000, 12)
    padded = made.grey(noise(ROWS, COLUMNS, dtype=np.uint16, high=4000), 12)
    cells = np.frombuffer(padded.PixelData, "<u2").copy()
    cells[:40] = 63536
    padded.PixelData, padded.PixelPaddingValue = cells.tobytes(), 63536
    for dataset in (signed, padded):
        path = made.saved(dataset, tmp_path / "ct.dcm")
        whole = path.read_bytes()
        assert BITS.file(path, Limits()) is None
        assert path.read_bytes() == whole


def test_bits_stay_where_the_settings_say_so(tmp_path: Path) -> None:
    dataset = made.grey(noise(ROWS, COLUMNS, dtype=np.uint16, high=65535), 12)
    path = made.saved(dataset, tmp_path / "ct.dcm")
    assert Masking().file(path, Limits()) is None


def test_bits_are_cleared_where_text_is_masked(tmp_path: Path) -> None:
    cells = noise(ROWS, COLUMNS, dtype=np.uint16, high=65535)
    pixels = masked(ultrasound(made.grey(cells, 12)), tmp_path / "us.dcm").PixelData
    stored = np.frombuffer(pixels, "<u2").reshape(cells.shape)
    assert np.array_equal(stored[inside()], cells[inside()] & 0xFFF)


def test_shipped_rules_are_for_ultrasound() -> None:
    assert {rule.modality for rule in shipped_rules()} == {"US", "IVUS"}


@pytest.mark.parametrize("stored", [12, 16])
def test_what_is_looked_at_is_decoded_once(
    stored: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = made.grey(noise(ROWS, COLUMNS, dtype=np.uint16, high=4096), stored)
    dataset.compress(RLELossless)
    path = made.saved(dataset, tmp_path / "ct.dcm")
    expected = [picture.pixels for picture in render_file(path)]
    decoded: list[int] = []
    run_length = codecs.run_length
    monkeypatch.setattr(codecs, "run_length", lambda *of: decoded.append(1) or run_length(*of))
    looked = BITS.looked(path, Limits())
    assert looked.masked is None and looked.frames is not None
    pictures = [picture.pixels for picture in Renderer(Limits()).frames(looked.frames)]
    assert np.array_equal(pictures, expected)
    assert len(decoded) == 1


@pytest.mark.parametrize(("room", "decoded"), [(64 << 20, 5), (2 * ROWS * COLUMNS * 2, 5 + 3)])
def test_frames_that_are_looked_at_are_decoded_once_as_far_as_there_is_room(
    room: int, decoded: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two frames of two bytes for each pixel are kept in the smaller one."""
    dataset = made.grey(noise(5, ROWS, COLUMNS, dtype=np.uint16, high=4096), 12)
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096  # else one is looked for in all frames
    dataset.compress(RLELossless)
    path = made.saved(dataset, tmp_path / "xa.dcm")
    expected = [picture.pixels for picture in render_file(path)]
    counted: list[int] = []
    run_length = codecs.run_length
    monkeypatch.setattr(codecs, "run_length", lambda *of: counted.append(1) or run_length(*of))
    monkeypatch.setattr(masking, "_KEPT", room)
    looked = BITS.looked(path, Limits())
    assert looked.masked is None and looked.frames is not None
    pictures = [picture.pixels for picture in Renderer(Limits()).frames(looked.frames)]
    assert np.array_equal(pictures, expected)
    assert len(counted) == decoded


def test_what_came_again_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    """The newer content was acknowledged; its own turn to be masked comes."""
    path, newer = tmp_path / "us.dcm", tmp_path / "newer.dcm"
    made.saved(ultrasound(made.colour(noise(ROWS, COLUMNS, 3))), path)
    made.saved(ultrasound(made.colour(noise(ROWS, COLUMNS, 3)), InstanceNumber=2), newer)
    content = newer.read_bytes()

    def arrive() -> None:
        if newer.exists():
            newer.rename(path)

    with pytest.raises(Undecodable, match="came again"):
        Masking().looked(path, Limits(), arrive)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["us.dcm"]
