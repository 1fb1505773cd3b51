"""The one thread that writes: the changes of many callers in one transaction, durable together."""

import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, cast

from appliance.archive.database import primary_code, says_unsound
from appliance.archive.records import CatalogueCorrupt, CatalogueFailed

T = TypeVar("T")

_BATCH: Final = 512
_IDLE: Final = 1.0
"""Seconds after which counts are written although nothing else is."""
_LOOK: Final = 1.0
"""Seconds between a waiting caller's looks at whether the writer still lives."""
_STALL: Final = 120.0
"""Seconds after which one batch counts as stuck; a disk that is merely busy is faster."""

_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_SHMSIZE,  # a full disk, met while the index of the WAL grows
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""Errors after which the next transaction may well succeed."""
_OF_THE_CHANGE: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)
"""Errors that say nothing about the database, nor about the neighbours in the batch."""

_COUNT: Final = (
    "INSERT INTO counters (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
)
_LOG: Final = logging.getLogger(__name__)


class _Change:
    """One caller's change, and what became of it."""

    __slots__ = ("afterwards", "closure", "done", "error", "finished", "result")

    def __init__(
        self,
        closure: Callable[[sqlite3.Connection], Any],
        afterwards: Callable[[sqlite3.Connection, Any], None] | None,
    ) -> None:
        self.closure = closure
        self.afterwards = afterwards
        self.result: Any = None
        self.error: BaseException | None = None
        self.finished = False
        self.done = threading.Lock()
        self.done.acquire()

    def finish(self, error: BaseException | None = None) -> None:
        if not self.finished:
            self.error = error
            self.finished = True
            self.done.release()


