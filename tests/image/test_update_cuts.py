"""The power fails while an update is installed, tried, and kept: the old or the new version, whole.

One update is recorded, each write and flush of the disk. Of many moments the disk that a power cut
could leave behind is made and judged from outside; some of these disks are started.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.fault.block_log import FATES, BlockLog, Cut
from tests.image.figures import Figures
from tests.image.patience import START_WITHIN, until
from tests.image.recording import block_log, recorded
from tests.image.slots_on_disk import Judge, NothingWhole, Started, Version, boot_programs
from tests.image.versions import Versions, another
from tools.imaging.build import Build
from tools.imaging.cache import cache_from_environment
from tools.imaging.layout import read_layout
from tools.imaging.machine import Hardware, Machine, copy_disk
from tools.imaging.programs import ProgramAbsent, need
from tools.imaging.stick import make_stick

pytestmark = pytest.mark.slow

WITHIN = 1800.0
"""Seconds for an update to be written, tried and kept; a disk that is written down is slower."""
ANYWHERE = 100
"""Cuts at any moment."""
LARGE = 256 * 1024
"""Bytes. An image is written in larger pieces; what is changed in a boot partition, in smaller."""
STARTED = 6
"""Disks that are started for comparison, of each judgement."""


@dataclass(frozen=True)
class Update:
    """A recorded update."""

    log: BlockLog
    judge: Judge
    image: Build

    def in_boot_partitions(self) -> list[int]:
        """The entries that change what the boot loader reads."""
        layout = self.judge.layout
        ranges = [
            range(begin, begin + layout.partition(name).size_bytes)
            for name in ("boot-a", "boot-b")
            for begin in [layout.offset(name)]
        ]
        return [
            number
            for number, entry in enumerate(self.log.entries)
            if entry and len(entry.data) < LARGE and any(entry.offset in each for each in ranges)
        ]


@pytest.fixture(scope="module")
def update(image: Build, tmp_path_factory: pytest.TempPathFactory) -> Update:
    """An update of a new box, from a stick, until it has proved itself."""
    try:
        need("unsquashfs", "squashfs-tools")
        need("openssl", "openssl")
    except ProgramAbsent as absent:
        pytest.skip(str(absent))
    folder = tmp_path_factory.mktemp("recorded")
    versions = Versions(image, folder / "versions")
    bundle = versions.bundle("new", another)
    base = lived_in(image, folder)
    disk, log = folder / "disk.img", folder / "log"
    copy_disk(base, disk)
    with Machine(disk, folder, Hardware(disk=recorded(disk, log))) as machine:
        machine.wait(r"Reached target multi-user\.target", START_WITHIN)
        machine.plug(make_stick(folder / "stick.img", {"new.raucb": bundle.read_bytes()}))
        machine.wait(r"reboot: Restarting system", WITHIN)
        machine.unplug()
        machine.wait(r"Reached target multi-user\.target", START_WITHIN)
        machine.wait_for_shell()
        kept = "test -e /state/update/floor.json && ! ls /state/update/trial-*"
        until("the new version is kept", lambda: _holds(machine, kept), WITHIN, 2.0)
        machine.run("sync")
    judge = Judge(
        read_layout(),
        boot_programs(cache_from_environment(), folder / "programs"),
        (
            _version("old", image.disk.parent),
            _version("new", folder / "versions/new/parts"),
        ),
    )
    return Update(block_log(base, log), judge, image)


def lived_in(image: Build, folder: Path) -> Path:
    """The disk of a box that was started once, and is switched off."""
    disk = copy_disk(image.disk, folder / "base.img")
    with Machine(disk, folder / "first") as machine:
        machine.wait(r"Reached target multi-user\.target", START_WITHIN)
        machine.wait_for_shell()
        machine.run("sync")
    return disk


def _holds(machine: Machine, command: str) -> bool:
    return machine.run(f"{command} >/dev/null 2>&1 && echo yes || echo no") == "yes"


def _version(name: str, folder: Path) -> Version:
    kernels = {slot: folder / f"linux-{slot}.efi" for slot in "ab"}
    return Version(name, folder / "root.verity", kernels)


def cuts_of(update: Update, seed: int) -> list[Cut]:
    """Before and after every change in a boot partition, with every fate, and anywhere."""
    chance = Random(seed)
    cuts = [
        Cut(number + after, fate, chance.getrandbits(32))
        for number in update.in_boot_partitions()
        for after, fate in ((0, "lost"), (1, "kept"), (1, chance.choice(FATES)))
    ]
    moments = update.log.flushes
    return cuts + update.log.random_cuts(ANYWHERE, moments, seed)


def judged(update: Update, cuts: list[Cut], folder: Path) -> Iterator[tuple[Cut, Path, Started]]:
    """What each disk would start; it is whole."""
    for cut, disk in update.log.disks(cuts, folder):
        yield cut, disk, update.judge.started(disk)


def test_a_power_cut_at_any_moment_of_an_update_leaves_one_whole_version(
    update: Update, tmp_path: Path, figures: Figures
) -> None:
    seed = time.time_ns()
    print(f"moments of the cuts: seed {seed}")
    cuts = cuts_of(update, seed)
    found = Counter(started.version for _, _, started in judged(update, cuts, tmp_path))
    assert found["old"] >= 25 and found["new"] >= 25
    figures.note("power cuts in an update, by the version that starts", dict(found))


def test_what_is_judged_is_what_starts(update: Update, tmp_path: Path) -> None:
    """The same kinds of disks, in the machine: its boot loader has the last word."""
    seed = time.time_ns()
    print(f"moments of the cuts: seed {seed}")
    cuts = cuts_of(update, seed)
    Random(seed).shuffle(cuts)
    tried: Counter[str] = Counter()
    for cut in cuts:
        (_, disk, started), *_ = judged(update, [cut], tmp_path)
        if tried[started.version] == STARTED:
            continue
        tried[started.version] += 1
        with Machine(disk, tmp_path / "box") as machine:
            machine.wait_for_shell(START_WITHIN)
            assert f"rauc.slot={started.slot}" in machine.run("cat /proc/cmdline"), cut
        if set(tried.values()) == {STARTED} and len(tried) == 2:
            return
    pytest.fail(f"too few disks of each version: {tried}")


def test_a_version_that_is_not_whole_is_seen(update: Update, tmp_path: Path) -> None:
    """The negative control: of a new version that starts, one byte of the root is another."""
    last = Cut(len(update.log.entries))
    ((_, disk, started),) = judged(update, [last], tmp_path)
    assert started.version == "new"
    where = update.judge.layout.offset(f"root-{started.slot}") + 1_000_000
    with disk.open("r+b") as content:
        content.seek(where)
        (byte,) = content.read(1)
        content.seek(where)
        content.write(bytes([byte ^ 1]))
    with pytest.raises(NothingWhole):
        update.judge.started(disk)
