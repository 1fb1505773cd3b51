"""What the box holds, durably, in SQLite: written by one process, read by any."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self, TypeVar

from appliance.archive import attributes, rows, schema
from appliance.archive.committer import Committer, is_passing
from appliance.archive.database import BUSY, create_private, flaw, says_unsound
from appliance.archive.files import DurableNames, Folders, sync_directories
from appliance.archive.lock import WriterLock
from appliance.archive.reading import CatalogueReader, connect_to_read
from appliance.archive.records import (
    Adoption,
    CatalogueCorrupt,
    CatalogueFailed,
    CatalogueInUse,
    CatalogueTooNew,
    Event,
    ExpirableStudy,
    FileState,
    HeldInstance,
    PictureRow,
    PictureState,
    Presented,
    RemoteState,
    RenderJob,
    RenderOutcome,
    Retrieval,
    Severity,
    Status,
    StoredInstance,
    StudyProgress,
)
from appliance.archive.rows import COMPLETE, INTERRUPTED, Removal, Rows

__all__ = [
    "COMPLETE",
    "INTERRUPTED",
    "Adoption",
    "Catalogue",
    "CatalogueCorrupt",
    "CatalogueFailed",
    "CatalogueInUse",
    "CatalogueReader",
    "CatalogueTooNew",
    "Event",
    "ExpirableStudy",
    "FileState",
    "HeldInstance",
    "PictureRow",
    "PictureState",
    "Presented",
    "RemoteState",
    "RenderJob",
    "RenderOutcome",
    "Retrieval",
    "Severity",
    "Status",
    "StoredInstance",
    "StudyProgress",
]

T = TypeVar("T")
Clock = Callable[[], float]

_WAL_KEPT: Final = 64 * 2**20
"""Bytes to which the WAL is cut once it was longer."""
_DESCRIBED: Final = 10_000
"""Series of which is remembered that their attributes were read."""
_CHECKPOINT: Final = 4000
"""Pages of 4 KiB in the WAL before they are copied: neighbours rewrite the same pages."""


class Catalogue(CatalogueReader):
    """The catalogue in the hands of its one writer.

    Changes are made by one thread, as many in one transaction as are waiting; a call returns when
    its change is durable (`synchronous=FULL`), or raises `CatalogueFailed`. It never waits for
    ever: if the thread has died, `alive` is false, `failure` says of what, and every call fails. A
    full disk is no reason to die: calls fail until there is space again.

    Every method but `open` and `close` may be called by any thread.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: WriterLock, clock: Clock
    ) -> None:
        super().__init__(lambda: connect_to_read(path))
        self._folders = Folders(path.parent)
        self._connection = connection
        self._lock = lock
        self._clock = clock
        self._names = DurableNames(path.parent)
        self._rows = Rows(self._folders, self._names)
        self._described: set[tuple[str, str]] = set()
        self._committer = Committer(
            connection,
            self._rows.forget,
            lambda connection: rows.begin_process(connection, clock()),
        )

    @classmethod
    def open(
        cls,
        path: Path,
        clock: Clock = time.time,
        set_aside: Callable[[CatalogueCorrupt], None] | None = None,
        *,
        suspect: bool = False,
    ) -> Self:
        """Opens the catalogue to write, creating or migrating it; its folder must exist.

        Unless it was closed in order and is not `suspect`, all of it is checked. If it is no sound
        database and `set_aside` is given (`recovery.open_catalogue` does that), that must take it
        away, and an empty one is made.

        Raises `CatalogueInUse` if a process (this one, even) is writing to it, `CatalogueTooNew`,
        `CatalogueCorrupt`, `CatalogueFailed`, or OSError.
        """
        lock = WriterLock.take(Folders(path.parent).lock)
        try:
            try:
                connection = _open_to_write(path, suspect)
            except CatalogueCorrupt as corrupt:
                if set_aside is None:
                    raise
                set_aside(corrupt)
                connection = _open_to_write(path, suspect)
            catalogue = cls(path, connection, lock, clock)
            catalogue._begin()
            return catalogue
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open_read_only(cls, path: Path) -> CatalogueReader:
        """Opens the catalogue to read, while another process writes to it or none does.

        Raises `CatalogueFailed` if there is none.
        """
        return CatalogueReader.of_file(path)

    @property
    def alive(self) -> bool:
        """Whether changes are being made: for the watchdog. Not in a file that is damaged."""
        return self._committer.alive and not self._unsound

    @property
    def failure(self) -> BaseException | None:
        """What killed the writing thread, if anything did."""
        return self._committer.failure

    def close(self) -> None:
        """Makes the last changes durable, and gives the catalogue up; may be called again.

        It counts as closed in order only if nobody met damage in it: else it is checked when it is
        opened next.
        """
        if self._committer.close():
            # A reader goes last: it cannot remove the WAL, and without one, a process that must not
            # write to the folder could not read the catalogue while the AE is down.
            with suppress(CatalogueFailed):
                self.remote_state("")
            if self._committer.failure is None and not self._unsound:
                _end_in_order(self._connection, self._clock())
            self._connection.close()
        super().close()
        self._lock.release()

    def write(
        self,
        closure: Callable[[sqlite3.Connection], T],
        afterwards: Callable[[sqlite3.Connection, T], None] | None = None,
    ) -> T:
        """Runs `closure` in a transaction, and returns its result once it is durable.

        It may be run twice, and must have no effect but on the database. `afterwards` is called
        with its result after the transaction and before any other change.
        """
        return self._committer.submit(closure, afterwards=afterwards)

    def store(self, instance: StoredInstance, directories: Sequence[Path]) -> bool:
        """Registers an instance whose file is durable under its final name.

        `directories`, as `PendingFile.settle` gave them, are fsynced first. Returns True if the
        instance was not held, False if it was. The same instance again leaves one row, with the
        figures of the newer file, and is rendered again: that masks what is to be masked in it.

        Raises `CatalogueFailed`: the instance is not durable, and must not be acknowledged.
        """
        self._make_last(directories)
        at = self._clock()
        return self.write(lambda connection: self._rows.put(connection, instance, at))

    def list_study(
        self,
        study: str,
        remote: str,
        instances: Collection[str],
        patient: str | None = None,
    ) -> frozenset[str]:
        """Registers all that an IMAGE-level C-FIND of `study` listed at `remote`.

        Replaces what was listed there before; an empty collection if the remote has lost the study.
        Returns those of `instances` that are not held. The same listing again writes nothing; one
        with new instances ends a pause after failed attempts. `patient` is the pseudonym.
        """
        listed = frozenset(instances)
        if listed != self.listed(study, remote):
            at = self._clock()
            self.write(
                lambda connection: self._rows.list_study(
                    connection, study, remote, listed, patient, at
                )
            )
        return listed - self.held(study)

    def retain_remotes(self, names: Collection[str]) -> None:
        """Forgets what remotes other than `names` listed: nobody can fetch it any more."""
        self.write(lambda connection: self._rows.retain_remotes(connection, frozenset(names)))

    def finish_renders(self, outcomes: Sequence[RenderOutcome]) -> None:
        """Registers what became of render jobs.

        The pictures must be durable under their final names; their directories are fsynced here,
        before the transaction. Pictures that the instance had before and has no more are removed
        after it, and so is the DICOM file if `drop_dicom` says so: nobody else must do that, or a
        newer file of that name might go. An outcome for a content that was replaced meanwhile is
        ignored; the instance is still in `next_renders`. One that failed because the DICOM file is
        gone makes the instance `missing`: it is fetched again.
        """
        directories = {
            self._folders.images / outcome.job.study / outcome.job.series
            for outcome in outcomes
            if outcome.pictures
        }
        self._make_last(directories)
        first = self._first_of_series(outcomes)

        def change(connection: sqlite3.Connection) -> list[rows.Removal]:
            for job, described in first:
                attributes.describe_series_of(connection, job.key, described)
            return self._rows.finish_renders(connection, outcomes)

        self.write(change, self._rows.remove)
        self._described.update((job.study, job.series) for job, _ in first)

    def _first_of_series(
        self, outcomes: Iterable[RenderOutcome]
    ) -> list[tuple[RenderJob, attributes.Described]]:
        """What files say of their series that nobody has asked yet; some may be dropped now."""
        if len(self._described) > _DESCRIBED:
            self._described.clear()
        jobs = {(job.study, job.series): job for job in (outcome.job for outcome in outcomes)}
        new = [job for series, job in jobs.items() if series not in self._described]
        read = [(job, self._read_attributes(job)) for job in new]
        return [(job, described) for job, described in read if described is not None]

    def describe_series(self, limit: int) -> int:
        """Reads the attributes of series that have none yet; of how many, `limit` at most.

        One that cannot be read gets them without values, until one of its pictures is made.
        """
        with self._reading() as connection:
            found = attributes.undescribed(connection, limit)
        read = [(one.key, self._read_attributes(one)) for one in found]

        def change(connection: sqlite3.Connection) -> None:
            for series, described in read:
                attributes.describe(connection, series, described)

        if read:
            self.write(change)
        return len(read)

    def _read_attributes(
        self, one: attributes.Undescribed | RenderJob
    ) -> attributes.Described | None:
        # Here: a technician's commands open the catalogue as well, and most read no file.
        from appliance.archive.header import read_attributes

        return read_attributes(self._folders.dicom_file(one.study, one.series, one.instance))

    def remote_reached(self, name: str) -> None:
        """Notes that the remote AE `name` answered as it should."""
        at = self._clock()
        self.write(
            lambda connection: rows.remote_reached(
                connection, self._rows.remote(connection, name), at
            )
        )

    def remote_failed(self, name: str, sentence: str, next_attempt: float | None) -> None:
        """Notes that the remote AE `name` did not, why, and when to try again (s since 1970)."""
        at = self._clock()
        self.write(
            lambda connection: rows.remote_failed(
                connection, self._rows.remote(connection, name), sentence, at, next_attempt
            )
        )

    def begin_retrieval(self, study: str, remote: str, method: str, missing: int) -> int:
        """Notes that a retrieval begins, which is to bring `missing` instances; its number."""
        at = self._clock()
        return self.write(
            lambda connection: self._rows.begin_retrieval(
                connection, study, remote, method, missing, at
            )
        )

    def end_retrieval(
        self, number: int, outcome: str, sentence: str, arrived: int, next_attempt: float | None
    ) -> None:
        """Notes how a retrieval ended; the outcome `COMPLETE` starts the count of attempts anew.

        `next_attempt` (s since 1970) is when `retrieval_due` becomes true again; None: at once.
        Raises LookupError if there is no such retrieval.
        """
        at = self._clock()
        self.write(
            lambda connection: rows.end_retrieval(
                connection, number, outcome, sentence, arrived, next_attempt, at
            )
        )

    def event(self, severity: Severity, subject: str, text: str) -> None:
        """Notes something for people to read; the latest 10,000 are kept."""
        at = self._clock()
        self.write(lambda connection: rows.event(connection, at, severity, subject, text))

    def count(self, name: str, n: int = 1) -> None:
        """Adds to a counter. Never blocks, never raises; durable about a second later."""
        self._committer.count(name, n)

    def expire(self, study: str) -> int:
        """Removes the DICOM files and the pictures of `study`; bytes freed.

        The rows stay, so that it is not fetched again. Does nothing, or ends early, where something
        of the study is outstanding, missing, or waits to be rendered.
        """
        freed = 0
        while True:
            removals, size = self.write(
                lambda connection: self._rows.expire(connection, study), self._remove_study
            )
            freed += size
            if not removals:
                return freed

    def adopt(self, adoptions: Sequence[Adoption]) -> None:
        """Registers what recovery found on disk, once its directories are fsynced."""
        directories = {
            root / found.instance.study / found.instance.series
            for found in adoptions
            for root, there in (
                (self._folders.dicom, found.file == "held"),
                (self._folders.images, found.pictures),
            )
            if there
        }
        self._make_last(directories)
        self.write(lambda connection: self._rows.adopt(connection, adoptions))

    def _make_last(self, directories: Iterable[Path]) -> None:
        try:
            self._names.sync(directories)
        except OSError as error:
            raise CatalogueFailed(f"a directory could not be synced: {error}") from error

    def lose(self, files: Collection[int], pictures: Collection[int]) -> None:
        """Registers what recovery did not find: `files` are to be fetched, `pictures` to be made.

        Both are keys of instances.
        """
        self.write(lambda connection: rows.lose(connection, files, pictures))

    def _begin(self) -> None:
        """Writes at once that we write; where the disk is full, the first change does that."""
        try:
            self.write(lambda connection: None)
        except CatalogueFailed as failed:
            if not is_passing(failed.__cause__):
                self.close()
                raise

    def _remove_study(
        self, connection: sqlite3.Connection, expired: tuple[list[Removal], int]
    ) -> None:
        self._rows.remove_study(connection, expired[0])

    def _uncommitted_counts(self) -> Counter[str]:
        return self._committer.uncommitted_counts()


