import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.archive.catalogue import Catalogue
from appliance.archive.files import Folders
from appliance.archive.space import Expired, OutOfSpace, Retention, Space
from tests.unit.archive.material import REMOTE, arrive, draw, files_below, instance

BLOCK = 4096
DAY = 86_400


class Disk:
    """A file system with so many bytes free, that counts how often it is asked."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.asked = 0
        self.now = 0.0

    def statvfs(self, _: Path) -> SimpleNamespace:
        self.asked += 1
        # f_bfree counts what only root may use, f_bsize is a transfer size: both are traps.
        return SimpleNamespace(
            f_bavail=self.free // BLOCK, f_frsize=BLOCK, f_bfree=10**9, f_bsize=2**20
        )

    def clock(self) -> float:
        return self.now

    def space(self, reserve: int) -> Space:
        return Space(Path("/data"), reserve, self.statvfs, self.clock)


def test_the_reserve_is_never_touched() -> None:
    disk = Disk(100 * BLOCK)
    space = disk.space(reserve=60 * BLOCK)
    assert space.free() == 40 * BLOCK
    space.take(30 * BLOCK)
    assert space.free() == 10 * BLOCK
    with pytest.raises(OutOfSpace, match=f"{10 * BLOCK} are left"):
        space.take(10 * BLOCK + 1)
    space.take(10 * BLOCK)
    assert space.low
    with pytest.raises(OutOfSpace):
        space.take(1)


def test_the_file_system_is_asked_five_times_a_second_at_most() -> None:
    disk = Disk(10**9)
    space = disk.space(0)
    for _ in range(1000):
        space.take(1)
        disk.now += 0.001
    assert disk.asked <= 6


def test_it_resumes_by_itself_when_space_returns() -> None:
    disk = Disk(10 * BLOCK)
    space = disk.space(reserve=9 * BLOCK)
    with pytest.raises(OutOfSpace):
        space.take(5 * BLOCK)
    assert space.low
    disk.free = 12 * BLOCK
    disk.now += 1
    assert space.low, "what was refused would still not fit"
    disk.free = 14 * BLOCK
    disk.now += 1
    assert not space.low
    space.take(5 * BLOCK)


def test_less_than_the_reserve_is_no_negative_space() -> None:
    space = Disk(BLOCK).space(reserve=100 * BLOCK)
    assert space.free() == 0
    assert space.low
    with pytest.raises(OutOfSpace, match="0 are left"):
        space.take(1)


def test_a_file_system_that_cannot_be_asked_is_an_oserror(tmp_path: Path) -> None:
    space = Space(tmp_path / "gone", 0)
    with pytest.raises(OSError, match="gone"):
        space.take(1)


def test_the_true_file_system_answers(tmp_path: Path) -> None:
    figures = os.statvfs(tmp_path)
    free = figures.f_bavail * figures.f_frsize
    assert abs(Space(tmp_path, 0).free() - free) < 2**30
    assert Space(tmp_path, 2 * free).low


# -- retention


class Archive:
    """Complete, rendered studies, one a day."""

    def __init__(self, folders: Folders) -> None:
        self.now = 0.0
        self.folders = folders
        self.catalogue = Catalogue.open(folders.catalogue, self.clock)
        for day in range(5):
            self.now = day * DAY
            self.add(day)

    def clock(self) -> float:
        return self.now

    def add(self, day: int, listed: int = 1, rendered: bool = True) -> None:
        study = f"2.25.{day}"
        uids = [f"2.25.{day}.1.{n}" for n in range(listed)]
        self.catalogue.list_study(study, REMOTE, uids)
        arrive(
            self.catalogue,
            self.folders,
            instance(1, study=study, series=f"{study}.1", instance=uids[0]),
            b"x" * 1000,
        )
        if rendered:
            jobs = self.catalogue.next_renders(99)
            self.catalogue.finish_renders([draw(self.folders, job) for job in jobs])

    def run(self, keep_days: int | None, quota: int | None) -> Expired:
        return Retention(self.catalogue, keep_days, quota, self.clock).run()

    def days(self) -> set[int]:
        """The days of which files are here."""
        found = {name.split("/")[0] for name in files_below(self.folders.dicom)}
        assert found == {name.split("/")[0] for name in files_below(self.folders.images)}
        return {int(study.removeprefix("2.25.")) for study in found}


@pytest.fixture
def archive(folders: Folders):
    archive = Archive(folders)
    yield archive
    archive.catalogue.close()


def test_without_limits_nothing_goes(archive: Archive) -> None:
    archive.now = 10_000 * DAY
    assert archive.run(None, None) == Expired(0, 0)
    assert archive.days() == {0, 1, 2, 3, 4}


def test_what_is_too_old_goes(archive: Archive) -> None:
    archive.now = 5 * DAY
    before = archive.catalogue.status()
    expired = archive.run(keep_days=3, quota=None)
    assert expired.studies == 2
    assert archive.days() == {2, 3, 4}
    after = archive.catalogue.status()
    assert expired.bytes == before.bytes + before.picture_bytes - after.bytes - after.picture_bytes
    assert after.instances == 5, "the rows stay"
    assert "2 studies removed" in after.events[0].text
    assert archive.run(3, None) == Expired(0, 0)


def test_the_oldest_go_until_the_quota_is_kept(archive: Archive) -> None:
    status = archive.catalogue.status()
    each = (status.bytes + status.picture_bytes) // 5
    assert archive.run(None, quota=5 * each) == Expired(0, 0)
    assert archive.run(None, quota=3 * each) == Expired(2, 2 * each)
    assert archive.days() == {2, 3, 4}
    archive.run(None, quota=3 * each - 1)
    assert archive.days() == {3, 4}
    archive.run(None, quota=0)
    assert archive.days() == set()


def test_incomplete_and_unrendered_studies_stay(archive: Archive) -> None:
    archive.catalogue.list_study("2.25.0", REMOTE, ["2.25.0.1.0", "2.25.0.1.77"])
    archive.add(7, rendered=False)
    archive.now = 1000 * DAY
    archive.run(keep_days=1, quota=0)
    dicom = {name.split("/")[0] for name in files_below(archive.folders.dicom)}
    assert dicom == {"2.25.0", "2.25.7"}


def test_a_study_is_as_old_as_its_newest_instance(archive: Archive) -> None:
    archive.now = 5 * DAY
    arrive(
        archive.catalogue,
        archive.folders,
        instance(9, study="2.25.0", series="2.25.0.1", instance="2.25.0.1.9"),
    )
    jobs = archive.catalogue.next_renders(9)
    archive.catalogue.finish_renders([draw(archive.folders, job) for job in jobs])
    archive.run(keep_days=3, quota=None)
    assert archive.days() == {0, 2, 3, 4}
