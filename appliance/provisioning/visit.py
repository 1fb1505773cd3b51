"""The visit of a stick: read it, apply what it brings, answer, and tell the box.

Nothing that happens to the stick, its being pulled at any moment included, fails what was begun.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from appliance.provisioning.apply import Applier, Generations, Outcome, Trial
from appliance.provisioning.result import Answer, Report, read_report, write_report
from appliance.provisioning.stick import Contents, Unusable, read_stick
from appliance.provisioning.volume import Unsuitable, Volume
from appliance.settings.chains import fingerprint
from appliance.settings.model import Settings

LOGGER = logging.getLogger(__name__)

_LOCK = "netty-provision/lock"
_MOUNT_POINT = "netty-provision/stick"


class Stick(Protocol):
    """What can be read, and perhaps answered to."""

    def reading(self) -> AbstractContextManager[Path]:
        """Give its root, to be read. Raises OSError."""

    def writing(self) -> AbstractContextManager[Path]:
        """Give its root, to be written to. Raises OSError."""


@dataclass(frozen=True, slots=True)
class FolderStick:
    """A folder that stands for a stick."""

    folder: Path

    @contextmanager
    def reading(self) -> Iterator[Path]:
        """Give the folder."""
        yield self.folder

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Give the folder."""
        yield self.folder


@dataclass(frozen=True, slots=True)
class VolumeStick:
    """A stick with a FAT or exFAT volume, mounted only while it is read or answered to."""

    volume: Volume
    point: Path

    def reading(self) -> AbstractContextManager[Path]:
        """Mount it read-only."""
        return self.volume.mounted(self.point)

    def writing(self) -> AbstractContextManager[Path]:
        """Mount it writable, for as short as possible."""
        return self.volume.mounted(self.point, writable=True)


@dataclass(frozen=True, slots=True)
class Visit:
    """One stick in one box. `certificates` are files whose fingerprints are told, by their use."""

    generations: Generations
    trial: Trial
    serial: str
    version: str
    run: Path = Path("/run")
    certificates: Mapping[str, Path] | None = None
    now: Callable[[], float] = time.time

    def of(self, device: Path) -> Report | None:
        """Serve the stick on a block device, or in a folder that stands for one.

        Returns what was reported; None if the stick has nothing to do with settings.
        """
        with locked(self.run):
            try:
                return self._serve(device, self._stick(device))
            except Unsuitable as error:
                return self._refuse_volume(device, error)
            except FileNotFoundError:
                LOGGER.info("%s: the stick is gone", device)
                return None
            except OSError as error:
                return self._report(device, "rejected", _unreadable(error).sentence)

    def _stick(self, device: Path) -> Stick:
        if device.is_dir():
            return FolderStick(device)
        return VolumeStick(Volume.on(device), self.run / _MOUNT_POINT)

    def _serve(self, device: Path, stick: Stick) -> Report | None:
        not_read: tuple[str, ...] = ()
        try:
            contents = self._read(stick)
        except Unusable as unusable:
            outcome = Outcome.refusal(unusable)
        except OSError as error:
            outcome = _unreadable(error)
        else:
            if contents is None:
                LOGGER.info("%s: nothing on this stick is for the box", device)
                return None
            not_read = contents.also
            outcome = self._applier(device).apply(contents)
        # The light lets people pull it: only when everything is on it.
        self._answer(stick, outcome, not_read)
        return self._report(device, outcome.outcome, outcome.sentence)

    def _read(self, stick: Stick) -> Contents | None:
        with stick.reading() as folder:
            return read_stick(folder)

    def _applier(self, device: Path) -> Applier:
        def applying(settings: Settings) -> None:
            sentence = f"Revision {settings.revision} is being tried."
            self._report(device, "applying", sentence)

        return Applier(self.generations, self.trial, self.serial, applying)

    def _refuse_volume(self, device: Path, error: Unsuitable) -> Report | None:
        LOGGER.warning("%s: %s", device, error)
        if str(error).startswith("no "):
            return None
        sentence = f"The stick has the file system {error}, which is not read."
        return self._report(device, "rejected", f"{sentence} Format it with FAT32 or exFAT.")

    def _report(self, device: Path, outcome: str, sentence: str) -> Report:
        settings = self.generations.settings()
        revision = settings.revision if settings else None
        report = Report.on(device, outcome, sentence, self.now(), revision)
        LOGGER.info("%s: %s", outcome, sentence)
        with suppress(OSError):  # The LED is not worth a failure.
            write_report(self.run, report)
        return report

    def _answer(self, stick: Stick, outcome: Outcome, not_read: tuple[str, ...]) -> None:
        """Write the answer onto the stick; one that cannot be written to is none of our trouble."""
        settings = self.generations.settings()
        time.tzset()  # The time zone may be that of the new settings.
        answer = Answer(
            self.serial,
            self.version,
            outcome,
            datetime.fromtimestamp(self.now()).astimezone(),
            _in_words(settings),
            self._fingerprints(settings),
            not_read,
        )
        try:
            with stick.writing() as folder:
                answer.write(folder)
        except OSError as error:
            LOGGER.warning("the stick could not be answered to: %s", error)

    def _fingerprints(self, settings: Settings | None) -> dict[str, str]:
        texts = {}
        for use, path in (self.certificates or {}).items():
            with suppress(OSError, UnicodeDecodeError):
                texts[use] = path.read_text("ascii")
        if settings and settings.tls:
            texts["DICOM over TLS"] = settings.tls.certificate
        found = {use: fingerprint(text) for use, text in texts.items()}
        return {use: text for use, text in found.items() if text}


def _unreadable(error: OSError) -> Outcome:
    return Outcome(
        "rejected",
        f"The stick could not be read: {error.strerror or error}.",
        "Leave the stick in until the box answers; if it was, try another stick.",
    )


def unplugged(device: Path, run: Path) -> None:
    """Note that the stick on a device is gone. Raises OSError."""
    with locked(run):
        report = read_report(run)
        if report is not None and report.plugged and report.device == str(device):
            write_report(run, replace(report, plugged=False))


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Wait until no other stick is served. Raises OSError."""
    path = run / _LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _in_words(settings: Settings | None) -> dict[str, str]:
    if settings is None:
        return {"settings": "none; it waits for a stick with netty.toml"}
    network = settings.network
    facts = {
        "name": settings.box.name,
        "revision": str(settings.revision),
        "network": "DHCP" if network.by_dhcp else str(network.address),
        "AE title": settings.ae.title,
        "port": str(settings.ae.port),
        "remotes": ", ".join(remote.name for remote in settings.remotes) or "none",
        "patients watched": str(len({entry.patient_id for entry in settings.watch})),
    }
    address = own_address()
    return facts | ({"address": address} if address else {})


def own_address() -> str:
    """Return the address with which this machine reaches other networks; empty if it does not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # Nothing is sent: this only chooses a route.
        except OSError:
            return ""
        return str(probe.getsockname()[0])
