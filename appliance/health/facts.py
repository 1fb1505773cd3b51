"""Gathers what is known of the box: from systemd, the kernel, and the reports of its parts."""

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from appliance.health.budget import Budget
from appliance.health.clock import is_trusted
from appliance.health.places import Places
from appliance.health.reports import (
    PROVISION,
    SERVICE,
    UPDATE,
    ProvisionReport,
    ServiceReport,
    SpaceReport,
    Unreadable,
    UpdateReport,
    is_fresh,
    read_report,
)
from appliance.health.state import Facts, Partition, Service

AE: Final = "netty-ae.service"
STATE_MOUNT: Final = "state.mount"
DATA_MOUNT: Final = "data.mount"
BOOTED: Final = "multi-user.target"

STARTS_WITHIN: Final = 300.0
"""Seconds after which what has not started is taken to be broken."""
CLOCK_WITHIN: Final = 600.0
"""Seconds that a time server gets before the clock is doubted."""
NEARLY_FULL: Final = 0.05
"""Of the disk."""

_ANSWERS_WITHIN: Final = 5.0
_PROPERTIES: Final = "Id,LoadState,ActiveState,SubState,Result,What,Options"

Unit = Mapping[str, str]
Units = Mapping[str, Unit]


class NoAnswer(Exception):
    """systemd is there and does not say how it is."""


def ask_systemd() -> Units:
    """The properties of the units that matter, by name. Raises NoAnswer."""
    command = ("systemctl", "show", "--no-pager", f"--property={_PROPERTIES}", "--")
    try:
        answer = subprocess.run(
            (*command, AE, STATE_MOUNT, DATA_MOUNT, BOOTED),
            capture_output=True,
            text=True,
            timeout=_ANSWERS_WITHIN,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoAnswer(f"systemd does not answer: {error}") from error
    return units_of(answer.stdout)


def units_of(text: str) -> Units:
    """What `systemctl show` printed, by the names of the units."""
    units: dict[str, Unit] = {}
    for block in text.split("\n\n"):
        pairs = [line.split("=", 1) for line in block.splitlines() if "=" in line]
        unit = dict(pairs)
        units[unit.get("Id", "")] = unit
    return units


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the box found."""

    facts: Facts
    service: ServiceReport | None
    """What the AE told last, if it runs."""
    clock_trusted: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at the box."""

    places: Places
    ask: Callable[[], Units] = ask_systemd
    monotonic: Callable[[], float] = time.monotonic

    def look(self) -> Look:
        """Gather everything. Raises nothing: what cannot be known is a fact, too."""
        trusted = is_trusted(self.places)
        report = self._service_report()
        fresh = report is not None and not report.failure and self._is_fresh(report.written)
        running = report if fresh else None
        try:
            facts = self._facts(report, running, trusted)
        except NoAnswer as error:
            facts = Facts(unknown=str(error))
        return Look(facts, running, trusted)

    def _facts(
        self, report: ServiceReport | None, running: ServiceReport | None, trusted: bool
    ) -> Facts:
        units = self.ask() if self._has_systemd() else None
        late = self.monotonic() > STARTS_WITHIN
        booted = late or (units or {}).get(BOOTED, {}).get("ActiveState") == "active"
        stick = self._stick()
        update = self._update()
        # What it leads to is not for everybody to see.
        provisioned = self.places.settings.is_symlink() or self.places.settings.is_dir()
        return Facts(
            resetting=update.phase == "resetting",
            updating=update.phase == "writing",
            state_partition=self._partition(units, STATE_MOUNT, booted),
            data_partition=self._partition(units, DATA_MOUNT, booted),
            budget_spent=Budget(self.places).spent(),
            service=_service(units, report, running, booted),
            failure=report.failure if report else "",
            provisioned=provisioned,
            stick=_stick(stick),
            stick_sentence=stick.sentence,
            suspended=running is not None and running.suspended,
            space=_space(running.space if running else None),
            obstacle=running.obstacle if running else "",
            unreachable=tuple(one for one in running.remotes if one.failure) if running else (),
            clock_doubtful=self._doubts_clock(provisioned, trusted),
            rolled_back=update.phase == "rolled back",
            trial=update.phase == "trial",
            update_sentence=update.sentence,
        )

    def _has_systemd(self) -> bool:
        """As sd_booted(3) asks; a PC's tests have none."""
        return (self.places.run / "systemd/system").is_dir()

    def _is_fresh(self, written: float) -> bool:
        return is_fresh(written, now=self.monotonic())

    def _doubts_clock(self, provisioned: bool, trusted: bool) -> bool:
        """Without settings there is no time server to answer, and soon after the start none yet."""
        waited = self.monotonic() > CLOCK_WITHIN
        return provisioned and not trusted and waited and self._has_systemd()

    def _partition(self, units: Units | None, mount: str, booted: bool) -> Partition:
        if units is None:
            return "sound"
        unit = units.get(mount, {})
        state = unit.get("ActiveState", "")
        if state == "active":
            return self._mounted(unit)
        if state == "activating":
            return "waiting"  # A check of a large disk takes as long as it takes.
        return "broken" if state == "failed" or booted else "waiting"

    def _mounted(self, mount: Unit) -> Partition:
        """Whether the file system may be written to: the kernel forbids it after an error.

        Not every kernel says so among the options; that there was an error, ext4 counts until the
        next check. systemd knows the device: a sandbox may hide the mount from this process.
        """
        if "ro" in mount.get("Options", "").split(","):
            return "read-only"
        device = (self.places.root / mount.get("What", "").lstrip("/")).resolve().name
        try:
            errors = int((self.places.ext4 / device / "errors_count").read_text())
        except (OSError, ValueError):
            return "sound"
        return "read-only" if errors else "sound"

    def _service_report(self) -> ServiceReport | None:
        try:
            return read_report(self.places.run / SERVICE, ServiceReport)
        except Unreadable:
            return None

    def _stick(self) -> ProvisionReport:
        try:
            return read_report(self.places.run / PROVISION, ProvisionReport)
        except Unreadable:
            return ProvisionReport()

    def _update(self) -> UpdateReport:
        try:
            return read_report(self.places.run / UPDATE, UpdateReport)
        except Unreadable:
            return UpdateReport()


def _service(
    units: Units | None,
    report: ServiceReport | None,
    running: ServiceReport | None,
    booted: bool,
) -> Service:
    if units is None:
        return "working" if running else "failing" if report and report.failure else "stopped"
    unit = units.get(AE, {})
    failed = report is not None and bool(report.failure)
    match unit.get("ActiveState", ""):
        case "active" | "reloading":
            return "working" if running else "silent"
        case "failed":
            return "failing"
        case "activating":
            return "failing" if failed else "starting"
        case "deactivating":
            return "starting"
        case _:
            return "failing" if failed else "stopped" if booted else "starting"


def _stick(report: ProvisionReport) -> Literal["", "applying", "rejected", "accepted"]:
    if report.outcome == "applying":
        return "applying"
    if not report.plugged or not report.outcome:
        return ""
    return "rejected" if report.outcome == "rejected" else "accepted"


def _space(space: SpaceReport | None) -> Literal["enough", "nearly full", "full"]:
    if space is None:
        return "enough"
    if space.low:
        return "full"
    return "nearly full" if space.free < space.total * NEARLY_FULL else "enough"
