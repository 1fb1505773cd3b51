"""Readers: other threads, other processes, other users; the AE running, closed, or killed."""

import os
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest

from appliance.archive.catalogue import Catalogue, CatalogueFailed
from appliance.archive.files import Folders
from tests.unit.archive.material import STUDY, instance

NOBODY = 65534


def test_a_reader_sees_what_is_committed(catalogue: Catalogue, folders: Folders) -> None:
    reader = Catalogue.open_read_only(folders.catalogue)
    for number in range(3):
        catalogue.store(instance(number), ())
        assert len(reader.held(STUDY)) == number + 1
    reader.close()
    reader.close()
    with pytest.raises(CatalogueFailed, match="closed"):
        reader.held(STUDY)


def test_a_reader_cannot_write(catalogue: Catalogue, folders: Folders) -> None:
    reader = Catalogue.open_read_only(folders.catalogue)
    assert not isinstance(reader, Catalogue)
    with (
        pytest.raises(CatalogueFailed, match="readonly"),
        reader._reading() as connection,
    ):
        connection.execute("DELETE FROM totals")
    assert reader.status().instances == 0, "a failed connection is not used again"
    reader.close()


def test_every_answer_is_of_one_moment(catalogue: Catalogue, folders: Folders) -> None:
    """Study and totals change in one transaction; no reader sees one without the other."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            catalogue.store(instance(number), ())

    thread = threading.Thread(target=write)
    thread.start()
    reader = Catalogue.open_read_only(folders.catalogue)
    try:
        for _ in range(200):
            with reader._reading() as connection:
                (total,) = connection.execute("SELECT held FROM totals").fetchone()
                (rows,) = connection.execute("SELECT count(*) FROM instances").fetchone()
            assert total == rows
    finally:
        stop.set()
        thread.join()
        reader.close()


def test_where_there_is_no_catalogue_there_is_an_error(folders: Folders) -> None:
    with pytest.raises(CatalogueFailed, match="unable to open"):
        Catalogue.open_read_only(folders.catalogue)
    assert not folders.catalogue.exists(), "reading makes none"
    sqlite3.connect(folders.catalogue).execute("PRAGMA user_version = 0")
    folders.catalogue.touch()
    with pytest.raises(CatalogueFailed, match="empty"):
        Catalogue.open_read_only(folders.catalogue)


def test_what_is_no_database_cannot_be_read(folders: Folders) -> None:
    folders.catalogue.write_bytes(b"no database" * 1000)
    with pytest.raises(CatalogueFailed, match="not a database"):
        Catalogue.open_read_only(folders.catalogue)


class Reader:
    """A process of a user who may do nothing but read, begun before any database is open."""

    def __init__(self) -> None:
        self._wake, wake = os.pipe()[::-1]
        answer, self._answer = os.pipe()[::-1]
        self._process = os.fork()
        if self._process == 0:
            os._exit(self._read(wake, answer))
        os.close(wake)
        os.close(answer)

    @staticmethod
    def _read(wake: int, answer: int) -> int:
        try:
            path = Path(os.read(wake, 4096).decode())
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            reader = Catalogue.open_read_only(path)
            os.write(answer, f"{reader.status().instances} held".encode())
        except BaseException as error:
            os.write(answer, repr(error).encode())
        return 0

    def read(self, path: Path) -> str:
        os.write(self._wake, str(path).encode())
        said = os.read(self._answer, 4096).decode()
        os.waitpid(self._process, 0)
        os.close(self._wake)
        os.close(self._answer)
        return said


@pytest.mark.parametrize("state", ["running", "closed", "killed"])
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_user_who_may_only_read_can(state: str) -> None:
    """The page runs as a user of its own, and is up when the AE is down."""
    other = Reader()
    with tempfile.TemporaryDirectory() as temporary:
        folders = Folders(Path(temporary) / "data")
        folders.prepare()
        catalogue = Catalogue.open(folders.catalogue)
        catalogue.store(instance(1), ())
        if state == "closed":
            catalogue.close()
        if state == "killed":
            folders = Folders(Path(shutil.copytree(folders.data, Path(temporary) / "killed")))
        os.chmod(temporary, 0o755)
        folders.data.chmod(0o755)
        for path in folders.data.glob("catalogue.sqlite*"):
            path.chmod(0o644)
        said = other.read(folders.catalogue)
        catalogue.close()
    assert said == "1 held"
