"""What people asked for by hand, in a database of its own: the AE and the page both write to it.

It is the only file of the archive that holds identifying values, the keys that somebody typed and
what a search found; they are erased when the request is finished, or some minutes later. SQLite
overwrites what is erased (`secure_delete`), and keeps no write-ahead log of it. Its journal stays,
empty: who may write to the two files need not be able to write to their folder.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from appliance.archive import schema
from appliance.archive.database import BUSY, create_private, flaw, says_unsound
from appliance.archive.files import sync_directories
from appliance.archive.hops import ConnectionTest, Hop, Said
from appliance.settings.problems import Obstacle

RequestState = Literal["asked", "running", "finished"]

_REQUEST: Final = (
    "SELECT id, remote, patient_id, accession, study, asked_at, updated_at, state, outcome,"
    " sentence, studies, listed, missing, arrived FROM requests"
)

MOST_MATCHES: Final = 200
"""Of one search."""

_MODE: Final = 0o660
_SEARCH: Final = "SELECT id, remote, patient_id, accession, asked_at, state, sentence, surplus"


class RequestsFailed(Obstacle):
    """The requests could not be read or written."""


class RequestsCorrupt(RequestsFailed):
    """The file is not a sound SQLite database; recovery replaces it by an empty one."""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Someone's wish to have studies fetched. Times are seconds since 1970."""

    id: int
    remote: str
    patient_id: str | None
    accession: str | None
    study: str | None
    """The keys as typed (the study's UID is the original one); None, all of them, once finished."""
    asked_at: float
    updated_at: float
    state: RequestState
    outcome: str
    """In a word, once finished."""
    sentence: str
    """What happened and who can mend it, for people, once finished."""
    studies: int
    """Studies found."""
    listed: int
    """Instances that these have at the remote."""
    missing: int
    """Of them, those that were not held."""
    arrived: int


@dataclass(frozen=True, slots=True)
class Found:
    """A study that a search found. Texts are the remote's own, the day as DICOM writes it."""

    study: str
    patient_id: str
    accession: str
    day: str
    time: str


@dataclass(frozen=True, slots=True)
class Search:
    """What somebody looks for at a remote."""

    id: int
    remote: str
    patient_id: str | None
    accession: str | None
    asked_at: float
    state: Literal["asked", "finished"]
    sentence: str
    """Why it failed; empty if it did not."""
    surplus: int
    """Matches beyond the first `MOST_MATCHES`."""


