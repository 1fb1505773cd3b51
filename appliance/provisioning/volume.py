"""The stick as a block device: which file system it has, and mounting it where nobody else looks.

Everything on it may be hostile. Only FAT and exFAT are mounted, by type and never by guessing, and
never with programs, devices or set-user-ID bits.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FileSystem = Literal["vfat", "exfat"]

_BOOT_SECTOR = 512
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_PROGRAMS, _SYNCHRONOUS = 1, 2, 4, 8, 16
"""Flags of mount(2)."""
_DETACH = 2
"""Flag of umount2(2): the mount goes even if the stick was pulled."""

_OTHERS = (
    # Where, what stands there, and what it is; a magic number as the kernel knows it.
    (3, b"NTFS    ", "NTFS"),
    (3, b"-FVE-FS-", "BitLocker"),
    (0x438, b"\x53\xef", "ext4, a file system of Linux"),
    (0, b"XFSB", "XFS, a file system of Linux"),
    (0x10040, b"_BHRfS_M", "Btrfs, a file system of Linux"),
    (32, b"NXSB", "APFS, a file system of macOS"),
    (0x400, b"H+", "HFS+, a file system of macOS"),
    (0x400, b"HX", "HFS+, a file system of macOS"),
    (0x8001, b"CD001", "ISO 9660, that of a CD"),
)
_FIRST_BYTES = 0x10040 + 8


class Unsuitable(Exception):
    """The volume is of a kind that is not read; the text names it."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A FAT or exFAT volume on a block device."""

    device: Path
    file_system: FileSystem

    @classmethod
    def on(cls, device: Path) -> Volume:
        """Return the volume of a device or an image. Raises Unsuitable, or OSError."""
        with device.open("rb") as file:
            return cls(device, file_system(file.read(_FIRST_BYTES)))

    @contextmanager
    def mounted(self, point: Path, *, writable: bool = False) -> Iterator[Path]:
        """Mount the volume for a while, read-only unless said otherwise. Raises OSError.

        The caller sees to it that it has a mount namespace of its own.
        """
        flags = _NO_SUID | _NO_DEVICES | _NO_PROGRAMS
        flags |= _SYNCHRONOUS if writable else _READ_ONLY
        point.mkdir(parents=True, exist_ok=True)
        mount(self.device, point, self.file_system, flags)
        try:
            yield point
        finally:
            unmount(point)


def file_system(start: bytes) -> FileSystem:
    """Return the file system that a volume begins with. Raises Unsuitable with what else it is."""
    if start[3:11] == b"EXFAT   ":
        return "exfat"
    for offset, magic, name in _OTHERS:
        if start[offset : offset + len(magic)] == magic:
            raise Unsuitable(name)
    if _is_fat(start[:_BOOT_SECTOR]):
        return "vfat"
    raise Unsuitable("no file system that is known here")


def _is_fat(sector: bytes) -> bool:
    """Whether this is the boot sector of a FAT volume, by what the Linux driver demands of it."""
    if len(sector) < _BOOT_SECTOR or sector[510:] != b"\x55\xaa":
        return False
    size, cluster = int.from_bytes(sector[11:13], "little"), sector[13]
    reserved, tables = int.from_bytes(sector[14:16], "little"), sector[16]
    return (
        sector[0] in (0xEB, 0xE9)
        and size in (512, 1024, 2048, 4096)
        and cluster > 0
        and cluster & (cluster - 1) == 0
        and reserved > 0
        and tables > 0
    )


def mount(device: Path, point: Path, kind: str, flags: int) -> None:
    """mount(2). Raises OSError."""
    paths = (os.fsencode(device), os.fsencode(point))
    _call("mount", *paths, kind.encode(), ctypes.c_ulong(flags), None)


def unmount(point: Path) -> None:
    """umount2(2), even of a stick that is gone. Raises OSError."""
    _call("umount2", os.fsencode(point), ctypes.c_int(_DETACH))


def _call(name: str, *arguments: bytes | ctypes.c_ulong | ctypes.c_int | None) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
