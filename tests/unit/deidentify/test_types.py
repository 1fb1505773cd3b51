"""Actions of several letters: the attribute's type in the IOD decides (PS3.15 Table E.1-1a)."""

import pytest
from pydicom.datadict import tag_for_keyword

from appliance.images.deidentify.table import read_attribute_types

from .datasets import EXPLICIT, deidentifier, element, header_of, item, read, sequence, text

CT = "1.2.840.10008.5.1.4.1.1.2"
PET = "1.2.840.10008.5.1.4.1.1.128"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
UNKNOWN = "1.2.392.200036.9999"

SERIES_DATE = (0x00080021, b"DA", "20230917")
ACQUISITION_DATE = (0x00080022, b"DA", "20230917")
CONTENT_DATE = (0x00080023, b"DA", "20230917")
DEVICE_SERIAL_NUMBER = (0x00181000, b"LO", "SN4711")
STATION_NAME = (0x00081010, b"SH", "CT-ROOM-3")
CREATION_DATE = (0x00080012, b"DA", "20230917")


def outcome(sop_class: str, tag: int, vr: bytes, value: str) -> str:
    identity = element(EXPLICIT, 0x00080016, b"UI", text(sop_class, b"UI"))
    attribute = element(EXPLICIT, tag, vr, text(value))
    data = attribute + identity if tag < 0x00080016 else identity + attribute
    header = header_of(data, EXPLICIT)
    dataset = read(header.data, EXPLICIT)
    if tag not in dataset:
        return "X"
    assert dataset[tag].value != value
    return "D" if dataset[tag].value else "Z"


@pytest.mark.parametrize(
    ("sop_class", "attribute", "expected"),
    [
        (CT, SERIES_DATE, "X"),  # X/D, General Series: type 3
        (PET, SERIES_DATE, "D"),  # PET Series: type 1
        (UNKNOWN, SERIES_DATE, "D"),
        (CT, ACQUISITION_DATE, "X"),  # X/Z, General Acquisition: type 3
        (PET, ACQUISITION_DATE, "Z"),  # PET Image: type 2
        (UNKNOWN, ACQUISITION_DATE, "Z"),
        (CT, CONTENT_DATE, "Z"),  # Z/D, General Image: type 2C
        (ENHANCED_CT, CONTENT_DATE, "D"),  # Multi-frame Functional Groups: type 1
        (UNKNOWN, CONTENT_DATE, "D"),
        (CT, DEVICE_SERIAL_NUMBER, "X"),  # X/Z/D, General Equipment: type 3
        (ENHANCED_CT, DEVICE_SERIAL_NUMBER, "D"),  # Enhanced General Equipment: type 1
        (CT, STATION_NAME, "X"),
        (UNKNOWN, STATION_NAME, "D"),
        (CT, CREATION_DATE, "X"),  # stands before the SOP Class UID that decides on it
        (UNKNOWN, CREATION_DATE, "D"),
    ],
)
def test_type_of_the_attribute_decides(sop_class, attribute, expected):
    assert outcome(sop_class, *attribute) == expected


def references(around: int) -> bytes:
    image = element(EXPLICIT, 0x00081150, b"UI", text(CT, b"UI"))
    image += element(EXPLICIT, 0x00081155, b"UI", text("1.2.3.4", b"UI"))
    images = sequence(EXPLICIT, 0x00081140, item(EXPLICIT, image))
    return sequence(EXPLICIT, around, item(EXPLICIT, images))


def test_references_that_an_iod_requires_stay_with_mapped_uids():
    header = header_of(references(0x00081115), EXPLICIT)
    image = read(header.data, EXPLICIT).ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    assert image.ReferencedSOPClassUID == CT
    assert image.ReferencedSOPInstanceUID == deidentifier().uid("1.2.3.4")


def test_references_of_type_2_stay_with_mapped_uids():
    header = header_of(references(0x52009229), EXPLICIT)
    (shared,) = read(header.data, EXPLICIT).SharedFunctionalGroupsSequence
    (image,) = shared.ReferencedImageSequence
    assert image.ReferencedSOPInstanceUID == deidentifier().uid("1.2.3.4")


def test_type_1_keeps_a_value_although_the_table_foresees_none():
    study = element(EXPLICIT, 0x00081155, b"UI", text("1.2.3.4", b"UI"))
    studies = sequence(EXPLICIT, 0x00081110, item(EXPLICIT, study))
    intent = tag_for_keyword("RTPhysicianIntentInputInstanceSequence")
    data = sequence(EXPLICIT, intent, item(EXPLICIT, studies))
    (left,) = read(header_of(data, EXPLICIT).data, EXPLICIT)[intent].value
    assert left.ReferencedStudySequence[0].ReferencedSOPInstanceUID == deidentifier().uid("1.2.3.4")


def test_references_of_type_3_are_removed():
    image = element(EXPLICIT, 0x00081155, b"UI", text("1.2.3.4", b"UI"))
    data = element(EXPLICIT, 0x00080016, b"UI", text(CT, b"UI"))
    data += sequence(EXPLICIT, 0x00082112, item(EXPLICIT, image))
    header = header_of(data, EXPLICIT)
    assert "SourceImageSequence" not in read(header.data, EXPLICIT)


def test_types_cover_the_classes_that_the_box_negotiates():
    types = read_attribute_types()
    classes = "1 1.1 1.2 2 3.1 4 6.1 7 11.1 12.1 12.2 77.1.4 128"
    for suffix in classes.split():
        assert f"1.2.840.10008.5.1.4.1.1.{suffix}" in types.iods
    assert types.root["positron-emission-tomography-image"][0x00080021] == 1
    assert types.root["comprehensive-sr"][0x00081111] == 2
    assert 0x00080021 not in types.root["ct-image"]
