"""Group commit: who waits is told, whatever happens; neighbours do not suffer from each other."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.archive import committer as module
from appliance.archive.committer import Committer
from appliance.archive.records import CatalogueFailed

PROMPT = 5.0
"""Seconds; well below the time after which a caller looks by itself would add up."""


class Table:
    """A committer over a database with one table."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "x.sqlite"
        self.connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, CHECK (n < 1000))")
        self.connection.execute("CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER)")
        self.undone = 0
        self.committer = Committer(self.connection, self._undo)

    def _undo(self) -> None:
        self.undone += 1

    def add(self, n: int) -> int:
        self.committer.submit(insert(n))
        return n

    def rows(self) -> set[int]:
        other = sqlite3.connect(self.path)
        try:
            return {n for (n,) in other.execute("SELECT n FROM t")}
        finally:
            other.close()


def insert(n: int) -> Callable[[sqlite3.Connection], None]:
    def change(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (?)", (n,))

    return change


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = Table(tmp_path)
    yield table
    table.committer.close()
    table.connection.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


class Held:
    """Keeps the writer in a change, so that what comes meanwhile becomes one batch."""

    def __init__(self, table: Table, threads: ThreadPoolExecutor) -> None:
        self._table = table
        self._entered, self._leave = threading.Event(), threading.Event()
        self._future = threads.submit(table.committer.submit, self._wait)
        assert self._entered.wait(PROMPT)

    def _wait(self, _: sqlite3.Connection) -> None:
        self._entered.set()
        assert self._leave.wait(PROMPT)

    def release_when_queued(self, count: int) -> None:
        deadline = time.monotonic() + PROMPT
        while self._table.committer._queue.qsize() < count:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        self._leave.set()
        self._future.result(PROMPT)


def test_a_result_comes_after_its_commit(table: Table) -> None:
    assert table.committer.submit(lambda connection: connection.execute("SELECT 7").fetchone()) == (
        7,
    )
    table.add(1)
    assert table.rows() == {1}


def test_what_waits_is_committed_together(table: Table, threads: ThreadPoolExecutor) -> None:
    statements: list[str] = []
    held = Held(table, threads)
    futures = [threads.submit(table.add, n) for n in range(20)]
    table.connection.set_trace_callback(statements.append)
    held.release_when_queued(20)
    assert {future.result(PROMPT) for future in futures} == set(range(20))
    assert statements.count("COMMIT") == 2, "the holder's own, and one for all others"


def test_a_failing_change_fails_alone(table: Table, threads: ThreadPoolExecutor) -> None:
    held = Held(table, threads)
    good = [threads.submit(table.add, n) for n in range(10)]
    bad = threads.submit(table.add, 1000)
    silly = threads.submit(table.committer.submit, lambda connection: 1 // 0)
    held.release_when_queued(12)
    assert {future.result(PROMPT) for future in good} == set(range(10))
    with pytest.raises(CatalogueFailed, match="CHECK"):
        bad.result(PROMPT)
    with pytest.raises(ZeroDivisionError):
        silly.result(PROMPT)
    assert table.rows() == set(range(10))
    assert table.committer.alive
    assert table.undone >= 1


def test_afterwards_runs_after_the_commit_and_before_later_changes(table: Table) -> None:
    seen: list[object] = []

    def afterwards(_: sqlite3.Connection, result: int) -> None:
        seen.append((result, table.rows()))

    table.committer.submit(lambda connection: insert(5)(connection) or 42, afterwards=afterwards)
    assert seen == [(42, {5})]


def test_what_fails_afterwards_does_not_undo(table: Table) -> None:
    def afterwards(*_: object) -> None:
        raise OSError("cannot unlink")

    table.committer.submit(insert(5), afterwards=afterwards)
    assert table.rows() == {5}
    table.add(6)
    assert table.committer.alive


# -- when the thread dies


def die(_: sqlite3.Connection) -> None:
    raise SystemExit("the end")


def fail_promptly(call: Callable[[], object]) -> CatalogueFailed:
    began = time.monotonic()
    with pytest.raises(CatalogueFailed) as failed:
        call()
    assert time.monotonic() - began < PROMPT
    return failed.value


def test_every_waiting_and_later_caller_learns_of_the_threads_death(
    table: Table, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK", 10 * PROMPT)  # They are told, and need not look.
    held = Held(table, threads)
    before = threads.submit(table.add, 1)
    killer = threads.submit(table.committer.submit, die)
    after = [threads.submit(table.add, n) for n in range(2, 20)]
    held.release_when_queued(20)
    for future in (before, killer, *after):
        error = fail_promptly(lambda future=future: future.result(PROMPT))
        assert "SystemExit" in str(error)
    assert "the end" in str(fail_promptly(lambda: table.add(500)))
    assert not table.committer.alive
    assert isinstance(table.committer.failure, SystemExit)
    assert table.rows() == set(), "what failed is not there"


def test_who_comes_while_it_dies_is_not_left_waiting(tmp_path: Path) -> None:
    """Submitting races with the last look into the queue."""
    for round_ in range(15):
        folder = tmp_path / str(round_)
        folder.mkdir()
        table = Table(folder)
        with ThreadPoolExecutor(8) as threads:
            futures: list[Future[object]] = [threads.submit(table.add, n) for n in range(20)]
            futures.insert(5, threads.submit(table.committer.submit, die))
            futures += [threads.submit(table.add, n) for n in range(20, 60)]
            durable = set()
            for future in futures:
                with suppress(CatalogueFailed):
                    durable.add(future.result(PROMPT))
        assert table.rows() == durable
        table.connection.close()


def test_who_comes_after_the_last_look_into_the_queue_does_not_wait(
    table: Table, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK", 10 * PROMPT)
    really = table.committer._fail_waiting
    late: list[Future[int]] = []

    def last_look() -> None:
        really()
        late.append(threads.submit(table.add, 1))
        late[0].exception(PROMPT)

    monkeypatch.setattr(table.committer, "_fail_waiting", last_look)
    fail_promptly(lambda: table.committer.submit(die))
    table.committer.close()
    fail_promptly(lambda: late[0].result(PROMPT))


def test_a_damaged_database_kills_the_thread(table: Table, threads: ThreadPoolExecutor) -> None:
    table.add(1)
    table.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(table.path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    table.path.write_bytes(data)
    table.connection.execute("PRAGMA shrink_memory")
    error = fail_promptly(lambda: table.add(2))
    assert "malformed" in str(error)
    assert not table.committer.alive
    fail_promptly(lambda: table.add(3))


def test_a_full_database_fails_calls_until_there_is_space(
    table: Table, threads: ThreadPoolExecutor
) -> None:
    table.committer.submit(lambda c: c.execute("CREATE TABLE big (b BLOB)"))
    (pages,) = table.committer.submit(lambda c: c.execute("PRAGMA page_count").fetchone())
    table.committer.submit(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 3}").fetchone())

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO big VALUES (zeroblob(100000))")

    held = Held(table, threads)
    futures = [threads.submit(table.committer.submit, fill) for _ in range(3)]
    held.release_when_queued(3)
    for future in futures:
        assert "full" in str(fail_promptly(lambda future=future: future.result(PROMPT)))
    assert table.committer.alive, "a full disk is no reason to die"
    table.committer.submit(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchone())
    table.committer.submit(fill)


def test_a_number_that_no_column_can_hold_is_that_callers_failure(table: Table) -> None:
    with pytest.raises(CatalogueFailed, match="not written"):
        table.committer.submit(lambda c: c.execute("SELECT ?", (1 << 70,)).fetchone())
    assert table.committer.alive
    assert table.committer.submit(lambda c: c.execute("SELECT 1").fetchone()) == (1,)


def test_a_batch_that_takes_minutes_counts_as_stuck(
    table: Table, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STALL", 0.3)
    monkeypatch.setattr(module, "_LOOK", 0.05)
    entered, leave = threading.Event(), threading.Event()

    def hang(_: sqlite3.Connection) -> None:
        entered.set()
        leave.wait(PROMPT)

    hung = threads.submit(table.committer.submit, hang)
    assert entered.wait(PROMPT)
    error = fail_promptly(lambda: table.add(1))
    assert "stuck" in str(error)
    assert not table.committer.alive
    with pytest.raises(CatalogueFailed):
        hung.result(PROMPT)
    leave.set()


def test_closing_commits_what_was_submitted_and_refuses_the_rest(
    table: Table, threads: ThreadPoolExecutor
) -> None:
    held = Held(table, threads)
    futures = [threads.submit(table.add, n) for n in range(10)]
    closing = threads.submit(table.committer.close)
    held.release_when_queued(11)
    assert closing.result(PROMPT)
    assert {future.result(PROMPT) for future in futures} == set(range(10))
    assert "closed" in str(fail_promptly(lambda: table.add(11)))
    assert table.committer.close()


# -- counters


def counters(table: Table) -> dict[str, int]:
    other = sqlite3.connect(table.path)
    try:
        return dict(other.execute("SELECT name, value FROM counters"))
    finally:
        other.close()


def test_counts_go_with_the_next_transaction_or_by_themselves(table: Table) -> None:
    for _ in range(1000):
        table.committer.count("a", 1)
    table.committer.count("b", 5)
    assert table.committer.uncommitted_counts() in ({"a": 1000, "b": 5}, {})
    table.add(1)
    assert counters(table) == {"a": 1000, "b": 5}
    table.committer.count("a", 2)
    deadline = time.monotonic() + PROMPT
    while counters(table)["a"] != 1002:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert table.committer.uncommitted_counts() == {}


def test_what_is_counted_during_a_transaction_is_counted_once(
    table: Table, threads: ThreadPoolExecutor
) -> None:
    held = Held(table, threads)
    table.committer.count("a", 1)
    held.release_when_queued(0)
    table.add(1)
    table.committer.close()
    assert counters(table) == {"a": 1}


def test_counts_survive_a_failed_transaction_and_are_not_doubled(
    table: Table, threads: ThreadPoolExecutor
) -> None:
    held = Held(table, threads)
    table.committer.count("a", 1)
    futures = [threads.submit(table.add, n) for n in (1, 1000, 2)]
    held.release_when_queued(3)
    for future in futures:
        future.exception(PROMPT)
    table.committer.close()
    assert counters(table) == {"a": 1}


def test_counting_never_raises(table: Table) -> None:
    with pytest.raises(CatalogueFailed):
        table.committer.submit(die)
    table.committer.count("a", 1)
