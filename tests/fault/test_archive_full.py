"""A disk that fills up: a small file system of its own, really full, and space that returns."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.archive.catalogue import Catalogue, CatalogueFailed
from appliance.archive.files import Folders
from appliance.archive.recovery import Report, open_recovered, recover
from appliance.archive.requests import Requests, RequestsFailed
from appliance.archive.space import OutOfSpace, Space
from tests.unit.archive.material import STUDY, arrive, instance, render_all

SIZE = 2**20
RESERVE = 300 * 1024
INSTANCE = 20_000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Folders]:
    """An archive on a file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "archive-test", folder]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    folders = Folders(folder / "data")
    folders.prepare()
    yield folders
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Takes all the space there is."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return filler


def free(folders: Folders) -> int:
    figures = os.statvfs(folders.data)
    return figures.f_bavail * figures.f_frsize


def take_and_arrive(space: Space, catalogue: Catalogue, folders: Folders, number: int) -> None:
    space.take(INSTANCE)
    arrive(catalogue, folders, instance(number), os.urandom(INSTANCE))


def test_the_reserve_is_not_touched_and_stores_resume(small: Folders) -> None:
    catalogue = Catalogue.open(small.catalogue)
    moment = [0.0]
    space = Space(small.data, RESERVE, clock=lambda: moment[0])
    number = 0
    with pytest.raises(OutOfSpace):
        while True:
            moment[0] += 1.0
            take_and_arrive(space, catalogue, small, number)
            number += 1
    assert space.low
    assert number > 5
    # The catalogue's own growth is what the reserve is for.
    assert free(small) > RESERVE - 100 * 1024
    catalogue.event("error", "disk", "there is room for the catalogue still")
    render_all(catalogue, small)
    catalogue.expire(STUDY)
    moment[0] += 1.0
    assert not space.low
    take_and_arrive(space, catalogue, small, 999)
    catalogue.close()


def test_a_full_disk_loses_nothing_and_stops_nothing(small: Folders) -> None:
    """Without any reserve: files and catalogue meet the end of the disk themselves."""
    catalogue = Catalogue.open(small.catalogue)
    requests = Requests.open(small.requests)
    acknowledged = set()
    failures = set()
    filler = None
    for number in range(400):
        if number == 20:
            filler = fill(small.data)
        described = instance(number)
        try:
            arrive(catalogue, small, described, b"" if number % 2 else os.urandom(100))
            acknowledged.add(described.instance)
        except (OSError, CatalogueFailed) as error:
            failures.add(type(error))
    assert failures, "it was never full"
    with pytest.raises(CatalogueFailed, match="full"):
        for _ in range(2000):
            catalogue.event("info", "disk", "x" * 1000)
    with pytest.raises(RequestsFailed):
        for _ in range(200):
            requests.ask_fetch("pacs", patient_id="x" * 1000)
    assert catalogue.alive, "a full disk is no reason to die"
    assert acknowledged <= catalogue.held(STUDY)
    assert filler is not None
    filler.unlink()
    catalogue.event("info", "disk", "there is space again")
    requests.ask_fetch("pacs", study="1.2")
    arrive(catalogue, small, instance(1000))
    catalogue.close()
    requests.close()
    assert list(small.data.rglob("*.part")) == []

    for path in small.dicom.rglob("*.dcm"):
        if path.stat().st_size == 100:
            path.unlink()  # They were noise; recovery reads what has no row.
    catalogue = open_recovered(small)
    assert recover(small, catalogue) == Report()
    catalogue.close()


def test_a_catalogue_opens_without_space_and_is_written_when_there_is_some(
    small: Folders,
) -> None:
    catalogue = Catalogue.open(small.catalogue)
    arrive(catalogue, small, instance(1))
    catalogue.close()
    filler = fill(small.data)
    catalogue = open_recovered(small)
    with pytest.raises(CatalogueFailed):
        catalogue.event("info", "box", "started")
    assert list(small.data.glob("*.unsound*")) == []
    assert catalogue.held(STUDY) == {instance(1).instance}
    filler.unlink()
    catalogue.event("info", "box", "there is room again")
    catalogue.close()
