"""The composition root of updates: what this box is, and what it takes for a version to stay.

The parts are in `updates`, which knows neither DICOM nor the archive; here they come to it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance import __version__
from appliance.health.budget import Budget
from appliance.health.places import Places
from appliance.health.reports import (
    REPORT_EVERY,
    SERVICE,
    UPDATE,
    ServiceReport,
    Unreadable,
    UpdateReport,
    read_report,
    write_report,
)
from appliance.provisioning.activation import CommandFailed, CommandUnfinished, run_command
from appliance.provisioning.apply import Generations
from appliance.provisioning.gate import LINKS, NetworkUp, PageAnswers
from appliance.provisioning.serial import serial_number
from appliance.provisioning.stick import Unusable
from appliance.provisioning.system import FLEET
from appliance.settings.model import Settings
from appliance.trial import ae_answers
from appliance.updates.admission import AlreadyInstalled, Refused, Situation, admit
from appliance.updates.box import BoxSlots
from appliance.updates.installation import (
    REFUSAL,
    TOLD,
    Command,
    Installation,
    Refusal,
    Result,
    run_rauc,
)
from appliance.updates.outcome import settle
from appliance.updates.release import Bundle, Release, read_release
from appliance.updates.requests import UPLOADS, taken
from appliance.updates.reset import SIGNATURE, TOKEN, Reset
from appliance.updates.slots import running_root
from appliance.updates.stick import UpdateStick, volume_on

LOGGER = logging.getLogger(__name__)

PROOF = "netty-proof.service"
RESET = "netty-reset.service"
DATA = "data.mount"

FLEET_CLIENT: Final = ("rauc-hawkbit-updater", "--run-once", "--config-file", f"/run/{FLEET}")

_LOOK_EVERY = 2.0
_PATIENCE_FOR_DISK = 3
"""How often it is waited for; each time as long as a command may take."""

_INSTALLER = "de.pengutronix.rauc.Installer"
_MARK_GOOD = (
    *("busctl", "call", "--timeout=10min", "de.pengutronix.rauc", "/", _INSTALLER),
    *("Mark", "ss", "good", "booted"),
)
"""RAUC's own `rauc status mark-good` asks for the state of all slots first, and gives up after the
25 s that D-Bus has by default: a busy or slow box would lose a version that works."""


class NotGood(Exception):
    """The version on trial does not work; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class UpdatingBox(BoxSlots):
    """This box, and the program that installs on it."""

    rauc: Command = run_rauc

    def settings(self) -> Settings | None:
        """The settings that hold; None where there are none that can be read."""
        return self._generations.settings()

    @property
    def _generations(self) -> Generations:
        return Generations(self.root / "state/settings")

    def admit(self, environment: Mapping[str, str]) -> None:
        """Answer RAUC whether it may install a bundle. Raises Refused, NoRelease, or OSError."""
        slot, record, release = self.slot, self.record, read_release(self.root)
        bundle = Bundle.of(environment)
        told = (self.run / TOLD).exists()
        arriving = not told and self._arriving()
        root_hash = running_root(self.root)
        try:
            admit(bundle, Situation(slot, release, root_hash, record, arriving, told))
        except Refused as refused:
            already = isinstance(refused, AlreadyInstalled)
            refusal = Refusal(refused.sentence, refused.remedy, already)
            write_report(self.run / REFUSAL, refusal)
            raise
        record.begin(slot.other, bundle, release.version, network=self._is_on_network())
        self._tell_change(release, bundle.release)

    def _tell_change(self, old: Release, new: Release) -> None:
        """Say what is being written; who asked for it takes that back when it is done."""
        sentence = (
            f"Version {new.version} (build {new.build}) takes the place of "
            f"{old.version} (build {old.build}) when the box restarts."
        )
        self._report(UpdateReport("writing", sentence))

    def take(self, device: Path) -> bool:
        """Serve a stick that may bring an update, or reset; whether the box is to be restarted."""
        try:
            return self._take(device)
        except OSError as error:
            # Most sticks bring settings alone, and are pulled as soon as these are answered.
            LOGGER.warning("%s: the stick is gone, or cannot be read: %s", device, error)
            return False

    def _take(self, device: Path) -> bool:
        volume = volume_on(device)
        if volume is None:
            return False
        serial = serial_number(self.root)
        installation = Installation(self.run, self.rauc)
        stick = UpdateStick(volume, installation, serial, __version__, time.time)
        try:
            token, signature = stick.read(TOKEN, SIGNATURE)
            if token is not None:
                self._order_reset(stick, token, signature)
                return False
        except Unusable as unusable:
            stick.tell(Result("rejected", unusable.sentence, unusable.remedy))
            return False
        settings = self.settings()
        told = settings is not None and settings.update.while_receiving
        result = stick.serve(told=told)
        return result is not None and result.outcome == "installed"

    def _order_reset(self, stick: UpdateStick, token: bytes, signature: bytes | None) -> None:
        current = self._generations.undamaged()
        trusted = current.signers if current else frozenset()
        try:
            is_new = self.reset.ask(token, signature, stick.serial, trusted)
        except OSError as error:
            LOGGER.error("the order of reset could not be written down: %s", error)
            sentence = f"The box could not write the order down: {error.strerror}."
            stick.tell(Result("rejected", sentence, "Switch it off and on, and try again."))
            return
        if not is_new:
            stick.tell(Result("already installed", "The box was reset by this file before."))
            return
        stick.tell(Result("reset", "All settings and images are being removed."))
        run_command(("systemctl", "start", "--no-block", RESET))

    @property
    def reset(self) -> Reset:
        """The way back to the factory state."""
        return Reset(self.root / "state", self.root / "data")

    def carry_out_reset(self) -> None:
        """Remove all that the box was told or has received. Raises NotGood, or OSError."""
        self._report(UpdateReport("resetting"))
        if not os.path.ismount(self.reset.data):
            sentence = "The disk of the images is not there: what it holds cannot be removed."
            self._report(UpdateReport("resetting", sentence))
            raise NotGood(sentence)
        self.reset.carry_out(lambda path: LOGGER.info("removed: %s", path))

    def install(self, source: str, *, told: bool = False) -> bool:
        """Install from a path or an address; whether the box is to be restarted."""
        result = Installation(self.run, self.rauc).of(source, told=told)
        LOGGER.info("%s: %s %s", result.outcome, result.sentence, result.remedy)
        return result.outcome == "installed"

    def fetch(self) -> bool:
        """Install what the settings' address has; whether the box is to be restarted."""
        settings = self.settings()
        if settings is None or settings.update.url is None:
            return False
        return self.install(settings.update.url, told=settings.update.while_receiving)

    def ask_fleet(self) -> bool:
        """Ask the fleet's server what to run; whether the box is to be restarted for it.

        The server takes a refusal for good: it is not asked while the box would refuse.
        """
        settings = self.settings()
        if settings is None or settings.fleet is None:
            return False
        told = settings.update.while_receiving
        if not told and self._arriving():
            LOGGER.info("studies are arriving: the fleet's server is asked later")
            return False
        Installation(self.run, self.rauc).ask(FLEET_CLIENT, told=told)
        trial = self.record.trial(self.slot.other)
        return trial is not None and trial.stage == "installed"

    def do_as_asked(self) -> bool:
        """Install what the page was asked for; whether the box is to be restarted."""
        uploads = self.root / UPLOADS.relative_to("/")
        request = taken(self.run, uploads)
        if request is None:
            return False
        source, told = request
        try:
            return self.install(source, told=told)
        finally:
            if Path(source).is_relative_to(uploads):
                with suppress(OSError):  # The page removes it with the next one.
                    Path(source).unlink()

    def settle(self) -> UpdateReport:
        """Find out what became of the last update, and tell health."""
        ledger = Budget(Places(self.root)).ledger()
        reset = ledger.restarts[-1].cause if ledger.restarts else ""
        report = settle(self.slot, self.boot_states, self.record, reset)
        self._report(report)
        return report

    def confirm(self, patience: float) -> None:
        """Try the version that runs on trial, and keep it. Raises NotGood, or OSError.

        `patience` is the number of seconds that each check gets.
        """
        slot, record = self.slot, self.record
        trial, state = record.trial(slot), self.boot_states.read(slot)
        if trial is None:
            return
        if state is None or state.state != "OK":
            try:
                self._try(patience, network=trial.network)
                self._mark_good()
            except NotGood as failure:
                record.failed(slot, str(failure))
                raise
        record.confirm(slot, read_release(self.root))
        self._report(UpdateReport())
        LOGGER.info("version %s has proved itself", trial.version)

    def _try(self, patience: float, *, network: bool) -> None:
        settings, has_archive = self.settings(), self._has_archive()
        checks: list[tuple[str, Callable[[Settings], object]]] = []
        if settings is not None:
            if network:
                checks.append(("It has no network.", NetworkUp(self.run)))
            if has_archive:
                checks.append(("Its DICOM service does not answer.", ae_answers))
        checks.append(("Its status page does not answer.", PageAnswers()))
        for sentence, check in checks:
            _wait(lambda check=check: check(settings or Settings(1)) is None, patience, sentence)  # type: ignore[misc]
        if has_archive:
            self._prove()

    def _has_archive(self) -> bool:
        """Whether the disk of the images is there, when its check has ended: after a power cut that
        may take long. Raises NotGood if it does not end.

        A version is not to be blamed for a disk that is broken.
        """
        for _ in range(_PATIENCE_FOR_DISK):
            try:
                run_command(("systemctl", "start", DATA))
            except CommandUnfinished:
                continue
            except CommandFailed as failure:
                LOGGER.warning("the disk of the images is not there: %s", failure)
            return os.path.ismount(self.root / "data")
        raise NotGood("The check of the disk of the images does not end.")

    def _prove(self) -> None:
        try:
            run_command(("systemctl", "start", PROOF))
        except CommandFailed as failure:
            LOGGER.error("%s", failure)
            raise NotGood("It cannot take an image and make a picture of it.") from None

    def _mark_good(self) -> None:
        status, said = self.rauc(_MARK_GOOD)
        if status != 0:
            LOGGER.error("%s", said.strip())
            raise NotGood("It could not be updated any more.")

    def _arriving(self) -> bool:
        """Whether instances come in: more of them after a while than before."""
        before = self._instances()
        time.sleep(2 * REPORT_EVERY)
        return self._instances() > before

    def _instances(self) -> int:
        try:
            return read_report(self.run / SERVICE, ServiceReport).counts.get("instances", 0)
        except Unreadable:
            return 0

    def _is_on_network(self) -> bool:
        """Whether an interface has an address; whoever asks for RAUC sees no settings."""
        links = (self.run / LINKS).glob("*")
        return any("OPER_STATE=routable" in link.read_text().splitlines() for link in links)

    def _report(self, report: UpdateReport) -> None:
        (self.run / UPDATE).parent.mkdir(parents=True, exist_ok=True)
        write_report(self.run / UPDATE, report)


def restart() -> None:
    """Restart the box in order. Raises CommandFailed."""
    run_command(("systemctl", "reboot"))


def _wait(holds: Callable[[], bool], patience: float, otherwise: str) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            raise NotGood(otherwise)
        time.sleep(_LOOK_EVERY)
