"""The changes of the catalogue's rows; for use by its writing thread alone."""

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

from appliance.archive import presentations
from appliance.archive.files import DurableNames, Folders, sync_directories
from appliance.archive.reading import MAY_EXPIRE
from appliance.archive.records import (
    PRESENTATION_STATES,
    Adoption,
    CatalogueFailed,
    PictureRow,
    RenderJob,
    RenderOutcome,
    StoredInstance,
)

K = TypeVar("K")

COMPLETE: Final = "complete"
"""The outcome of a retrieval after which nothing is outstanding: its attempts begin anew."""
INTERRUPTED: Final = "interrupted"
"""The outcome of a retrieval that the end of the process cut short."""

_KEYS: Final = 20_000
_CHUNK: Final = 200
"""Instances expired in one transaction: stores wait no longer than their removal takes."""
_NO_PIXELS: Final = "the dataset has no pixel data"

_INSERT_INSTANCE: Final = (
    "INSERT INTO instances (study, series, uid, sop_class, transfer_syntax, number, frames, bytes,"
    " remote, warning, stored_at, rows, columns, bits_allocated, file, picture, reason)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_UPDATE_INSTANCE: Final = (
    "UPDATE instances SET sop_class = ?, transfer_syntax = ?, number = ?, frames = ?, bytes = ?,"
    " remote = ?, warning = ?, stored_at = ?, rows = ?, columns = ?, bits_allocated = ?,"
    " file = ?, picture = ?, reason = ?,"
    " generation = generation + 1 WHERE id = ?"
)
_INSERT_PICTURE: Final = (
    "INSERT INTO pictures (instance, frame, suffix, width, height, bytes) VALUES (?, ?, ?, ?, ?, ?)"
)
_COUNT_OUTSTANDING: Final = (
    "UPDATE studies SET outstanding = (SELECT count(DISTINCT instance) FROM listed"
    "  WHERE listed.study = studies.id AND NOT EXISTS (SELECT 1 FROM instances"
    "   WHERE instances.study = listed.study AND uid = listed.instance AND file <> 'missing'))"
    " WHERE id = ?"
)


class Removal(NamedTuple):
    """Files of an instance that its row no longer claims."""

    key: int
    dicom: Path | None
    pictures: tuple[tuple[int, str, Path], ...]
    """Frame (0: the only one), suffix and file of each."""


