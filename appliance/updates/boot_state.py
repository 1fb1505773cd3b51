"""The boot state of both slots: RAUC's custom boot-loader backend over EFI Boot Guard.

Each boot partition has a state of its own (BGENV.DAT) with a checksum. EFI Boot Guard starts the
slot of the highest revision; one that is `INSTALLED` becomes `TESTING` as it starts, and one that
is `TESTING` when it should start again has failed: the other one starts. So a new slot has exactly
one try until somebody calls it good, and a state that was cut off in the middle does not count.

EFI Boot Guard's own programs make and read states. What they make is written over the state that
is there, byte for byte in its place: no name, no table of the file system changes, and the state
of a slot changes only when it is this slot's that is meant.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, Protocol

from appliance.updates.slots import BOOT_STATE, LABEL, SLOTS, Slot

UserState = Literal["OK", "INSTALLED", "TESTING", "FAILED"]

_STATES: Final[tuple[UserState, ...]] = ("OK", "INSTALLED", "TESTING", "FAILED")
"""By the numbers that EFI Boot Guard gives them (envdata.h)."""

_WITHIN: Final = 30.0


class BootStateFailed(Exception):
    """A boot state cannot be read or written; the text says which and why."""


class Partitions(Protocol):
    """Opens the boot partition of a slot."""

    def opened(self, slot: Slot, *, writable: bool = False) -> AbstractContextManager[Path]:
        """Give the folder of its files. Raises OSError."""


@dataclass(frozen=True, slots=True)
class BootState:
    """What EFI Boot Guard knows of one slot."""

    revision: int
    state: UserState
    payload: str

    @property
    def starts(self) -> bool:
        """Whether it may be started."""
        return self.revision > 0 and self.state != "FAILED"


@dataclass(frozen=True, slots=True)
class BootStates:
    """The states of both slots. `programs` is the folder of `bg_setenv` and `bg_printenv`."""

    partitions: Partitions
    running: Slot
    programs: Path = Path("/usr/bin")

    def read(self, slot: Slot) -> BootState | None:
        """The state of a slot; None where there is none that counts."""
        with suppress(OSError), self.partitions.opened(slot) as folder:
            return self._read(folder / BOOT_STATE)
        return None

    def primary(self) -> Slot | None:
        """The slot that starts next, as far as is known before it tries."""
        states = {name: self.read(Slot(name)) for name in SLOTS}
        able = {name: state.revision for name, state in states.items() if state and state.starts}
        return Slot(max(able, key=lambda name: able[name])) if able else None

    def is_good(self, slot: Slot) -> bool:
        """Whether a slot has proved itself."""
        state = self.read(slot)
        return state is not None and state.starts and state.state == "OK"

    def mark(self, slot: Slot, *, good: bool) -> None:
        """Call a slot good, or let it never start again. Raises BootStateFailed.

        One that does not start is left as it is when it is called bad: what was interrupted in
        the middle may not even have a file system.
        """
        state = self.read(slot)
        if good:
            if state is None:
                raise BootStateFailed(f"{slot.boot} has no whole boot state")
            if state.state != "OK":
                self._write(slot, "--ustate=OK")
        elif state is not None and state.starts:
            self._write(slot, "--ustate=FAILED", "--revision=0")

    def make_primary(self, slot: Slot) -> None:
        """Let a slot start next: on trial, unless it is the one that runs.

        Raises BootStateFailed.
        """
        state, other = self.read(slot), self.read(slot.other)
        revision = max(each.revision for each in (state, other, BootState(0, "OK", "")) if each) + 1
        ustate = "INSTALLED"
        if slot == self.running and state is not None and state.state == "OK":
            ustate = "OK"
        elif slot == self.running:
            ustate = "TESTING"
        self._write(
            slot, f"--revision={revision}", f"--kernel={slot.payload}", f"--ustate={ustate}"
        )

    def _write(self, slot: Slot, *changes: str) -> None:
        try:
            with self.partitions.opened(slot, writable=True) as folder:
                state = self._changed((folder / BOOT_STATE).read_bytes(), changes)
                # The label first: a state that counts never stands beside one of no slot.
                _write_over(folder / LABEL, slot.label.encode("utf-16-le"))
                _write_over(folder / BOOT_STATE, state)
                if self._read(folder / BOOT_STATE) is None:
                    raise BootStateFailed(f"{slot.boot}: what was written is not there")
        except OSError as error:
            reason = error.strerror or error
            raise BootStateFailed(f"{slot.boot} cannot be written to: {reason}") from None

    def _changed(self, state: bytes, changes: Sequence[str]) -> bytes:
        """A state with some changes, made aside. Raises BootStateFailed."""
        with TemporaryDirectory() as aside:
            file = Path(aside) / BOOT_STATE
            file.write_bytes(state)
            self._call("bg_setenv", file, "--preserve", *changes)
            changed = file.read_bytes()
        if len(changed) != len(state):
            raise BootStateFailed(f"a state of {len(changed)} bytes in place of {len(state)}")
        return changed

    def _read(self, file: Path) -> BootState | None:
        try:
            said = self._call("bg_printenv", file, "--raw")
        except BootStateFailed:
            return None
        values = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        try:
            state = _STATES[int(values["USTATE"])]
            return BootState(int(values["REVISION"]), state, values.get("KERNEL", ""))
        except (KeyError, ValueError, IndexError):
            return None

    def _call(self, program: str, file: Path, *options: str) -> str:
        command = [str(self.programs / program), f"--filepath={file}", *options]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_WITHIN, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BootStateFailed(f"{program}: {error}") from None
        if done.returncode != 0:
            raise BootStateFailed(f"{program}: {done.stderr.strip() or done.returncode}")
        return done.stdout


def answer(states: BootStates, words: Sequence[str]) -> str:
    """What RAUC's backend answers to a call (RAUC's manual, "Custom Bootloader Backend Interface").

    Raises BootStateFailed, or UnknownSlot.
    """
    match words:
        case ["get-primary"]:
            primary = states.primary()
            if primary is None:
                raise BootStateFailed("no slot would start")
            return primary.name
        case ["set-primary", name]:
            states.make_primary(Slot.of(name))
        case ["get-state", name]:
            return "good" if states.is_good(Slot.of(name)) else "bad"
        case ["set-state", name, "good" | "bad" as state]:
            states.mark(Slot.of(name), good=state == "good")
        case ["get-current"]:
            return states.running.name
        case _:
            raise BootStateFailed(f"{' '.join(words)!r}: not a call that is known")
    return ""


def _write_over(file: Path, data: bytes) -> None:
    """Write a file of the same length over, durably, if it is another one. Raises OSError."""
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_size != len(data):
            raise OSError(f"{file.name} is not {len(data)} bytes long")
        if os.pread(descriptor, len(data), 0) != data:
            os.pwrite(descriptor, data, 0)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
