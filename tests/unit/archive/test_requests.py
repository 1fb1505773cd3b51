import os
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.archive.requests import Found, Requests, RequestsCorrupt, RequestsFailed

PATIENT = "YAMADA-4711-ヤマダ"
ASK = (
    "import sys; from pathlib import Path\n"
    "from appliance.archive.requests import Requests\n"
    "requests = Requests.open(Path(sys.argv[1]))\n"
    "for n in range(20): requests.ask_fetch('pacs', study=f'1.2.{sys.argv[2]}.{n}')\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "requests.sqlite"


def test_a_request_is_asked_served_and_finished(path: Path) -> None:
    now = [100.0]
    requests = Requests.open(path, lambda: now[0])
    id = requests.ask_fetch("pacs", patient_id=PATIENT)
    other = requests.ask_fetch("elsewhere", accession="A1", study="1.2.3")
    assert [request.id for request in requests.pending()] == [id, other]
    (asked,) = requests.pending("pacs")
    assert (asked.patient_id, asked.accession, asked.study) == (PATIENT, None, None)
    assert (asked.state, asked.asked_at) == ("asked", 100.0)
    now[0] = 200.0
    requests.progress(id, studies=2, listed=30)
    requests.progress(id, arrived=7)
    (running,) = requests.pending("pacs")
    assert (running.state, running.updated_at) == ("running", 200.0)
    assert (running.studies, running.listed, running.missing, running.arrived) == (2, 30, 0, 7)
    requests.finish(id, "complete", "30 pictures")
    assert requests.pending("pacs") == ()
    finished = requests.find(id)
    assert (finished.state, finished.outcome, finished.sentence) == (
        "finished",
        "complete",
        "30 pictures",
    )
    assert finished.patient_id is None
    assert [request.id for request in requests.latest(5)] == [other, id]
    requests.close()


def test_requests_and_suspension_survive_a_restart(path: Path) -> None:
    requests = Requests.open(path)
    id = requests.ask_fetch("pacs", study="1.2.3")
    requests.progress(id, studies=1)
    assert not requests.suspended
    requests.suspend()
    requests.close()
    requests = Requests.open(path)
    assert requests.suspended
    assert [request.id for request in requests.pending()] == [id], "it was interrupted"
    requests.resume()
    requests.resume()
    assert not requests.suspended
    requests.close()


def test_nothing_of_the_keys_is_left_on_disk_once_finished(path: Path) -> None:
    requests = Requests.open(path)
    for number in range(50):
        id = requests.ask_fetch("pacs", patient_id=PATIENT, accession=f"ACC-{number}-4711")
        requests.progress(id, studies=1)
        assert PATIENT.encode() in path.read_bytes()
        requests.finish(id, "failed", "the remote did not answer")
    names = os.listdir(path.parent)
    content = b"".join((path.parent / name).read_bytes() for name in names)
    assert b"4711" not in content
    # Some builds of SQLite do so by themselves; this must not depend on it.
    assert requests._connection.execute("PRAGMA secure_delete").fetchone() == (1,)
    requests.close()


def test_nobody_but_owner_and_group_can_read_it(path: Path) -> None:
    requests = Requests.open(path)
    with requests._writing() as connection:
        connection.execute("UPDATE operation SET since = 1")
        modes = {
            name: (path.parent / name).stat().st_mode & 0o007 for name in os.listdir(path.parent)
        }
    assert modes and set(modes.values()) == {0}
    requests.close()


@pytest.mark.parametrize("keys", [{}, {"patient_id": ""}, {"study": None, "accession": ""}])
def test_a_request_for_everything_is_refused(path: Path, keys: dict[str, str]) -> None:
    requests = Requests.open(path)
    with pytest.raises(ValueError, match="needs a Patient ID"):
        requests.ask_fetch("pacs", **keys)
    requests.close()


def test_what_is_finished_or_was_never_asked_cannot_go_on(path: Path) -> None:
    requests = Requests.open(path)
    id = requests.ask_fetch("pacs", study="1.2")
    requests.finish(id, "complete", "")
    for number in (id, 99):
        with pytest.raises(LookupError, match=str(number)):
            requests.progress(number, studies=1)
        with pytest.raises(LookupError, match=str(number)):
            requests.finish(number, "complete", "")
    with pytest.raises(LookupError):
        requests.find(99)
    requests.close()


def test_finished_requests_are_capped_and_others_are_not(path: Path) -> None:
    requests = Requests.open(path)
    waiting = requests.ask_fetch("pacs", study="1.2")
    with requests._writing() as connection:
        connection.executemany(
            "INSERT INTO requests (remote, asked_at, updated_at, state)"
            " VALUES ('pacs', 1, 1, 'finished')",
            [()] * 1100,
        )
        (count,) = connection.execute("SELECT count(*) FROM requests").fetchone()
    assert count == 1001
    assert [request.id for request in requests.pending()] == [waiting]
    requests.close()


def test_several_processes_ask_and_one_serves(path: Path) -> None:
    """They even create the file at the same time."""
    asking = [
        subprocess.Popen([sys.executable, "-c", ASK, path, str(n)], stderr=subprocess.PIPE)
        for n in range(3)
    ]
    served = set()
    requests = Requests.open(path)
    while len(served) < 60:
        for request in requests.pending():
            served.add(request.study)
            requests.finish(request.id, "complete", "")
        if not requests.pending() and all(one.poll() is not None for one in asking):
            break
    for one in asking:
        assert one.wait() == 0, one.communicate()[1]
    served.update(request.study for request in requests.pending())
    assert served == {f"1.2.{p}.{n}" for p in range(3) for n in range(20)}
    requests.close()


def test_many_threads_use_one_connection(path: Path) -> None:
    requests = Requests.open(path)

    def ask(number: int) -> int:
        id = requests.ask_fetch("pacs", study=f"1.2.{number}")
        requests.progress(id, studies=1)
        assert not requests.suspended
        return id

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(40)))) == 40
    requests.close()


