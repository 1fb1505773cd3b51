"""A stick that brings an update, or the order to reset the box: found, done, and answered to."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from appliance.provisioning.activation import CommandFailed, run_command
from appliance.provisioning.result import Report, read_report, replace_file, write_report
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
_MOST_NAMES = 4096
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
        """The content of small files on the stick; None where there is none. Raises OSError."""
        with self.volume.mounted(self.installation.run / _OURS) as folder:
            return tuple(_content(folder / name) for name in names)

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
        lines += ["", "The box now:"]
        lines += [f"  serial number: {self.serial}", f"  software: {self.version}"]
        text = "\ufeff" + "\r\n".join(lines) + "\r\n"
        data = {**asdict(result), "serial": self.serial, "version": self.version}
        name = f"{ANSWER}{self.serial}"
        try:
            with self.volume.mounted(self.installation.run / _OURS, writable=True) as folder:
                replace_file(folder / f"{name}.txt", text.encode())
                replace_file(folder / f"{name}.json", json.dumps(data).encode())
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
        report = Report(
            shown,  # type: ignore[arg-type]
            sentence,
            device.exists(),
            self.now(),
            revision,
            str(device),
        )
        write_report(run, report)


def volume_on(device: Path) -> Volume | None:
    """The volume on a device; None if it is not one that is read. Raises OSError."""
    try:
        return Volume.on(device)
    except Unsuitable as error:
        LOGGER.info("%s: %s", device, error)
        return None


def _content(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        return file.read(_LARGEST)


def _bundles(folder: Path) -> tuple[str, ...]:
    with os.scandir(folder) as entries:
        names = [each.name for each in islice(entries, _MOST_NAMES) if each.name[:1] != "."]
    return tuple(sorted(name for name in names if name.casefold().endswith(BUNDLE)))
