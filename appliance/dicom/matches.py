"""What a C-FIND asks for and what it returns (PS3.4 Section C.6.2, Study Root).

The keys are those of the conformance statement, at the levels where the model allows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom.dsutils import decode

Level = Literal["STUDY", "SERIES", "IMAGE"]

KEYS: Mapping[Level, tuple[str, ...]] = {
    "STUDY": ("StudyDate", "StudyTime", "AccessionNumber", "PatientID", "StudyInstanceUID"),
    "SERIES": ("Modality", "StudyInstanceUID", "SeriesInstanceUID"),
    "IMAGE": ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber"),
}
"""The attributes requested at each level, by keyword."""

_TEXT_DELIMITERS = {0x09, 0x0A, 0x0C, 0x0D}


@dataclass(frozen=True, slots=True)
class Match:
    """One pending C-FIND response. Texts are decoded and stripped; UIDs are the remote's own."""

    level: Level
    patient_id: str = ""
    accession: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""
    study_date: str = ""
    study_time: str = ""
    modality: str = ""
    instance_number: int | None = None


def identifier(level: Level, keys: Mapping[str, str], character_set: str | None) -> Dataset:
    """Return the request identifier: `keys` match, the level's other attributes are returned.

    A key with characters beyond ASCII is sent in the remote's character set, else in UTF-8.
    """
    dataset = Dataset()
    if not all(value.isascii() for value in keys.values()):
        dataset.SpecificCharacterSet = (character_set or "ISO_IR 192").split("\\")
    dataset.QueryRetrieveLevel = level
    for keyword in KEYS[level]:
        setattr(dataset, keyword, None)
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def read_match(level: Level, data: bytes, character_set: str | None) -> Match:
    """Return a response identifier (Implicit VR Little Endian) as a Match."""
    dataset = decode(BytesIO(data), True, True)
    encodings = _encodings(dataset, character_set)
    number = _text(dataset, "InstanceNumber", encodings)
    return Match(
        level=level,
        patient_id=_text(dataset, "PatientID", encodings),
        accession=_text(dataset, "AccessionNumber", encodings),
        study=_text(dataset, "StudyInstanceUID", encodings),
        series=_text(dataset, "SeriesInstanceUID", encodings),
        instance=_text(dataset, "SOPInstanceUID", encodings),
        study_date=_text(dataset, "StudyDate", encodings),
        study_time=_text(dataset, "StudyTime", encodings),
        modality=_text(dataset, "Modality", encodings),
        instance_number=int(number) if number.lstrip("+-").isdecimal() else None,
    )


def _encodings(dataset: Dataset, character_set: str | None) -> list[str]:
    declared = _raw(dataset, "SpecificCharacterSet").decode("ascii", "replace").strip(" \0")
    return convert_encodings((declared or character_set or "").split("\\"))


def _text(dataset: Dataset, keyword: str, encodings: list[str]) -> str:
    return decode_bytes(_raw(dataset, keyword), encodings, _TEXT_DELIMITERS).strip(" \0")


def _raw(dataset: Dataset, keyword: str) -> bytes:
    tag = Tag(keyword)
    value = dataset.get_item(tag).value if tag in dataset else b""
    return value if isinstance(value, bytes) else b""