class Rows:
    """Changes of rows, each within a transaction that the caller has begun."""

    def __init__(self, folders: Folders, names: DurableNames) -> None:
        self._folders = folders
        self._names = names
        self._studies: dict[tuple[str, str | None], int] = {}
        self._series: dict[tuple[int, str], int] = {}
        self._remotes: dict[str, int] = {}

    def forget(self) -> None:
        """To be called when a transaction was undone: keys it gave out may be of no row."""
        self._studies.clear()
        self._series.clear()
        self._remotes.clear()

    def put(
        self,
        connection: sqlite3.Connection,
        instance: StoredInstance,
        at: float,
        file: Literal["held", "dropped"] = "held",
        pictures: Sequence[PictureRow] = (),
    ) -> bool:
        """The row of an instance whose file is on disk; whether it was not held before.

        `pictures` are those found on disk; they count only for an instance that had no row.
        """
        study = self._study(connection, instance.study, instance.patient)
        series = self._series_of(connection, study, instance.series, instance.modality)
        remote = None if instance.remote is None else self.remote(connection, instance.remote)
        described = (
            instance.sop_class,
            instance.transfer_syntax,
            instance.instance_number,
            instance.frames,
            instance.bytes,
            remote,
            instance.warning,
            at,
            instance.pixels.rows,
            instance.pixels.columns,
            instance.pixels.bits_allocated,
        )
        picture, reason = _first_picture_state(instance, pictures)
        inserted = connection.execute(
            _INSERT_INSTANCE, (study, series, instance.instance, *described, file, picture, reason)
        )
        if inserted.rowcount == 0:
            return self._put_again(
                connection, instance, (study, instance.instance, series), described
            )
        presentations.image_came(connection, study, instance.instance)
        if picture == "rendered":
            key = inserted.lastrowid
            connection.executemany(_INSERT_PICTURE, (_picture(key, row) for row in pictures))
        return True

    def _put_again(
        self,
        connection: sqlite3.Connection,
        instance: StoredInstance,
        identity: tuple[int, str, int],
        described: tuple[object, ...],
    ) -> bool:
        """The newer file is rendered whatever it holds: text in its pixels is not masked yet."""
        key, file = connection.execute(
            "SELECT id, file FROM instances WHERE study = ? AND uid = ? AND series = ?", identity
        ).fetchone()
        if file in ("dropped", "expired"):
            self._assure(instance)
        presentations.image_came(connection, identity[0], instance.instance)
        picture, reason = _first_picture_state(instance, ())
        if picture == "none":
            connection.execute("DELETE FROM pictures WHERE instance = ?", (key,))
        connection.execute(_UPDATE_INSTANCE, (*described, "held", picture, reason, key))
        return bool(file == "missing")

    def _assure(self, instance: StoredInstance) -> None:
        """Raises unless the file of `instance` is there, and lasts.

        Between its arrival and now, this thread may have removed it, taking it for the older one.
        """
        path = self._dicom_file(instance)
        if not path.exists():
            raise CatalogueFailed(
                f"{path.name}: the file went with the older one that it replaced; send it again"
            )
        sync_directories((path.parent,))

    def list_study(
        self,
        connection: sqlite3.Connection,
        study_uid: str,
        remote_name: str,
        listed: frozenset[str],
        patient: str | None,
        at: float,
    ) -> None:
        """Replaces what `remote_name` lists of a study."""
        study = self._study(connection, study_uid, patient)
        remote = self.remote(connection, remote_name)
        before = {
            uid
            for (uid,) in connection.execute(
                "SELECT instance FROM listed WHERE study = ? AND remote = ?", (study, remote)
            )
        }
        connection.execute(
            "INSERT INTO listings (study, remote, changed_at) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET changed_at = excluded.changed_at",
            (study, remote, at),
        )
        connection.executemany(
            "DELETE FROM listed WHERE study = ? AND instance = ? AND remote = ?",
            ((study, uid, remote) for uid in before - listed),
        )
        connection.executemany(
            "INSERT INTO listed (study, instance, remote) VALUES (?, ?, ?)",
            ((study, uid, remote) for uid in sorted(listed - before)),
        )
        if listed - before:
            connection.execute(
                "UPDATE listings SET attempts = 0, next_attempt = NULL"
                " WHERE study = ? AND remote = ?",
                (study, remote),
            )
        connection.execute(_COUNT_OUTSTANDING, (study,))

    def retain_remotes(self, connection: sqlite3.Connection, names: frozenset[str]) -> None:
        """Removes the listings of all other remotes, and what is known of these remotes."""
        for key, name in connection.execute("SELECT id, name FROM remotes").fetchall():
            if name in names:
                continue
            studies = connection.execute(
                "SELECT study FROM listings WHERE remote = ?", (key,)
            ).fetchall()
            connection.execute("DELETE FROM listed WHERE remote = ?", (key,))
            connection.execute("DELETE FROM listings WHERE remote = ?", (key,))
            connection.executemany(_COUNT_OUTSTANDING, studies)
            connection.execute(
                "UPDATE remotes SET last_reached = NULL, last_failed = NULL, failure = '',"
                " failures = 0, next_attempt = NULL WHERE id = ?",
                (key,),
            )

    def begin_retrieval(
        self,
        connection: sqlite3.Connection,
        study_uid: str,
        remote_name: str,
        method: str,
        missing: int,
        at: float,
    ) -> int:
        """A new retrieval, and one more attempt; its number."""
        study = self._study(connection, study_uid, None)
        remote = self.remote(connection, remote_name)
        connection.execute(
            "INSERT INTO listings (study, remote, attempts) VALUES (?, ?, 1)"
            " ON CONFLICT DO UPDATE SET attempts = attempts + 1, next_attempt = NULL",
            (study, remote),
        )
        inserted = connection.execute(
            "INSERT INTO retrievals (study, remote, method, begun_at, missing)"
            " VALUES (?, ?, ?, ?, ?)",
            (study, remote, method, at, missing),
        )
        assert inserted.lastrowid is not None
        return inserted.lastrowid

    def finish_renders(
        self, connection: sqlite3.Connection, outcomes: Iterable[RenderOutcome]
    ) -> list[Removal]:
        """States and pictures of instances; what is to be removed now."""
        removals = (self._finish_render(connection, outcome) for outcome in outcomes)
        return [removal for several in removals for removal in several]

    def _finish_render(
        self, connection: sqlite3.Connection, outcome: RenderOutcome
    ) -> Iterator[Removal]:
        job = outcome.job
        row = connection.execute(
            "SELECT study, sop_class FROM instances"
            " WHERE id = ? AND generation = ? AND file = 'held'",
            (job.key, job.generation),
        ).fetchone()
        if row is None:
            return
        if outcome.state == "failed" and not self._dicom_file(job).exists():
            lose(connection, [job.key], [])
            return
        study, is_state = row[0], row[1] in PRESENTATION_STATES
        old = connection.execute(
            "SELECT frame, suffix FROM pictures WHERE instance = ?", (job.key,)
        ).fetchall()
        new = [_picture(job.key, picture) for picture in outcome.pictures]
        connection.execute("DELETE FROM pictures WHERE instance = ?", (job.key,))
        connection.executemany(_INSERT_PICTURE, new)
        drop = (
            outcome.drop_dicom
            and outcome.state == "rendered"
            and not is_state
            and not presentations.waits(connection, study)
        )
        connection.execute(
            "UPDATE instances SET picture = ?, reason = ?, file = ? WHERE id = ?",
            (outcome.state, outcome.reason, "dropped" if drop else "held", job.key),
        )
        if outcome.rewritten is not None:
            connection.execute(
                "UPDATE instances SET transfer_syntax = ?, bytes = ? WHERE id = ?",
                (*outcome.rewritten, job.key),
            )
        stale = set(old).difference((frame, suffix) for _, frame, suffix, *_ in new)
        if drop or stale:
            yield self._removal(job.key, job.study, job.series, job.instance, drop, sorted(stale))
        if is_state:
            presentations.register(connection, job.key, study, outcome.presented)
            if outcome.drop_dicom and not presentations.waits(connection, study):
                yield from self._drop_rendered(connection, study, job.study)

    def _drop_rendered(
        self, connection: sqlite3.Connection, study: int, study_uid: str
    ) -> Iterator[Removal]:
        """Drop the DICOM files that were kept for presentation states of a study."""
        rows = connection.execute(
            "SELECT instances.id, series.uid, instances.uid"
            " FROM instances JOIN series ON series.id = instances.series"
            " WHERE instances.study = ? AND file = 'held' AND picture = 'rendered'"
            "  AND sop_class NOT IN (?, ?)",
            (study, *PRESENTATION_STATES),
        ).fetchall()
        for key, series, instance in rows:
            connection.execute("UPDATE instances SET file = 'dropped' WHERE id = ?", (key,))
            yield self._removal(key, study_uid, series, instance, True, ())

    def expire(self, connection: sqlite3.Connection, study_uid: str) -> tuple[list[Removal], int]:
        """Marks some of the instances of a study; what is to be removed now, and its bytes."""
        rows = connection.execute(
            "SELECT instances.id, series.uid, instances.uid,"
            "  CASE file WHEN 'held' THEN instances.bytes ELSE 0 END"
            " FROM studies JOIN instances ON instances.study = studies.id"
            " JOIN series ON series.id = instances.series"
            f" WHERE studies.uid = ? AND file IN ('held', 'dropped') AND {MAY_EXPIRE}"
            " ORDER BY instances.id LIMIT ?",
            (study_uid, _CHUNK),
        ).fetchall()
        removals: list[Removal] = []
        freed = 0
        for key, series, instance, size in rows:
            pictures = connection.execute(
                "SELECT frame, suffix, bytes FROM pictures WHERE instance = ?", (key,)
            ).fetchall()
            freed += size + sum(row[2] for row in pictures)
            stale = [(frame, suffix) for frame, suffix, _ in pictures]
            removals.append(self._removal(key, study_uid, series, instance, True, stale))
            presentations.forget(connection, key)
        keys = [(removal.key,) for removal in removals]
        connection.executemany("DELETE FROM pictures WHERE instance = ?", keys)
        connection.executemany("UPDATE instances SET file = 'expired' WHERE id = ?", keys)
        return removals, freed

    def _removal(
        self,
        key: int,
        study: str,
        series: str,
        instance: str,
        dicom: bool,
        pictures: Iterable[tuple[int, str]],
    ) -> Removal:
        return Removal(
            key,
            self._folders.dicom_file(study, series, instance) if dicom else None,
            tuple(
                (
                    frame,
                    suffix,
                    self._folders.picture(study, series, instance, frame or None, suffix),
                )
                for frame, suffix in pictures
            ),
        )

    def remove(self, connection: sqlite3.Connection, removals: Iterable[Removal]) -> None:
        """Removes files, after the transaction, unless a later change of it claims them again."""
        for removal in removals:
            if removal.dicom is not None and _is_unclaimed(connection, removal.key):
                removal.dicom.unlink(missing_ok=True)
            for frame, suffix, path in removal.pictures:
                claimed = connection.execute(
                    "SELECT 1 FROM pictures WHERE instance = ? AND frame = ? AND suffix = ?",
                    (removal.key, frame, suffix),
                ).fetchone()
                if claimed is None:
                    path.unlink(missing_ok=True)

    def remove_study(self, connection: sqlite3.Connection, removals: Collection[Removal]) -> None:
        """Like `remove`, and removes the folders that are empty then."""
        self.remove(connection, removals)
        for folder in dict.fromkeys(_folders_of(removals)):
            # First: a folder of that name that another thread makes anew is anchored anew.
            self._names.forget(folder)
            with suppress(OSError):  # Not empty, or gone already.
                os.rmdir(folder)

    def adopt(self, connection: sqlite3.Connection, adoptions: Iterable[Adoption]) -> None:
        """Rows for what was found on disk."""
        for found in adoptions:
            self.put(connection, found.instance, found.stored_at, found.file, found.pictures)

    def remote(self, connection: sqlite3.Connection, name: str) -> int:
        """The key of a remote AE's row, which is made if need be."""
        key = self._remotes.get(name)
        if key is None:
            connection.execute(
                "INSERT INTO remotes (name) VALUES (?) ON CONFLICT DO NOTHING", (name,)
            )
            (key,) = connection.execute("SELECT id FROM remotes WHERE name = ?", (name,)).fetchone()
            self._remotes[name] = key
        return key

    def _dicom_file(self, of: StoredInstance | RenderJob) -> Path:
        return self._folders.dicom_file(of.study, of.series, of.instance)

    def _study(self, connection: sqlite3.Connection, uid: str, patient: str | None) -> int:
        key = self._studies.get((uid, patient))
        if key is None:
            connection.execute(
                "INSERT INTO studies (uid, patient) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET patient = excluded.patient"
                " WHERE excluded.patient IS NOT NULL",
                (uid, patient),
            )
            (key,) = connection.execute("SELECT id FROM studies WHERE uid = ?", (uid,)).fetchone()
            _remember(self._studies, (uid, patient), key)
        return key

    def _series_of(
        self, connection: sqlite3.Connection, study: int, uid: str, modality: str
    ) -> int:
        key = self._series.get((study, uid))
        if key is None:
            connection.execute(
                "INSERT INTO series (study, uid, modality) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET modality = excluded.modality WHERE modality = ''",
                (study, uid, modality),
            )
            (key,) = connection.execute(
                "SELECT id FROM series WHERE study = ? AND uid = ?", (study, uid)
            ).fetchone()
            _remember(self._series, (study, uid), key)
        return key


