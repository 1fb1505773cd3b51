"""What people look at: studies with their pictures, and what is being fetched."""

from dataclasses import dataclass
from pathlib import Path

from appliance.archive.files import Folders
from appliance.archive.reading import CatalogueReader


@dataclass(frozen=True, slots=True)
class AlbumStudy:
    """A study as a list shows it. Counts are of instances, but for `pictures`."""

    id: int
    patient: str
    """A pseudonym; empty if there is none."""
    held: int
    outstanding: int
    queued: int
    failed: int
    pictures: int
    last_stored: float
    date: str
    """Study Date, YYYYMMDD; empty if it is not known, or was taken away."""
    description: str
    """Study Description; the same."""
    modalities: tuple[str, ...]
    cover: "AlbumPicture | None"

    @property
    def made(self) -> str:
        """When it was made, and what it is of, as far as that is known."""
        date = f"{self.date[:4]}-{self.date[4:6]}-{self.date[6:]}" if self.date else ""
        return f"{date} {self.description}".strip()


@dataclass(frozen=True, slots=True)
class AlbumPicture:
    """A picture, by numbers of the catalogue that say nothing about a patient."""

    instance: int
    frame: int
    """From 1; 0 if it is the only one."""
    modality: str
    number: int | None
    """Instance Number."""
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Running:
    """A retrieval that runs. Counts are of instances."""

    remote: str
    begun_at: float
    found: int
    """What the remote lists of the study."""
    missing: int
    """What was to come when it began."""
    arrived: int
    queued: int
    """Arrived, and waiting for their pictures."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched since a moment."""

    studies: int
    instances: int


_PICTURE = (
    "SELECT instances.id, frame, modality, number, width, height FROM instances"
    " JOIN series ON series.id = instances.series JOIN pictures ON pictures.instance = instances.id"
    " WHERE instances.study = ? ORDER BY series.id, number, instances.id, frame, suffix"
    " LIMIT ? OFFSET ?"
)
_STUDY = (
    "SELECT id, ifnull(patient, ''), held, outstanding, queued, failed, pictures,"
    " ifnull(last_stored, 0), ifnull(date, ''), ifnull(description, '') FROM studies"
    " LEFT JOIN study_attributes ON study = studies.id"
)


class Album(CatalogueReader):
    """Reads what people look at. Every method raises CatalogueFailed."""

    def count(self) -> int:
        """How many studies there are to look at."""
        with self._reading() as connection:
            (count,) = connection.execute("SELECT count(*) FROM studies WHERE held > 0").fetchone()
        return int(count)

    def latest(self, limit: int, offset: int = 0) -> tuple[AlbumStudy, ...]:
        """Studies, the one that something arrived of last first."""
        with self._reading() as connection:
            ids = connection.execute(
                "SELECT id FROM studies WHERE held > 0"
                " ORDER BY last_stored DESC, id DESC LIMIT ? OFFSET ?",
                (limit, offset),
            ).fetchall()
        return tuple(self.study(id) for (id,) in ids)

    def study(self, id: int) -> AlbumStudy:
        """One study. Raises LookupError if there is none of that number."""
        with self._reading() as connection:
            row = connection.execute(f"{_STUDY} WHERE id = ? AND held > 0", (id,)).fetchone()
            if row is None:
                raise LookupError(f"study {id}")
            modalities = connection.execute(
                "SELECT DISTINCT modality FROM series WHERE study = ? ORDER BY modality", (id,)
            ).fetchall()
            # The first of a volume is often empty air.
            cover = connection.execute(_PICTURE, (id, 1, row[6] // 2)).fetchone()
        kinds = tuple(modality for (modality,) in modalities if modality)
        return AlbumStudy(*(*row, kinds, AlbumPicture(*cover) if cover else None))

    def pictures(self, study: int, limit: int, offset: int) -> tuple[AlbumPicture, ...]:
        """Pictures of a study in the order in which one pages through them."""
        with self._reading() as connection:
            rows = connection.execute(_PICTURE, (study, limit, offset)).fetchall()
        return tuple(AlbumPicture(*row) for row in rows)

    def picture_file(self, folders: Folders, instance: int, frame: int) -> Path:
        """Where a picture lies. Raises LookupError if there is none of these numbers."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT studies.uid, series.uid, instances.uid, suffix FROM pictures"
                " JOIN instances ON instances.id = pictures.instance"
                " JOIN series ON series.id = instances.series"
                " JOIN studies ON studies.id = instances.study"
                " WHERE pictures.instance = ? AND frame = ? ORDER BY suffix LIMIT 1",
                (instance, frame),
            ).fetchone()
        if row is None:
            raise LookupError(f"picture {instance}, {frame}")
        study, series, uid, suffix = row
        return folders.picture(study, series, uid, frame or None, suffix)

    def running(self) -> tuple[Running, ...]:
        """The retrievals that run, the oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT remotes.name, begun_at, held + outstanding, retrievals.missing,"
                " max(0, retrievals.missing - outstanding), queued"
                " FROM retrievals JOIN studies ON studies.id = retrievals.study"
                " JOIN remotes ON remotes.id = retrievals.remote"
                " WHERE ended_at IS NULL ORDER BY retrievals.id"
            ).fetchall()
        return tuple(Running(*row) for row in rows)

    def fetched_since(self, moment: float) -> Fetched:
        """What retrievals that have ended brought since `moment`, in seconds since 1970."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT count(DISTINCT study), ifnull(sum(arrived), 0) FROM retrievals"
                " WHERE ended_at >= ? AND arrived > 0",
                (moment,),
            ).fetchone()
        return Fetched(*row)
