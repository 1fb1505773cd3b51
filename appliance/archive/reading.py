"""Reading the catalogue: by the process that writes it, and by any other."""

import math
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from appliance.archive import schema
from appliance.archive.database import BUSY, says_unsound
from appliance.archive.records import (
    PRESENTATION_STATES,
    CatalogueCorrupt,
    CatalogueFailed,
    CatalogueTooNew,
    Event,
    ExpirableStudy,
    HeldInstance,
    PictureRow,
    RemoteState,
    RenderJob,
    Retrieval,
    Status,
    StudyProgress,
)

_EVENTS: Final = 50
_TOTALS: Final = (
    "studies, series, held AS instances, bytes, pictures, picture_bytes, outstanding, incomplete,"
    " missing, expired, rendered, queued, without_picture, failed"
)
FUTILE: Final = 16
"""Retrievals in a row that did not complete a study, after which its rest is not expected."""

MAY_EXPIRE: Final = (
    "queued = 0 AND (outstanding = 0 AND missing = 0 OR NOT EXISTS (SELECT 1 FROM listings"
    " JOIN listed USING (study, remote) WHERE listings.study = studies.id"
    f" AND attempts < {FUTILE} AND NOT EXISTS (SELECT 1 FROM instances"
    "  WHERE instances.study = studies.id AND uid = listed.instance AND file <> 'missing')))"
)
"""Whether retention may take one of `studies`: nothing is rendered, and no more of it expected."""

QUIET: Final = 3.0
"""Seconds without an arrival after which the presentation states of a study are rendered."""

_REMOTE: Final = "name, last_reached, last_failed, failure, failures, next_attempt"


