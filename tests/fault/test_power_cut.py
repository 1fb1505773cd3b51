"""Power cuts, as the disk sees them: what was acknowledged is there, whatever was not flushed.

Killing a process, or a virtual machine, does not lose what the system has cached, so it says
nothing about fsync. Here every write and every flush of a real box on a real ext4 file system is
recorded below the file system; then the disk is rebuilt as a power cut may have left it, mounted,
recovered as the AE does when it starts, and compared with what was acknowledged by then.

Every run looks at 100 cuts of one recording, and at a box whose syncs do nothing, which must fail.
`tools/test --all` looks at one cut after every flush and 600 between them, and leaves out each kind
of sync alone. As root, because it mounts.
"""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.archive.files import Folders
from appliance.archive.recovery import Report, open_recovered, recover
from tests.fault.block_log import Cut
from tests.fault.judge import Judge
from tests.fault.recorded_box import Recording, everything, record, reference
from tests.fault.recorded_disk import CannotRecord, keep_mounts_private, mounted
from tests.fault.specimens import IDENTITY, SENT
from tools.hospital.peers import program

SEED = 20261122
CUTS, MORE_CUTS, CONTROL_CUTS = 100, 600, 100
ROOM = 2 << 30
"""Bytes that a recording and a rebuilt disk need, at most."""


@dataclass(frozen=True, slots=True)
class Case:
    """A recording, who judges its cuts, and a folder to rebuild disks in."""

    recording: Recording
    judge: Judge
    folder: Path

    def examined(self, cuts: Sequence[Cut]) -> Iterator[tuple[Cut, list[str]]]:
        """Rebuild the disk of each cut, mount it, recover the archive; what is wrong with it."""
        point = self.folder / "point"
        point.mkdir(exist_ok=True)
        for number, (cut, disk) in enumerate(self.recording.log.disks(cuts, self.folder)):
            flaws = []
            # As the box does when it starts. Mounting alone has to be enough, too, but for a
            # superblock of which one sector of two was written.
            if number % 2 or cut.fate == "sectors":
                flaws += checked(disk)
            with mounted(disk, point) as data:
                flaws += recovered(data)
                flaws += self.judge.wrong(data, cut.issued)
            yield cut, flaws

    def wrong(self, cuts: Sequence[Cut]) -> dict[Cut, list[str]]:
        """What is wrong after each cut, if anything is."""
        return {cut: flaws for cut, flaws in self.examined(cuts) if flaws}


@contextmanager
def recorded(**environment: str) -> Iterator[Case]:
    """A case. Skips where a disk cannot be recorded."""
    with _spacious() as folder:
        try:
            keep_mounts_private()
            recording = record(folder, **environment)
        except CannotRecord as reason:
            pytest.skip(str(reason))
        yield Case(recording, Judge(recording, reference(folder, recording.key)), folder)


@contextmanager
def _spacious() -> Iterator[Path]:
    """A folder in memory, if there is enough of it: rebuilt disks are synced a lot."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    with tempfile.TemporaryDirectory(dir=memory if roomy else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    with recorded() as made:
        yield made


def checked(disk: Path) -> list[str]:
    """Check a file system as the box does, which mends it without asking; what is wrong then."""
    done = subprocess.run([program("e2fsck"), "-y", disk], capture_output=True, text=True)
    return [f"e2fsck fails: {done.stdout}"] if done.returncode > 1 else []


def recovered(data: Path) -> list[str]:
    """Recover an archive as the AE does when it starts; what is wrong with that."""
    folders = Folders(data)
    folders.prepare()
    catalogue = open_recovered(folders)
    try:
        again = recover(folders, catalogue)
    finally:
        catalogue.close()
    return [] if again == Report() else [f"one recovery was not enough: {again}"]


def said(wrong: dict[Cut, list[str]]) -> str:
    """The flaws of many cuts, and how often; and all of the first cut that has any."""
    if not wrong:
        return ""
    kinds = Counter(re.sub(r": 2\.25\.\S+", "", flaw) for flaws in wrong.values() for flaw in flaws)
    first, flaws = next(iter(wrong.items()))
    return f"{len(wrong)} cuts went wrong: {dict(kinds)}; {first}: {flaws[:10]}"


def test_what_is_acknowledged_survives_a_power_cut(case: Case) -> None:
    recording = case.recording
    assert len(recording.answers) > 250
    assert len(recording.log.flushes) > 500
    assert recording.ledger.expired
    cuts = recording.log.random_cuts(CUTS, recording.answers, SEED)
    assert not said(case.wrong(cuts))


def test_no_identity_is_ever_written(case: Case) -> None:
    contents = [one for part in everything() for one in part]
    for mark in SENT:
        assert all(mark in one.dataset for one in contents), mark
    assert case.recording.log.contains(IDENTITY) == set()
    kept = [sending.instance.encode() for sending in case.recording.ledger.sendings[:20]]
    assert case.recording.log.contains(kept) == set(kept), "what the box does write is found"


@pytest.mark.slow
def test_what_is_acknowledged_survives_every_power_cut(case: Case) -> None:
    log = case.recording.log
    cuts = [Cut(flush) for flush in log.flushes]
    cuts += log.random_cuts(MORE_CUTS, case.recording.answers, SEED + 1)
    assert len(cuts) > 1000
    assert not said(case.wrong(cuts))


@pytest.mark.parametrize(
    "kinds",
    [
        "directories files logs",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("directories", "files", "logs")),
    ],
)
def test_without_syncs_it_does_not(kinds: str, tmp_path: Path) -> None:
    """Else the comparison above would see nothing."""
    shim = tmp_path / "no_sync.so"
    source = Path(__file__).with_name("no_sync.c")
    compiler = [program("gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
    subprocess.run([*compiler, "-o", shim, source, "-ldl"], check=True)
    with recorded(LD_PRELOAD=str(shim), NO_SYNC=kinds) as careless:
        recording = careless.recording
        cuts = recording.log.random_cuts(CONTROL_CUTS, recording.answers, SEED)
        assert any(
            flaw.startswith("it was acknowledged, and ")
            for _, flaws in careless.examined(cuts)
            for flaw in flaws
        ), "nothing is seen of what is lost"
