"""Native pixels pass without the text in them, as the worker that masks files would leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from appliance.dicom.file_meta import file_meta
from appliance.images.deidentify import Deidentifier, Profile, encoding_of
from appliance.images.masking import Masking
from appliance.images.passing import passing
from appliance.images.render import Limits
from appliance.images.render.decode import stored_values
from appliance.settings.model import Mask

from .render import made
from .test_masking import CLEAR, COLUMNS, ROWS, inside, noise, region, ultrasound

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
FRAMES = 3


def planar(dataset: Dataset) -> Dataset:
    cells = np.frombuffer(dataset.PixelData, np.uint8).reshape(-1, ROWS, COLUMNS, 3)
    dataset.PixelData = cells.transpose(0, 3, 1, 2).tobytes()
    dataset.PlanarConfiguration = 1
    return dataset


def shared_chroma() -> Dataset:
    dataset = made.colour(noise(FRAMES, ROWS, COLUMNS, 3), "YBR_FULL_422")
    dataset.PixelData = noise(FRAMES, ROWS, 2 * COLUMNS).tobytes()
    return dataset


def single_bits() -> Dataset:
    bits = np.random.default_rng(7).integers(0, 2, (FRAMES, ROWS, COLUMNS), np.uint8)
    dataset = made.grey(bits, PhotometricInterpretation="MONOCHROME1")
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    dataset.PixelData = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    return dataset


def hiding_bits() -> Dataset:
    return made.grey(noise(ROWS, COLUMNS, dtype=np.uint16, high=65535), 12)


IMAGES: dict[str, Any] = {
    "RGB": lambda: made.colour(noise(FRAMES, ROWS, COLUMNS, 3)),
    "planar": lambda: planar(made.colour(noise(FRAMES, ROWS, COLUMNS, 3))),
    "planar YBR": lambda: planar(made.colour(noise(FRAMES, ROWS, COLUMNS, 3), "YBR_FULL")),
    "YBR": lambda: made.colour(noise(ROWS, COLUMNS, 3), "YBR_FULL"),
    "4:2:2": shared_chroma,
    "4:2:2 in full": lambda: made.colour(noise(ROWS, COLUMNS, 3), "YBR_FULL_422"),
    "8 bits": lambda: made.grey(noise(ROWS, COLUMNS)),
    "MONOCHROME1": lambda: made.grey(
        noise(ROWS, COLUMNS, dtype=np.uint16, high=4096),
        12,
        PhotometricInterpretation="MONOCHROME1",
    ),
    "signed": lambda: made.grey(noise(FRAMES, ROWS, COLUMNS, dtype=np.int16, high=2000), 12),
    "32 bits": lambda: made.grey(noise(ROWS, COLUMNS, dtype=np.uint32, high=1 << 30)),
    "1 bit": single_bits,
    "hiding": hiding_bits,
}


def encoded(dataset: Dataset, syntax: str) -> bytes:
    """The dataset's bytes; of big endian ones, the pixels too."""
    target = DicomBytesIO()
    target.is_little_endian = syntax != ExplicitVRBigEndian
    target.is_implicit_VR = syntax == ImplicitVRLittleEndian
    dataset["PixelData"].VR = "OW"
    if not target.is_little_endian:
        size = max(2, dataset.BitsAllocated // 8)
        little = dataset.PixelData
        dataset.PixelData = np.frombuffer(little, f"<u{size}").byteswap().tobytes()
        write_dataset(target, dataset)
        dataset.PixelData = little
    else:
        write_dataset(target, dataset)
    return target.getvalue()


def file_of(head: bytes, *rest: bytes, syntax: str) -> bytes:
    return b"".join([file_meta("1.2.3", "2.25.1", syntax), head, *rest])


def passed(
    dataset: Dataset,
    syntax: str = ExplicitVRLittleEndian,
    step: int = 10_000,
    rules: tuple[Mask, ...] = (),
    profile: Profile = "basic",
) -> bytes | None:
    """The file that is written of a dataset which arrives in parts of `step` bytes."""
    data, encoding = encoded(dataset, syntax), encoding_of(syntax)
    header = Deidentifier(profile, bytes(16)).header(data, encoding, complete=True)
    assert header is not None
    assert header.pixels_at is not None
    way = passing(header, data, encoding, syntax, rules)
    if way is None:
        return None
    pixels = data[header.pixels_at :]
    parts = [way.feed(pixels[at : at + step]) for at in range(0, len(pixels), step)]
    written = b"".join(bytes(piece) for part in parts for piece in part) + way.rest()
    assert len(written) == len(pixels)
    return file_of(way.header.data, written, syntax=syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("kind", IMAGES)
def test_pixels_are_those_of_a_file_that_is_masked(kind: str, syntax: str, tmp_path: Path) -> None:
    dataset = ultrasound(IMAGES[kind]())
    path = made.saved(dataset, tmp_path / "us.dcm")
    assert Masking().file(path, Limits())
    expected = stored_values(path.read_bytes())
    found = passed(dataset, syntax)
    assert found is not None
    for one, other in zip(stored_values(found), expected, strict=True):
        assert np.array_equal(one, other)
    path.write_bytes(found)
    assert Masking(bits=True).file(path, Limits()) == (syntax, len(found))
    assert path.read_bytes() == found, "it was masked again"


@pytest.mark.parametrize("kind", ["RGB", "planar", "1 bit"])
def test_parts_may_be_of_any_size(kind: str) -> None:
    dataset = ultrasound(IMAGES[kind]())
    whole = passed(dataset, step=1 << 20)
    assert whole is not None
    for step in (1, 17, 4097):
        assert passed(dataset, step=step) == whole


def test_pixels_that_share_chroma_are_black_together() -> None:
    dataset = ultrasound(shared_chroma())
    left, top, width, height = CLEAR
    last = left + width - 2, top + height - 1
    dataset.SequenceOfUltrasoundRegions = [region(left + 1, top, *last)]
    file = passed(dataset)
    assert file is not None
    for values in stored_values(file):
        shown = (values != (0, 128, 128)).any(axis=2)
        assert not shown[:, : left + 2].any()
        assert not shown[:, left + width - 2 :].any()
        assert shown[top : top + height, left + 2 : left + width - 2].any()


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("profile", ["basic", "clear"])
def test_header_says_so_and_all_else_stays(syntax: str, profile: Profile) -> None:
    said = Dataset()
    said.CodeValue, said.CodingSchemeDesignator, said.CodeMeaning = "113100", "DCM", "Basic"
    dataset = ultrasound(IMAGES["RGB"](), BurnedInAnnotation="YES")
    dataset.DeidentificationMethodCodeSequence = [said]
    data, encoding = encoded(dataset, syntax), encoding_of(syntax)
    header = Deidentifier(profile, bytes(16)).header(data, encoding, complete=True)
    assert header is not None
    before = dcmread(DicomBytesIO(file_of(header.data, syntax=syntax)))
    found = passed(dataset, syntax, profile=profile)
    assert found is not None
    after = dcmread(DicomBytesIO(found))
    assert after.BurnedInAnnotation == "NO"
    codes = [code.CodeValue for code in after.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101"]
    for keyword in ("BurnedInAnnotation", "DeidentificationMethodCodeSequence", "PixelData"):
        del after[keyword]
        if keyword in before:
            del before[keyword]
    assert after == before


def test_rule_of_the_settings() -> None:
    dataset = made.grey(noise(ROWS, COLUMNS), BurnedInAnnotation="NO", Manufacturer="Acme")
    file = passed(dataset, rules=(Mask(manufacturer="ACME", blank=((0, 0, COLUMNS, 10),)),))
    assert file is not None
    (values,) = stored_values(file)
    assert not values[:10].any()
    assert np.array_equal(values[10:], noise(ROWS, COLUMNS)[10:])


def test_more_pixels_than_said_are_masked_as_a_further_frame() -> None:
    dataset = ultrasound(made.grey(noise(2, ROWS, COLUMNS)))
    dataset.NumberOfFrames = 1
    file = passed(dataset)
    assert file is not None
    assert not dcmread(DicomBytesIO(file)).PixelData[-COLUMNS:].strip(b"\0")
    frames = np.frombuffer(dcmread(DicomBytesIO(file)).PixelData, np.uint8)
    assert not frames.reshape(2, ROWS, COLUMNS)[:, ~inside()].any()


@pytest.mark.parametrize(
    "changed",
    [
        {"Modality": "CT"},
        {"SequenceOfUltrasoundRegions": []},
        {"SequenceOfUltrasoundRegions": [region(0, 0, 5, 5)] * 1001},
        {"BurnedInAnnotation": "NO"},
        {"BitsAllocated": 24},
        {"Columns": 0},
        {"PhotometricInterpretation": "CMYK"},
    ],
)
def test_what_no_rule_covers_or_nobody_understands_is_left_to_the_worker(
    changed: dict[str, Any],
) -> None:
    dataset = ultrasound(made.grey(noise(ROWS, COLUMNS)))
    for keyword, value in changed.items():
        setattr(dataset, keyword, value)
    assert passed(dataset) is None
