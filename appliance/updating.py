"""The composition root of updates: what this box is, for the parts in `updates`.

The parts know neither DICOM nor the archive; here the C-ECHO and the proof come to them.
"""

from __future__ import annotations

from pathlib import Path

from appliance.updates.boot_state import BootStates
from appliance.updates.partitions import BootPartitions
from appliance.updates.slots import Slot


def boot_states(run: Path) -> BootStates:
    """The boot states of this box. Raises UnknownSlot."""
    return BootStates(BootPartitions(run=run / "netty-update"), Slot.running())
