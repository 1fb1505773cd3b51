"""The real image on a disk that is damaged, full or cut off, and with a clock that knows nothing.

Whatever it is, the box starts, its page says what is wrong, and nothing is erased.
"""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.image.conftest import NewMachine
from tests.image.figures import Figures
from tests.image.site import HARDWARE, START_WITHIN, Site, pacs, slice_of, until
from tests.image.test_build import cut_out
from tools.imaging.layout import MIB, read_layout
from tools.imaging.machine import Hardware, Machine

_SUPERBLOCK = 1024
"""Bytes of one, and where the first is; the others begin at multiples of it."""
_UUID = slice(0x68, 0x78)
_MAGIC = slice(0x38, 0x3A)

# No time server is asked, whatever network the tests run in.
NO_TIME = {"systemd-timesyncd.service": "[Unit]\nConditionPathExists=/nowhere\n"}
SINCE_1970 = ("-rtc", "base=1970-01-01T00:00:00")
DAY = 86_400


def superblocks(partition: bytes) -> list[int]:
    """Where the superblocks of an ext4 file system are: the first one, and its copies."""
    first = partition[_SUPERBLOCK : 2 * _SUPERBLOCK]
    assert first[_MAGIC] == b"\x53\xef"
    return [
        place
        for place in range(_SUPERBLOCK, len(partition), _SUPERBLOCK)
        if partition[place + _MAGIC.start : place + _MAGIC.stop] == first[_MAGIC]
        and partition[place + _UUID.start : place + _UUID.stop] == first[_UUID]
    ]


def erase_superblocks(disk: Path, name: str, folder: Path, *, copies: bool) -> None:
    """Zero the superblock of a partition; with `copies`, all of them."""
    places = superblocks(cut_out(disk, name, folder / "before").read_bytes())
    assert len(places) > 1
    with disk.open("r+b") as file:
        for place in places if copies else places[:1]:
            file.seek(read_layout().offset(name) + place)
            file.write(bytes(_SUPERBLOCK))


def site_of(machine: Machine, folder: Path, port: int = 11112) -> Site:
    return Site(machine, folder, port)


def problems(site: Site) -> list[str]:
    return [problem["what"]["en"] for problem in site.health()["problems"]]


@pytest.mark.slow
def test_a_data_partition_beyond_repair_is_told_and_left_as_it_is(
    new_machine: NewMachine, tmp_path: Path
) -> None:
    machine = new_machine(Hardware(extra=HARDWARE))
    erase_superblocks(machine.disk, "data", tmp_path, copies=True)
    before = cut_out(machine.disk, "data", tmp_path / "before").read_bytes()
    site = site_of(machine, tmp_path)
    site.start()
    health = site.shows("fault")
    assert (health["colour"], health["rhythm"]) == ("red", "steady")
    assert problems(site) == ["The storage of the images is broken"]
    page = site.page()
    assert "The storage of the images is broken" in page
    assert "Nothing has been erased" in page
    assert machine.run("findmnt /data || echo absent") == "absent"
    assert machine.run("findmnt --noheadings -o FSTYPE /state") == "ext4"
    machine.power_cut()
    assert cut_out(machine.disk, "data", tmp_path / "after").read_bytes() == before


@pytest.mark.slow
def test_a_box_with_a_broken_data_partition_still_takes_settings(
    new_machine: NewMachine, tmp_path: Path
) -> None:
    machine = new_machine(Hardware(extra=HARDWARE))
    erase_superblocks(machine.disk, "data", tmp_path, copies=True)
    with pacs() as port:
        site = site_of(machine, tmp_path, port)
        site.start()
        answer = site.give(site.settings())
        # Whatever came of it, it is told; and the fault is what the light shows.
        assert answer.data["outcome"] in ("accepted", "rejected")
        assert site.shows("fault")["provisioned"] == (answer.data["outcome"] == "accepted")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["state", "data"])
