"""Files that last: names made from UIDs, and writes that survive a power cut.

Layout below the data folder; every name is made of UIDs that de-identification wrote, so none of
them says anything about a patient::

    dicom/<study>/<series>/<instance>.dcm
    images/<study>/<series>/<instance>.jpg         single frame
    images/<study>/<series>/<instance>.0001.jpg    frame 1 of several
    images/<study>/<series>/<instance>.webp        the animation of several frames
    images/<study>/<series>/<state>.0001.jpg       the first picture of a presentation state
    quarantine/                                    files that nobody could make sense of
    catalogue.sqlite  requests.sqlite  lock  vouched-time
"""

import os
import random
import re
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

DICOM_SUFFIX: Final = ".dcm"
PICTURE_SUFFIXES: Final = (".jpg", ".png", ".webp")
ANIMATION_SUFFIX: Final = ".webp"
PART_SUFFIX: Final = ".part"

# A leading digit is what keeps "." and ".." out, and our hidden temporary names apart.
_UID: Final = re.compile(r"[0-9][0-9.]{0,63}")
_IOV_MAX: Final = os.sysconf("SC_IOV_MAX") if os.sysconf("SC_IOV_MAX") > 0 else 1024
_FILE_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750
_ATTEMPTS: Final = 16

Buffer = bytes | bytearray | memoryview


class UnusableUID(ValueError):
    """A UID that must not become a file name: empty, too long, or with other than digits and dots.

    UIDs hold digits and dots, at most 64 of them (PS3.5 Section 9.1).
    """


def is_uid(name: str) -> bool:
    """Whether `name` is a UID that is safe as a file name.

    Leading zeros in a component are let through: they are wrong, common, and harmless here.
    """
    return _UID.fullmatch(name) is not None


def checked_uid(uid: str) -> str:
    """`uid` itself, if it is safe as a file name; raises `UnusableUID`."""
    if not is_uid(uid):
        raise UnusableUID(
            f"{uid!r} cannot be a UID: expected 1 to 64 digits and dots, beginning with a digit"
        )
    return uid


def picture_name(instance: str, frame: int | None, suffix: str) -> str:
    """The name of a picture's file; `frame` counts from 1, or is None if it is of the whole.

    `suffix` is one of `PICTURE_SUFFIXES`. Raises `UnusableUID`, or ValueError.
    """
    if suffix not in PICTURE_SUFFIXES:
        raise ValueError(f"suffix {suffix!r}: expected one of {', '.join(PICTURE_SUFFIXES)}")
    if frame is not None and frame < 1:
        raise ValueError(f"frame {frame}: frames are counted from 1")
    number = "" if frame is None else f".{frame:04d}"
    return f"{checked_uid(instance)}{number}{suffix}"


class Folders:
    """Where things lie below one data folder."""

    __slots__ = (
        "_dicom",
        "_images",
        "catalogue",
        "data",
        "dicom",
        "images",
        "lock",
        "quarantine",
        "requests",
        "vouched_time",
    )

    def __init__(self, data: Path) -> None:
        self.data = data
        self.dicom = data / "dicom"
        self.images = data / "images"
        self.quarantine = data / "quarantine"
        self.catalogue = data / "catalogue.sqlite"
        self.requests = data / "requests.sqlite"
        self.lock = data / "lock"
        self.vouched_time = data / "vouched-time"
        self._dicom = str(self.dicom)
        self._images = str(self.images)

    def prepare(self) -> None:
        """Creates the folders, durably. Raises OSError."""
        created: set[Path] = set()
        for folder in (self.dicom, self.images):
            created.update(make_folders(folder))
        sync_directories(created)

    def dicom_file(self, study: str, series: str, instance: str) -> Path:
        """The DICOM file of an instance. Raises `UnusableUID`."""
        return Path(
            f"{self._dicom}/{checked_uid(study)}/{checked_uid(series)}"
            f"/{checked_uid(instance)}{DICOM_SUFFIX}"
        )

    def picture(
        self, study: str, series: str, instance: str, frame: int | None, suffix: str
    ) -> Path:
        """A picture of an instance, named as `picture_name` says."""
        return Path(
            f"{self._images}/{checked_uid(study)}/{checked_uid(series)}"
            f"/{picture_name(instance, frame, suffix)}"
        )