class Requests:
    """The requests, in the hands of one of several processes. For any thread.

    Every method raises `RequestsFailed` if the file cannot be read or written.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float] = time.time) -> Self:
        """Opens or creates the file; its folder must exist.

        Raises `RequestsCorrupt`, or `RequestsFailed`.
        """
        try:
            return cls(_connect(path), clock)
        except sqlite3.Error as error:
            kind = RequestsCorrupt if says_unsound(error) else RequestsFailed
            raise kind(f"{path}: the requests cannot be opened: {error}") from error
        except schema.SchemaTooNew as error:
            raise RequestsFailed(f"{path}: {error}") from error

    def close(self) -> None:
        """Closes the file; may be called again."""
        with self._lock:
            self._connection.close()

    def ask_fetch(
        self,
        remote: str,
        *,
        patient_id: str | None = None,
        accession: str | None = None,
        study: str | None = None,
    ) -> int:
        """Asks for what `remote` has under these keys, at least one of them; the request's id."""
        if not (patient_id or accession or study):
            raise ValueError("a request needs a Patient ID, an Accession Number or a study's UID")
        now = self._clock()
        with self._writing() as connection:
            inserted = connection.execute(
                "INSERT INTO requests (remote, patient_id, accession, study, asked_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (remote, patient_id or None, accession or None, study or None, now, now),
            )
            assert inserted.lastrowid is not None
            return inserted.lastrowid

    def pending(self, remote: str | None = None) -> tuple[FetchRequest, ...]:
        """Requests (to `remote`) that are not finished, the oldest first; running ones, too.

        So whoever was interrupted in one finds it again.
        """
        with self._reading() as connection:
            return tuple(
                FetchRequest(*row)
                for row in connection.execute(
                    f"{_REQUEST} WHERE state <> 'finished' AND (? IS NULL OR remote = ?)"
                    " ORDER BY id",
                    (remote, remote),
                )
            )

    def find(self, id: int) -> FetchRequest:
        """One request. Raises LookupError if there is none, or it is too long ago."""
        with self._reading() as connection:
            row = connection.execute(f"{_REQUEST} WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise LookupError(f"request {id}: there is none of that number")
        return FetchRequest(*row)

    def latest(self, limit: int) -> tuple[FetchRequest, ...]:
        """The latest requests, whatever their state, the last one first."""
        with self._reading() as connection:
            return tuple(
                FetchRequest(*row)
                for row in connection.execute(f"{_REQUEST} ORDER BY id DESC LIMIT ?", (limit,))
            )

    def progress(
        self,
        id: int,
        *,
        studies: int | None = None,
        listed: int | None = None,
        missing: int | None = None,
        arrived: int | None = None,
    ) -> None:
        """Notes that a request is being served, and how far it is; None leaves a figure as it is.

        Raises LookupError if there is no such request, or it is finished.
        """
        self._update(
            id,
            "UPDATE requests SET state = 'running', studies = ifnull(?, studies),"
            " listed = ifnull(?, listed), missing = ifnull(?, missing),"
            " arrived = ifnull(?, arrived), updated_at = ?",
            (studies, listed, missing, arrived, self._clock()),
        )

    def finish(self, id: int, outcome: str, sentence: str) -> None:
        """Notes how a request ended, and erases its keys; `sentence` must not repeat them.

        Raises LookupError if there is no such request, or it is finished.
        """
        self._update(
            id,
            "UPDATE requests SET state = 'finished', outcome = ?, sentence = ?, updated_at = ?,"
            " patient_id = NULL, accession = NULL, study = NULL",
            (outcome, sentence, self._clock()),
        )

    def ask_search(
        self, remote: str, *, patient_id: str | None = None, accession: str | None = None
    ) -> int:
        """Asks what `remote` has under these keys, at least one of them; the search's id."""
        if not (patient_id or accession):
            raise ValueError("a search needs a Patient ID or an Accession Number")
        with self._writing() as connection:
            inserted = connection.execute(
                "INSERT INTO searches (remote, patient_id, accession, asked_at)"
                " VALUES (?, ?, ?, ?)",
                (remote, patient_id or None, accession or None, self._clock()),
            )
            assert inserted.lastrowid is not None
            return inserted.lastrowid

    def pending_searches(self, remote: str | None = None) -> tuple[Search, ...]:
        """Searches (at `remote`) that nobody has answered, the oldest first."""
        with self._reading() as connection:
            return tuple(
                Search(*row)
                for row in connection.execute(
                    f"{_SEARCH} FROM searches WHERE state = 'asked' AND (? IS NULL OR remote = ?)"
                    " ORDER BY id",
                    (remote, remote),
                )
            )

    def find_search(self, id: int) -> tuple[Search, tuple[Found, ...]]:
        """A search with what it found, the latest day first. Raises LookupError if it is erased."""
        with self._reading() as connection:
            row = connection.execute(f"{_SEARCH} FROM searches WHERE id = ?", (id,)).fetchone()
            matches = connection.execute(
                "SELECT study, patient_id, accession, day, time FROM matches"
                " WHERE search = ? ORDER BY number",
                (id,),
            ).fetchall()
        if row is None:
            raise LookupError(f"search {id}: there is none of that number")
        return Search(*row), tuple(Found(*match) for match in matches)

    def answer_search(self, id: int, found: Sequence[Found], sentence: str = "") -> None:
        """Notes what a search found, or in `sentence` why it failed; nothing if it is erased."""
        latest = sorted(found, key=lambda one: (one.day, one.time), reverse=True)[:MOST_MATCHES]
        with self._writing() as connection:
            answered = connection.execute(
                "UPDATE searches SET state = 'finished', sentence = ?, surplus = ?"
                " WHERE id = ? AND state = 'asked'",
                (sentence, len(found) - len(latest), id),
            )
            if answered.rowcount:
                connection.executemany(
                    "INSERT INTO matches (search, number, study, patient_id, accession, day, time)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        (id, number, one.study, one.patient_id, one.accession, one.day, one.time)
                        for number, one in enumerate(latest, start=1)
                    ),
                )

    def forget_searches(self, older_than: float) -> None:
        """Erases the searches asked so many seconds ago; those of the future: the clock changed."""
        now = self._clock()
        with self._writing() as connection:
            old = "SELECT id FROM searches WHERE asked_at < ? OR asked_at > ?"
            limits = (now - older_than, now + older_than)
            connection.execute(f"DELETE FROM matches WHERE search IN ({old})", limits)
            connection.execute("DELETE FROM searches WHERE asked_at < ? OR asked_at > ?", limits)

    def identifying(self) -> frozenset[str]:
        """Every value in here that identifies a patient or a study: for whoever must leave it out.

        Days and times of studies are not among them: they are in every other text.
        """
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT patient_id, accession, study FROM requests WHERE state <> 'finished'"
                " UNION SELECT patient_id, accession, NULL FROM searches"
                " UNION SELECT patient_id, accession, study FROM matches"
            )
            return frozenset(value for row in rows for value in row if value)

    def ask_test(self, remote: str) -> int:
        """Asks for a self-test of the connection to `remote`; its id."""
        now = self._clock()
        with self._writing() as connection:
            inserted = connection.execute(
                "INSERT INTO connection_tests (remote, asked_at, updated_at) VALUES (?, ?, ?)",
                (remote, now, now),
            )
            assert inserted.lastrowid is not None
            return inserted.lastrowid

    def pending_tests(self) -> tuple[ConnectionTest, ...]:
        """Self-tests that are not finished, the oldest first; running ones, too."""
        return self._tests("WHERE state <> 'finished' ORDER BY id")

    def find_test(self, id: int) -> ConnectionTest:
        """One self-test. Raises LookupError if there is none, or it is too long ago."""
        for test in self._tests("WHERE id = ?", id):
            return test
        raise LookupError(f"connection test {id}: there is none of that number")

    def latest_tests(self, limit: int) -> tuple[ConnectionTest, ...]:
        """The latest self-tests, whatever their state, the last one first."""
        return self._tests("ORDER BY id DESC LIMIT ?", limit)

    def begin_test(self, id: int) -> None:
        """Notes that a self-test runs; what an interrupted one had found is forgotten."""
        with self._writing() as connection:
            connection.execute("DELETE FROM hops WHERE test = ?", (id,))
            connection.execute(
                "UPDATE connection_tests SET state = 'running', updated_at = ? WHERE id = ?",
                (self._clock(), id),
            )

    def note_hop(self, id: int, hop: Hop) -> None:
        """Notes the next hop of a self-test that runs."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO hops (test, number, step, outcome, seconds, ja, en, detail)"
                " SELECT id, (SELECT count(*) + 1 FROM hops WHERE test = ?), ?, ?, ?, ?, ?, ?"
                " FROM connection_tests WHERE id = ?",
                (
                    id,
                    *(hop.step, hop.outcome, hop.seconds, hop.says.ja, hop.says.en, hop.detail),
                    id,
                ),
            )
            connection.execute(
                "UPDATE connection_tests SET updated_at = ? WHERE id = ?", (self._clock(), id)
            )

    def finish_test(self, id: int, letter: Said) -> None:
        """Notes that a self-test is finished, with what to tell the PACS' administrator."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE connection_tests SET state = 'finished', letter_ja = ?, letter_en = ?,"
                " updated_at = ? WHERE id = ?",
                (letter.ja, letter.en, self._clock(), id),
            )

    def _tests(self, which: str, *values: int) -> tuple[ConnectionTest, ...]:
        with self._reading() as connection:
            found = connection.execute(
                "SELECT id, remote, asked_at, updated_at, state, letter_ja, letter_en"
                f" FROM connection_tests {which}",
                values,
            ).fetchall()
            return tuple(_test(connection, row) for row in found)

    @property
    def suspended(self) -> bool:
        """Whether the operator wants the box to take and fetch nothing."""
        with self._reading() as connection:
            (suspended,) = connection.execute("SELECT suspended FROM operation").fetchone()
        return bool(suspended)

    def suspend(self) -> None:
        """From now on, the box takes and fetches nothing; a restart does not change that."""
        self._set_suspended(True)

    def resume(self) -> None:
        """Ends a suspension."""
        self._set_suspended(False)

    def _set_suspended(self, suspended: bool) -> None:
        with self._writing() as connection:
            connection.execute(
                "UPDATE operation SET suspended = ?, since = ? WHERE suspended <> ?",
                (suspended, self._clock(), suspended),
            )

    def _update(self, id: int, statement: str, values: tuple[object, ...]) -> None:
        with self._writing() as connection:
            updated = connection.execute(
                f"{statement} WHERE id = ? AND state <> 'finished'", (*values, id)
            )
            if updated.rowcount == 0:
                raise LookupError(f"request {id}: there is none, or it is finished")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self._connection
        except sqlite3.Error as error:
            raise RequestsFailed(f"the requests could not be read: {error}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise RequestsFailed(f"the requests could not be written: {error}") from error


def _test(connection: sqlite3.Connection, row: tuple[Any, ...]) -> ConnectionTest:
    number, remote, asked_at, updated_at, state, ja, en = row
    letter, hops = Said(ja, en), _hops(connection, number)
    return ConnectionTest(number, remote, asked_at, updated_at, state, letter, hops)


def _hops(connection: sqlite3.Connection, test: int) -> tuple[Hop, ...]:
    rows = connection.execute(
        "SELECT step, outcome, seconds, ja, en, detail FROM hops WHERE test = ? ORDER BY number",
        (test,),
    )
    return tuple(
        Hop(step, outcome, seconds, Said(ja, en), detail)
        for step, outcome, seconds, ja, en, detail in rows
    )


def _connect(path: Path) -> sqlite3.Connection:
    create_private(path, _MODE)
    with suppress(OSError):  # It is another's, who has done so: whatever his umask.
        os.chmod(path, _MODE)
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        if found := flaw(connection):
            raise RequestsCorrupt(f"{path}: {found}")
        if schema.migrate(connection, schema.migrations("requests")):
            sync_directories((path.parent,))
        _keep_journal(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _keep_journal(path: Path) -> None:
    """See that there is a journal: a release before this one takes it away."""
    journal = path.with_name(f"{path.name}-journal")
    create_private(journal, _MODE)
    with suppress(OSError):
        os.chmod(journal, _MODE)
