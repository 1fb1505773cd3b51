"""The two slots of a box, as EFI Boot Guard, RAUC and the partition table name them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

SlotName = Literal["a", "b"]

SLOTS: Final[tuple[SlotName, ...]] = ("a", "b")

BOOT_STATE: Final = "BGENV.DAT"
LABEL: Final = "EFILABEL"

NO_LABEL: Final = "BOOT-?"
"""Of a boot partition in no slot yet; as long as the others, to be written over in place."""

COMMAND_LINE: Final = "proc/cmdline"


class UnknownSlot(Exception):
    """It cannot be said which slot runs, or there is none of that name."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the two: a boot partition, and the root that its kernel starts."""

    name: SlotName

    @classmethod
    def of(cls, name: str) -> Slot:
        """The slot of that name. Raises UnknownSlot."""
        for known in SLOTS:
            if name == known:
                return cls(known)
        raise UnknownSlot(f"{name!r} is no slot; there are {' and '.join(SLOTS)}")

    @classmethod
    def running(cls, root: Path = Path("/")) -> Slot:
        """The slot from which this box was started, as its kernel was told. Raises UnknownSlot."""
        words = (root / COMMAND_LINE).read_text("utf-8", "replace").split()
        found = [word.partition("=")[2] for word in words if word.startswith("rauc.slot=")]
        if len(found) != 1:
            raise UnknownSlot("the kernel was not told its slot (rauc.slot=)")
        return cls.of(found[0])

    @property
    def other(self) -> Slot:
        """The other one."""
        return Slot("b" if self.name == "a" else "a")

    @property
    def boot(self) -> str:
        """The PARTLABEL of its boot partition."""
        return f"boot-{self.name}"

    @property
    def root(self) -> str:
        """The PARTLABEL of its root."""
        return f"root-{self.name}"

    @property
    def label(self) -> str:
        """What its boot partition is called for EFI Boot Guard."""
        return self.boot.upper()

    @property
    def kernel(self) -> str:
        """The file of its kernel, in either boot partition: its command line names this root."""
        return f"linux-{self.name}.efi"

    @property
    def payload(self) -> str:
        """Its kernel for EFI Boot Guard: volume and file."""
        return f"C:{self.label}:{self.kernel}"


def running_root(root: Path = Path("/")) -> str:
    """The hash of the root that runs, which names a version to the last bit; empty if unknown."""
    line = (root / COMMAND_LINE).read_text("utf-8", "replace")
    found = re.search(r" sha256 ([0-9a-f]{64}) ", line)
    return found[1] if found else ""
