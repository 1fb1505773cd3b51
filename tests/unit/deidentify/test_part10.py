"""Files in, files out: every transfer syntax, with new file meta information."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from appliance.images.deidentify import Codestream, Malformed, deidentify_file

from .datasets import (
    BIG,
    CT,
    EXPLICIT,
    IMPLICIT,
    deidentifier,
    element,
    item,
    real_files,
    text,
)

WRITER = "1.2.826.0.1.3680043.10.999"


def run(path: Path, profile="basic", **options) -> bytes:
    return deidentify_file(
        path,
        deidentifier=deidentifier(profile),
        implementation_class_uid=WRITER,
        implementation_version_name="NETTY_TEST",
        **options,
    )


REAL = [r for r in real_files() if r.name not in {"winter.dcm", "MR_truncated.dcm"}]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("real", REAL[::3], ids=lambda real: real.name)
def test_pixels_and_transfer_syntax_stay(real):
    before, after = dcmread(real.path), dcmread(BytesIO(run(real.path)))
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    if "PixelData" not in before or not Codestream.of(before.file_meta.TransferSyntaxUID):
        assert after.get("PixelData") == before.get("PixelData")
    else:
        assert len(after.PixelData) == len(before.PixelData)
        assert decoded(after) == decoded(before)
    assert after.file_meta.ImplementationClassUID == WRITER
    assert "SourceApplicationEntityTitle" not in after.file_meta
    assert after.get("SOPInstanceUID", "") == after.file_meta.get("MediaStorageSOPInstanceUID", "")
    assert after.get("SOPClassUID", "") == after.file_meta.get("MediaStorageSOPClassUID", "")
    assert after.file_meta.FileMetaInformationGroupLength == group_length(run(real.path))


def decoded(dataset):
    """The pixels; None where pydicom cannot decode them."""
    try:
        return dataset.pixel_array.tobytes()
    except Exception:
        return None


def group_length(data: bytes) -> int:
    at = 132 + 12
    while data[at : at + 2] == b"\2\0":
        long = data[at + 4 : at + 6] == b"OB"
        size = data[at + 8 : at + 12] if long else data[at + 6 : at + 8]
        at += (12 if long else 8) + int.from_bytes(size, "little")
    return at - 144


def test_deflated_file_stays_deflated():
    path = Path(get_testdata_file("image_dfl.dcm"))
    after = dcmread(BytesIO(run(path)))
    assert after.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert after.PatientIdentityRemoved == "YES"
    assert after.PixelData == dcmread(path).PixelData


@pytest.mark.parametrize("encoding", [IMPLICIT, EXPLICIT, BIG])
def test_bare_dataset_is_taken_for_what_it_is(encoding, tmp_path):
    bare = tmp_path / "bare.dcm"
    data = element(encoding, 0x00080016, b"UI", text(CT, b"UI"))
    data += element(encoding, 0x00080018, b"UI", text("1.2.3", b"UI"))
    bare.write_bytes(data + element(encoding, 0x00100020, b"LO", b"42"))
    after = dcmread(BytesIO(run(bare)))
    assert after.SOPInstanceUID == deidentifier().uid("1.2.3")
    assert after.PatientID == deidentifier().pseudonym("42")


def test_file_meta_that_names_no_transfer_syntax_is_no_obstacle():
    after = dcmread(BytesIO(run(Path(get_testdata_file("meta_missing_tsyntax.dcm")))))
    assert after.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert after.PatientIdentityRemoved == "YES"


@pytest.mark.parametrize("encapsulated", [False, True])
def test_what_follows_the_pixels_goes(encapsulated, tmp_path):
    data = element(EXPLICIT, 0x00080018, b"UI", text("1.2.3", b"UI"))
    if encapsulated:
        frames = item(EXPLICIT, b"") + item(EXPLICIT, b"FRAME1") + b"\xfe\xff\xdd\xe0\0\0\0\0"
        pixels = element(EXPLICIT, 0x7FE00010, b"OB", frames, length=0xFFFFFFFF)
    else:
        pixels = element(EXPLICIT, 0x7FE00010, b"OW", b"PIXELS")
    trailer = element(EXPLICIT, 0x7FE10010, b"LO", b"SECRET")
    trailer += element(EXPLICIT, 0xFFFCFFFC, b"OB", b"SECRET")
    path = tmp_path / "trailer.dcm"
    path.write_bytes(data + pixels + trailer)
    for profile in ("basic", "clear"):
        assert run(path, profile).endswith(pixels)


def test_clear_profile_keeps_the_uids():
    path = Path(get_testdata_file("CT_small.dcm"))
    before, after = dcmread(path), dcmread(BytesIO(run(path, "clear")))
    assert after.SOPInstanceUID == before.SOPInstanceUID == after.file_meta[0x00020003].value
    assert (after.PatientName, after.PatientID) == ("", "")


def test_character_set_of_a_file_that_names_none(tmp_path):
    path = tmp_path / "utf-8.dcm"
    path.write_bytes(element(IMPLICIT, 0x00100020, b"LO", "患者".encode()))
    after = dcmread(BytesIO(run(path, character_set="ISO_IR 192")))
    assert after.PatientID == deidentifier().pseudonym("患者")


REFUSED = {
    "pixels cut short": (Path(get_testdata_file("MR_truncated.dcm")).read_bytes(), "cut short"),
    "DICOMDIR": (Path(get_testdata_file("DICOMDIR")).read_bytes(), "DICOMDIR"),
    "nothing": (b"", "not a DICOM file"),
    "zeros": (bytes(1000), "not a DICOM file"),
    "text": (b"This is a letter, not an image.", "not a DICOM file"),
    "meta cut short": (bytes(128) + b"DICM\2\0\0\0UL\4\0\1\0\0\0\2\0\1\0OB", "breaks off"),
    "not deflated": (
        bytes(128)
        + b"DICM"
        + element(EXPLICIT, 0x00020010, b"UI", text("1.2.840.10008.1.2.1.99", b"UI"))
        + b"not deflated at all",
        "inflated",
    ),
    "deflated, cut short": (
        bytes(128)
        + b"DICM"
        + element(EXPLICIT, 0x00020010, b"UI", text("1.2.840.10008.1.2.1.99", b"UI"))
        + zlib.compress(element(EXPLICIT, 0x00080060, b"CS", b"CT") * 99, wbits=-15)[:-9],
        "deflated",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused(name, tmp_path):
    data, reason = REFUSED[name]
    path = tmp_path / "refused.dcm"
    path.write_bytes(data)
    with pytest.raises(Malformed, match=reason):
        run(path)


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        run(tmp_path / "none.dcm")
