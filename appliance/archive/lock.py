"""The mark of the one process that writes an archive."""

import fcntl
import os
import weakref
from pathlib import Path
from typing import Self

from appliance.archive.records import CatalogueInUse


class WriterLock:
    """An exclusive flock on the archive's lock file, which holds the owner's process id.

    The kernel gives it up when the process ends, however it ends.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _close_in_forked_children(self)

    @classmethod
    def take(cls, path: Path) -> Self:
        """Takes the lock, or raises `CatalogueInUse` naming the process that has it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise CatalogueInUse(
                f"{path}: process {owner or '(number not known yet)'} is writing to this archive; "
                "stop it first, or give this one another data folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Gives the lock up; may be called again."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)  # Not LOCK_UN: that would take it from the parent of a fork too.


def owner(path: Path) -> int | None:
    """The process that has the lock `path`; None if it has ended, or there never was one."""
    try:
        process = int(path.read_bytes())
        os.kill(process, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    except PermissionError:  # Another user's, but there.
        pass
    return process


def _close_in_forked_children(lock: WriterLock) -> None:
    """A forked child shares the lock, and would keep it alive after its parent was killed."""
    reference = weakref.ref(lock)

    def close() -> None:
        inherited = reference()
        if inherited is not None:
            inherited.release()

    os.register_at_fork(after_in_child=close)
