"""The few ways in which provisioning changes a folder, so that a test can stop after each."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


class Disk:
    """Changes of a folder. All raise OSError."""

    def make_folder(self, path: Path, mode: int) -> None:
        """mkdir(2), with exactly this mode."""
        os.mkdir(path, mode)
        os.chmod(path, mode)

    def write(self, path: Path, data: bytes, mode: int) -> None:
        """Write a new file, durably; its name lasts once its folder is synced."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)

    def link(self, path: Path, target: str) -> None:
        """symlink(2)."""
        os.symlink(target, path)

    def rename(self, old: Path, new: Path) -> None:
        """rename(2): `new` is replaced."""
        os.rename(old, new)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def own(self, path: Path, group: int) -> None:
        """Give a file or folder to a group, where we may."""
        with suppress(PermissionError):
            os.chown(path, -1, group)

    def remove(self, path: Path) -> None:
        """Remove a file, a link or a whole folder, if it is there."""
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path)
