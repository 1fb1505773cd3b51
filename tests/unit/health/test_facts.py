"""What is gathered: from systemd, the kernel and the reports, and what their absence means."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance.health import facts as module
from appliance.health.budget import Budget
from appliance.health.facts import (
    NoAnswer,
    Units,
    Watch,
    ask_systemd,
    units_of,
)
from appliance.health.places import Places
from appliance.health.reports import (
    PROVISION,
    SERVICE,
    STALE_AFTER,
    UPDATE,
    Dataclass,
    ProvisionReport,
    RemoteReport,
    ServiceReport,
    SpaceReport,
    UpdateReport,
    write_report,
)
from appliance.health.state import Facts

NOW = 1000.0
WELL = ServiceReport(NOW, started=1.8e9, title="HAPPY_netty", space=SpaceReport(80, 100, False))
MOUNTED = {
    "state.mount": {"What": "/dev/vda6", "Options": "rw,noatime,errors=remount-ro"},
    "data.mount": {"What": "/dev/vda7", "Options": "rw,noatime,errors=remount-ro"},
}


def units(**changed: str) -> Units:
    """A box on which all runs, but for what is said: state, data, ae or booted."""
    states = {"ae": "active", "state": "active", "data": "active", "booted": "active", **changed}
    names = {
        "ae": "netty-ae.service",
        "state": "state.mount",
        "data": "data.mount",
        "booted": "multi-user.target",
    }
    return {
        name: {"Id": name, "ActiveState": states[key], **MOUNTED.get(name, {})}
        for key, name in names.items()
    }


@dataclass
class Box:
    """A box in a folder, at a moment."""

    places: Places
    units: Callable[[], Units] = units
    now: float = NOW

    @property
    def facts(self) -> Facts:
        return Watch(self.places, lambda: self.units(), lambda: self.now).look().facts

    def tells(self, name: str, report: Dataclass) -> None:
        path = self.places.run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_report(path, report)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    places = Places(tmp_path)
    (places.run / "systemd/system").mkdir(parents=True)
    (places.run / "systemd/timesync").mkdir()
    places.synchronised.touch()
    places.settings.parent.mkdir()
    places.settings.symlink_to("/nowhere/that/this/user/may/look")
    box = Box(places)
    box.tells(SERVICE, WELL)
    return box


def test_a_box_that_is_well(box: Box) -> None:
    assert box.facts == Facts()


def test_without_settings_it_is_not_provisioned(box: Box) -> None:
    box.places.settings.unlink()
    assert not box.facts.provisioned


@pytest.mark.parametrize(
    ("active", "report", "booted", "service"),
    [
        ("active", WELL, "active", "working"),
        ("reloading", WELL, "active", "working"),
        ("active", None, "active", "silent"),
        ("active", replace(WELL, written=NOW - STALE_AFTER - 1), "active", "silent"),
        ("active", replace(WELL, written=NOW + 1), "active", "silent"),
        ("active", ServiceReport(NOW, failure="a key"), "active", "silent"),
        ("activating", None, "active", "starting"),
        ("activating", replace(WELL, written=NOW - 60), "active", "starting"),
        ("activating", ServiceReport(NOW - 60, failure="a key"), "active", "failing"),
        ("deactivating", WELL, "active", "starting"),
        ("failed", WELL, "active", "failing"),
        ("inactive", None, "activating", "starting"),
        ("inactive", None, "active", "stopped"),
        ("inactive", ServiceReport(NOW - 60, failure="a key"), "active", "failing"),
    ],
)
def test_the_service(
    box: Box, active: str, report: ServiceReport | None, booted: str, service: str
) -> None:
    box.now = module.STARTS_WITHIN - 1
    box.units = lambda: units(ae=active, booted=booted)
    (box.places.run / SERVICE).unlink()
    if report:
        box.tells(SERVICE, replace(report, written=report.written - NOW + box.now))
    assert box.facts.service == service


def test_what_never_starts_is_no_start(box: Box) -> None:
    (box.places.run / SERVICE).unlink()
    box.units = lambda: units(ae="inactive", booted="activating", data="inactive")
    assert (box.facts.service, box.facts.data_partition) == ("stopped", "broken")
    box.now = module.STARTS_WITHIN - 1
    assert (box.facts.service, box.facts.data_partition) == ("starting", "waiting")


@pytest.mark.parametrize("name", ["state", "data"])
@pytest.mark.parametrize(
    ("active", "booted", "found"),
    [
        ("active", "active", "sound"),
        ("failed", "activating", "broken"),
        ("failed", "active", "broken"),
        ("inactive", "active", "broken"),
        ("activating", "activating", "waiting"),
        ("inactive", "activating", "waiting"),
    ],
)
def test_a_partition(box: Box, name: str, active: str, booted: str, found: str) -> None:
    box.now = module.STARTS_WITHIN - 1
    box.units = lambda: units(**{name: active, "booted": booted})
    assert getattr(box.facts, f"{name}_partition") == found
    other = {"state": "data", "data": "state"}[name]
    assert getattr(box.facts, f"{other}_partition") == "sound"


def test_a_long_check_of_the_disk_is_no_damage(box: Box) -> None:
    box.now = 10 * module.STARTS_WITHIN
    box.units = lambda: units(data="activating", ae="inactive")
    assert box.facts.data_partition == "waiting"


def test_a_file_system_that_is_mounted_read_only(box: Box) -> None:
    read_only = {**MOUNTED["data.mount"], "Options": "ro,noatime,errors=remount-ro"}
    box.units = lambda: {**units(), "data.mount": {**units()["data.mount"], **read_only}}
    assert box.facts.data_partition == "read-only"
    assert box.facts.state_partition == "sound"


def test_errors_of_a_file_system_are_counted_where_the_kernel_is_silent(box: Box) -> None:
    counts = {name: box.places.ext4 / name / "errors_count" for name in ("vda6", "vda7")}
    for count in counts.values():
        count.parent.mkdir(parents=True)
        count.write_text("0\n")
    assert box.facts.data_partition == "sound"
    counts["vda7"].write_text("1\n")
    assert box.facts.data_partition == "read-only"
    assert box.facts.state_partition == "sound"


def test_the_device_may_be_told_by_another_name(box: Box) -> None:
    link = box.places.root / "dev/disk/by-partlabel/data"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../vda7")
    named = {**units()["data.mount"], "What": "/dev/disk/by-partlabel/data"}
    box.units = lambda: {**units(), "data.mount": named}
    count = box.places.ext4 / "vda7/errors_count"
    count.parent.mkdir(parents=True)
    count.write_text("1\n")
    assert box.facts.data_partition == "read-only"


@pytest.mark.parametrize(
    ("space", "found"),
    [
        (None, "enough"),
        (SpaceReport(5, 100, False), "enough"),
        (SpaceReport(4, 100, False), "nearly full"),
        (SpaceReport(4, 100, True), "full"),
        (SpaceReport(90, 100, True), "full"),
    ],
)
def test_space(box: Box, space: SpaceReport | None, found: str) -> None:
    box.tells(SERVICE, replace(WELL, space=space))
    assert box.facts.space == found


def test_what_the_service_tells(box: Box) -> None:
    down = RemoteReport("main", failure="it is off")
    box.tells(
        SERVICE,
        replace(WELL, suspended=True, obstacle="read-only", remotes=(RemoteReport("ward"), down)),
    )
    facts = box.facts
    assert (facts.suspended, facts.obstacle, facts.unreachable) == (True, "read-only", (down,))
    box.now += STALE_AFTER + 1
    facts = box.facts
    assert (facts.suspended, facts.obstacle, facts.unreachable) == (False, "", ())


@pytest.mark.parametrize(
    ("report", "stick"),
    [
        (ProvisionReport(), ""),
        (ProvisionReport("applying"), "applying"),
        (ProvisionReport("applying", plugged=True), "applying"),
        (ProvisionReport("accepted", "", True), "accepted"),
        (ProvisionReport("already applied", "", True), "accepted"),
        (ProvisionReport("rejected", "", True), "rejected"),
        (ProvisionReport("accepted"), ""),
        (ProvisionReport("rejected"), ""),
    ],
)
def test_the_stick(box: Box, report: ProvisionReport, stick: str) -> None:
    box.tells(PROVISION, report)
    assert box.facts.stick == stick


def test_the_update(box: Box) -> None:
    found = []
    for phase in ("resetting", "writing", "trial", "rolled back", ""):
        box.tells(UPDATE, UpdateReport(phase, "version 2"))  # type: ignore[arg-type]
        facts = box.facts
        found.append((facts.resetting, facts.updating, facts.trial, facts.rolled_back))
        assert facts.update_sentence == "version 2"
    assert found == [
        (True, False, False, False),
        (False, True, False, False),
        (False, False, True, False),
        (False, False, False, True),
        (False, False, False, False),
    ]


def test_a_report_that_is_damaged_is_none(box: Box) -> None:
    for name in (SERVICE, PROVISION, UPDATE):
        (box.places.run / name).parent.mkdir(exist_ok=True)
        (box.places.run / name).write_bytes(b"{\xff")
    assert box.facts == Facts(service="silent")


def test_the_clock_gets_time_to_be_set(box: Box) -> None:
    box.places.synchronised.unlink()
    box.now = module.CLOCK_WITHIN
    assert not box.facts.clock_doubtful
    box.now += 1
    box.tells(SERVICE, replace(WELL, written=box.now))
    assert box.facts == Facts(clock_doubtful=True)
    box.places.settings.unlink()
    assert not box.facts.clock_doubtful, "nobody has named a server yet"


def test_the_budget(box: Box) -> None:
    for _ in range(3):
        Budget(box.places).count("watchdog")
    assert box.facts.budget_spent


def test_a_systemd_that_does_not_answer(box: Box) -> None:
    def mute() -> Units:
        raise NoAnswer("systemd does not answer: timed out")

    box.units = mute
    assert box.facts == Facts(unknown="systemd does not answer: timed out")


@pytest.mark.parametrize(
    ("report", "service"),
    [(WELL, "working"), (ServiceReport(NOW, failure="a key"), "failing"), (None, "stopped")],
)
def test_on_a_machine_without_systemd(box: Box, report: ServiceReport | None, service: str) -> None:
    (box.places.run / "systemd/system").rmdir()
    box.units = lambda: pytest.fail("nobody to ask")
    (box.places.run / SERVICE).unlink()
    if report:
        box.tells(SERVICE, report)
    box.places.synchronised.unlink()
    assert box.facts == Facts(service=service, failure=report.failure if report else "")  # type: ignore[arg-type]


def test_what_systemctl_prints() -> None:
    printed = "Id=a.service\nActiveState=active\nExecStart={ a=b }\n\nId=b.mount\nActiveState=\n"
    assert units_of(printed) == {
        "a.service": {"Id": "a.service", "ActiveState": "active", "ExecStart": "{ a=b }"},
        "b.mount": {"Id": "b.mount", "ActiveState": ""},
    }


@pytest.mark.parametrize("answer", ["exit 1", "exec sleep 60", None])
def test_a_systemctl_that_fails_hangs_or_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    if answer:
        program = tmp_path / "systemctl"
        program.write_text(f"#!/bin/sh\n{answer}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if answer else str(tmp_path))
    monkeypatch.setattr(module, "_ANSWERS_WITHIN", 0.3)
    before = time.monotonic()
    with pytest.raises(NoAnswer):
        ask_systemd()
    assert time.monotonic() - before < 10