def end_retrieval(
    connection: sqlite3.Connection,
    number: int,
    outcome: str,
    sentence: str,
    arrived: int,
    next_attempt: float | None,
    at: float,
) -> None:
    """How a retrieval ended. Raises LookupError if there is none of that number."""
    row = connection.execute(
        "UPDATE retrievals SET ended_at = ?, outcome = ?, sentence = ?, arrived = ?,"
        " next_attempt = ? WHERE id = ? RETURNING study, remote",
        (at, outcome, sentence, arrived, next_attempt, number),
    ).fetchone()
    if row is None:
        raise LookupError(f"retrieval {number}: there is none of that number")
    connection.execute(
        "UPDATE listings SET next_attempt = ?, attempts = CASE ? WHEN ? THEN 0 ELSE attempts END"
        " WHERE study = ? AND remote = ?",
        (next_attempt, outcome, COMPLETE, *row),
    )


def begin_process(connection: sqlite3.Connection, at: float) -> None:
    """Notes that a process writes, and ends what an earlier one left unfinished.

    Retrievals that the end of a process cut short are due again, and count as attempts.
    """
    connection.execute("UPDATE process SET closed_at = NULL")
    connection.execute(
        "UPDATE retrievals SET ended_at = ?, outcome = ?, sentence = ? WHERE ended_at IS NULL",
        (at, INTERRUPTED, "the appliance stopped during this retrieval; it is repeated"),
    )


