"""The slots of this box: which one runs, what starts next, and what is remembered of updates.

What RAUC asks many times while it installs needs no more than this.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.updates.boot_state import BootStates
from appliance.updates.partitions import BootPartitions
from appliance.updates.record import Record
from appliance.updates.slots import Slot, UnknownSlot

_LOOK_EVERY: Final = 2.0


@dataclass(frozen=True, slots=True)
class BoxSlots:
    """The slots of this box, its files below `root` and what ends with the power below `run`."""

    root: Path = Path("/")
    run: Path = Path("/run")

    @property
    def slot(self) -> Slot:
        """The slot that runs. Raises UnknownSlot, or OSError."""
        return Slot.running(self.root)

    @property
    def record(self) -> Record:
        """What the box remembers of its updates."""
        return Record(self.root / "state/update")

    @property
    def boot_states(self) -> BootStates:
        """Which slot starts next. Raises UnknownSlot, or OSError."""
        return BootStates(BootPartitions(run=self.run / "netty-update"), self.slot)

    def await_proof(self, pause: Callable[[float], None] = time.sleep) -> None:
        """Wait while the version that runs is on trial; not where none could be.

        Settings that it takes might be beyond the version before, should that return. It proves
        itself, or ends, within the time that its own unit gives it.
        """
        with suppress(UnknownSlot, OSError):
            while self.record.trial(self.slot):
                pause(_LOOK_EVERY)

    def primary_changes(self, words: list[str]) -> None:
        """Note that what was written is whole and starts next, before RAUC lets it."""
        match words:
            case ["set-primary", name] if name == self.slot.other.name:
                self.record.installed(self.slot.other)
