"""USB sticks, plugged into the real image over QMP: what they bring, and what is told on them.

The tests share one box and follow one another as sticks do; each begins with settings that hold.
"""

import time
from collections.abc import Iterator

import pytest

from appliance.provisioning.signing import new_key, sign
from appliance.updates.reset import SIGNATURE, TOKEN, make_token
from tests.image.figures import Figures
from tests.image.hardware import hardware
from tests.image.patience import SOON, START_WITHIN, until
from tests.image.site import ANSWER_WITHIN, HARDWARE, SERIAL, Site, pacs
from tools.imaging.build import Build
from tools.imaging.machine import Machine, copy_disk
from tools.imaging.stick import read_stick

THREE_BLINKS = "pattern 1 100 1 0 0 100 0 0 1 100 1 0 0 100 0 0 1 100 1 0 0 900 0 0"
TWO_BLINKS = "pattern 1 200 1 0 0 200 0 0 1 200 1 0 0 1400 0 0"
DARK = "none 0"

KEY, STRANGER = new_key(), new_key()


@pytest.fixture(scope="module")
def site(image: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A new box without settings, started."""
    folder = tmp_path_factory.mktemp("site")
    machine = Machine(copy_disk(image.disk, folder / "disk.img"), folder, hardware(extra=HARDWARE))
    with pacs() as port, machine:
        site = Site(machine, folder, port)
        site.started()
        yield site


@pytest.fixture
def provisioned(site: Site) -> Site:
    """The box with settings and without a stick, whatever was tested before, and failed."""
    for name in tuple(site.machine.plugged):
        site.machine.unplug(name)
    if not site.current():
        assert site.give(site.settings()).data["outcome"] == "accepted"
    return site


def signed(settings: str, key: bytes) -> dict[str, bytes]:
    """The files of a stick with settings that were signed."""
    text = settings.encode()
    return {"netty.toml": text, "netty.toml.sig": sign(text, None, [key])}


def test_without_settings_the_page_says_what_it_waits_for(site: Site) -> None:
    health = site.shows("unprovisioned")
    assert (health["colour"], health["rhythm"], health["provisioned"]) == ("amber", "slow", False)
    page = site.page()
    assert "There are no settings yet" in page
    assert "plug in a USB stick with netty.toml on it" in page
    assert "netty.toml を入れた USB メモリを挿してください" in site.page("/?lang=ja")
    assert site.ae_process() == 0
    assert site.echo() is None


def test_right_settings_are_taken_and_the_answer_is_on_the_stick(
    site: Site, figures: Figures
) -> None:
    text = site.settings()
    stick = site.stick({"netty.toml": text})
    began = time.monotonic()
    report = site.plug(stick)
    figures.note("stick plugged to accepted, s", round(time.monotonic() - began, 1))
    assert report["outcome"] == "accepted", report
    assert (report["plugged"], report["revision"]) == (True, site.revision)
    health = site.shows("accepted")
    assert (health["colour"], health["rhythm"]) == ("green", "three")
    assert site.led() == (THREE_BLINKS, DARK)
    assert site.echo() == 0x0000

    process = site.ae_process()
    answer = site.pull(stick, report)
    assert answer.text.startswith("ACCEPTED. ")
    assert answer.data["outcome"] == "accepted"
    assert answer.data["serial"] == SERIAL
    assert answer.data["active"]["revision"] == str(site.revision)
    assert answer.data["active"]["AE title"] == "HAPPY_netty"
    assert site.current() == site.active()
    assert site.shows("working")["rhythm"] == "steady"

    again = site.give(text)
    assert again.data["outcome"] == "already applied"
    assert again.report["outcome"] == "already applied"
    assert site.ae_process() == process != 0


def test_wrong_settings_change_nothing_and_each_mistake_is_named(provisioned: Site) -> None:
    site = provisioned
    before = site.active(), site.current(), site.ae_process()
    wrong = 'revision = 99\n[ae]\nport = 70000\n[query]\nevrey = "5 min"\n'
    stick = site.stick({"netty.toml": wrong})
    report = site.plug(stick)
    assert report["outcome"] == "rejected", report
    health = site.shows("rejected")
    assert (health["colour"], health["rhythm"]) == ("red", "two")
    assert site.led() == (DARK, TWO_BLINKS)

    answer = site.pull(stick, report)
    assert answer.places == {("netty.toml", 3, 8), ("netty.toml", 5, 1)}
    assert "netty.toml:3:8: ae.port: expected a whole number, 1 to 65535, found 70000" in (
        answer.text
    )
    assert "netty.toml:5:1: query.evrey" in answer.text
    assert "did you mean every?" in answer.text
    assert (site.active(), site.current(), site.ae_process()) == before
    assert site.echo() == 0x0000
    assert site.shows("working")["colour"] == "green"


def test_settings_of_yesterday_are_refused(provisioned: Site) -> None:
    site = provisioned
    held, process = site.current_revision, site.ae_process()
    stale = site.give(site.settings(revision=held - 1))
    assert stale.data["outcome"] == "rejected"
    assert stale.data["sentence"] == (
        f"The settings are old: revision {held - 1}, the box has {held}."
    )
    other = site.give(site.settings(box='name = "other"', revision=held))
    assert other.data["sentence"] == f"The box has other settings of the same revision, {held}."
    assert site.ae_process() == process


def test_settings_for_another_box_are_refused(provisioned: Site) -> None:
    other = provisioned.give(provisioned.settings(box='serials = ["NB-OTHER"]'))
    assert other.data["outcome"] == "rejected"
    assert other.data["sentence"] == (
        f"The settings are for another box: this one has the serial number {SERIAL}."
    )


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("netty.toml", "revision = 77\n".encode("utf-16"), "UTF-16"),
        ("netty.toml", b"{\\rtf1\\ansi revision = 77\\par}", "RTF"),
        ("netty.toml.txt", b"revision = 77\n", "There is no netty.toml, but netty.toml.txt."),
    ],
    ids=["utf-16", "rtf", "toml.txt"],
)
def test_what_is_no_netty_toml_is_named(
    provisioned: Site, name: str, content: bytes, told: str
) -> None:
    answer = provisioned.give({name: content})
    assert answer.data["outcome"] == "rejected"
    assert told in answer.text


def test_a_stick_without_settings_is_left_alone(provisioned: Site) -> None:
    site = provisioned
    before = site.report()
    stick = site.stick({"holiday.jpg": b"\xff\xd8"})
    site.machine.plug(stick)
    until("the stick was looked at", lambda: "nothing on this stick is for the box" in _log(site))
    site.machine.unplug()
    assert read_stick(stick, f"netty-result-{SERIAL}.txt") is None
    assert site.report() == before


def test_a_stick_that_holds_a_box_itself_takes_no_partitions_place(
    provisioned: Site, image: Build
) -> None:
    """Somebody wrote the disk image onto a stick: its partitions are named as the box's own."""
    links = "for name in boot-a root-a state data; do readlink /dev/disk/by-partlabel/$name; done"
    machine = provisioned.machine
    before = machine.run(links)
    assert "vda" in before
    machine.plug(copy_disk(image.disk, provisioned.folder / "box.img"))
    until("its partitions are there", lambda: "sda7" in machine.run("cat /proc/partitions"), SOON)
    machine.run("udevadm settle")
    assert machine.run(links) == before
    machine.unplug()
    until("the stick is gone", lambda: "sda" not in machine.run("cat /proc/partitions"), SOON)
    assert machine.run(links) == before


@pytest.mark.slow
def test_settings_that_the_box_cannot_work_with_go_back(provisioned: Site) -> None:
    """Right as a text, and no network comes of it: only the trial can tell."""
    site = provisioned
    before = site.active()
    answer = site.give(site.settings() + '[network]\ninterface = "enp99s0"\n')
    assert answer.data["outcome"] == "rejected"
    assert answer.data["sentence"] == "There is no network interface named enp99s0."
    assert site.active() == site.current() == before
    site.serves()


@pytest.mark.slow
def test_a_stick_pulled_while_it_is_read_changes_nothing(provisioned: Site) -> None:
    site = provisioned
    before, process = site.active(), site.ae_process()
    watched = "patient_id\n" + "".join(f"P{number:09}\n" for number in range(60_000))
    stick = site.stick({"netty.toml": site.settings(), "patients.csv": watched})
    site.machine.plug(stick, bytes_per_second=48 * 1024)
    until("the box reads", lambda: "activating" in _visits(site), ANSWER_WITHIN)
    read = site.machine.transferred().read
    until("it reads the list", lambda: site.machine.transferred().read > read + 160 * 1024, 120)
    assert "activating" in _visits(site)
    site.machine.unplug()
    until("the visit ends", lambda: "activating" not in _visits(site), ANSWER_WITHIN)
    assert (site.active(), site.current(), site.ae_process()) == (before, before, process)
    assert site.report()["plugged"] is False
    assert site.machine.run("systemctl list-units --failed --plain --no-legend 'netty-*'") == ""


@pytest.mark.slow
def test_a_stick_pulled_while_the_answer_is_written_is_no_failure(provisioned: Site) -> None:
    site = provisioned
    before = site.report().get("at")
    stick = site.stick({"netty.toml": site.settings()})
    site.machine.plug(stick, bytes_per_second=24 * 1024)
    until("the answer", lambda: site.machine.transferred().written > 0, ANSWER_WITHIN, 0.02)
    site.machine.unplug()
    report = site.outcome(before)
    assert (report["outcome"], report["revision"]) == ("accepted", site.revision)
    until("the stick is missed", lambda: not site.report()["plugged"])
    assert site.current() == site.active()
    assert site.current_revision == site.revision
    assert site.echo() == 0x0000
    assert read_stick(stick, f"netty-result-{SERIAL}.json") is None


MOMENTS = {
    "the new settings are half written": "ls -A /state/settings | grep -e .part$ -e ^{new}-",
    "they are written": "ls /state/settings | grep ^{new}-",
    "they are on trial": "readlink /run/netty/settings | grep /{new}-",
    "the AE starts with them": "systemctl is-active netty-ae.service | grep ^activating",
    "they hold": "readlink /state/settings/current | grep ^{new}-",
}
"""Commands that succeed from a moment of an application on; {new} is the new revision."""


@pytest.mark.slow
def test_a_power_cut_while_applying_leaves_the_old_or_the_new_settings(
    provisioned: Site, figures: Figures
) -> None:
    site = provisioned
    outcomes = {}
    for moment, command in MOMENTS.items():
        old, text = site.current(), site.settings()
        come = command.format(new=site.revision)
        site.machine.plug(site.stick({"netty.toml": text}))
        site.machine.run(f"until {come} >/dev/null 2>&1; do :; done", ANSWER_WITHIN)
        site.machine.power_cut()

        # The stick was pulled, too.
        site.start()
        site.serves(START_WITHIN)
        held = site.current()
        outcomes[moment] = "old" if held == old else "new"
        assert held == old or held.startswith(f"{site.revision}-")
        assert site.active() == held
        assert site.machine.run(f"cat /state/settings/{held}/signers") == ""
        kept = site.machine.run(f"cat /state/settings/{held}/netty.toml")
        assert (kept + "\n" == text) == (held != old)
        assert site.machine.run("systemctl --failed --plain --no-legend") == ""
    figures.note("settings after a power cut", outcomes)
    assert outcomes["they hold"] == "new"

    # Another stick ends well, and nothing is left over of all that was interrupted.
    assert site.give(site.settings()).data["outcome"] == "accepted"
    left = site.machine.run("ls -A /state/settings").split()
    assert sorted(left) == sorted(["current", site.current()])


@pytest.mark.slow
def test_a_stick_that_is_in_when_the_box_starts_is_taken(provisioned: Site) -> None:
    site = provisioned
    stick = site.stick(
        {"netty.toml": site.settings(box=f'serials = ["NB-OTHER", "{SERIAL.lower()}"]')}
    )
    site.machine.power_cut()
    site.machine.start()
    site.machine.plug(stick)
    site.started()
    report = site.outcome()
    assert (report["outcome"], report["revision"]) == ("accepted", site.revision)
    assert site.pull(stick, report).data["outcome"] == "accepted"
    site.serves()


@pytest.mark.slow
def test_who_signed_once_is_asked_for_it_ever_after(provisioned: Site) -> None:
    """From here on this box takes no other settings."""
    site = provisioned
    assert site.give(signed(site.settings(), KEY)).data["outcome"] == "accepted"
    held = site.current()
    unsigned = site.give(site.settings())
    assert unsigned.data["outcome"] == "rejected"
    assert unsigned.data["sentence"].startswith("The settings are not signed")

    forged = signed(site.settings(), KEY)
    forged["netty.toml"] += b'[ae]\ntitle = "FORGED"\n'
    assert site.give(forged).data["sentence"].startswith("The signature does not belong")

    stranger = site.give(signed(site.settings(), STRANGER))
    assert stranger.data["sentence"].startswith(
        "The settings are signed by a key that this box does not trust"
    )
    assert site.current() == site.active() == held
    assert site.echo() == 0x0000
    assert site.give(signed(site.settings(), KEY)).data["outcome"] == "accepted"


@pytest.mark.slow
def test_an_order_of_reset_leaves_nothing_of_what_was_before(provisioned: Site) -> None:
    """The last one."""
    site = provisioned
    identity = site.machine.run("cat /state/machine-id")
    order = make_token(SERIAL)
    site.machine.plug(site.stick({TOKEN: order, SIGNATURE: sign(order, None, [KEY])}))
    site.machine.wait(r"reboot: Restarting system", START_WITHIN)
    site.machine.unplug()
    site.started()
    assert site.shows("unprovisioned")["provisioned"] is False
    assert (site.current(), site.ae_process()) == ("", 0)
    assert site.machine.run("cat /state/machine-id") != identity
    assert site.machine.run("find /data -type f") == ""


def _log(site: Site) -> str:
    """What the journal has of the visits last; nothing while it begins a new file."""
    latest = "journalctl --boot --no-pager --unit='netty-provision@*' --lines=5"
    return site.machine.run(latest, check=False)


def _visits(site: Site) -> str:
    """The visits of sticks that are being served."""
    return site.machine.run("systemctl list-units --plain --no-legend 'netty-provision@*'")
