"""The boot partitions of this box, mounted only while somebody looks into them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from appliance.provisioning.volume import Volume
from appliance.updates.slots import Slot


@dataclass(frozen=True, slots=True)
class BootPartitions:
    """Those of the disk from which the box was started."""

    devices: Path = Path("/dev/disk/by-partlabel")
    run: Path = Path("/run/netty-update")

    def opened(self, slot: Slot, *, writable: bool = False) -> AbstractContextManager[Path]:
        """Mount the boot partition of a slot. Raises OSError.

        The caller sees to it that it has a mount namespace of its own.
        """
        volume = Volume(self.devices / slot.boot, "vfat")
        return volume.mounted(self.run / slot.boot, writable=writable)
