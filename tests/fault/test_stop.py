"""SIGTERM while instances arrive: running stores end, nothing acknowledged is lost, status 0."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from appliance import service as service_module
from appliance.archive.place import Place
from appliance.archive.secret import load_or_create_key
from appliance.images.deidentify import Deidentifier
from appliance.service import Service
from appliance.settings.reader import read_file
from tests.fault.boxes import Process, Site, running
from tests.fault.wire import CT, PRESENTATION_STATE, Sender
from tests.instances import instance
from tests.notify import NotifySocket, notify_socket

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[NotifySocket]:
    with notify_socket(tmp_path) as listening:
        yield listening


def presentation(number: int) -> Dataset:
    made = instance("P1", "2.25.41", "2.25.41.1", number)
    made.SOPClassUID = PRESENTATION_STATE
    del made.PixelData
    return made


def soon(look: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def held(site: Site, uid: str) -> bool:
    """Whether an instance, by the UID with which it was sent, has its row and its file."""
    deidentifier = Deidentifier("basic", load_or_create_key(site.data / "state/pseudonym.key"))
    mapped = deidentifier.uid(uid)
    rows = site.query("SELECT file FROM instances WHERE uid = ?", mapped)
    return rows == [("held",)] and len(list(site.data.rglob(f"{mapped}.dcm"))) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_a_moment_when_it_is_idle(
    tmp_path: Path, systemd: NotifySocket, number: signal.Signals
) -> None:
    site = Site.prepare(tmp_path / "box")
    with running(site, systemd) as box:
        began = time.monotonic()
        box.process.send_signal(number)
        assert box.process.wait(30) == 0
        assert time.monotonic() - began < 5
    assert systemd.said[-1] == {"STOPPING": "1"}
    assert site.query("SELECT count(*) FROM instances") == [(0,)]


def test_a_running_store_ends_and_the_next_one_is_refused(
    tmp_path: Path, systemd: NotifySocket
) -> None:
    site = Site.prepare(tmp_path / "box")
    one, other = presentation(1), presentation(2)
    with running(site, systemd) as box, Sender(site.port) as sender, Sender(site.port) as idle:
        assert idle.store(presentation(3)) == SUCCESS
        message = sender.message(
            PRESENTATION_STATE, one.SOPInstanceUID, encode(one, True, True) or b""
        )
        sender.socket.sendall(message[:-20])
        time.sleep(0.2)
        box.process.terminate()
        systemd.await_(lambda said: {"STOPPING": "1"} in said)
        time.sleep(0.2)
        assert idle.store(other) == OUT_OF_RESOURCES
        sender.socket.sendall(message[-20:])
        assert sender.status() == SUCCESS
        assert box.process.wait(30) == 0
    assert held(site, one.SOPInstanceUID)
    assert held(site, presentation(3).SOPInstanceUID)
    assert not held(site, other.SOPInstanceUID)


def test_a_store_that_never_ends_is_cut_off_unacknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service_module, "STOP_WITHIN", 0.5)
    settings = read_file(Site.prepare(tmp_path / "box").settings)
    service = Service(settings, Place(tmp_path / "data", tmp_path / "data/state"))
    service.start()
    one = instance("P1", "2.25.42", "2.25.42.1", 1)
    one.Rows = one.Columns = 64
    one.PixelData = bytes(2 * 64 * 64)
    with Sender(service.port) as sender:
        message = sender.message(CT, one.SOPInstanceUID, encode(one, True, True) or b"")
        sender.socket.sendall(message[:-20])
        soon(lambda: files(tmp_path / "data/dicom"))
        service.stop()
        with pytest.raises(OSError):
            sender.status()
    assert "cut off unacknowledged" in caplog.text
    soon(lambda: not files(tmp_path / "data/dicom"))


def test_nothing_acknowledged_is_lost_in_the_rush(tmp_path: Path, systemd: NotifySocket) -> None:
    site = Site.prepare(tmp_path / "box")
    acknowledged: list[str] = []
    statuses: set[int] = set()

    def send(first: int) -> None:
        try:
            with Sender(site.port) as sender:
                for number in range(first, first + 100_000):
                    one = presentation(number)
                    status = sender.store(one)
                    statuses.add(status)
                    if status == SUCCESS:
                        acknowledged.append(one.SOPInstanceUID)
        except OSError:
            return

    with running(site, systemd) as box:
        senders = [
            threading.Thread(target=send, args=(1_000_000 * place,), daemon=True)
            for place in (1, 2, 3)
        ]
        for sender in senders:
            sender.start()
        time.sleep(0.5)
        assert box.stop(30) == 0
        for sender in senders:
            sender.join(10)
    assert len(acknowledged) > 20
    assert statuses <= {SUCCESS, OUT_OF_RESOURCES}
    assert all(held(site, uid) for uid in acknowledged)


def test_systemd_hears_of_all_of_it(tmp_path: Path, systemd: NotifySocket) -> None:
    site = Site.prepare(tmp_path / "box")
    with running(site, systemd, WATCHDOG_USEC="600000") as box:
        systemd.await_(lambda said: sum("WATCHDOG" in message for message in said) >= 3)
        with Sender(site.port) as sender:
            sender.store(presentation(1))
            systemd.await_(lambda said: said[-1].get("STATUS") == "working, 1 association")
        assert systemd.said[0] == {"READY": "1", "STATUS": "working, 0 associations"}
        assert box.stop() == 0


def test_a_second_box_on_the_same_archive_says_who_has_it(
    tmp_path: Path, systemd: NotifySocket
) -> None:
    site = Site.prepare(tmp_path / "box")
    with running(site, systemd) as box:
        second = Process(site, systemd)
        assert second.process.wait(30) == 1
        assert f"process {box.process.pid} is writing to this archive" in site.log.read_text()
        assert box.stop() == 0