def end_process(connection: sqlite3.Connection, at: float) -> None:
    """Notes that the writing process ended in order."""
    connection.execute("UPDATE process SET closed_at = ?", (at,))


def ended_in_order(connection: sqlite3.Connection) -> bool:
    """Whether the last process that wrote ended in order."""
    (closed_at,) = connection.execute("SELECT closed_at FROM process").fetchone()
    return closed_at is not None


def remote_reached(connection: sqlite3.Connection, key: int, at: float) -> None:
    """A remote AE answered."""
    connection.execute(
        "UPDATE remotes SET last_reached = ?, failure = '', failures = 0, next_attempt = NULL"
        " WHERE id = ?",
        (at, key),
    )


def remote_failed(
    connection: sqlite3.Connection, key: int, sentence: str, at: float, next_attempt: float | None
) -> None:
    """A remote AE did not answer as it should."""
    connection.execute(
        "UPDATE remotes SET last_failed = ?, failure = ?, failures = failures + 1,"
        " next_attempt = ? WHERE id = ?",
        (at, sentence, next_attempt, key),
    )


def event(
    connection: sqlite3.Connection, at: float, severity: str, subject: str, text: str
) -> None:
    """A new event."""
    connection.execute(
        "INSERT INTO events (at, severity, subject, text) VALUES (?, ?, ?, ?)",
        (at, severity, subject, text),
    )