class Committer:
    """Runs changes in the order in which they come, as many in one transaction as are waiting.

    A change is a closure over the connection. It may be run a second time, if a neighbour in its
    transaction fails: it must have no effect but on the database. A caller waits until its change
    is durable, or until it is certain that it is not; should the thread die, every waiting and
    every later caller is told so.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        rolled_back: Callable[[], None] = lambda: None,
        opening: Callable[[sqlite3.Connection], None] = lambda connection: None,
    ) -> None:
        """`rolled_back` is called, in the thread, whenever a transaction was undone.

        `opening` comes before all changes: it is a part of the first transaction that succeeds.
        """
        self._connection = connection
        self._rolled_back = rolled_back
        self._opening: Callable[[sqlite3.Connection], None] | None = opening
        self._queue: SimpleQueue[_Change | None] = SimpleQueue()
        self._batch: list[_Change] = []
        self._busy_since: float | None = None
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._ended = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> BaseException | None:
        """What killed the thread, if anything did."""
        return self._failure

    @property
    def alive(self) -> bool:
        """Whether the thread runs, and no batch has occupied it for minutes."""
        since = self._busy_since
        stuck = since is not None and time.monotonic() - since > _STALL
        return self._thread.is_alive() and not self._ended and not stuck

    def submit(
        self,
        closure: Callable[[sqlite3.Connection], T],
        afterwards: Callable[[sqlite3.Connection, T], None] | None = None,
    ) -> T:
        """Runs `closure`, and returns its result once it is durable.

        After its transaction, and before any later change, `afterwards` is called with the result;
        what it does is no part of the transaction.

        An exception of the closure itself, if it is not of the database, is raised as it is. Raises
        `CatalogueFailed` for everything else that keeps the change from becoming durable.
        """
        change = _Change(closure, afterwards)
        if not self._ended:
            self._queue.put(change)
            while not self._ended and not change.done.acquire(timeout=_LOOK):
                if not self.alive:
                    break
        if not change.finished:
            raise self._end() from self._failure
        if change.error is not None:
            raise _told(change.error)
        return cast(T, change.result)

    def count(self, name: str, n: int) -> None:
        """Adds to a counter, in one of the next transactions. Never blocks, never raises."""
        with self._counting:
            self._counts[name] += n

    def uncommitted_counts(self) -> Counter[str]:
        """What was counted and is not in the database yet."""
        with self._counting:
            return self._counts.copy()

    def close(self) -> bool:
        """Ends the thread after all that was submitted before; whether it did end, in minutes."""
        if not self._ended:
            self._queue.put(None)
        self._thread.join(_STALL)
        return not self._thread.is_alive()

    def _end(self) -> CatalogueFailed:
        unsound = isinstance(self._failure, sqlite3.Error) and says_unsound(self._failure)
        return (CatalogueCorrupt if unsound else CatalogueFailed)(self._epitaph())

    def _epitaph(self) -> str:
        if self._failure is not None:
            return f"the catalogue's writer died of {self._failure!r}"
        if self._ended:
            return "the catalogue is closed"
        return f"the catalogue's writer has been stuck in one batch for {_STALL:.0f} s"

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            _LOG.critical("the catalogue's writer died", exc_info=error)
            self._failure = error
        finally:
            # In this order: who submits after the queue was emptied finds the flag.
            self._ended = True
            self._fail_waiting()

    def _turn(self) -> bool:
        gathered = self._gather()
        self._batch = [change for change in gathered if change is not None]
        self._busy_since = time.monotonic()
        self._commit(self._batch)
        self._busy_since = None
        return None not in gathered

    def _gather(self) -> list[_Change | None]:
        gathered: list[_Change | None] = []
        try:
            gathered.append(self._queue.get(timeout=_IDLE))
            while len(gathered) < _BATCH:
                gathered.append(self._queue.get_nowait())
        except Empty:
            pass
        return gathered

    def _commit(self, changes: Collection[_Change]) -> None:
        if not changes and not self._counts:
            return
        error = self._transact(changes)
        if error is None:
            return
        if len(changes) == 1 or not _is_of_the_change(error):
            _finish(changes, error)
            return
        for change in changes:
            error = self._transact([change])
            if error is not None:
                change.finish(error)

    def _transact(self, changes: Iterable[_Change]) -> Exception | None:
        """Runs `changes` in one transaction; what undid it, unless the thread must die of it."""
        counts = self._take_counts()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if self._opening is not None:
                self._opening(self._connection)
            for change in changes:
                change.result = change.closure(self._connection)
            if counts:
                self._connection.executemany(_COUNT, counts.items())
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo(counts)
            if is_passing(error) or _is_of_the_change(error):
                return cast(Exception, error)
            raise
        self._opening = None
        self._settle(changes)
        return None

    def _undo(self, counts: Counter[str]) -> None:
        with self._counting:
            self._counts.update(counts)
        self._rolled_back()
        if self._connection.in_transaction:  # SQLite may have rolled back by itself.
            self._connection.execute("ROLLBACK")

    def _settle(self, changes: Iterable[_Change]) -> None:
        later = []
        for change in changes:
            if change.afterwards is None:
                change.finish()
            else:
                later.append(change)
        for change in later:
            try:
                cast(Callable[..., None], change.afterwards)(self._connection, change.result)
            except Exception:
                # The change itself is durable; recovery completes what was to follow.
                _LOG.exception("after a change of the catalogue")
            change.finish()

    def _take_counts(self) -> Counter[str]:
        with self._counting:
            counts, self._counts = self._counts, Counter()
        return counts

    def _fail_waiting(self) -> None:
        waiting: list[_Change | None] = list(self._batch)
        try:
            while True:
                waiting.append(self._queue.get_nowait())
        except Empty:
            pass
        error = self._end()
        error.__cause__ = self._failure
        _finish((change for change in waiting if change is not None), error)


def _finish(changes: Iterable[_Change], error: BaseException) -> None:
    for change in changes:
        change.finish(error)


def is_passing(error: BaseException | None) -> bool:
    """Whether the next transaction may well succeed after one that failed of `error`."""
    if not isinstance(error, sqlite3.Error):
        return False
    extended = getattr(error, "sqlite_errorcode", None)
    return extended in _PASSING or primary_code(error) in _PASSING


def _is_of_the_change(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        code = primary_code(error)
        return code is None or code in _OF_THE_CHANGE
    return isinstance(error, Exception)


def _told(error: BaseException) -> BaseException:
    """A new exception for a caller: several callers may raise the same one at the same time."""
    # OverflowError: a number that no column can hold.
    if isinstance(error, sqlite3.Error | OverflowError):
        told = CatalogueFailed(f"the catalogue was not written: {error}")
    elif isinstance(error, CatalogueFailed):
        told = type(error)(*error.args)
    else:
        return error
    told.__cause__ = error
    return told
