"""A catalogue that cannot be written: the sender hears A700 at once, and systemd no ping."""

import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from appliance.archive.place import Place
from appliance.service import Service
from appliance.settings.reader import read_file
from tests.fault.boxes import Process, Site, running
from tests.fault.test_stop import held, presentation
from tests.fault.wire import Sender
from tests.notify import NotifySocket, notify_socket

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
PROMPT = 2.0
"""Seconds within which a sender must hear of it."""


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[NotifySocket]:
    with notify_socket(tmp_path) as listening:
        yield listening


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Service]:
    settings = read_file(Site.prepare(tmp_path / "box").settings)
    service = Service(settings, Place(tmp_path / "data", tmp_path / "data/state"))
    service.start()
    yield service
    service.stop()


def test_a_file_that_may_not_grow(tmp_path: Path, systemd: NotifySocket) -> None:
    """RLIMIT_FSIZE: the write of the log fails, which is neither a full disk nor a busy one."""
    site = Site.prepare(tmp_path / "box")
    acknowledged = []
    with running(site, systemd, WATCHDOG_USEC="600000") as box:
        systemd.await_(lambda said: any("WATCHDOG" in message for message in said))
        with Sender(site.port) as sender:
            for number in (1, 2, 3):
                assert sender.store(presentation(number)) == SUCCESS
                acknowledged.append(presentation(number).SOPInstanceUID)
            limit = (site.data / "catalogue.sqlite-wal").stat().st_size
            resource.prlimit(box.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
            for number in range(4, 1000):
                began = time.monotonic()
                status = sender.store(presentation(number))
                assert time.monotonic() - began < PROMPT
                if status != SUCCESS:
                    break
                acknowledged.append(presentation(number).SOPInstanceUID)
            assert status == OUT_OF_RESOURCES
            assert sender.store(presentation(1001)) == OUT_OF_RESOURCES
        systemd.await_(lambda said: "the catalogue fails" in said[-1].get("STATUS", ""))
        pings = systemd.count("WATCHDOG")
        time.sleep(0.8)
        assert systemd.count("WATCHDOG") == pings
        assert box.process.poll() is None
    # systemd restarts it; here, somebody else does.
    with running_again(site, systemd) as box, Sender(site.port) as sender:
        assert sender.store(presentation(1002)) == SUCCESS
        assert box.stop() == 0
    assert all(held(site, uid) for uid in acknowledged)


def running_again(site: Site, systemd: NotifySocket) -> closing[Process]:
    process = Process(site, systemd)
    process.await_ready(2)
    return closing(process)


def test_a_row_that_is_refused_costs_no_other(box: Service) -> None:
    box.catalogue.write(
        lambda connection: connection.execute(
            "CREATE TRIGGER superstition BEFORE INSERT ON instances WHEN NEW.number = 13"
            " BEGIN SELECT raise(ABORT, 'not that one'); END"
        ).close()
    )
    with Sender(box.port) as sender:
        for number in (12, 13, 14):
            began = time.monotonic()
            expected = OUT_OF_RESOURCES if number == 13 else SUCCESS
            assert sender.store(presentation(number)) == expected
            assert time.monotonic() - began < PROMPT
    assert box.catalogue.status().instances == 2
    assert box.catalogue.status().counters["refused"] == 1
    assert box._watchdog.check() == ()


def test_a_catalogue_that_somebody_else_has_locked(box: Service, tmp_path: Path) -> None:
    box.catalogue._connection.execute("PRAGMA busy_timeout = 500")
    with (
        closing(sqlite3.connect(tmp_path / "data/catalogue.sqlite", isolation_level=None)) as other,
        Sender(box.port) as sender,
    ):
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert sender.store(presentation(1)) == OUT_OF_RESOURCES
        assert time.monotonic() - began < PROMPT
        other.execute("ROLLBACK")
        assert sender.store(presentation(1)) == SUCCESS
        assert box._watchdog.check() == ()
    assert box.catalogue.status().instances == 1


def test_a_table_that_is_gone(box: Service) -> None:
    with Sender(box.port) as sender:
        assert sender.store(presentation(1)) == SUCCESS
        box.catalogue.write(
            lambda connection: connection.execute("ALTER TABLE instances RENAME TO gone").close()
        )
        began = time.monotonic()
        assert sender.store(presentation(2)) == OUT_OF_RESOURCES
        assert time.monotonic() - began < PROMPT