class CatalogueReader:
    """What the catalogue tells. Every answer is of one moment; any thread may ask.

    Raises `CatalogueFailed` when the file cannot be read; `CatalogueCorrupt`, which is one of
    these, when it is damaged.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._idle: list[sqlite3.Connection] = []
        self._lending = threading.Lock()
        self._closed = False
        self._unsound = False

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """A reader that needs no lock, and no right to write (but for a catalogue being written).

        Raises `CatalogueFailed` if there is no catalogue or it is of a version that we cannot read.
        """
        reader = cls(lambda: connect_to_read(path))
        try:
            with reader._reading() as connection:
                schema.check_version(connection, schema.migrations("catalogue"))
                if schema.version(connection) == 0:
                    raise CatalogueFailed("it is empty; the AE fills it when it starts")
        except (CatalogueFailed, schema.SchemaTooNew) as error:
            reader.close()
            kind = CatalogueFailed if isinstance(error, CatalogueFailed) else CatalogueTooNew
            raise kind(f"{path}: {error}") from error
        return reader

    def close(self) -> None:
        """Closes the connections; may be called again."""
        with self._lending:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def held(self, study: str) -> frozenset[str]:
        """SOP Instance UIDs of `study` that are durable here, or were and have expired."""
        with self._reading() as connection:
            return frozenset(
                uid
                for (uid,) in connection.execute(
                    "SELECT uid FROM instances"
                    " WHERE study = (SELECT id FROM studies WHERE uid = ?) AND file <> 'missing'",
                    (study,),
                )
            )

    def last_stored(self) -> float | None:
        """When the newest instance came (seconds since 1970); None if there is none."""
        with self._reading() as connection:
            (at,) = connection.execute("SELECT max(stored_at) FROM instances").fetchone()
        return None if at is None else float(at)

    def listed(self, study: str, remote: str) -> frozenset[str] | None:
        """What `remote` listed of `study` last; None if it never did."""
        with self._reading() as connection:
            listing = connection.execute(
                "SELECT studies.id, remotes.id FROM listings"
                " JOIN studies ON studies.id = listings.study"
                " JOIN remotes ON remotes.id = listings.remote"
                " WHERE studies.uid = ? AND remotes.name = ? AND changed_at IS NOT NULL",
                (study, remote),
            ).fetchone()
            if listing is None:
                return None
            return frozenset(
                uid
                for (uid,) in connection.execute(
                    "SELECT instance FROM listed WHERE study = ? AND remote = ?", listing
                )
            )

    def study_progress(self, study: str) -> StudyProgress:
        """How far `study` is; all zero if it is not known."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT (SELECT count(DISTINCT instance) FROM listed WHERE study = studies.id),"
                " held, rendered, failed, outstanding, queued, without_picture"
                " FROM studies WHERE uid = ?",
                (study,),
            ).fetchone()
        return StudyProgress(*(row or (0,) * 7))

    def next_renders(self, limit: int, now: float = 0.0) -> list[RenderJob]:
        """The first `limit` instances to render, in the order in which they arrived.

        Presentation states of a study in which something arrived less than `QUIET` before `now`
        (s since 1970) are left for later: they are rendered once, not after each of its images.

        Marks nothing: an instance is in the list until `finish_renders` says what became of it.
        """
        with self._reading() as connection:
            return [
                RenderJob(*row)
                for row in connection.execute(
                    "SELECT instances.id, generation, instances.uid, series.uid, studies.uid,"
                    " sop_class, transfer_syntax, frames, instances.bytes"
                    " FROM instances JOIN series ON series.id = instances.series"
                    " JOIN studies ON studies.id = instances.study"
                    " WHERE picture = 'queued' AND file = 'held'"
                    "  AND NOT (sop_class IN (?, ?) AND studies.last_stored BETWEEN ? AND ?)"
                    " ORDER BY instances.id LIMIT ?",
                    (*PRESENTATION_STATES, now - QUIET, now, limit),
                )
            ]

    def remote_state(self, name: str) -> RemoteState:
        """How the remote AE `name` answered lately; nothing known is no error."""
        with self._reading() as connection:
            row = connection.execute(
                f"SELECT {_REMOTE} FROM remotes WHERE name = ?", (name,)
            ).fetchone()
        return RemoteState(*row) if row else RemoteState(name)

    def retrieval_due(
        self, study: str, now: float, remote: str | None = None, longest: float = math.inf
    ) -> bool:
        """Whether no pause after a failed retrieval of `study` from `remote` is running.

        Without `remote`: whether there is none at one of the remotes that list it. A pause with
        more than `longest` seconds to go is none: the clock was set back. A study that has expired
        is not brought back for a rest that never came.
        """
        with self._reading() as connection:
            pauses = connection.execute(
                "SELECT listings.next_attempt,"
                " listings.attempts >= ? AND studies.held > 0 AND studies.held = studies.expired"
                " FROM listings JOIN studies ON studies.id = listings.study"
                " JOIN remotes ON remotes.id = listings.remote"
                " WHERE studies.uid = ? AND (? IS NULL OR remotes.name = ?)",
                (FUTILE, study, remote, remote),
            ).fetchall()
        waiting = (
            given_up or (until is not None and now < until <= now + longest)
            for until, given_up in pauses
        )
        return not pauses or not all(waiting)

    def attempts(self, study: str, remote: str | None = None) -> int:
        """Retrievals of `study` from `remote` begun since the last complete one.

        Without `remote`: the most at any. One that a crash cut short counts.
        """
        with self._reading() as connection:
            row = connection.execute(
                "SELECT ifnull(max(listings.attempts), 0) FROM listings"
                " JOIN studies ON studies.id = listings.study"
                " JOIN remotes ON remotes.id = listings.remote"
                " WHERE studies.uid = ? AND (? IS NULL OR remotes.name = ?)",
                (study, remote, remote),
            ).fetchone()
        attempts: int = row[0]
        return attempts

    def retrievals(self, limit: int, study: str | None = None) -> list[Retrieval]:
        """The latest retrievals, of all studies or of one, the last one first."""
        with self._reading() as connection:
            return [
                Retrieval(*row)
                for row in connection.execute(
                    "SELECT retrievals.id, studies.uid, remotes.name, method, begun_at, ended_at,"
                    " retrievals.missing, arrived, outcome, sentence, retrievals.next_attempt"
                    " FROM retrievals JOIN studies ON studies.id = retrievals.study"
                    " JOIN remotes ON remotes.id = retrievals.remote"
                    " WHERE ? IS NULL OR studies.uid = ? ORDER BY retrievals.id DESC LIMIT ?",
                    (study, study, limit),
                )
            ]

    def events(self, limit: int) -> tuple[Event, ...]:
        """The latest events, the last one first."""
        with self._reading() as connection:
            return _latest_events(connection, limit)

    def status(self) -> Status:
        """Everything in figures, with the latest events. A few ms, whatever is held."""
        with self._reading() as connection:
            totals = connection.execute(f"SELECT {_TOTALS} FROM totals")
            names = [column[0] for column in totals.description]
            figures: dict[str, int] = dict(zip(names, totals.fetchone(), strict=True))
            counters = Counter(dict(connection.execute("SELECT name, value FROM counters")))
            remotes = connection.execute(f"SELECT {_REMOTE} FROM remotes ORDER BY name").fetchall()
            events = _latest_events(connection, _EVENTS)
        counters.update(self._uncommitted_counts())
        return Status(
            **figures,
            counters=dict(sorted(counters.items())),
            remotes=tuple(RemoteState(*row) for row in remotes),
            events=events,
        )

    def oldest_complete_studies(self) -> tuple[ExpirableStudy, ...]:
        """Studies that retention may take, the one whose last instance came first first.

        Those with something on disk, nothing outstanding and nothing waiting to be rendered. A
        study that no remote lists counts as complete: there is nobody to say what it lacks. So does
        one of which the rest was asked for `FUTILE` times: it is not expected any more.
        """
        with self._reading() as connection:
            return tuple(
                ExpirableStudy(*row)
                for row in connection.execute(
                    "SELECT uid, last_stored, bytes + picture_bytes FROM studies"
                    f" WHERE held > expired AND {MAY_EXPIRE} ORDER BY last_stored, id"
                )
            )

    def studies(self) -> tuple[str, ...]:
        """Study Instance UIDs of all studies that have instances, held or missing."""
        with self._reading() as connection:
            return tuple(
                uid
                for (uid,) in connection.execute(
                    "SELECT uid FROM studies WHERE held > 0 OR missing > 0 ORDER BY id"
                )
            )

    def instances(self, study: str) -> tuple[HeldInstance, ...]:
        """All rows of `study`, with the pictures that each claims to have."""
        with self._reading() as connection:
            pictures: dict[int, list[PictureRow]] = {}
            for key, frame, *row in connection.execute(
                "SELECT instance, frame, width, height, pictures.bytes, suffix"
                " FROM instances JOIN pictures ON pictures.instance = instances.id"
                " WHERE study = (SELECT id FROM studies WHERE uid = ?) ORDER BY frame",
                (study,),
            ):
                pictures.setdefault(key, []).append(PictureRow(frame or None, *row))
            return tuple(
                HeldInstance(
                    key, instance, series, file, picture, size, tuple(pictures.get(key, ()))
                )
                for key, instance, series, file, picture, size in connection.execute(
                    "SELECT instances.id, instances.uid, series.uid, file, picture, bytes"
                    " FROM instances JOIN series ON series.id = instances.series"
                    " WHERE instances.study = (SELECT id FROM studies WHERE uid = ?)"
                    " ORDER BY instances.id",
                    (study,),
                )
            )

    def _uncommitted_counts(self) -> Counter[str]:
        """What the writing process counted and has not written yet."""
        return Counter()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection within one read transaction, for one thread at a time."""
        try:
            with self._lending:
                if self._closed:
                    raise CatalogueFailed("the catalogue is closed")
                connection = self._idle.pop() if self._idle else None
            connection = connection or self._connect()
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            self._unsound = self._unsound or says_unsound(error)
            kind = CatalogueCorrupt if says_unsound(error) else CatalogueFailed
            raise kind(f"the catalogue could not be read: {error}") from error
        with self._lending:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def _latest_events(connection: sqlite3.Connection, limit: int) -> tuple[Event, ...]:
    rows = connection.execute(
        "SELECT at, severity, subject, text FROM events ORDER BY id DESC LIMIT ?", (limit,)
    )
    return tuple(Event(*row) for row in rows)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro",
        uri=True,
        timeout=BUSY,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    return connection
