"""What a disk that a power cut left behind would start, judged from outside the box."""

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from appliance.updates.boot_state import BOOT_STATE, BootStates
from appliance.updates.slots import SLOTS, Slot
from tools.imaging.architecture import AMD64
from tools.imaging.cache import Cache
from tools.imaging.layout import Layout
from tools.imaging.packages import unpack, unpacked
from tools.imaging.programs import ImageFailed, need, run

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Version:
    """What the root of a version is to the last bit, and its kernels, by the slot they start."""

    name: str
    root: Path
    kernels: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Started:
    """What a disk would start."""

    slot: str
    version: str


class NothingWhole(Exception):
    """What would start is not one whole version; the text says what is wrong."""


def boot_programs(cache: Cache, folder: Path) -> Path:
    """EFI Boot Guard's own programs, as scripts in `folder`, which run on this machine."""
    tree = unpack(unpacked(cache, "boot-guard", AMD64, ("efibootguard",)), folder / "tree")
    loader = tree / "usr/lib64/ld-linux-x86-64.so.2"
    libraries = tree / f"usr/lib/{AMD64.machine}-linux-gnu"
    for name in ("bg_printenv", "bg_setenv"):
        command = shlex.join(
            map(str, (loader, "--library-path", libraries, tree / "usr/bin" / name))
        )
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
    return folder


@dataclass(frozen=True, slots=True)
class BootPartitionsOf:
    """The boot partitions of a disk, as `BootStates` wants them; nothing is written."""

    disk: Path
    layout: Layout

    def file(self, slot: Slot, name: str, goal: Path) -> Path:
        """Copy a file of a slot's boot partition to `goal`. Raises OSError."""
        where = f"{self.disk}@@{self.layout.offset(slot.boot)}"
        try:
            run(need("mcopy", "mtools"), "-n", "-i", where, f"::/{name}", goal,
                environment={"MTOOLS_SKIP_CHECK": "1"})  # fmt: skip
        except ImageFailed as failed:
            raise OSError(str(failed)) from None
        return goal

    @contextmanager
    def opened(self, slot: Slot, *, writable: bool = False) -> Iterator[Path]:
        """A folder with the slot's boot state. Raises OSError."""
        assert not writable
        with TemporaryDirectory(dir=self.disk.parent) as folder:
            self.file(slot, BOOT_STATE, Path(folder) / BOOT_STATE)
            yield Path(folder)


@dataclass(frozen=True, slots=True)
class Judge:
    """Knows the versions that a disk may hold."""

    layout: Layout
    programs: Path
    versions: tuple[Version, ...]

    def started(self, disk: Path) -> Started:
        """What the disk would start. Raises NothingWhole."""
        slot = self._slot(disk)
        for version in self.versions:
            if self._has_root(disk, slot, version.root) and self._has_kernel(disk, slot, version):
                return Started(slot.name, version.name)
        raise NothingWhole(f"slot {slot.name} would start, and holds no whole version")

    def _slot(self, disk: Path) -> Slot:
        """The slot of EFI Boot Guard's choice (its docs/UPDATE.md).

        It is the highest revision; a slot that is still on trial when the box starts has failed.
        """
        states = BootStates(BootPartitionsOf(disk, self.layout), Slot("a"), self.programs)
        able = {
            state.revision: Slot(name)
            for name in SLOTS
            if (state := states.read(Slot(name))) and state.starts and state.state != "TESTING"
        }
        if not able:
            raise NothingWhole("no slot would start")
        return able[max(able)]

    def _has_root(self, disk: Path, slot: Slot, root: Path) -> bool:
        with disk.open("rb") as there, root.open("rb") as wanted:
            there.seek(self.layout.offset(slot.root))
            while piece := wanted.read(_PIECE):
                if there.read(len(piece)) != piece:
                    return False
        return True

    def _has_kernel(self, disk: Path, slot: Slot, version: Version) -> bool:
        with TemporaryDirectory(dir=disk.parent) as folder:
            kernel = Path(folder) / "kernel"
            try:
                BootPartitionsOf(disk, self.layout).file(slot, slot.kernel, kernel)
            except OSError:
                return False
            return _digest(kernel) == _digest(version.kernels[slot.name])


def _digest(file: Path) -> bytes:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()