def lose(connection: sqlite3.Connection, files: Iterable[int], pictures: Iterable[int]) -> None:
    """Instances whose file is lost, and instances whose pictures are."""
    for key in pictures:
        connection.execute("DELETE FROM pictures WHERE instance = ?", (key,))
        connection.execute(
            "UPDATE instances SET picture = 'queued', reason = '', generation = generation + 1"
            " WHERE id = ?",
            (key,),
        )
    connection.executemany(
        "UPDATE instances SET file = 'missing', generation = generation + 1 WHERE id = ?",
        ((key,) for key in files),
    )


def _first_picture_state(
    instance: StoredInstance, pictures: Sequence[PictureRow]
) -> tuple[str, str]:
    if instance.sop_class in PRESENTATION_STATES:
        # Which image each of its pictures is of, only rendering tells.
        return "queued", ""
    if pictures:
        return "rendered", ""
    return ("queued", "") if instance.has_pixels else ("none", _NO_PIXELS)


def _picture(key: int | None, row: PictureRow) -> tuple[int | None, int, str, int, int, int]:
    return key, row.frame or 0, row.suffix, row.width, row.height, row.bytes


def _is_unclaimed(connection: sqlite3.Connection, key: int) -> bool:
    row = connection.execute("SELECT file FROM instances WHERE id = ?", (key,)).fetchone()
    return row is not None and row[0] in ("dropped", "expired")


def _folders_of(removals: Collection[Removal]) -> Iterator[Path]:
    """Folders of series, then those of studies."""
    files = [path for removal in removals for _, _, path in removal.pictures]
    files += [removal.dicom for removal in removals if removal.dicom is not None]
    yield from (path.parent for path in files)
    yield from (path.parent.parent for path in files)


def _remember(known: dict[K, int], name: K, key: int) -> None:
    if len(known) >= _KEYS:
        known.clear()
    known[name] = key
