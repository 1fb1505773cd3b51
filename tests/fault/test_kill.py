"""kill -9 of the whole box, over and over, while instances arrive.

After the last recovery every instance that was acknowledged is there and can be read, nothing half
is to be seen, and nothing twice.
"""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from appliance.archive.files import Folders
from appliance.archive.secret import load_or_create_key
from appliance.images.deidentify import Deidentifier
from tests.fault.boxes import Nursery, Process, Site, nursery
from tests.fault.wire import PRESENTATION_STATE, Sender
from tests.instances import instance
from tests.notify import NotifySocket, notify_socket

FAST_ROUNDS = 54
"""Of boxes born in the nursery."""
WHOLE_ROUNDS = 5
"""Of boxes started as systemd does."""
SENDERS = 3
LONGEST = 0.25
"""Seconds from READY to the kill, at most."""


@pytest.fixture(scope="module")
def born() -> Iterator[Nursery]:
    with nursery() as opened:
        yield opened


class Acknowledged:
    """What senders were told is kept: SOP Instance UIDs, as sent."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._next = 0
        self.instances: list[str] = []

    def send(self, port: int, twice: random.Random) -> None:
        """Store instances until the box is gone; some of them again."""
        try:
            with Sender(port) as sender:
                while True:
                    one = self._instance()
                    for _ in range(2 if twice.random() < 0.1 else 1):
                        if sender.store(one) == 0x0000:
                            with self._lock:
                                self.instances.append(one.SOPInstanceUID)
        except OSError:
            return

    def _instance(self) -> Dataset:
        with self._lock:
            self._next += 1
            number = self._next
        study = f"2.25.31.{number // 100}"
        made = instance("P1", study, f"{study}.{number % 3}", number)
        if self._kind == "presentation":
            made.SOPClassUID, made.Modality = PRESENTATION_STATE, "PR"
            del made.PixelData
        return made


def await_ready(systemd: NotifySocket, times: int) -> None:
    systemd.await_(lambda said: sum("READY" in message for message in said) >= times, 60)


def one_round(
    site: Site, port: int, acknowledged: Acknowledged, seconds: float, chance: random.Random
) -> list[threading.Thread]:
    """Begin to send, and return after `seconds`; the senders end with the box."""
    senders = [
        threading.Thread(
            target=acknowledged.send, args=(port, random.Random(chance.random())), daemon=True
        )
        for _ in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    time.sleep(seconds)
    return senders


def half_files(site: Site) -> list[Path]:
    return [path for path in site.data.rglob("*") if path.name.endswith(".part")]


def processes_of(site: Site) -> list[str]:
    """Processes that were told of the box's data folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(site.data).encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def check(site: Site, acknowledged: Acknowledged) -> None:
    """Compare what was acknowledged with what is held by a box that has recovered and stopped."""
    deidentifier = Deidentifier("basic", load_or_create_key(site.data / "state/pseudonym.key"))
    rows = site.query(
        "SELECT instances.uid, series.uid, studies.uid, file, instances.bytes FROM instances"
        " JOIN series ON series.id = instances.series JOIN studies ON studies.id = instances.study"
    )
    by_uid = {row[0]: row for row in rows}
    assert len(by_uid) == len(rows), "an instance has two rows"
    assert half_files(site) == []
    folders = Folders(site.data)
    for original in acknowledged.instances:
        uid = deidentifier.uid(original)
        assert uid in by_uid, f"{original} was acknowledged and is not there"
        _, series, study, file, size = by_uid[uid]
        assert file == "held"
        path = folders.dicom_file(study, series, uid)
        assert path.stat().st_size == size
        dataset = pydicom.dcmread(path)
        assert dataset.SOPInstanceUID == uid
        assert dataset.StudyInstanceUID == study
        assert dataset.Rows == 8
    on_disk = {path.name.removesuffix(".dcm") for path in folders.dicom.rglob("*.dcm")}
    assert on_disk == set(by_uid)


def test_no_acknowledged_instance_is_lost_however_often_it_is_killed(
    born: Nursery, tmp_path: Path
) -> None:
    chance = random.Random(2718)
    site = Site.prepare(tmp_path / "box")
    acknowledged = Acknowledged("presentation")
    ready = 0
    with notify_socket(tmp_path) as systemd:
        environment = {"NOTIFY_SOCKET": str(systemd.path)}
        for number in range(FAST_ROUNDS):
            box = born.start(site, environment)
            if number % 9 == 8:  # killed while it starts, too
                time.sleep(chance.uniform(0, 0.1))
                box.kill()
                ready = systemd.count("READY")
                continue
            ready += 1
            await_ready(systemd, ready)
            assert half_files(site) == []
            senders = one_round(
                site, site.port, acknowledged, chance.uniform(0.01, LONGEST), chance
            )
            box.kill()
            for sender in senders:
                sender.join(10)
        last = born.start(site, environment)
        await_ready(systemd, ready + 1)
        last.kill()
    assert len(acknowledged.instances) > 2 * FAST_ROUNDS
    check(site, acknowledged)


def test_the_same_with_the_whole_command_and_pictures(tmp_path: Path) -> None:
    chance = random.Random(3141)
    site = Site.prepare(tmp_path / "box", profile="broad")
    acknowledged = Acknowledged("image")
    with notify_socket(tmp_path) as systemd:
        for number in range(WHOLE_ROUNDS):
            box = Process(site, systemd)
            box.await_ready(number + 1)
            senders = one_round(site, site.port, acknowledged, chance.uniform(0.1, 0.8), chance)
            box.kill()
            for sender in senders:
                sender.join(10)
        box = Process(site, systemd)
        assert processes_of(site) != []
        box.await_ready(WHOLE_ROUNDS + 1)
        queue = "SELECT count(*) FROM instances WHERE picture = 'queued'"
        end = time.monotonic() + 60
        while site.query(queue) != [(0,)]:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert box.stop() == 0
    check(site, acknowledged)
    end = time.monotonic() + 10
    while processes_of(site):
        assert time.monotonic() < end, "render workers outlive the boxes that were killed"
        time.sleep(0.1)
    pictures = {path.name for path in (site.data / "images").rglob("*") if path.is_file()}
    ((rows, held),) = site.query("SELECT (SELECT count(*) FROM pictures), held FROM totals")
    # What was durable when the box died before it could say so is no mistake.
    assert len(pictures) == rows == held >= len(set(acknowledged.instances))
