"""A stick that brings an update, or the order to reset the box: found, done, and answered to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from appliance.provisioning.activation import CommandFailed, run_command
from appliance.provisioning.result import (
    Report,
    read_report,
    the_box_now,
    write_answer,
    write_report,
)
from appliance.provisioning.stick import names_on, read_file, the_one
from appliance.provisioning.visit import locked
from appliance.provisioning.volume import Unsuitable, Volume
from appliance.updates.installation import Installation, Result

LOGGER = logging.getLogger(__name__)

BUNDLE: Final = ".raucb"
ANSWER: Final = "netty-update-"
"""What the names of answers begin with."""

_OURS = "netty-update/answer"
_SHARED = "netty-update/stick"
"""Where a stick is mounted: for us alone, and for RAUC, below /run."""
_LARGEST = 4096
"""Bytes of a small file that are read."""

_HEADLINES = {
    "installed": "WRITTEN. The box restarts and tries it. Please remove the stick.",
    "already installed": "ALREADY INSTALLED. Please remove the stick.",
    "reset": "The box returns to its factory state. Please remove the stick.",
    "rejected": "REJECTED. Nothing was changed.",
}


@dataclass(frozen=True, slots=True)
class UpdateStick:
    """A stick in one box."""

    volume: Volume
    installation: Installation
    serial: str
    version: str
    now: Callable[[], float]

    def serve(self, *, told: bool) -> Result | None:
        """Install what the stick brings; None if it brings no update. Raises OSError."""
        run = self.installation.run
        with self.volume.mounted(run / _OURS) as folder:
            bundles = _bundles(folder)
        if not bundles:
            return None
        with locked(run):
            result = self._install(bundles, told=told)
            self.tell(result)
        return result

    def read(self, *names: str) -> tuple[bytes | None, ...]:
        """The content of small files on the stick; None where there is none.

        Raises Unusable if one is no file, or OSError.
        """
        with self.volume.mounted(self.installation.run / _OURS) as folder:
            there = names_on(folder)
            found = [the_one(there, name) for name in names]
            return tuple(read_file(folder / name, _LARGEST) if name else None for name in found)

    def tell(self, result: Result) -> None:
        """Answer on the stick, then let the light say that it may go. Raises OSError."""
        self._answer(result)
        self._show(result)

    def _install(self, bundles: tuple[str, ...], *, told: bool) -> Result:
        if len(bundles) > 1:
            return Result(
                "rejected",
                f"There is more than one update: {', '.join(bundles[:5])}.",
                "Keep the right one alone.",
            )
        try:
            with self._shared() as folder:
                return self.installation.of(str(folder / bundles[0]), told=told)
        except CommandFailed as failure:
            return Result("rejected", f"The stick could not be read: {failure}", "Try another.")

    @contextmanager
    def _shared(self) -> Iterator[Path]:
        """Mount the stick where RAUC sees it, which is a process of its own."""
        folder = self.installation.run / _SHARED
        folder.mkdir(parents=True, exist_ok=True)
        kind = self.volume.file_system
        run_command(
            ("systemd-mount", "--quiet", "--no-ask-password", "--collect", "--fsck=no",
             f"--type={kind}", "--options=ro,nosuid,nodev,noexec,uid=0,gid=0,fmask=0022",
             str(self.volume.device), str(folder))
        )  # fmt: skip
        try:
            yield folder
        finally:
            run_command(("systemd-umount", str(folder)))

    def _answer(self, result: Result) -> None:
        """Write the answer onto the stick; one that cannot be written to is none of our trouble."""
        lines = [_HEADLINES[result.outcome], "", result.sentence]
        lines += [result.remedy] if result.remedy else []
        lines += ["", *the_box_now(self.serial, self.version, {})]
        data = {**asdict(result), "serial": self.serial, "version": self.version}
        try:
            with self.volume.mounted(self.installation.run / _OURS, writable=True) as folder:
                write_answer(folder, f"{ANSWER}{self.serial}", "\n".join(lines) + "\n", data)
        except OSError as error:
            LOGGER.warning("the stick could not be answered to: %s", error)

    def _show(self, result: Result) -> None:
        """Let the light say that the stick may go, or that it brought nothing of use."""
        run, device = self.installation.run, self.volume.device
        before = read_report(run)
        revision = before.revision if before else None
        outcome = {
            "installed": "accepted",
            "reset": "accepted",
            "already installed": "already applied",
        }
        shown = outcome.get(result.outcome, "rejected")
        sentence = f"{result.sentence} {result.remedy}".strip()
        write_report(run, Report.on(device, shown, sentence, self.now(), revision))


def volume_on(device: Path) -> Volume | None:
    """The volume on a device; None if it is not one that is read. Raises OSError."""
    try:
        return Volume.on(device)
    except Unsuitable as error:
        LOGGER.info("%s: %s", device, error)
        return None


def _bundles(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(name for name in names_on(folder) if name.casefold().endswith(BUNDLE)))
