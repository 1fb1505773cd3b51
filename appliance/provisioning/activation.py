"""The active settings: what the services work with until the box is switched off.

They lie under /run, so an interrupted trial ends with the power: after a start `settle` makes the
current generation the active one again.
"""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.provisioning import system
from appliance.provisioning.apply import Damaged, Generations, TrialFailed
from appliance.provisioning.result import read_report, write_report
from appliance.settings.model import Settings

LOGGER = logging.getLogger(__name__)

ACTIVE = "netty/settings"
"""The link to the active generation, below /run."""

AE = "netty-ae.service"
AE_REPORT = "netty-ae/report.json"
"""Where the AE tells how it is, below /run."""
_FIREWALL = "netty-firewall.service"
_NETWORK = "systemd-networkd.service"
_TIME = "systemd-timesyncd.service"
_FLEET = "netty-hawkbit.timer"

_WITHIN = 600.0
"""Seconds that a service gets to restart: the AE brings a large archive in order first."""

Command = Callable[[Sequence[str]], None]


class CommandFailed(Exception):
    """A program of the operating system failed; the text is what it said."""


class CommandUnfinished(CommandFailed):
    """A program of the operating system took too long, and was ended."""


def run_command(words: Sequence[str]) -> None:
    """Run a program. Raises CommandFailed, of which CommandUnfinished is one."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_WITHIN, check=False)
    except subprocess.TimeoutExpired as error:
        raise CommandUnfinished(f"{words[0]}: {error}") from None
    except OSError as error:
        raise CommandFailed(f"{words[0]}: {error}") from None
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(words[:3])}: {done.stderr.strip() or done.returncode}")


@dataclass(frozen=True, slots=True)
class Activation:
    """Makes settings the active ones below `run`, and has the services take them."""

    run: Path = Path("/run")
    command: Command = run_command
    serves: bool = True
    """Whether the AE can run at all. It cannot where the archive's disk is broken, and that is no
    fault of the settings."""

    @property
    def active(self) -> Path | None:
        """The folder of the active generation; None if there is none."""
        link = self.run / ACTIVE
        return link.readlink() if link.is_symlink() else None

    def place(self, generation: Path | None, settings: Settings | None) -> system.Changes:
        """Let the link lead to a generation, and write the system's files. Raises OSError."""
        link = self.run / ACTIVE
        if generation is None:
            link.unlink(missing_ok=True)
        else:
            system.replace_link(link, str(generation.absolute()))
        return system.write(settings, self.run)

    def take(self, changes: system.Changes) -> None:
        """Have the services take what was placed. Raises TrialFailed, when all were told."""
        if changes.firewall:
            self._tell("systemctl", "reload-or-restart", _FIREWALL)
        if changes.network:
            self._tell("systemctl", "reload-or-restart", _NETWORK)
        if changes.time_servers:
            self._tell("systemctl", "try-restart", _TIME)
        if changes.fleet:
            self._tell("systemctl", "restart", _FLEET)
        self._tell("systemctl", "reset-failed", AE)
        try:
            # With no settings its condition does not hold, and it stays down.
            self.command(("systemctl", "restart", AE))
        except CommandFailed as failure:
            LOGGER.warning("%s", failure)
            if self.serves:
                raise self._ae_failed() from None

    def _ae_failed(self) -> TrialFailed:
        """Return why the AE does not start, in its own words where it left some."""
        try:
            report = json.loads((self.run / AE_REPORT).read_bytes())
            reason = str(report.get("failure", ""))
        except (OSError, ValueError, AttributeError):
            reason = ""
        what = "The DICOM service does not start with these settings"
        return TrialFailed(
            f"{what}: {reason.rstrip('.')}." if reason else f"{what}.",
            "Correct the settings; if they are right, switch the box off and on, and try again.",
        )

    def _tell(self, *words: str) -> None:
        """Run what may fail: the gate sees whether it mattered."""
        try:
            self.command(words)
        except CommandFailed as failure:
            LOGGER.warning("%s", failure)


def settle(generations: Generations, activation: Activation, *, restart: bool = False) -> bool:
    """Make the current generation the active one; return whether there is one.

    `restart`: the services take it now, if another one was active. Raises Damaged when what should
    be current cannot be read: the box is then as without settings.
    """
    damage: Damaged | None = None
    current, settings = None, None
    try:
        current = generations.current()
        settings = current.read() if current else None
    except Damaged as error:
        damage, current = error, None
    before = activation.active
    folder = current.folder.absolute() if current else None
    changes = activation.place(folder, settings)
    if restart and (before != folder or changes.paths):
        _restart(activation, changes, settings)
    if damage is not None:
        raise damage
    return current is not None


def _restart(activation: Activation, changes: system.Changes, settings: Settings | None) -> None:
    report = read_report(activation.run)
    try:
        activation.take(changes)
    except TrialFailed as failure:
        LOGGER.error("%s", failure.sentence)
    if report is not None and report.outcome == "applying":
        sentence = "The trial was interrupted; the earlier settings are active again."
        revision = settings.revision if settings else None
        write_report(
            activation.run,
            replace(report, outcome="rejected", sentence=sentence, revision=revision),
        )
