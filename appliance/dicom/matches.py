"""What a C-FIND asks for and what it returns (PS3.4 Section C.6.2, Study Root).

The keys are those of the conformance statement, at the levels where the model allows them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import dictionary_VR, tag_for_keyword

from appliance.dicom.sop_classes import Profile
from appliance.images.deidentify import character_sets
from appliance.images.deidentify.elements import IMPLICIT, Broken, Incomplete

Level = Literal["STUDY", "SERIES", "IMAGE"]

KEYS: Mapping[Level, tuple[str, ...]] = {
    "STUDY": ("StudyDate", "StudyTime", "AccessionNumber", "PatientID", "StudyInstanceUID"),
    "SERIES": ("Modality", "StudyInstanceUID", "SeriesInstanceUID"),
    "IMAGE": ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber"),
}
"""The attributes requested at each level by the conformance statement, by keyword."""

_ADDED: Mapping[Level, tuple[str, ...]] = {"IMAGE": ("SOPClassUID",)}
"""What the broad profile asks for as well: it tells what would be sent in vain."""

_UNICODE = b"ISO_IR 192"

_HEAD = 8
"""Bytes before the value of an element without VR: tag and length (PS3.5 Section 7.1.3)."""


class Garbled(ValueError):
    """A response identifier that does not follow the standard."""


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
    sop_class: str = ""


def requested(level: Level, profile: Profile) -> tuple[str, ...]:
    """Return the attributes requested at `level`, by keyword."""
    return KEYS[level] + (_ADDED.get(level, ()) if profile == "broad" else ())


def identifier(
    level: Level, keys: Mapping[str, str], character_set: str | None, profile: Profile
) -> bytes:
    """Return the identifier of a C-FIND-RQ: `keys` match, the level's other attributes come back.

    A key with characters beyond ASCII is sent in the remote's character set, else in UTF-8.
    """
    label, values = _encoded(keys, character_set)
    return _dataset({**dict.fromkeys(requested(level, profile), b""), **values}, level, label)


def study_identifier(study: str) -> bytes:
    """Return the identifier of a C-MOVE-RQ or C-GET-RQ for a study (PS3.4 Section C.4.2.1.4)."""
    return _dataset({"StudyInstanceUID": study.encode("ascii", "replace")}, "STUDY", b"")


def instances_identifier(study: str, series: str, instances: Sequence[str]) -> bytes:
    """Return the identifier of a C-MOVE-RQ or C-GET-RQ for instances of one series."""
    uids = {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "SOPInstanceUID": "\\".join(instances),
    }
    return _dataset(
        {name: uid.encode("ascii", "replace") for name, uid in uids.items()}, "IMAGE", b""
    )


def read_match(level: Level, data: bytes, character_set: str | None) -> Match:
    """Return a response identifier (Implicit VR Little Endian) as a Match. Raises Garbled.

    `character_set` is that of a remote which names none in its responses.
    """
    values = _values(data)
    declared = values.get(_tag("SpecificCharacterSet"), b"").strip(b" \0")
    label = character_sets.repair(declared or (character_set or "").encode())

    def text(keyword: str) -> str:
        return character_sets.decode(values.get(_tag(keyword), b""), label)

    return Match(
        level=level,
        patient_id=text("PatientID"),
        accession=text("AccessionNumber"),
        study=text("StudyInstanceUID"),
        series=text("SeriesInstanceUID"),
        instance=text("SOPInstanceUID"),
        study_date=text("StudyDate"),
        study_time=text("StudyTime"),
        modality=text("Modality"),
        sop_class=text("SOPClassUID"),
        instance_number=_integer(text("InstanceNumber")),
    )


def _encoded(keys: Mapping[str, str], character_set: str | None) -> tuple[bytes, dict[str, bytes]]:
    """The keys' values as bytes, and the Specific Character Set in which they are; ASCII if none.

    What the remote's character set lacks would match nothing, or everybody.
    """
    if all(map(str.isascii, keys.values())):
        return b"", {keyword: value.encode() for keyword, value in keys.items()}
    if character_set:
        label = character_set.encode()
        values = {keyword: character_sets.encode(value, label) for keyword, value in keys.items()}
        fitting = {keyword: value for keyword, value in values.items() if value is not None}
        if len(fitting) == len(keys):
            return label, fitting
    return _UNICODE, {keyword: value.encode() for keyword, value in keys.items()}


def _dataset(values: Mapping[str, bytes], level: Level, label: bytes) -> bytes:
    everything = {**values, "QueryRetrieveLevel": level.encode("ascii")}
    if label:
        everything["SpecificCharacterSet"] = label
    tags = sorted((_tag(keyword), value) for keyword, value in everything.items())
    return b"".join(
        IMPLICIT.element(tag, dictionary_VR(tag).encode("ascii"), value) for tag, value in tags
    )


def _values(data: bytes) -> dict[int, bytes]:
    """The values of a dataset's elements, by tag."""
    try:
        extents = tuple(IMPLICIT.extents(data, 0, len(data)))
    except (Broken, Incomplete) as error:
        raise Garbled(str(error) or "it ends within an element") from None
    return {tag: data[start + _HEAD : end] for tag, start, end in extents}


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
