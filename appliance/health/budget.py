"""The restart budget: what crashes again and again is left alone, and a human is called.

After three unexplained restarts within ten minutes the AE is not started any more: the box stays up
and red, its page reachable. That ends when an hour has passed, when other settings are applied, or
when a human switches the box off and on (or restarts it in order). What counts is a crash of the
AE, a reset by the hardware watchdog, and a panic of the kernel. What the AE itself gives a reason
for (a port that is taken, a damaged key, a full disk) does not: it is tried again, and said.

Minutes are those during which the box ran, over reboots; the clock of the day has no say. Of a boot
that ended without a word, what is known is how long it ran at least (`seen.Seen`), so that
restarts are taken to be nearer to each other than they were, never farther.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from appliance.health.places import Places
from appliance.health.reports import Unreadable, read_report, write_report
from appliance.health.seen import Seen, boot_id

RESTARTS: Final = 3
WITHIN: Final = 600.0
"""Seconds of running time in which so many restarts are too many."""
REST: Final = 3600.0
"""Seconds of running time after which it is tried again."""
KEPT: Final = 20

FAULT: Final = 70
"""Exit status of a command that ended by a fault of its own (EX_SOFTWARE of sysexits.h)."""

CARD_RESET: Final = 0x20
"""WDIOF_CARDRESET of linux/watchdog.h: the watchdog did reset the machine."""

_CRASHES: Final = ("watchdog", "signal", "core-dump", "oom-kill")
"""Values of SERVICE_RESULT that no reason was given for (systemd.exec(5))."""


@dataclass(frozen=True, slots=True)
class Restart:
    """One that nobody has explained."""

    cause: str
    at: float
    """How long the box had run, over all boots, in seconds."""
    settings: str
    """The generation of settings that was active."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The restarts of late, and how running time is told over boots."""

    boot: str = ""
    """The kernel's number of the boot that wrote this."""
    before: float = 0.0
    """How long the box had run before that boot, in seconds."""
    seen: float = 0.0
    """How long that boot ran at least, in seconds."""
    restarts: tuple[Restart, ...] = ()
    panics: tuple[str, ...] = ()
    """Names of the traces of panics that are known."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What a boot knows of itself and of how the one before it ended."""

    id: str
    reset: str = ""
    """What reset the machine; empty if it was switched on or restarted in order."""
    seen: float = 0.0
    """How long the boot before was seen to run, in seconds."""
    panics: tuple[str, ...] = ()


def begun(ledger: Ledger, boot: Boot, settings: str) -> Ledger:
    """The ledger in this boot; the first to ask after a reset counts it.

    A boot that nothing but a human (or the mains) began starts with a full budget.
    """
    if ledger.boot == boot.id:
        return ledger
    before = ledger.before + max(ledger.seen, boot.seen)
    fresh = Ledger(boot.id, before, 0.0, ledger.restarts, boot.panics)
    return _with(fresh, boot.reset, settings) if boot.reset else replace(fresh, restarts=())


def crashed(ledger: Ledger, uptime: float, cause: str, settings: str) -> Ledger:
    """The ledger after the AE ended without a reason at `uptime` seconds of this boot."""
    return _with(replace(ledger, seen=max(ledger.seen, uptime)), cause, settings)


def spent(ledger: Ledger, uptime: float, settings: str) -> bool:
    """Whether the AE must not be started now, with these settings."""
    times = [one.at for one in ledger.restarts if one.settings == settings]
    now = ledger.before + uptime
    groups = zip(times, times[RESTARTS - 1 :], strict=False)
    return any(last - first <= WITHIN and now - last < REST for first, last in groups)


def cause_of(environment: Mapping[str, str]) -> str:
    """Why the AE ended, from what systemd gives ExecStopPost=; empty if it gave its reason."""
    result = environment.get("SERVICE_RESULT", "")
    status = environment.get("EXIT_STATUS", "")
    if result in _CRASHES or (result == "exit-code" and status == str(FAULT)):
        return f"{result} {status}".strip()
    return ""


@dataclass(frozen=True, slots=True)
class Budget:
    """The ledger of this box, on its state partition."""

    places: Places
    uptime: Callable[[], float] = time.monotonic

    def count(self, cause: str) -> None:
        """Write down that the AE crashed. Raises OSError."""
        ledger = crashed(self.ledger(), self.uptime(), cause, self._settings())
        self._keep(ledger)

    def begin(self) -> Ledger:
        """Write down that this boot has begun, if nobody did yet. Raises OSError."""
        ledger = self.ledger()
        if ledger != self._kept():
            self._keep(ledger)
        return ledger

    def spent(self) -> bool:
        """Whether the AE must not be started now."""
        return spent(self.ledger(), self.uptime(), self._settings())

    def ledger(self) -> Ledger:
        """The ledger as it is in this boot, whether that is written down yet or not."""
        kept = self._kept()
        return begun(kept, self._boot(kept), self._settings())

    def _kept(self) -> Ledger:
        try:
            return read_report(self.places.ledger, Ledger)
        except Unreadable:
            return Ledger()

    def _keep(self, ledger: Ledger) -> None:
        self.places.ledger.parent.mkdir(parents=True, exist_ok=True)
        write_report(self.places.ledger, ledger, durable=True)

    def _boot(self, kept: Ledger) -> Boot:
        boot = boot_id(self.places)
        panics = tuple(sorted(_panics(self.places)))
        seen = 0.0
        with suppress(Unreadable):
            last = read_report(self.places.seen, Seen)
            seen = last.uptime if last.boot == kept.boot else 0.0
        if set(panics) - set(kept.panics):
            return Boot(boot, "panic of the kernel", seen, panics)
        if _was_reset(self.places):
            return Boot(boot, "reset by the watchdog", seen, panics)
        return Boot(boot, "", seen, panics)

    def _settings(self) -> str:
        try:
            return self.places.settings.readlink().name
        except OSError:
            return ""


def _with(ledger: Ledger, cause: str, settings: str) -> Ledger:
    restart = Restart(cause, ledger.before + ledger.seen, settings)
    return replace(ledger, restarts=(*ledger.restarts, restart)[-KEPT:])


def _was_reset(places: Places) -> bool:
    return any(_bits(file) & CARD_RESET for file in places.watchdogs.glob("*/bootstatus"))


def _bits(file: Path) -> int:
    try:
        return int(file.read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _panics(places: Places) -> Iterator[str]:
    """Names of the traces of panics that there are, with the kernel or set aside by systemd."""
    for folder in places.panics:
        with suppress(OSError):
            yield from (file.name for file in folder.rglob("dmesg-*"))
