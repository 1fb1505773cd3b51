"""A new box starts: everything that is to run runs, from a root that is verified."""

import json
import re

from tests.image.conftest import NewMachine
from tests.image.figures import Figures
from tests.image.hardware import hardware
from tests.image.patience import START_WITHIN
from tools.imaging.build import Build
from tools.imaging.description import Description
from tools.imaging.layout import MIB, read_layout
from tools.imaging.machine import Machine

LARGEST_ROOT = 120 * MIB
MOST_MEMORY = 250
"""MiB of the idle box."""


def words(text: str) -> list[str]:
    return text.split()


def test_every_unit_started(box: Machine) -> None:
    assert box.run("systemctl --failed --plain --no-legend") == ""
    assert box.run("systemctl is-active multi-user.target") == "active"


def test_units_wait_for_each_other_without_a_cycle(box: Machine) -> None:
    said = box.run("journalctl --boot --no-pager --grep='ordering cycle' || true")
    assert re.search("ordering cycle on|Found ordering cycle", said) is None


def test_root_is_verified(box: Machine, image: Build) -> None:
    source, kind, options = words(box.run("findmnt --noheadings -o SOURCE,FSTYPE,OPTIONS /"))
    assert (source, kind) == ("/dev/dm-0", "squashfs")
    assert "ro" in options.split(",")
    assert box.run("cat /sys/block/dm-0/dm/name") == "netty-root"
    (table,) = re.findall(r'dm-mod\.create="netty-root,([^"]*)"', box.run("cat /proc/cmdline"))
    root_hash = Description.read(image.disk.parent).root_hash
    assert re.search(rf" verity 1 .* sha256 {root_hash} .* panic_on_corruption$", table)


def test_state_and_data_are_mounted_so_that_damage_stays_small(box: Machine) -> None:
    for place in ("/state", "/data"):
        kind, options = words(box.run(f"findmnt --noheadings -o FSTYPE,OPTIONS {place}"))
        assert kind == "ext4"
        assert {"noatime", "nosuid", "nodev", "errors=remount-ro"} <= {*options.split(","), *(
            box.run(f"grep ' {place} ' /proc/mounts").split()[3].split(","))}  # fmt: skip


def test_data_grew_into_the_disk(box: Machine) -> None:
    disk = box.disk.stat().st_size
    begins = read_layout().offset("data")
    size = int(box.run("findmnt --bytes --noheadings -o SIZE /data"))
    partition = 512 * int(box.run("cat /sys/class/block/vda7/size"))
    assert disk - begins - 2 * MIB <= partition < disk - begins
    assert size > 0.9 * partition


def test_the_watchdog_is_fed_by_systemd(box: Machine) -> None:
    assert box.run("cat /sys/class/watchdog/watchdog0/identity") == "i6300ESB timer"
    assert box.run("systemctl show --property=RuntimeWatchdogUSec --value") == "30s"


def test_nobody_can_log_in(box: Machine) -> None:
    running = box.run("ps -e -o comm=")
    assert not {"agetty", "login", "sshd", "systemd-logind"} & set(words(running))


def test_the_page_reads_the_journal_for_its_support_bundle(box: Machine) -> None:
    panel = box.run("systemctl show --property=MainPID --value netty-panel")
    groups = words(box.run(f"sed -n s/^Groups://p /proc/{panel}/status"))
    journal = box.run("stat --format=%g /state/journal")
    assert journal in groups
    alone = f"setpriv --reuid=netty-panel --regid=netty-panel --groups={journal}"
    said = box.run(f"{alone} journalctl --no-pager --lines=1 --output=cat --unit='netty-*'")
    assert said and "permission" not in said.casefold()


def test_what_is_remembered_is_made_once(box: Machine) -> None:
    identity = box.run("cat /state/machine-id")
    assert re.fullmatch("[0-9a-f]{32}", identity)
    assert box.run("cat /etc/machine-id") == identity
    assert box.run("ls /state/journal") == identity
    assert box.run("stat --format=%s /var/lib/systemd/random-seed") != "0"


def test_it_is_small(box: Machine, image: Build, figures: Figures) -> None:
    root = image.sizes["root.verity"]
    total, available = (
        int(box.run(f"grep {name}: /proc/meminfo").split()[1]) // 1024
        for name in ("MemTotal", "MemAvailable")
    )
    figures.note("memory of the idle box, MiB", total - available)
    figures.note("root with its verity tree, MiB", round(root / MIB, 1))
    assert root <= LARGEST_ROOT
    assert total - available <= MOST_MEMORY


def test_milestones(box: Machine, figures: Figures) -> None:
    milestones = {
        "loader": "EFI Boot Guard",
        "systemd": "Welcome to",
        "storage": r"Reached target local-fs\.target",
        "multi-user": r"Reached target multi-user\.target",
    }
    seconds = {
        name: box.seconds(box.console.wait(pattern, 1)[0].time)
        for name, pattern in milestones.items()
    }
    figures.note("seconds to", seconds)
    assert list(seconds.values()) == sorted(seconds.values())


def test_a_second_start_is_the_same_box(new_machine: NewMachine) -> None:
    machine = new_machine(hardware())
    identities = []
    for _ in range(2):
        machine.start()
        machine.wait(r"Reached target multi-user\.target", START_WITHIN)
        machine.wait_for_shell()
        identities.append(machine.run("cat /etc/machine-id"))
        machine.run("sync")
        boots = json.loads(machine.run("journalctl --list-boots --output=json"))
        assert machine.run("systemctl --failed --plain --no-legend") == ""
        machine.power_cut()
    assert identities[0] == identities[1]
    assert len(boots) == 2