class PendingFile:
    """A file that does not exist under its name before it is whole.

    Bytes go to a temporary name beside the final one. `settle` makes them durable and gives them
    the final name; the *name* lasts once the directories that `settle` returns are fsynced (the
    catalogue does that, once for all files that wait for it). Used as a context manager, what was
    not settled is discarded.
    """

    __slots__ = ("_created", "_descriptor", "_final", "_temporary", "size")

    def __init__(
        self, final: Path, temporary: str, descriptor: int, created: tuple[Path, ...]
    ) -> None:
        self._final = final
        self._temporary = temporary
        self._descriptor = descriptor
        self._created = created
        self.size = 0
        """Bytes written so far."""

    @classmethod
    def create(cls, final: Path, folder: Path | None = None) -> Self:
        """Opens a temporary file for `final`, creating folders as needed. Raises OSError.

        It lies in `folder`, which must be on the same file system; beside `final` if none is given.
        """
        folder, name = folder or final.parent, final.name
        temporary = f"{folder}/.{name}.{random.getrandbits(64):016x}{PART_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        created: tuple[Path, ...] = ()
        for _ in range(_ATTEMPTS):
            try:
                return cls(final, temporary, os.open(temporary, flags, _FILE_MODE), created)
            except FileNotFoundError:
                # Also when the folder goes between mkdir and open: retention takes empty ones away.
                created += make_folders(folder)
        return cls(final, temporary, os.open(temporary, flags, _FILE_MODE), created)

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Appends `buffers`, however little of them the kernel takes at a time. Raises OSError."""
        for start in range(0, len(buffers), _IOV_MAX):
            self._write_some(buffers[start : start + _IOV_MAX])

    def amend(self, at: int, content: Buffer) -> None:
        """Writes over what is `at` bytes from the start, which must be there. Raises OSError."""
        os.pwrite(self._descriptor, content, at)

    def settle(self) -> tuple[Path, ...]:
        """Makes the content durable and gives the file its final name.

        Returns the directories that must be fsynced for that name to last: the file's own, and
        those in which folders were created for it. On failure nothing is left behind, and OSError
        is raised.
        """
        try:
            os.fdatasync(self._descriptor)
            self._close()
            os.rename(self._temporary, self._final)
        except OSError:
            self.discard()
            raise
        self._temporary = ""
        own = self._final.parent
        return (own, *(folder for folder in dict.fromkeys(self._created) if folder != own))

    def discard(self) -> None:
        """Closes and removes the temporary file. Never raises; does nothing once settled."""
        with suppress(OSError):  # The content is of no interest any more.
            self._close()
        if self._temporary:
            with suppress(OSError):  # Recovery takes away what cannot go now.
                os.unlink(self._temporary)
            self._temporary = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def _write_some(self, buffers: Sequence[Buffer]) -> None:
        expected = sum(map(_bytes, buffers))
        written = os.writev(self._descriptor, buffers)
        self.size += written
        while written < expected:
            buffers = _rest(buffers, written)
            expected -= written
            written = os.writev(self._descriptor, buffers)
            self.size += written

    def _close(self) -> None:
        if self._descriptor >= 0:
            # After close, even a failed one, the number may already be someone else's file.
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class _Flushes:
    """The fsyncs of one directory, counted, and how many threads care about them."""

    __slots__ = ("begun", "ended", "turn", "users")

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.turn = threading.Lock()
        self.users = 0


class DurableNames:
    """Makes names below one root last. For any thread.

    The entry of a file is durable when its directory is fsynced, but the entry of that directory
    lies in its parent. So the first time that a directory is met, its parents up to the root are
    fsynced too: another thread may have created it just now, and not synced yet.

    Threads that wait for the same directory share one fsync, which begins after the last of them
    came.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._anchored: set[str] = set()
        self._flushes: dict[str, _Flushes] = {}
        self._lock = threading.Lock()

    def sync(self, directories: Iterable[Path]) -> None:
        """Makes what was renamed or created in `directories` last. Raises OSError."""
        synced: set[str] = set()
        for directory in map(str, directories):
            for path in self._chain(directory):
                if path not in synced:
                    self._flush(path)
                    synced.add(path)
            self._anchored.add(directory)

    def forget(self, directory: Path) -> None:
        """To be told when a directory goes: a new one of that name must be anchored anew."""
        self._anchored.discard(str(directory))

    def _chain(self, directory: str) -> Iterable[str]:
        yield directory
        below = self._root + "/"
        while directory not in self._anchored and directory.startswith(below):
            directory = os.path.dirname(directory)
            yield directory

    def _flush(self, path: str) -> None:
        with self._lock:
            flushes = self._flushes.setdefault(path, _Flushes())
            flushes.users += 1
            wanted = flushes.begun + 1
        try:
            with flushes.turn:
                if flushes.ended < wanted:
                    flushes.begun += 1
                    _sync_directory(path)
                    flushes.ended = flushes.begun
        finally:
            with self._lock:
                flushes.users -= 1
                if not flushes.users:
                    del self._flushes[path]


def sync_directories(paths: Iterable[Path]) -> None:
    """Fsyncs each distinct directory once. Raises OSError."""
    for path in dict.fromkeys(paths):
        _sync_directory(path)


def _sync_directory(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> tuple[Path, ...]:
    """Creates `folder` and what is missing above it; returns the parents that got a new entry.

    Raises OSError.
    """
    try:
        os.mkdir(folder, _FOLDER_MODE)
    except FileExistsError:
        return ()
    except FileNotFoundError:
        return make_folders(folder.parent) + make_folders(folder)
    return (folder.parent,)


def _bytes(buffer: Buffer) -> int:
    return buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)


def _rest(buffers: Sequence[Buffer], written: int) -> list[Buffer]:
    """What is left of `buffers` after their first `written` bytes."""
    for index, buffer in enumerate(buffers):
        size = _bytes(buffer)
        if written < size:
            return [memoryview(buffer).cast("B")[written:], *buffers[index + 1 :]]
        written -= size
    return []
