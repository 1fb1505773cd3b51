"""What the header of a file says of the study and the series that it belongs to.

Apart from the values themselves, as who only shows them needs no parser.
"""

import re
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from appliance.archive.attributes import Described, SeriesAttributes, StudyAttributes

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
        return int(dataset["SeriesNumber"].value)
    except Exception:  # There is none, or several, or something else.
        return None