def _open_to_write(path: Path, suspect: bool) -> sqlite3.Connection:
    create_private(path, 0o640)
    try:
        connection = sqlite3.connect(
            path,
            timeout=BUSY,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            _prepare(connection, suspect)
            if schema.migrate(connection, schema.migrations("catalogue")):
                sync_directories((path.parent,))
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, schema.SchemaTooNew) as error:
        raise _as_ours(path, error) from error
    return connection


def _prepare(connection: sqlite3.Connection, suspect: bool) -> None:
    # Setting the mode takes locks that readers may hold; it lasts, so once is enough.
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
    in_order = schema.version(connection) == 0 or rows.ended_in_order(connection)
    if (suspect or not in_order) and (found := flaw(connection)):
        raise CatalogueCorrupt(found)


def _end_in_order(connection: sqlite3.Connection, at: float) -> None:
    with suppress(sqlite3.Error):  # Then the next opening checks everything.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # Last, because who may not write to the folder can read a WAL, but not an empty one.
        rows.end_process(connection, at)


def _as_ours(path: Path, error: sqlite3.Error | schema.SchemaTooNew) -> CatalogueFailed:
    if isinstance(error, schema.SchemaTooNew):
        return CatalogueTooNew(f"{path}: {error}")
    if says_unsound(error):
        return CatalogueCorrupt(f"{path}: {error}")
    return CatalogueFailed(f"{path}: the catalogue cannot be opened: {error}")