def test_what_is_no_database_is_named_so(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(RequestsCorrupt, match="not a database"):
        Requests.open(path)
    with pytest.raises(RequestsFailed, match="unable to open"):
        Requests.open(path.parent / "gone" / "requests.sqlite")


def test_a_failure_is_told_and_passes(path: Path) -> None:
    requests = Requests.open(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    requests._connection.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(RequestsFailed, match="could not be written: database is locked"):
        requests.ask_fetch("pacs", study="1.2")
    with pytest.raises(RequestsFailed, match="could not be read"):
        requests.pending()
    blocker.execute("ROLLBACK")
    blocker.close()
    requests.ask_fetch("pacs", study="1.2")
    requests.close()


def test_a_search_is_asked_answered_and_erased(path: Path) -> None:
    now = [1000.0]
    requests = Requests.open(path, lambda: now[0])
    id = requests.ask_search("pacs", patient_id=PATIENT)
    failed = requests.ask_search("ward", accession="A-4711")
    assert [search.id for search in requests.pending_searches("pacs")] == [id]
    assert len(requests.pending_searches()) == 2
    found = [Found(f"1.2.{n}", PATIENT, "ACC-4711", f"{n:08d}", "") for n in range(210)]
    requests.answer_search(id, found)
    requests.answer_search(failed, (), "nothing answers")
    assert requests.pending_searches() == ()
    search, matches = requests.find_search(id)
    assert (search.state, search.surplus, len(matches)) == ("finished", 10, 200)
    assert matches[0].day == "00000209", "the latest first"
    assert requests.find_search(failed)[0].sentence == "nothing answers"
    requests.answer_search(id, found)
    assert len(requests.find_search(id)[1]) == 200, "an answer holds"
    requests.forget_searches(900)
    assert requests.find_search(id)[0].id == id
    now[0] += 901
    requests.forget_searches(900)
    for number in (id, failed):
        with pytest.raises(LookupError, match=str(number)):
            requests.find_search(number)
    requests.answer_search(id, found)
    content = b"".join((path.parent / name).read_bytes() for name in os.listdir(path.parent))
    assert b"4711" not in content
    requests.close()


@pytest.mark.parametrize("keys", [{}, {"patient_id": ""}, {"accession": ""}])
def test_a_search_for_everything_is_refused(path: Path, keys: dict[str, str]) -> None:
    requests = Requests.open(path)
    with pytest.raises(ValueError, match="needs a Patient ID"):
        requests.ask_search("pacs", **keys)
    requests.close()


def as_the_page(path: Path) -> None:
    """Ask, and try what only the owner may."""
    requests = Requests.open(path)
    requests.ask_fetch("pacs", study="1.2.3")
    requests.suspend()
    requests.close()
    for forbidden in (
        lambda: (path.parent / "other").write_text(""),
        lambda: path.unlink(),
        lambda: (path.parent / "catalogue.sqlite").open("r+b"),
    ):
        with pytest.raises(PermissionError):
            forbidden()


def status_as(user: int, group: int, do: Callable[[], None]) -> int:
    """What a process of another user ends with. The interpreter may be closed to him: no exec."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([group])
            os.setgid(user)
            os.setuid(user)
            do()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may enter; those of pytest are closed."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root to be somebody else")
def test_the_page_asks_as_a_user_who_cannot_write_to_the_archive(open_folder: Path) -> None:
    archive = open_folder / "archive"
    archive.mkdir(mode=0o750)
    os.chown(archive, 480, 480)
    before = os.umask(0o027)
    try:
        path = archive / "requests.sqlite"
        Requests.open(path).close()
        (archive / "catalogue.sqlite").write_bytes(b"")
    finally:
        os.umask(before)
    for file in archive.iterdir():
        os.chown(file, 480, 480)
    for _ in range(2):
        assert status_as(481, 480, lambda: as_the_page(path)) == 0
    requests = Requests.open(path)
    assert requests.suspended
    assert [one.study for one in requests.pending()] == ["1.2.3", "1.2.3"]
    requests.close()