def test_a_lost_superblock_is_restored_from_its_copy(
    new_machine: NewMachine, tmp_path: Path, name: str
) -> None:
    machine = new_machine(Hardware(extra=HARDWARE))
    site = site_of(machine, tmp_path)
    site.start()
    machine.run(f"echo here >/{name}/witness; sync")
    machine.power_cut()
    erase_superblocks(machine.disk, name, tmp_path, copies=False)
    site.start()
    assert machine.run(f"cat /{name}/witness") == "here"
    assert site.shows("unprovisioned")["colour"] == "amber"


@pytest.mark.slow
def test_a_state_beyond_repair_is_told_and_left_as_it_is(
    new_machine: NewMachine, tmp_path: Path
) -> None:
    machine = new_machine(Hardware(extra=HARDWARE))
    erase_superblocks(machine.disk, "state", tmp_path, copies=True)
    before = cut_out(machine.disk, "state", tmp_path / "before").read_bytes()
    site = site_of(machine, tmp_path)
    site.start()
    assert site.shows("fault")["colour"] == "red"
    assert problems(site) == ["The storage of the settings is broken"]
    assert "The storage of the settings is broken" in site.page()
    assert machine.run("findmnt --noheadings -o FSTYPE /data") == "ext4"
    machine.power_cut()
    assert cut_out(machine.disk, "state", tmp_path / "after").read_bytes() == before


@pytest.mark.slow
def test_a_full_disk_refuses_and_goes_on_by_itself(
    new_machine: NewMachine, tmp_path: Path, figures: Figures
) -> None:
    machine = new_machine(Hardware(extra=HARDWARE))
    with pacs() as port:
        site = site_of(machine, tmp_path, port)
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
        rows = machine.run("find /data/archive -type f -name '*.dcm' | wc -l")
        assert rows == "2"


@pytest.mark.slow
def test_a_root_with_a_flipped_bit_does_not_run(new_machine: NewMachine) -> None:
    machine = new_machine(Hardware())
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


@pytest.mark.slow
def test_a_clock_without_a_battery_is_set_forward_and_not_trusted(
    new_machine: NewMachine, tmp_path: Path
) -> None:
    machine = new_machine(Hardware(extra=(*HARDWARE, *SINCE_1970), units=NO_TIME))
    site = site_of(machine, tmp_path)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("Starting systemd-repart", 0.0),
        ("Starting systemd-repart", 0.4),
        ("Finished systemd-repart", 0.0),
        ("Starting systemd-growfs@data", 0.0),
        ("Starting systemd-growfs@data", 0.3),
    ],
)
def test_growth_that_is_cut_off_is_completed_by_the_next_start(
    new_machine: NewMachine, tmp_path: Path, line: str, seconds: float
) -> None:
    machine = new_machine(Hardware())
    machine.start()
    machine.wait(line, START_WITHIN)
    time.sleep(seconds)
    machine.power_cut()
    site = site_of(machine, tmp_path)
    site.start()
    growth = "systemctl is-active systemd-growfs@data.service || true"
    until("it has grown", lambda: machine.run(growth) == "active")
    room = machine.disk.stat().st_size - read_layout().offset("data")
    partition = 512 * int(machine.run("cat /sys/class/block/vda7/size"))
    assert room - 2 * MIB <= partition < room
    size = int(machine.run("findmnt --bytes --noheadings -o SIZE /data"))
    assert size > 0.9 * partition
    assert machine.run("systemctl --failed --plain --no-legend") == ""
    machine.run("umount /data; sync")
    machine.power_cut()
    grown = tmp_path / "data"
    with machine.disk.open("rb") as disk, grown.open("wb") as file:
        disk.seek(read_layout().offset("data"))
        left = partition
        while left:
            piece = disk.read(min(left, 16 * MIB))
            left -= len(piece)
            if any(piece):
                file.write(piece)
            else:
                file.seek(len(piece), 1)
        file.truncate(partition)
    subprocess.run(["e2fsck", "-f", "-n", grown], check=True)
