"""What programs search: studies, series and instances that are here, by their attributes.

Every UID is a mapped one, every patient a pseudonym. What was lost or has expired is not here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from appliance.archive.attributes import SeriesAttributes, StudyAttributes
from appliance.archive.files import Folders
from appliance.archive.reading import CatalogueReader
from appliance.archive.records import PixelForm

Level = Literal["study", "series", "instance"]

Keys = Mapping[str, Sequence[str]]
"""By keyword of an attribute: the values of which one must match; in texts * stands for any
characters and ? for one (PS3.4 C.2.2.2.4)."""


@dataclass(frozen=True, slots=True)
class StudyEntry:
    """A study. Counts are of what is here."""

    study: str
    patient: str
    """A pseudonym; empty if there is none."""
    modalities: tuple[str, ...]
    series: int
    instances: int
    attributes: StudyAttributes


@dataclass(frozen=True, slots=True)
class SeriesEntry:
    """A series."""

    series: str
    study: str
    patient: str
    modality: str
    instances: int
    attributes: SeriesAttributes
    of_study: StudyAttributes


@dataclass(frozen=True, slots=True)
class InstanceEntry:
    """An instance."""

    instance: str
    series: str
    study: str
    patient: str
    modality: str
    sop_class: str
    number: int | None
    """Instance Number."""
    frames: int
    pixels: PixelForm
    of_series: SeriesAttributes
    of_study: StudyAttributes


@dataclass(frozen=True, slots=True)
class HeldPicture:
    """A picture on the disk."""

    file: Path
    instance: str
    series: str
    study: str
    frame: int
    """From 1, also if it is the only one; 0: the animation of several."""
    width: int
    height: int

    @property
    def suffix(self) -> str:
        """Of the file: one of `files.PICTURE_SUFFIXES`."""
        return self.file.suffix


_HERE: Final = "file IN ('held', 'dropped')"
_STUDY_COLUMNS: Final = (
    *("date", "time", "accession", "physician", "about_study.description", "patient_name"),
    *("birth_date", "sex", "study_id"),
)
_OF_STUDY: Final = ", ".join(f"ifnull({column}, '')" for column in _STUDY_COLUMNS)
_ABOUT_STUDY: Final = "LEFT JOIN study_attributes AS about_study ON about_study.study = studies.id"
_ABOUT_SERIES: Final = (
    f"{_ABOUT_STUDY} LEFT JOIN series_attributes AS about ON about.series = series.id"
)
_SELECT: Final[Mapping[Level, str]] = {
    "study": (
        "SELECT uid, ifnull(patient, ''), (SELECT group_concat(DISTINCT modality) FROM series"
        " WHERE study = studies.id), (SELECT count(*) FROM series WHERE study = studies.id),"
        f" held - expired, {_OF_STUDY} FROM studies {_ABOUT_STUDY} WHERE held > expired"
    ),
    "series": (
        "SELECT series.uid, studies.uid, ifnull(patient, ''), modality,"
        f" (SELECT count(*) FROM instances WHERE series = series.id AND {_HERE}),"
        f" about.number, ifnull(about.description, ''), {_OF_STUDY}"
        f" FROM series JOIN studies ON studies.id = series.study {_ABOUT_SERIES}"
        f" WHERE EXISTS (SELECT 1 FROM instances WHERE series = series.id AND {_HERE})"
    ),
    "instance": (
        "SELECT instances.uid, series.uid, studies.uid, ifnull(patient, ''), modality, sop_class,"
        " instances.number, frames, rows, columns, bits_allocated,"
        f" about.number, ifnull(about.description, ''), {_OF_STUDY}"
        " FROM instances JOIN series ON series.id = instances.series"
        f" JOIN studies ON studies.id = instances.study {_ABOUT_SERIES} WHERE {_HERE}"
    ),
}
_ORDER: Final[Mapping[Level, str]] = {
    "study": "studies.id",
    "series": "series.id",
    "instance": "instances.id",
}
_PICTURES: Final = (
    "SELECT series.uid, instances.uid, frame, suffix, width, height, frame = 0 AND EXISTS"
    " (SELECT 1 FROM pictures AS still WHERE still.instance = instances.id AND still.frame > 0)"
    " FROM studies"
    " JOIN instances ON instances.study = studies.id JOIN series ON series.id = instances.series"
    " JOIN pictures ON pictures.instance = instances.id WHERE studies.uid = ?{}"
    " ORDER BY series.id, number, instances.id, frame, suffix"
)
_FILES: Final = (
    "SELECT series.uid, instances.uid FROM studies"
    " JOIN instances ON instances.study = studies.id JOIN series ON series.id = instances.series"
    " WHERE studies.uid = ? AND file = 'held'{} ORDER BY series.id, number, instances.id"
)
_OF_SERIES: Final = ("SeriesInstanceUID", "Modality")
_ABOUT: Final = {
    "StudyDate": "date",
    "StudyTime": "time",
    "AccessionNumber": "accession",
    "ReferringPhysicianName": "physician",
    "StudyDescription": "about_study.description",
    "PatientName": "patient_name",
    "PatientBirthDate": "birth_date",
    "PatientSex": "sex",
    "StudyID": "study_id",
}
_COLUMNS: Final = {
    **_ABOUT,
    "PatientID": "studies.patient",
    "StudyInstanceUID": "studies.uid",
    "ModalitiesInStudy": "modality",
    "SeriesInstanceUID": "series.uid",
    "Modality": "series.modality",
    "SeriesNumber": "about.number",
    "SeriesDescription": "about.description",
    "SOPInstanceUID": "instances.uid",
    "SOPClassUID": "sop_class",
    "InstanceNumber": "instances.number",
}
_TEXTS: Final = (
    *("PatientID", "ModalitiesInStudy", "Modality", "AccessionNumber", "ReferringPhysicianName"),
    *("StudyDescription", "PatientName", "PatientSex", "StudyID", "SeriesDescription"),
)
RANGES: Final = frozenset(("StudyDate", "StudyTime", "PatientBirthDate"))
"""Keys of which a value may be a range: `from-to`, `from-` and `-to` (PS3.4 C.2.2.2.5)."""
_COMPARED: Final = {"StudyTime": "time || substr('000000', length(time) + 1)"}
"""With the bounds of a range: of a time that says the hour alone, the first second."""
_ABOVE: Final = frozenset(
    ("PatientID", "StudyInstanceUID", "ModalitiesInStudy", *_OF_SERIES, *_ABOUT)
)
KEYS: Final[Mapping[Level, frozenset[str]]] = {
    "study": _ABOVE,
    "series": _ABOVE | {"SeriesNumber", "SeriesDescription"},
    "instance": frozenset(_COLUMNS),
}
"""What may be searched by at each level."""


class Index(CatalogueReader):
    """Searches the catalogue. Every method raises CatalogueFailed."""

    def find_studies(self, keys: Keys, limit: int, offset: int = 0) -> tuple[StudyEntry, ...]:
        """Studies in the order in which they came."""
        return tuple(
            StudyEntry(
                study, patient, _words(modalities), series, instances, StudyAttributes(*about)
            )
            for study, patient, modalities, series, instances, *about in self._found(
                "study", keys, limit, offset
            )
        )

    def find_series(self, keys: Keys, limit: int, offset: int = 0) -> tuple[SeriesEntry, ...]:
        """Series in the order in which they came."""
        return tuple(
            SeriesEntry(
                series,
                study,
                patient,
                modality,
                instances,
                SeriesAttributes(number, description),
                StudyAttributes(*about),
            )
            for series, study, patient, modality, instances, number, description, *about in (
                self._found("series", keys, limit, offset)
            )
        )

    def find_instances(self, keys: Keys, limit: int, offset: int = 0) -> tuple[InstanceEntry, ...]:
        """Instances in the order in which they came."""
        found = self._found("instance", keys, limit, offset)
        return tuple(
            InstanceEntry(
                instance,
                series,
                study,
                patient,
                modality,
                sop_class,
                number,
                frames,
                PixelForm(*more[:3]),
                SeriesAttributes(*more[3:5]),
                StudyAttributes(*more[5:]),
            )
            for instance, series, study, patient, modality, sop_class, number, frames, *more
            in found
        )  # fmt: skip

    def find_pictures(
        self, folders: Folders, study: str, series: str = "", instance: str = ""
    ) -> tuple[HeldPicture, ...]:
        """The pictures of a study, of one of its series or instances, in order."""
        with self._reading() as connection:
            rows = connection.execute(*_within(_PICTURES, study, series, instance)).fetchall()
        return tuple(
            HeldPicture(
                folders.picture(study, in_series, of_instance, frame or None, suffix),
                of_instance,
                in_series,
                study,
                frame or (0 if moves else 1),
                width,
                height,
            )
            for in_series, of_instance, frame, suffix, width, height, moves in rows
        )

    def find_files(
        self, folders: Folders, study: str, series: str = "", instance: str = ""
    ) -> tuple[Path, ...]:
        """The DICOM files on the disk of a study, of one of its series or instances, in order."""
        with self._reading() as connection:
            rows = connection.execute(*_within(_FILES, study, series, instance)).fetchall()
        return tuple(folders.dicom_file(study, *uids) for uids in rows)

    def _found(
        self, level: Level, keys: Keys, limit: int, offset: int
    ) -> Iterator[tuple[Any, ...]]:
        statement, values = query(level, keys)
        with self._reading() as connection:
            rows = connection.execute(statement, (*values, limit, offset)).fetchall()
        return iter(rows)


def _within(select: str, study: str, series: str, instance: str) -> tuple[str, list[str]]:
    """`select` for a study, or for what of it is named, with its values."""
    below = [" AND series.uid = ?"] * bool(series) + [" AND instances.uid = ?"] * bool(instance)
    return select.format("".join(below)), [study, *filter(None, (series, instance))]


def query(level: Level, keys: Keys) -> tuple[str, list[str]]:
    """The SELECT of a search and its values, but for those of LIMIT and OFFSET."""
    conditions, values = [_SELECT[level]], list[str]()
    for keyword, wanted in keys.items():
        if keyword not in KEYS[level]:
            raise ValueError(f"{keyword} is no key at {level} level")
        conditions.append(_condition(level, keyword, wanted))
        values += [bound for value in wanted for bound in _values(keyword, value)]
    if level == "instance" and "SOPInstanceUID" in keys:
        # There is an index over the UIDs of each study, and none over all.
        conditions.append("instances.study IN (SELECT id FROM studies)")
    return f"{' AND '.join(conditions)} ORDER BY {_ORDER[level]} LIMIT ? OFFSET ?", values


def _condition(level: Level, keyword: str, wanted: Sequence[str]) -> str:
    test = _any([_test(keyword, value) for value in wanted])
    if keyword == "ModalitiesInStudy" or (level == "study" and keyword in _OF_SERIES):
        return f"studies.id IN (SELECT study FROM series WHERE {test})"
    return f"({test})"


def _any(tests: Sequence[str]) -> str:
    """One of `tests`, halved again and again: SQLite takes no expression deeper than 1000."""
    if len(tests) <= 2:
        return " OR ".join(tests)
    half = len(tests) // 2
    return f"({_any(tests[:half])}) OR ({_any(tests[half:])})"


def _test(keyword: str, value: str) -> str:
    column = _COLUMNS[keyword]
    if keyword in RANGES and "-" in value:
        # What is not there is in no range.
        return f"({column} != '' AND {_COMPARED.get(keyword, column)} BETWEEN ? AND ?)"
    wild = keyword in _TEXTS and set(value) & set("*?")
    return f"{column} {'GLOB' if wild else '='} ?"


def _values(keyword: str, value: str) -> tuple[str, ...]:
    """The values of a test."""
    if keyword in RANGES and "-" in value:
        first, _, last = value.partition("-")
        # A time may be written in part: 1011 ends when that minute does.
        return first, f"{last}~"
    return (_pattern(value),)


def _pattern(value: str) -> str:
    """For GLOB, which knows one more character than DICOM."""
    return value.replace("[", "[[]") if set(value) & set("*?") else value


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(sorted(filter(None, (text or "").split(","))))
