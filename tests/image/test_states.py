"""The states of section 12 of the design in the real image: page, /health and LED say the same.

One box is brought into each by what brings boxes into it, without a restart: the tests follow one
another. An update that was rolled back, and a new version on trial, are in test_update.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.image.hardware import hardware
from tests.image.patience import SOON, until
from tests.image.site import HARDWARE, Site, pacs
from tests.image.versions import Versions
from tools.imaging.build import Build
from tools.imaging.layout import MIB
from tools.imaging.machine import Machine, copy_disk
from tools.imaging.programs import ProgramAbsent, need
from tools.imaging.stick import make_stick

pytestmark = pytest.mark.slow

DARK, SHINES = "none 0", "none 1"
SLOW, FAST = "timer 1000", "timer 100"
TWO_BLINKS = "pattern 1 200 1 0 0 200 0 0 1 200 1 0 0 1400 0 0"
THREE_BLINKS = "pattern 1 100 1 0 0 100 0 0 1 100 1 0 0 100 0 0 1 100 1 0 0 900 0 0"


@dataclass(frozen=True, slots=True)
class Shown:
    """How a state is shown: to machines, by the green and the red LED, and in words."""

    light: tuple[str, str]
    lamps: tuple[str, str]
    ja: str
    en: str


STATES = {
    "writing": Shown(
        ("amber", "fast"),
        (FAST, FAST),
        "書き込み中です。電源を切らないでください",
        "Writing. Leave it switched on",
    ),
    "fault": Shown(("red", "steady"), (DARK, SHINES), "異常があります", "Fault"),
    "rejected": Shown(
        ("red", "two"), (DARK, TWO_BLINKS), "USB メモリを受け付けませんでした", "Stick rejected"
    ),
    "accepted": Shown(
        ("green", "three"),
        (THREE_BLINKS, DARK),
        "USB メモリを抜いてください",
        "Accepted. Remove the stick",
    ),
    "degraded": Shown(("amber", "steady"), (SHINES, SHINES), "確認が必要です", "Needs attention"),
    "unprovisioned": Shown(
        ("amber", "slow"), (SLOW, SLOW), "設定を待っています", "Waiting for settings"
    ),
    "starting": Shown(("green", "slow"), (SLOW, DARK), "準備中です", "Starting"),
    "working": Shown(("green", "steady"), (SHINES, DARK), "正常に動作しています", "Working"),
}

SLOW_STICK = 20_000
"""Bytes per second: an update on it is written for as long as it takes to look at the box."""

WAITS = "/run/systemd/system/netty-ae.service.d/waits.conf"


@pytest.fixture(scope="module")
def site(image: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A new box without settings, started."""
    folder = tmp_path_factory.mktemp("states")
    machine = Machine(copy_disk(image.disk, folder / "disk.img"), folder, hardware(extra=HARDWARE))
    with pacs() as port, machine:
        site = Site(machine, folder, port)
        site.started()
        yield site


def shows(site: Site, name: str, problem: str = "") -> None:
    """Wait until the box is in a state; it must show it everywhere, and say what is wrong."""
    health, shown = site.shows(name), STATES[name]
    assert (health["colour"], health["rhythm"]) == shown.light
    until(f"the LED of {name}", lambda: site.led() == shown.lamps, SOON)
    in_english, in_japanese = site.page("/?lang=en"), site.page("/?lang=ja")
    assert f"<title>{shown.en} –" in in_english
    assert f"<title>{shown.ja} –" in in_japanese
    told = {each["what"]["en"]: each["what"]["ja"] for each in health["problems"]}
    assert bool(told) == bool(problem), told
    if problem:
        assert problem in in_english
        assert told[problem] in in_japanese
    # What was compared is one state, not two that followed each other.
    assert site.health()["name"] == name


def restart_ae(site: Site) -> None:
    site.machine.run("systemctl daemon-reload; systemctl restart --no-block netty-ae.service")


def test_without_settings(site: Site) -> None:
    shows(site, "unprovisioned", "There are no settings yet")


def test_settings_are_accepted_and_it_works(site: Site) -> None:
    stick = site.stick({"netty.toml": site.settings()})
    report = site.plug(stick)
    shows(site, "accepted", "What is on the USB stick was accepted")
    site.pull(stick, report)
    shows(site, "working")


def test_settings_are_rejected(site: Site) -> None:
    stick = site.stick({"netty.toml": "revision = 99\n[ae]\nport = 70000\n"})
    report = site.plug(stick)
    shows(site, "rejected", "What is on the USB stick was rejected")
    site.pull(stick, report)
    shows(site, "working")


def test_the_ae_starts(site: Site) -> None:
    site.machine.run(f"mkdir -p {Path(WAITS).parent}")
    site.machine.run(f"printf '[Service]\\nExecStartPre=/usr/bin/sleep 1h\\n' >{WAITS}")
    restart_ae(site)
    shows(site, "starting", "Starting")
    site.machine.run(f"rm {WAITS}")
    restart_ae(site)
    site.serves()
    shows(site, "working")


def test_the_disk_is_full(site: Site) -> None:
    free = int(site.machine.run("df --output=avail --block-size=1 /data").split()[-1])
    site.machine.run(f"fallocate --length {free - 32 * MIB} /data/filler")
    shows(site, "degraded", "The disk is full: no images are taken")
    site.machine.run("rm /data/filler")
    shows(site, "working")


def test_an_update_is_written_until_its_stick_is_pulled(site: Site, image: Build) -> None:
    try:
        need("openssl", "openssl")
    except ProgramAbsent as absent:
        pytest.skip(str(absent))
    versions = Versions(image, site.folder / "versions")
    bundle = versions.small("slow", versions.keys.signer).read_bytes()
    before = site.machine.run("cat /proc/cmdline")
    stick = make_stick(site.folder / "update.img", {"netty.raucb": bundle})
    site.machine.plug(stick, bytes_per_second=SLOW_STICK)
    shows(site, "writing", "New software is being written")
    until("what changes is told", lambda: "takes the place of" in site.page(), SOON)
    site.machine.unplug()
    shows(site, "working")
    assert site.machine.run("cat /proc/cmdline") == before
    assert site.machine.run("systemctl --failed --plain --no-legend") == ""
    assert site.echo() == 0x0000


def test_the_storage_of_the_images_breaks(site: Site) -> None:
    """The last one: such a file system stays as it is until the box starts again."""
    site.machine.run("echo broken >/sys/fs/ext4/vda7/trigger_fs_error")
    shows(site, "fault", "The storage of the images cannot be written to")
