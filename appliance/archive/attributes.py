"""Attributes of studies and series that programs search by: as the files on disk have them.

A file on disk has no identity any more; what de-identification took away is not here either. They
are read from one file of each series, after it was received: reception does not wait for that.
"""

import sqlite3
from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class StudyAttributes:
    """Of a study; a text is empty if it is not there."""

    date: str = ""
    """YYYYMMDD."""
    time: str = ""
    """HHMMSS.FFFFFF, or the beginning of it."""
    accession: str = ""
    physician: str = ""
    """Referring Physician's Name."""
    description: str = ""
    patient_name: str = ""
    birth_date: str = ""
    sex: str = ""
    study_id: str = ""


@dataclass(frozen=True, slots=True)
class SeriesAttributes:
    """Of a series."""

    number: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """What one file says of the study and the series that it belongs to."""

    study: StudyAttributes = StudyAttributes()
    series: SeriesAttributes = SeriesAttributes()


@dataclass(frozen=True, slots=True)
class Undescribed:
    """A series without attributes, and an instance of it whose file is here."""

    key: int
    series: str
    study: str
    instance: str


def undescribed(connection: sqlite3.Connection, limit: int) -> list[Undescribed]:
    """The first `limit` series without attributes of which there is a file."""
    rows = connection.execute(
        "SELECT series.id, series.uid, studies.uid, (SELECT uid FROM instances"
        "  WHERE instances.series = series.id AND file = 'held' LIMIT 1) AS instance"
        " FROM series JOIN studies ON studies.id = series.study"
        " WHERE instance IS NOT NULL"
        "  AND NOT EXISTS (SELECT 1 FROM series_attributes WHERE series = series.id)"
        " ORDER BY series.id LIMIT ?",
        (limit,),
    )
    return [Undescribed(*row) for row in rows]


def describe(connection: sqlite3.Connection, series: int, described: Described | None) -> None:
    """Put down what a file of a series says.

    Of a study, the first word holds; of a series, the first that says something. None: nothing
    could be read, and the series is not looked at again for that alone.
    """
    said = SeriesAttributes() if described is None else described.series
    connection.execute(
        "INSERT INTO series_attributes VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
        " number = excluded.number, description = excluded.description"
        " WHERE number IS NULL AND description = ''",
        (series, *astuple(said)),
    )
    if described is not None:
        values = astuple(described.study)
        connection.execute(
            "INSERT OR IGNORE INTO study_attributes"
            f" SELECT study, {', '.join('?' * len(values))} FROM series WHERE id = ?",
            (*values, series),
        )


def describe_series_of(connection: sqlite3.Connection, instance: int, described: Described) -> None:
    """The same, of the series of an instance; there may be none any more."""
    row = connection.execute("SELECT series FROM instances WHERE id = ?", (instance,)).fetchone()
    if row is not None:
        describe(connection, row[0], described)
