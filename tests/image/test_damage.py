"""The real image on a disk that is damaged, full or cut off, and with a clock that knows nothing.

Whatever it is, the box starts, its page says what is wrong, and nothing is erased.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.image.conftest import NewMachine
from tests.image.figures import Figures
from tests.image.hardware import hardware
from tests.image.patience import START_WITHIN, until
from tests.image.site import HARDWARE, Site, pacs, slice_of
from tools.imaging.build import Build
from tools.imaging.layout import MIB, read_layout
from tools.imaging.machine import Machine, copy_disk

# No time server is asked, whatever network the tests run in.
NO_TIME = {"systemd-timesyncd.service": "[Unit]\nConditionPathExists=/nowhere\n"}
SINCE_1970 = ("-rtc", "base=1970-01-01T00:00:00")
DAY = 86_400

CUTS_WHILE_GROWING = (
    ("Starting systemd-repart", 0.0),
    ("Starting systemd-repart", 0.4),
    ("Finished systemd-repart", 0.0),
    ("Starting systemd-growfs@data", 0.0),
    ("Starting systemd-growfs@data", 0.3),
)
"""Lines of the console, and how many seconds later the power goes."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Lived:
    """A box that has started and is switched off; a file `witness` is on each of its partitions."""

    disk: Path
    data_bytes: int
    """The size of its `data` partition."""


