"""The attributes of a search: their tags, and how they are written in the DICOM JSON model.

PS3.18 Tables 10.6.3-3 to 10.6.3-5 say which are returned, Annex F how. What de-identification
took away, or the catalogue does not know, is there without a value.
"""

from collections.abc import Mapping
from typing import Any, Final

from appliance.archive.index import InstanceEntry, SeriesEntry, StudyEntry

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
    "StudyInstanceUID": ("0020000D", "UI"),
    "SeriesInstanceUID": ("0020000E", "UI"),
    "StudyID": ("00200010", "SH"),
    "SeriesNumber": ("00200011", "IS"),
    "InstanceNumber": ("00200013", "IS"),
    "NumberOfStudyRelatedSeries": ("00201206", "IS"),
    "NumberOfStudyRelatedInstances": ("00201208", "IS"),
    "NumberOfSeriesRelatedInstances": ("00201209", "IS"),
    "NumberOfFrames": ("00280008", "IS"),
}
"""Tag and VR by keyword."""

KEYWORDS: Final = {tag: keyword for keyword, (tag, _) in ATTRIBUTES.items()}

WITHOUT_VALUE: Final = frozenset(
    (
        *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName"),
        *("PatientBirthDate", "PatientSex", "StudyID", "SeriesNumber"),
    )
)
"""Those that the catalogue does not hold: a key with a value matches none of them."""

Json = dict[str, dict[str, Any]]


def of_study(entry: StudyEntry, services: str) -> Json:
    """A result at study level; `services` is the address of the web services."""
    return _json(
        _patient(entry.patient),
        StudyDate=(),
        StudyTime=(),
        AccessionNumber=(),
        ModalitiesInStudy=entry.modalities,
        ReferringPhysicianName=(),
        RetrieveURL=(f"{services}/studies/{entry.study}",),
        StudyInstanceUID=(entry.study,),
        StudyID=(),
        NumberOfStudyRelatedSeries=(entry.series,),
        NumberOfStudyRelatedInstances=(entry.instances,),
    )


def of_series(entry: SeriesEntry, services: str) -> Json:
    """A result at series level."""
    return _json(
        _patient(entry.patient),
        Modality=(entry.modality,),
        RetrieveURL=(f"{services}/studies/{entry.study}/series/{entry.series}",),
        StudyInstanceUID=(entry.study,),
        SeriesInstanceUID=(entry.series,),
        SeriesNumber=(),
        NumberOfSeriesRelatedInstances=(entry.instances,),
    )


def of_instance(entry: InstanceEntry, services: str) -> Json:
    """A result at instance level."""
    series = f"{services}/studies/{entry.study}/series/{entry.series}"
    return _json(
        _patient(entry.patient),
        SOPClassUID=(entry.sop_class,),
        SOPInstanceUID=(entry.instance,),
        Modality=(entry.modality,),
        RetrieveURL=(f"{series}/instances/{entry.instance}",),
        StudyInstanceUID=(entry.study,),
        SeriesInstanceUID=(entry.series,),
        InstanceNumber=() if entry.number is None else (entry.number,),
        NumberOfFrames=(entry.frames,),
    )


def _patient(patient: str) -> Mapping[str, tuple[object, ...]]:
    return {
        "SpecificCharacterSet": ("ISO_IR 192",),
        "InstanceAvailability": ("ONLINE",),
        "PatientName": (),
        "PatientID": (patient,),
        "PatientBirthDate": (),
        "PatientSex": (),
    }


def _json(common: Mapping[str, tuple[object, ...]], **more: tuple[object, ...]) -> Json:
    elements = {}
    for keyword, values in {**common, **more}.items():
        tag, vr = ATTRIBUTES[keyword]
        given = [value for value in values if value != ""]
        elements[tag] = {"vr": vr, "Value": given} if given else {"vr": vr}
    return dict(sorted(elements.items()))
