"""What the header of a file says: of its instance, and of the study and series of that.

Apart from all that only handles what was said: a parser takes longer to load than the rest.
"""

import os
import re
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pydicom.valuerep import PersonName

from appliance.archive.attributes import Described, SeriesAttributes, StudyAttributes
from appliance.archive.records import PixelForm, StoredInstance, whole_number

_LONGEST: Final = 256
"""Characters of one value; more than any of these VRs may have."""

_OF_STUDY: Final = (
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyDescription"),
    *("PatientName", "PatientBirthDate", "PatientSex", "StudyID"),
)
_OF_SERIES: Final = ("SeriesNumber", "SeriesDescription")
_DATE: Final = re.compile("[0-9]{8}")
_FORMS: Final = {
    "StudyDate": _DATE,
    "PatientBirthDate": _DATE,
    "StudyTime": re.compile(r"([0-9]{2}){1,3}(\.[0-9]{1,6})?"),
}
"""What is searched by ranges must be comparable."""
_PIXELS: Final = ("Rows", "Columns", "BitsAllocated")
_TAGS: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "Modality",
    "InstanceNumber",
    "NumberOfFrames",
    *_PIXELS,
)


class NotOurs(Exception):
    """A file that is not what its name and its place say."""


def read_instance(path: Path, study: str, series: str, instance: str) -> StoredInstance:
    """What a DICOM file at that place says; pixels are not read.

    Raises `NotOurs` if it cannot be understood, or is another instance than its name says; OSError
    if it cannot be read.
    """
    try:
        dataset, has_pixels = _read(path)
        found = StoredInstance(
            instance=str(dataset.SOPInstanceUID),
            series=str(dataset.SeriesInstanceUID),
            study=str(dataset.StudyInstanceUID),
            sop_class=str(dataset.SOPClassUID),
            transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
            modality=str(dataset.get("Modality") or ""),
            instance_number=whole_number(dataset.get("InstanceNumber")),
            frames=max(1, whole_number(dataset.get("NumberOfFrames")) or 1),
            has_pixels=has_pixels,
            bytes=path.stat().st_size,
            remote=None,
            warning=None,
            patient=str(dataset.get("PatientID") or "") or None,
            pixels=PixelForm(*(whole_number(dataset.get(keyword)) for keyword in _PIXELS)),
        )
    except OSError:
        raise
    except Exception as error:  # A damaged file can make a parser raise anything.
        raise NotOurs(f"not a DICOM file that can be understood: {error}") from error
    if (found.study, found.series, found.instance) != (study, series, instance):
        raise NotOurs("the UIDs in the file are not those of its name")
    return found


def _read(path: Path) -> tuple[FileDataset, bool]:
    """The elements that a row is made of, and whether there are pixels."""
    with path.open("rb") as file:
        dataset = dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))
        if dataset.file_meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
            return dataset, file.tell() < os.fstat(file.fileno()).st_size
        file.seek(0)
        pixels = {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}
        whole = dcmread(file, specific_tags=list(pixels))
        return dataset, any(keyword in whole for keyword in pixels)


def read_attributes(file: Path) -> Described | None:
    """What a file says; None, if it is gone or cannot be understood."""
    try:
        dataset = dcmread(file, stop_before_pixels=True, specific_tags=[*_OF_STUDY, *_OF_SERIES])
    except Exception:  # A damaged file can make a parser raise anything.
        return None
    study = StudyAttributes(*(_text(dataset, keyword) for keyword in _OF_STUDY))
    return Described(study, SeriesAttributes(_number(dataset), _text(dataset, "SeriesDescription")))


def _text(dataset: Dataset, keyword: str) -> str:
    """One value that is written as its VR wants it."""
    try:
        value: Any = dataset.get(keyword)
    except Exception:  # The same of one value.
        return ""
    if not isinstance(value, str | PersonName):
        return ""
    text = str(value).replace("\0", "")[:_LONGEST].strip(" ")
    form = _FORMS.get(keyword)
    return text if form is None or form.fullmatch(text) else ""


def _number(dataset: Dataset) -> int | None:
    try:
        return whole_number(dataset["SeriesNumber"].value)
    except Exception:  # There is none, or one that cannot be understood.
        return None
