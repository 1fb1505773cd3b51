"""The File Meta Information: what PS3.10 Section 7.1 asks for, and nothing about the sender."""

from io import BytesIO

import pydicom
import pytest
from pydicom.uid import UID

from appliance.dicom.associations import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.dicom.file_meta import file_meta
from tests.unit.dicom.wire import CT, EXPLICIT, IMPLICIT


def test_byte_by_byte() -> None:
    name = IMPLEMENTATION_VERSION_NAME.encode()
    name += b" " * (len(name) % 2)
    body = (
        bytes.fromhex("0200 0100 4F42 0000 02000000 0001")
        + bytes.fromhex("0200 0200 5549 1A00")
        + b"1.2.840.10008.5.1.4.1.1.2\0"
        + bytes.fromhex("0200 0300 5549 0600")
        + b"1.2.3\0"
        + bytes.fromhex("0200 1000 5549 1200")
        + b"1.2.840.10008.1.2\0"
        + bytes.fromhex("0200 1200 5549 2C00")
        + IMPLEMENTATION_CLASS_UID.encode()
        + bytes.fromhex("0200 1300 5348")
        + len(name).to_bytes(2, "little")
        + name
    )
    length = bytes.fromhex("0200 0000 554C 0400") + len(body).to_bytes(4, "little")
    assert file_meta(CT, "1.2.3", IMPLICIT) == bytes(128) + b"DICM" + length + body


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34", "2." + "9" * 62])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.4.90"])
def test_pydicom_reads_it(instance: str, syntax: str) -> None:
    meta = pydicom.dcmread(BytesIO(file_meta(CT, instance, syntax))).file_meta
    assert meta.MediaStorageSOPClassUID == CT
    assert meta.MediaStorageSOPInstanceUID == instance
    assert meta.TransferSyntaxUID == syntax
    assert {element.keyword for element in meta} == {
        "FileMetaInformationGroupLength",
        "FileMetaInformationVersion",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    }


def test_our_implementation_identity_is_valid() -> None:
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid
    assert 1 <= len(IMPLEMENTATION_VERSION_NAME) <= 16
