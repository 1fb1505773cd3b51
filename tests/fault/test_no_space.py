"""A disk that fills up, on a small file system of its own: A700 before the reserve is touched.

The page's words say so, retrieval pauses, and everything goes on by itself when space returns.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from appliance.archive.catalogue import Catalogue
from appliance.archive.place import Place
from appliance.service import Service
from appliance.settings.model import (
    Images,
    LocalAE,
    Query,
    RemoteAE,
    Settings,
    Storage,
    Timeouts,
    Watch,
)
from tests.fault.wire import Sender
from tests.instances import instance, study
from tests.interop.strange_pacs import StrangePacs
from tests.notify import NotifySocket, notify_socket
from tools.hospital.box import appliance

MIB = 1 << 20
DISK = 24 * MIB
RESERVE = 6 * MIB
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system of `DISK` bytes."""

    folder: Path

    @property
    def free(self) -> int:
        """Bytes that a service can still write."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    @contextmanager
    def filled(self, leave: int) -> Iterator[None]:
        """Fill the disk but for `leave` bytes, until the block ends."""
        filler = self.folder / "filler"
        try:
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while self.free > leave:
                    file.write(bytes(min(self.free - leave, 1 << 16)))
            yield
        finally:
            filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system cannot be mounted: this needs root and mount(8)")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def settings(*remotes: RemoteAE) -> Settings:
    return Settings(
        revision=1,
        ae=LocalAE(port=0, address="127.0.0.1", profile="strict", unsolicited="store"),
        remotes=remotes or (_remote("main", "PACS", 1, query=False),),
        query=Query(every=1, timeouts=Timeouts(5, 5, 5), settle=1, retry_first=1, retry_longest=1),
        watch=(Watch("P1"),),
        images=Images(workers=1),
        storage=Storage(reserve=RESERVE),
    )


def _remote(name: str, title: str, port: int, query: bool = True) -> RemoteAE:
    return RemoteAE(
        name=name, title=title, host="127.0.0.1", port=port, retrieve="move", query=query
    )


@contextmanager
def box(disk: Disk, chosen: Settings | None = None) -> Iterator[Service]:
    data = disk.folder / "data"
    service = Service(chosen or settings(), Place(data, data / "state"))
    service.start()
    try:
        yield service
    finally:
        service.stop()


def large(number: int) -> Dataset:
    """An instance of half a MiB."""
    made = instance("P1", "2.25.51", "2.25.51.1", number)
    made.Rows = made.Columns = 512
    made.PixelData = bytes(2 * 512 * 512)
    return made


def soon(look: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not look():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_stores_are_refused_before_the_reserve_and_taken_again_by_itself(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with notify_socket(tmp_path) as systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", str(systemd.path))
        with box(disk) as service, disk.filled(leave=RESERVE + 3 * MIB):
            soon(lambda: service.space.free() < 4 * MIB)
            with Sender(service.port) as sender:
                statuses = [sender.store(large(number)) for number in range(1, 13)]
            taken = statuses.count(SUCCESS)
            assert statuses == [SUCCESS] * taken + [OUT_OF_RESOURCES] * (12 - taken)
            assert 2 <= taken <= 6
            assert disk.free >= RESERVE
            assert service.catalogue.status().instances == taken
            assert service.catalogue.status().counters["refused"] == 12 - taken
            assert service._watchdog.check() == ()
            assert "no space left above the reserve" in systemd.said[-1]["STATUS"]
        # The block above removed what filled the disk, after the box had ended.
        with box(disk) as service, Sender(service.port) as sender:
            assert sender.store(large(100)) == SUCCESS


def test_it_goes_on_without_a_restart(disk: Disk) -> None:
    with box(disk) as service, Sender(service.port) as sender:
        with disk.filled(leave=RESERVE):
            soon(lambda: service.space.low)
            assert sender.store(large(1)) == OUT_OF_RESOURCES
        soon(lambda: not service.space.low)
        assert sender.store(large(1)) == SUCCESS
        soon(lambda: service.catalogue.status().rendered == 1)


def test_a_dataset_that_does_not_fit_leaves_nothing(disk: Disk) -> None:
    with box(disk) as service, disk.filled(leave=RESERVE + MIB):
        huge = large(1)
        huge.Rows, huge.PixelData = 2048, bytes(2 * 2048 * 512)
        soon(lambda: service.space.free() < 2 * MIB)
        with Sender(service.port) as sender:
            assert sender.store(huge) == OUT_OF_RESOURCES
        assert not [path for path in (disk.folder / "data/dicom").rglob("*") if path.is_file()]
        assert disk.free >= RESERVE


def test_retrieval_pauses_until_there_is_space(disk: Disk) -> None:
    honest = StrangePacs("HONEST", study("P1", "2.25.52"))
    with (
        honest.listening() as pacs,
        box(disk, settings(_remote("main", "HONEST", pacs.port))) as service,
    ):
        pacs.box = ("HAPPY_netty", service.port)
        soon(lambda: service.catalogue.status().instances == 3)
        with disk.filled(leave=RESERVE - MIB):
            soon(lambda: service.space.low)
            time.sleep(0.6)
            pacs.instances = study("P1", "2.25.52", slices=5)
            asked = len(pacs.calls)
            number = service.requests.ask_fetch("main", patient_id="P1")
            soon(lambda: service.requests.find(number).state == "finished")
            assert "no space is left above the reserve" in service.requests.find(number).sentence
            time.sleep(2.5)
            assert len(pacs.calls) == asked
        soon(lambda: service.catalogue.status().instances == 5)


def test_a_disk_without_a_single_byte_ends_nothing(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with notify_socket(tmp_path) as systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", str(systemd.path))
        with box(disk) as service, Sender(service.port) as sender:
            assert sender.store(large(1)) == SUCCESS
            with disk.filled(leave=0):
                assert disk.free == 0
                soon(lambda: service.space.low)
                began = time.monotonic()
                assert sender.store(large(2)) == OUT_OF_RESOURCES
                assert time.monotonic() - began < 2
                assert _pings(service, systemd)
            soon(lambda: not service.space.low)
            assert sender.store(large(2)) == SUCCESS
            assert service.catalogue.alive


def test_it_starts_on_a_full_disk_and_says_what_is_wrong(disk: Disk) -> None:
    with box(disk) as service, Sender(service.port) as sender:
        assert sender.store(large(1)) == SUCCESS
    with disk.filled(leave=0), box(disk) as service:
        assert service._watchdog.check() == ()
        assert "no space left" in service.describe()
        with Sender(service.port) as sender:
            assert sender.store(large(2)) == OUT_OF_RESOURCES
    with box(disk) as service, Sender(service.port) as sender:
        assert sender.store(large(2)) == SUCCESS


def test_status_tells_what_space_is_left(disk: Disk) -> None:
    with box(disk), disk.filled(leave=MIB):
        command = appliance("status", "--data", disk.folder / "data")
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert "1.0 MiB" in next(line for line in said.splitlines() if "space left" in line)


def test_pictures_that_do_not_fit_are_made_when_they_do(disk: Disk) -> None:
    with box(disk) as service, Sender(service.port) as sender:
        service._rendering.stop(5)
        assert sender.store(large(1)) == SUCCESS
    with disk.filled(leave=0), box(disk) as service:
        soon(lambda: service._rendering._pool.obstacle)
        assert service.catalogue.status().queued == 1
        assert service._watchdog.check() == ()
    with box(disk) as service:
        soon(lambda: service.catalogue.status().rendered == 1)


def _pings(service: Service, systemd: NotifySocket) -> bool:
    before = systemd.count("WATCHDOG")
    service._watchdog.check()
    return systemd.count("WATCHDOG") > before


def test_the_catalogue_is_whole_after_all_that(disk: Disk) -> None:
    with box(disk) as service, Sender(service.port) as sender:
        for number in range(1, 4):
            with disk.filled(leave=0):
                sender.store(large(number))
            soon(lambda: not service.space.low)
            assert sender.store(large(number)) == SUCCESS
    catalogue = Catalogue.open(disk.folder / "data/catalogue.sqlite")
    try:
        assert catalogue.write(
            lambda connection: connection.execute("PRAGMA integrity_check").fetchone()
        ) == ("ok",)
        assert catalogue.status().instances == 3
    finally:
        catalogue.close()
