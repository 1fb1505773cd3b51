"""The attributes of a search: their tags, and how they are written in the DICOM JSON model.

PS3.18 Tables 10.6.3-3 to 10.6.3-5 say which are returned, Annex F how. What de-identification
took away, or the files do not say, is there without a value.
"""

from collections.abc import Mapping
from typing import Any, Final

from appliance.archive.attributes import SeriesAttributes, StudyAttributes
from appliance.archive.index import InstanceEntry, SeriesEntry, StudyEntry
from appliance.archive.records import PixelForm

ATTRIBUTES: Final = {
    "SpecificCharacterSet": ("00080005", "CS"),
    "SOPClassUID": ("00080016", "UI"),
    "SOPInstanceUID": ("00080018", "UI"),
    "StudyDate": ("00080020", "DA"),
    "StudyTime": ("00080030", "TM"),
    "AccessionNumber": ("00080050", "SH"),
    "InstanceAvailability": ("00080056", "CS"),
    "Modality": ("00080060", "CS"),
    "ModalitiesInStudy": ("00080061", "CS"),
    "ReferringPhysicianName": ("00080090", "PN"),
    "RetrieveURL": ("00081190", "UR"),
    "PatientName": ("00100010", "PN"),
    "PatientID": ("00100020", "LO"),
    "PatientBirthDate": ("00100030", "DA"),
    "PatientSex": ("00100040", "CS"),
    "StudyDescription": ("00081030", "LO"),
    "SeriesDescription": ("0008103E", "LO"),
    "StudyInstanceUID": ("0020000D", "UI"),
    "SeriesInstanceUID": ("0020000E", "UI"),
    "StudyID": ("00200010", "SH"),
    "SeriesNumber": ("00200011", "IS"),
    "InstanceNumber": ("00200013", "IS"),
    "NumberOfStudyRelatedSeries": ("00201206", "IS"),
    "NumberOfStudyRelatedInstances": ("00201208", "IS"),
    "NumberOfSeriesRelatedInstances": ("00201209", "IS"),
    "NumberOfFrames": ("00280008", "IS"),
    "Rows": ("00280010", "US"),
    "Columns": ("00280011", "US"),
    "BitsAllocated": ("00280100", "US"),
}
"""Tag and VR by keyword."""

KEYWORDS: Final = {tag: keyword for keyword, (tag, _) in ATTRIBUTES.items()}

Json = dict[str, dict[str, Any]]


def of_study(entry: StudyEntry, services: str) -> Json:
    """A result at study level; `services` is the address of the web services."""
    return _json(
        _study(entry.patient, entry.attributes),
        ModalitiesInStudy=entry.modalities,
        RetrieveURL=(f"{services}/studies/{entry.study}",),
        StudyInstanceUID=(entry.study,),
        NumberOfStudyRelatedSeries=(entry.series,),
        NumberOfStudyRelatedInstances=(entry.instances,),
    )


def of_series(entry: SeriesEntry, services: str) -> Json:
    """A result at series level."""
    return _json(
        _series(entry.patient, entry.of_study, entry.modality, entry.attributes),
        RetrieveURL=(f"{services}/studies/{entry.study}/series/{entry.series}",),
        StudyInstanceUID=(entry.study,),
        SeriesInstanceUID=(entry.series,),
        NumberOfSeriesRelatedInstances=(entry.instances,),
    )


def of_instance(entry: InstanceEntry, services: str) -> Json:
    """A result at instance level."""
    series = f"{services}/studies/{entry.study}/series/{entry.series}"
    return _json(
        _series(entry.patient, entry.of_study, entry.modality, entry.of_series),
        SOPClassUID=(entry.sop_class,),
        SOPInstanceUID=(entry.instance,),
        RetrieveURL=(f"{series}/instances/{entry.instance}",),
        StudyInstanceUID=(entry.study,),
        SeriesInstanceUID=(entry.series,),
        InstanceNumber=() if entry.number is None else (entry.number,),
        NumberOfFrames=(entry.frames,),
        **_pixels(entry.pixels),
    )


def _pixels(form: PixelForm) -> Mapping[str, tuple[object, ...]]:
    """What is returned of the pixels of an instance, if it has some."""
    said = {"Rows": form.rows, "Columns": form.columns, "BitsAllocated": form.bits_allocated}
    return {keyword: (value,) for keyword, value in said.items() if value is not None}


_COMMON: Final[Mapping[str, tuple[object, ...]]] = {
    "SpecificCharacterSet": ("ISO_IR 192",),
    "InstanceAvailability": ("ONLINE",),
}


def _study(patient: str, about: StudyAttributes) -> Mapping[str, tuple[object, ...]]:
    """What is returned of a study, also with a series of it."""
    return {
        **_COMMON,
        "StudyDate": (about.date,),
        "StudyTime": (about.time,),
        "AccessionNumber": (about.accession,),
        "ReferringPhysicianName": (about.physician,),
        "StudyDescription": (about.description,),
        "PatientName": (about.patient_name,),
        "PatientID": (patient,),
        "PatientBirthDate": (about.birth_date,),
        "PatientSex": (about.sex,),
        "StudyID": (about.study_id,),
    }


def _series(
    patient: str, about_study: StudyAttributes, modality: str, about: SeriesAttributes
) -> Mapping[str, tuple[object, ...]]:
    """What is returned of a series, also with an instance of it."""
    return {
        **_study(patient, about_study),
        "Modality": (modality,),
        "SeriesDescription": (about.description,),
        "SeriesNumber": () if about.number is None else (about.number,),
    }


def _json(common: Mapping[str, tuple[object, ...]], **more: tuple[object, ...]) -> Json:
    elements = {}
    for keyword, values in {**common, **more}.items():
        tag, vr = ATTRIBUTES[keyword]
        given = [_name(str(value)) if vr == "PN" else value for value in values if value != ""]
        elements[tag] = {"vr": vr, "Value": given} if given else {"vr": vr}
    return dict(sorted(elements.items()))


def _name(text: str) -> Mapping[str, str]:
    """A person's name, by its groups (PS3.18 Section F.2.2)."""
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {name: group for name, group in groups if group}