@pytest.fixture(scope="module")
def lived(image: Build, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The power went again and again while its `data` grew; then it started."""
    folder = tmp_path_factory.mktemp("lived")
    machine = Machine(copy_disk(image.disk, folder / "disk.img"), folder, hardware())
    for line, seconds in CUTS_WHILE_GROWING:
        with machine:
            machine.wait(line, START_WITHIN)
            time.sleep(seconds)
    with machine:
        Site(machine, folder).started()
        growth = "systemctl is-active systemd-growfs@data.service || true"
        until("it has grown", lambda: machine.run(growth) == "active")
        assert machine.run("systemctl --failed --plain --no-legend") == ""
        machine.run("for name in state data; do echo here >/$name/witness; done")
        sectors = int(machine.run("cat /sys/class/block/vda7/size"))
        machine.run("umount /data; sync")
    return Lived(machine.disk, 512 * sectors)


@pytest.fixture
def site(lived: Lived, tmp_path: Path) -> Iterator[Site]:
    """That box, not switched on yet, with a disk of its own and a PACS beside it."""
    machine = Machine(
        copy_disk(lived.disk, tmp_path / "disk.img"), tmp_path, hardware(extra=HARDWARE)
    )
    with pacs() as port:
        try:
            yield Site(machine, tmp_path, port)
        finally:
            machine.power_cut()


def partition(disk: Path, name: str) -> str:
    """A partition as the programs of e2fsprogs find it in a disk."""
    return f"{disk}?offset={read_layout().offset(name)}"


def output(*command: str) -> str:
    """What a program says; it must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def erase_superblocks(disk: Path, name: str, *, copies: bool) -> None:
    """Zero the superblock of a partition's ext4; with `copies`, all of them."""
    told = output("dumpe2fs", partition(disk, name))
    size = re.search(r"^Block size: +(\d+)$", told, re.MULTILINE)
    blocks = re.findall(r"(?:Primary|Backup) superblock at (\d+)", told)
    assert size is not None
    assert len(blocks) > 1
    with disk.open("r+b") as file:
        for block in map(int, blocks if copies else blocks[:1]):
            # The first one has a place of its own in the first block.
            file.seek(read_layout().offset(name) + max(block * int(size[1]), 1024))
            file.write(bytes(1024))


def same(one: Path, other: Path, name: str, size: int) -> bool:
    """Whether the first `size` bytes of a partition are the same on two disks."""
    begins = f"--ignore-initial={read_layout().offset(name)}"
    return (
        subprocess.run(["cmp", begins, f"--bytes={size}", one, other], check=False).returncode == 0
    )


def problems(site: Site) -> list[str]:
    return [problem["what"]["en"] for problem in site.health()["problems"]]


def test_growth_that_is_cut_off_is_completed_by_the_next_start(lived: Lived) -> None:
    room = lived.disk.stat().st_size - read_layout().offset("data")
    assert room - 2 * MIB <= lived.data_bytes < room
    output("e2fsck", "-f", "-n", partition(lived.disk, "data"))
    told = output("dumpe2fs", "-h", partition(lived.disk, "data"))
    blocks, size = (
        int(re.findall(rf"^{name}: +(\d+)$", told, re.MULTILINE)[0])
        for name in ("Block count", "Block size")
    )
    assert lived.data_bytes - MIB <= blocks * size <= lived.data_bytes


def test_lost_superblocks_are_restored_from_their_copies(site: Site) -> None:
    for name in ("state", "data"):
        erase_superblocks(site.machine.disk, name, copies=False)
    site.start()
    for name in ("state", "data"):
        assert site.machine.run(f"cat /{name}/witness") == "here"
    assert site.shows("unprovisioned")["colour"] == "amber"


def test_a_data_partition_beyond_repair_is_told_and_left_as_it_is(
    site: Site, lived: Lived, tmp_path: Path
) -> None:
    disk = site.machine.disk
    erase_superblocks(disk, "data", copies=True)
    before = copy_disk(disk, tmp_path / "before.img")
    site.start()
    health = site.shows("fault")
    assert (health["colour"], health["rhythm"]) == ("red", "steady")
    assert problems(site) == ["The storage of the images is broken"]
    page = site.page()
    assert "The storage of the images is broken" in page
    assert "Nothing has been erased" in page
    assert site.machine.run("findmnt /data || echo absent") == "absent"
    assert site.machine.run("cat /state/witness") == "here"

    # Settings are taken all the same, as far as they can be tried without the AE.
    answer = site.give(site.settings())
    assert answer.data["outcome"] == "accepted"
    assert site.shows("fault")["provisioned"] is True
    site.machine.power_cut()
    assert same(disk, before, "data", lived.data_bytes)


def test_a_state_beyond_repair_is_told_and_left_as_it_is(site: Site, tmp_path: Path) -> None:
    disk = site.machine.disk
    erase_superblocks(disk, "state", copies=True)
    before = copy_disk(disk, tmp_path / "before.img")
    site.start()
    assert site.shows("fault")["colour"] == "red"
    assert problems(site) == ["The storage of the settings is broken"]
    assert "The storage of the settings is broken" in site.page()
    assert site.machine.run("cat /data/witness") == "here"
    site.machine.power_cut()
    assert same(disk, before, "state", read_layout().partition("state").size_bytes)


def test_a_full_disk_refuses_and_goes_on_by_itself(site: Site, figures: Figures) -> None:
    machine = site.machine
    site.start()
    answer = site.give(site.settings('[ae]\nunsolicited = "store"\n'))
    assert answer.data["outcome"] == "accepted"
    process = site.ae_process()
    assert site.store(slice_of(1)) == 0x0000

    free = int(machine.run("df --output=avail --block-size=1 /data").split()[-1])
    machine.run(f"fallocate --length {free - 32 * MIB} /data/filler")
    until("the reserve is kept", lambda: site.store(slice_of(2)) == 0xA700)
    assert site.shows("degraded")["colour"] == "amber"
    assert problems(site) == ["The disk is full: no images are taken"]
    assert "The disk is full: no images are taken" in site.page()
    # Not a byte left: it is told as before, and nobody starts anew for it.
    machine.run("cat /dev/zero >/data/more", 300, check=False)
    assert site.store(slice_of(3)) == 0xA700
    assert site.echo() == 0x0000
    time.sleep(30)
    assert problems(site) == ["The disk is full: no images are taken"]

    machine.run("rm /data/filler /data/more")
    freed = time.monotonic()
    until("images are taken again", lambda: site.store(slice_of(4)) == 0x0000)
    figures.note("disk freed to first stored instance, s", round(time.monotonic() - freed, 1))
    site.shows("working")
    assert site.ae_process() == process
    assert machine.run("find /data/archive -type f -name '*.dcm' | wc -l") == "2"


def test_a_root_with_a_flipped_bit_does_not_run(new_machine: NewMachine) -> None:
    machine = new_machine(hardware())
    with machine.disk.open("r+b") as file:
        file.seek(read_layout().offset("root-a") + 40)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    machine.start()
    machine.wait("EFI Boot Guard", START_WITHIN)
    loaded = time.monotonic()
    machine.monitor.event("RESET", START_WITHIN, loaded)
    written = "\n".join(line.text for line in machine.console.lines())
    assert "Welcome to" not in written
    assert "panic" in written


def test_a_clock_without_a_battery_is_set_forward_and_not_trusted(
    new_machine: NewMachine, tmp_path: Path
) -> None:
    machine = new_machine(hardware(extra=(*HARDWARE, *SINCE_1970), units=NO_TIME))
    site = Site(machine, tmp_path, time_server=False)
    site.start()
    built = int(machine.run("stat --format=%Y /usr/bin/appliance"))
    assert built <= now(machine) < built + DAY
    assert site.health()["clock_trusted"] is False
    assert "not set by a time server" in site.page()

    # Somebody saw a later day: the next start does not fall behind it.
    machine.run(f"date --set=@{built + 10 * DAY}")
    until("the time is noted", lambda: last_seen(machine) >= built + 10 * DAY, 300)
    machine.power_cut()
    site.start()
    assert built + 10 * DAY <= now(machine) < built + 11 * DAY
    assert site.health()["clock_trusted"] is False


def now(machine: Machine) -> int:
    return int(machine.run("date +%s"))


def last_seen(machine: Machine) -> float:
    """What the box notes on its state, in seconds since 1970."""
    noted = machine.run("cat /state/health/seen.json || echo '{}'").splitlines()[-1]
    return float(json.loads(noted).get("clock", 0))
