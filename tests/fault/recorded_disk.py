"""A disk that writes down what is done to it: a block device whose every write and flush is logged.

    python -m tests.fault.recorded_disk IMAGE LOG MOUNT-POINT FLUSH-SECONDS

A file system of one file, in user space: MOUNT-POINT, a regular file, shows a copy of IMAGE held in
memory. A loop device on it passes on every write before it reports it as done, and every flush as
an fsync, so LOG (see `block_log`) holds both in the order in which the disk would have seen them.
Each flush takes FLUSH-SECONDS before it is logged, as on a disk: an answer that does not wait for
it is then seen to come before it. It ends when MOUNT-POINT is unmounted.

The kernel's side of the protocol is `linux/fuse.h`, version 7.31.
"""

import ctypes
import errno
import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.fault.block_log import Writer
from tools.hospital.peers import program

_LARGEST_WRITE: Final = 1 << 20
_PAGE: Final = os.sysconf("SC_PAGESIZE")
_ROOT: Final = 1
_VALID: Final = 3600
"""Seconds for which the kernel may believe what it was told of the file."""

_IN: Final = struct.Struct("<IIQQIIIHH")
_OUT: Final = struct.Struct("<IiQ")
_ATTRIBUTES: Final = struct.Struct("<QQQQQQIIIIIIIIII")
_RANGE: Final = struct.Struct("<QQIIQII")
"""Of a read or a write: handle, offset, size, flags, lock owner, flags, padding."""

_GETATTR, _SETATTR, _OPEN, _READ, _WRITE, _STATFS = 3, 4, 14, 15, 16, 17
_RELEASE, _FSYNC, _FLUSH, _INIT, _DESTROY = 18, 20, 25, 26, 38
_FORGET, _INTERRUPT, _BATCH_FORGET = 2, 36, 42
_UNANSWERED: Final = frozenset({_FORGET, _INTERRUPT, _BATCH_FORGET})
_DIRECT_IO: Final = 1
"""Of an open file: the kernel keeps no copy of it."""
_MAX_PAGES: Final = 1 << 22
_BIG_WRITES: Final = 1 << 5
_NEW_MOUNTS: Final = 0x20000
"""CLONE_NEWNS of unshare(2)."""
_SLAVES: Final = 1 << 19 | 1 << 14
"""MS_SLAVE and MS_REC of mount(2)."""


