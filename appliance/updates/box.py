"""The slots of this box: which one runs, what starts next, and what is remembered of updates.

What RAUC asks many times while it installs needs no more than this.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.updates.boot_state import BootStates
from appliance.updates.partitions import BootPartitions
from appliance.updates.record import Record
from appliance.updates.slots import Slot


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

    def primary_changes(self, words: list[str]) -> None:
        """Note that what was written is whole and starts next, before RAUC lets it."""
        match words:
            case ["set-primary", name] if name == self.slot.other.name:
                self.record.installed(self.slot.other)
