"""Generations of settings: written whole, tried, and current only when they have proved good.

Below one folder::

    3-0123456789abcdef/     netty.toml, patients.csv, signers: never changed once it has this name
    current                 link to the generation that holds after every start

A generation is written under another name, made durable, and renamed. `current` moves by a rename
as well. So whenever the power goes, the old or the new generation is current, and it is whole.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from appliance.provisioning.disk import Disk
from appliance.provisioning.signature import NoKey, read_key, signers, write_key
from appliance.provisioning.stick import SETTINGS, Contents, Unusable
from appliance.settings.model import Settings
from appliance.settings.patients import NAME as PATIENTS
from appliance.settings.patients import read_contents
from appliance.settings.problems import Problem, Problems

LOGGER = logging.getLogger(__name__)

CURRENT = "current"
SIGNERS = "signers"
NOBODY = b"patient_id\n"
"""The list of patients of a generation that came without one: the AE always finds the file."""

_NAME = re.compile(r"[0-9]{1,19}-[0-9a-f]{16}")
_FOLDER_MODE = 0o750
_FILE_MODE = 0o640


class Damaged(Exception):
    """What should be the current generation cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One whole version of the settings on the box, and the public keys that signed it."""

    folder: Path
    settings: bytes
    patients: bytes
    signers: frozenset[bytes]

    def read(self) -> Settings:
        """Return its settings. Raises Damaged."""
        try:
            return read_contents(self.settings, self.patients)
        except Problems as problems:
            raise Damaged(f"{self.folder.name}: {problems}") from None

    def is_from(self, contents: Contents, keys: frozenset[bytes]) -> bool:
        """Whether a stick brings the same once more."""
        return (
            contents.settings == self.settings
            and (contents.patients or NOBODY) == self.patients
            and keys <= self.signers
        )


class Generations:
    """All generations below one folder. Methods raise OSError where the disk fails.

    `group` is the one whose members may read them; None leaves that as it is.
    """

    def __init__(self, folder: Path, disk: Disk | None = None, group: int | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()
        self._group = group

    def current(self) -> Generation | None:
        """Return the generation that holds; None before the first. Raises Damaged."""
        link = self._folder / CURRENT
        try:
            name = str(link.readlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Damaged(f"{link}: {error.strerror}") from None
        if not _NAME.fullmatch(name):
            raise Damaged(f"{link} leads to {name!r}")
        try:
            return _load(self._folder / name)
        except (OSError, NoKey) as error:
            raise Damaged(f"{self._folder / name}: {error}") from None

    def undamaged(self) -> Generation | None:
        """Return the generation that holds; None where there is none that can be loaded."""
        try:
            return self.current()
        except Damaged as error:
            LOGGER.error("the settings of this box are damaged: %s", error)
            return None

    def settings(self) -> Settings | None:
        """Return the settings that hold; None where there are none that can be read."""
        try:
            current = self.current()
            return current.read() if current else None
        except Damaged as error:
            LOGGER.error("the settings of this box are damaged: %s", error)
            return None

    def write(self, contents: Contents, revision: int, keys: frozenset[bytes]) -> Generation:
        """Write a generation beside the others, durably; it is not current yet."""
        files = {
            SETTINGS: contents.settings,
            PATIENTS: contents.patients or NOBODY,
            SIGNERS: "".join(f"{write_key(key)}\n" for key in sorted(keys)).encode(),
        }
        folder = self._folder / f"{revision}-{_digest(files)}"
        part = folder.with_name(f".{folder.name}.part")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._disk.remove(part)
        self._disk.make_folder(part, _FOLDER_MODE)
        self._own(part)
        for name, data in files.items():
            self._disk.write(part / name, data, _FILE_MODE)
            self._own(part / name)
        self._disk.sync_folder(part)
        # Left over from a trial that was not accepted.
        self._disk.remove(folder)
        self._disk.rename(part, folder)
        self._disk.sync_folder(self._folder)
        return _load(folder)

    def make_current(self, generation: Generation) -> None:
        """Let a generation hold from now on, after every start."""
        part = self._folder / f".{CURRENT}.part"
        self._disk.remove(part)
        self._disk.link(part, generation.folder.name)
        self._disk.rename(part, self._folder / CURRENT)
        self._disk.sync_folder(self._folder)

    def sweep(self) -> None:
        """Remove every generation but the current one, and what interruptions left."""
        current = self.current()
        for each in sorted(self._folder.iterdir()):
            stale = _NAME.fullmatch(each.name) or each.name.endswith(".part")
            if stale and (current is None or each != current.folder):
                self._disk.remove(each)

    def _own(self, path: Path) -> None:
        if self._group is not None:
            self._disk.own(path, self._group)


class Trial(Protocol):
    """Gives the box settings to work with. Its methods raise TrialFailed."""

    def start(self, generation: Path, settings: Settings) -> None:
        """Make a generation the active one, and have the services take it."""

    def gate(self, settings: Settings) -> None:
        """Return when the box works with these settings."""

    def revert(self, generation: Path | None, settings: Settings | None) -> None:
        """Make another generation the active one again, or none."""


class TrialFailed(Exception):
    """The box does not work with the settings: a sentence, and what to do."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(sentence, remedy)
        self.sentence = sentence
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of what a stick brought."""

    outcome: Literal["accepted", "already applied", "rejected"]
    sentence: str
    remedy: str = ""
    problems: tuple[Problem, ...] = ()

    @classmethod
    def refusal(cls, unusable: Unusable) -> Outcome:
        """Return the outcome for what cannot be taken."""
        return cls("rejected", unusable.sentence, unusable.remedy, unusable.problems)


@dataclass(frozen=True, slots=True)
class Applier:
    """Takes what a stick brings, for the box with this serial number.

    `applying` is called when a trial begins.
    """

    generations: Generations
    trial: Trial
    serial: str
    applying: Callable[[Settings], None] = lambda settings: None

    def apply(self, contents: Contents) -> Outcome:
        """Check, try and accept it, or leave everything as it was. Raises nothing but what ends
        the process.
        """
        # Where they are damaged, what the stick brings may mend them.
        current = self.generations.undamaged()
        try:
            keys = signers(contents, current.signers if current else ())
            if current and current.is_from(contents, keys):
                return Outcome("already applied", "The box has these settings already.")
            settings = self._checked(contents, current)
        except Unusable as unusable:
            return Outcome.refusal(unusable)
        try:
            new = self.generations.write(contents, settings.revision, keys)
        except OSError as error:
            return _disk_fails(error)
        return self._try(new, settings, current)

    def _checked(self, contents: Contents, current: Generation | None) -> Settings:
        try:
            settings = read_contents(contents.settings, contents.patients)
        except Problems as problems:
            raise Unusable.of(problems) from None
        check_serial(settings, self.serial)
        if current is not None:
            _check_revision(settings, contents, current)
        return settings

    def _try(self, new: Generation, settings: Settings, old: Generation | None) -> Outcome:
        self.applying(settings)
        accepted = False
        try:
            self.trial.start(new.folder, settings)
            self.trial.gate(settings)
            self.generations.make_current(new)
            accepted = True
        except TrialFailed as failure:
            outcome = Outcome("rejected", failure.sentence, failure.remedy)
        except OSError as error:
            LOGGER.exception("settings could not be taken")
            outcome = _disk_fails(error)
            accepted = self._is_current(new)
        finally:
            # Also when this process is told to end.
            if not accepted:
                self._revert(old)
        if accepted:
            outcome = Outcome("accepted", f"The box works with revision {settings.revision}.")
        self._sweep()
        return outcome

    def _revert(self, old: Generation | None) -> None:
        settings = None
        try:
            settings = old.read() if old else None
            self.trial.revert(old.folder if settings and old else None, settings)
        except (TrialFailed, Damaged, OSError) as failure:
            LOGGER.error("the earlier settings are back, and do not work either: %s", failure)

    def _is_current(self, generation: Generation) -> bool:
        current = self.generations.undamaged()
        return current is not None and current.folder == generation.folder

    def _sweep(self) -> None:
        try:
            self.generations.sweep()
        except (Damaged, OSError) as error:
            LOGGER.warning("old settings could not be removed: %s", error)


def check_serial(settings: Settings, serial: str) -> None:
    """Raise Unusable if settings are for other boxes."""
    known = settings.box.serials
    if known and serial.casefold() not in (each.casefold() for each in known):
        raise Unusable(
            f"The settings are for another box: this one has the serial number {serial}.",
            "Take the stick to the box it is for, or add this serial number to serials in [box].",
        )


def _check_revision(settings: Settings, contents: Contents, current: Generation) -> None:
    try:
        active = current.read().revision
    except Damaged as error:
        LOGGER.error("the settings of this box are damaged: %s", error)
        return
    if settings.revision > active:
        return
    remedy = f"Write revision = {active + 1} into netty.toml, if this is the newer file."
    if settings.revision < active:
        sentence = f"The settings are old: revision {settings.revision}, the box has {active}."
    elif (
        contents.settings == current.settings and (contents.patients or NOBODY) != current.patients
    ):
        sentence = f"{PATIENTS} has changed, and revision is still {active}."
        remedy = f"Write revision = {active + 1} into netty.toml: it must grow with each change."
    elif contents.settings == current.settings:
        sentence = f"The settings are signed anew, and revision is still {active}."
    else:
        sentence = f"The box has other settings of the same revision, {active}."
    raise Unusable(sentence, remedy)


def _disk_fails(error: OSError) -> Outcome:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "is full" if full else f"fails: {error.strerror or error}"
    return Outcome(
        "rejected",
        f"The box could not keep the settings: its own disk {reason}.",
        "Switch the box off and on, and try again; if that does not help, it needs repair.",
    )


def _load(folder: Path) -> Generation:
    keys = (folder / SIGNERS).read_text("ascii").split()
    return Generation(
        folder,
        (folder / SETTINGS).read_bytes(),
        (folder / PATIENTS).read_bytes(),
        frozenset(map(read_key, keys)),
    )


def _digest(files: dict[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, data in files.items():
        whole.update(f"{name} {len(data)}\n".encode())
        whole.update(data)
    return whole.hexdigest()[:16]