class _Server:
    """Answers the kernel's requests, one after the other."""

    def __init__(self, device: int, disk: bytearray, log: Writer, flush_seconds: float) -> None:
        self._device = device
        self._disk = disk
        self._log = log
        self._flush_seconds = flush_seconds

    def run(self) -> None:
        """Serve until the file system is unmounted."""
        while True:
            try:
                request = os.read(self._device, _LARGEST_WRITE + _PAGE)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                raise
            _, operation, number, *_ = _IN.unpack_from(request)
            if operation in _UNANSWERED:
                continue
            failed, answer = self._answer(operation, memoryview(request)[_IN.size :])
            os.writev(self._device, [_OUT.pack(_OUT.size + len(answer), -failed, number), answer])

    def _answer(self, operation: int, body: memoryview) -> tuple[int, bytes]:
        """The errno, 0 if it went well, and the body of the answer."""
        if operation == _WRITE:
            _, offset, size, *_ = _RANGE.unpack_from(body)
            data = body[_RANGE.size : _RANGE.size + size]
            self._disk[offset : offset + size] = data
            self._log.write(offset, data)
            return 0, struct.pack("<II", size, 0)
        if operation == _READ:
            _, offset, size, *_ = _RANGE.unpack_from(body)
            return 0, bytes(self._disk[offset : offset + size])
        if operation == _FSYNC:
            time.sleep(self._flush_seconds)
            self._log.flush()
            return 0, b""
        if operation in (_GETATTR, _SETATTR):
            return 0, struct.pack("<QII", _VALID, 0, 0) + self._attributes()
        if operation == _INIT:
            return 0, _agreement(body)
        if operation == _OPEN:
            return 0, struct.pack("<QIi", 0, _DIRECT_IO, 0)
        if operation in (_RELEASE, _FLUSH, _DESTROY):
            return 0, b""
        return errno.ENOSYS, b""

    def _attributes(self) -> bytes:
        size = len(self._disk)
        mode = stat.S_IFREG | 0o600
        times = (0,) * 6
        return _ATTRIBUTES.pack(_ROOT, size, size // 512, *times, mode, 1, 0, 0, 0, _PAGE, 0)


def _agreement(body: memoryview) -> bytes:
    """The answer to INIT: what both sides can do."""
    _, _, readahead, flags = struct.unpack_from("<IIII", body)
    return struct.pack(
        "<IIIIHHIIHHI28x",
        *(7, 31, readahead, flags & (_MAX_PAGES | _BIG_WRITES), 0, 0),
        *(_LARGEST_WRITE, 1, _LARGEST_WRITE // _PAGE, 0, 0),
    )


def serve(image: Path, log: Path, point: Path, flush_seconds: float) -> None:
    """Serve a copy of `image` as `point` until that is unmounted. Raises OSError."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=100600,user_id={os.getuid()},group_id={os.getgid()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"recorded-disk", bytes(point), b"fuse", 0, options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot be mounted: {os.strerror(number)}", str(point))
    print("mounted", flush=True)
    _Server(device, bytearray(image.read_bytes()), Writer(log), flush_seconds).run()


class CannotRecord(Exception):
    """This machine, or this user, cannot make a recorded disk; the text says why."""


def keep_mounts_private() -> None:
    """From now on, let nobody else see what this thread, and what it starts, mounts.

    Whoever makes a mount namespace of his own, as sandboxes do, gets a copy of every mount that he
    sees, and keeps it: a disk would stay mounted, and the next one in its place be ignored.
    Raises `CannotRecord`.
    """
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise CannotRecord("a recorded disk needs root and /dev/fuse")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS) or libc.mount(b"none", b"/", None, _SLAVES, None):
        raise CannotRecord(f"no mount namespace: {os.strerror(ctypes.get_errno())}")


@contextmanager
def recorded_disk(image: Path, log: Path, flush_seconds: float = 0.0005) -> Iterator[Path]:
    """A recorded disk that is a copy of `image`, as a file. Raises `CannotRecord`."""
    log.touch()
    point = image.with_name("recorded-disk")
    point.touch()
    command = [sys.executable, "-m", "tests.fault.recorded_disk", image, log, point, flush_seconds]
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with ExitStack() as stack:
        stack.callback(server.stdout.close)
        stack.callback(server.wait, 10)
        said = server.stdout.readline()
        if said != "mounted\n":
            raise CannotRecord("the file system of a recorded disk cannot be mounted")
        stack.callback(unmount, point)
        yield point


def make_file_system(image: Path, size: int) -> None:
    """Make a file system like that of the data partition; `size` in bytes."""
    image.touch()
    os.truncate(image, size)
    # What mkfs leaves to be zeroed later would be written among what is looked at.
    extended = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    command = ["-q", "-b", "4096", "-m", "0", "-i", "16384", "-J", "size=8", "-E", extended]
    subprocess.run([program("mkfs.ext4"), *command, image], check=True)


@contextmanager
def mounted(disk: Path, folder: Path) -> Iterator[Path]:
    """The file system in `disk`, mounted as the data partition is. Raises `CannotRecord`."""
    options = "loop,noatime,errors=remount-ro"
    done = subprocess.run(
        [program("mount"), "-t", "ext4", "-o", options, disk, folder],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise CannotRecord(f"a loop device cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        unmount(folder)


def unmount(point: Path, seconds: float = 20) -> None:
    """Unmount what is mounted there; a process that was killed may need a moment to go."""
    end = time.monotonic() + seconds
    command = [program("umount"), str(point)]
    while (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        if time.monotonic() > end:
            subprocess.run([*command, "--lazy"], check=False)
            raise AssertionError(f"{point} is still in use: {done.stderr.strip()}")
        time.sleep(0.05)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
