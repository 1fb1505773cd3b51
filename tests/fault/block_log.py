"""What a disk was told, in order, and the disks that a power cut may leave behind.

The model is that of every block device with a cache: what was written before a flush is on the
medium when the flush is done; of what was written since then, any part may be, in any order. A
sector of 512 bytes is written as a whole or not at all.
"""

import mmap
import os
import random
import struct
import subprocess
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Final

SECTOR: Final = 512
PAGE: Final = 4096

_ENTRY: Final = struct.Struct("<QII")
"""Offset on the disk, length of the data that follow, and what it is."""
_WRITE, _FLUSH = 1, 2


class Writer:
    """Appends to a log. Its size is the position at which the disk is now."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, offset: int, data: memoryview) -> None:
        """Log a write that is done."""
        os.writev(self._file, [_ENTRY.pack(offset, len(data), _WRITE), data])

    def flush(self) -> None:
        """Log a flush that is done."""
        os.write(self._file, _ENTRY.pack(0, 0, _FLUSH))


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes written at an offset of the disk."""

    offset: int
    data: memoryview

    def pieces(self, size: int) -> list["Write"]:
        """The same in parts that end at multiples of `size`."""
        bounds = [
            self.offset,
            *range((self.offset // size + 1) * size, self.offset + len(self.data), size),
            self.offset + len(self.data),
        ]
        return [
            Write(begin, self.data[begin - self.offset : end - self.offset])
            for begin, end in pairwise(bounds)
        ]


@dataclass(frozen=True, slots=True)
class Cut:
    """A power cut: when, and what becomes of what was not flushed.

    issued: how many entries of the log came before it
    fate: what is kept of the writes since the last flush, see `Fate`
    seed: of the chance that decides
    """

    issued: int
    fate: str = "kept"
    seed: int = 0


FATES: Final = ("lost", "some", "most", "pages", "sectors")
"""All lost; each write with probability 1/2, or 9/10; the same of each page, or sector."""


class BlockLog:
    """A recorded log, over the disk as it was at its beginning."""

    def __init__(self, image: Path, log: Path) -> None:
        self._image = image
        with log.open("rb") as file:
            self._bytes = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self._ends: list[int] = []
        self.entries: list[Write | None] = []
        """None is a flush."""
        self.flushes: list[int] = []
        """How many entries there are up to and with each flush."""
        for end, entry in _entries(self._bytes):
            self._ends.append(end)
            self.entries.append(entry)
            if entry is None:
                self.flushes.append(len(self.entries))

    def issued(self, position: int) -> int:
        """How many entries were complete when the log had that size."""
        return bisect_right(self._ends, position)

    def contains(self, marks: Sequence[bytes]) -> set[bytes]:
        """Those of `marks` that were written at some time."""
        whole = bytes(self._bytes)
        return {mark for mark in marks if mark in whole}

    def disks(self, cuts: Sequence[Cut], folder: Path) -> Iterator[tuple[Cut, Path]]:
        """The disk that each cut leaves behind, in the order of time, for as long as it is asked.

        They are files in `folder`.
        """
        durable, disk = folder / "durable", folder / "disk"
        _copy(self._image, durable)
        done = 0
        with durable.open("r+b", buffering=0) as file:
            for cut in sorted(cuts, key=lambda cut: cut.issued):
                flushed = self._last_flush(cut.issued)
                _apply(file, self.entries[done:flushed])
                done = flushed
                disk.unlink(missing_ok=True)
                _copy(durable, disk)
                with disk.open("r+b", buffering=0) as left:
                    _apply(left, self._survivors(cut, flushed))
                yield cut, disk

    def random_cuts(self, count: int, moments: Sequence[int], seed: int) -> list[Cut]:
        """Cuts at any moment, half of them at one of `moments`, of every fate."""
        chance = random.Random(seed)
        return [
            Cut(
                chance.choice(moments) if number % 2 else chance.randint(1, len(self.entries)),
                FATES[number // 2 % len(FATES)],
                chance.getrandbits(32),
            )
            for number in range(count)
        ]

    def _last_flush(self, issued: int) -> int:
        before = bisect_right(self.flushes, issued)
        return self.flushes[before - 1] if before else 0

    def _survivors(self, cut: Cut, flushed: int) -> list[Write]:
        """What is kept of the writes that were not flushed. Later ones over earlier ones."""
        writes = [entry for entry in self.entries[flushed : cut.issued] if entry is not None]
        chance = random.Random(cut.seed)
        if cut.fate == "kept":
            return writes
        if cut.fate in ("pages", "sectors"):
            size = PAGE if cut.fate == "pages" else SECTOR
            writes = [piece for write in writes for piece in write.pieces(size)]
        keep = {"lost": 0.0, "most": 0.9}.get(cut.fate, 0.5)
        return [write for write in writes if chance.random() < keep]


def _entries(log: memoryview) -> Iterator[tuple[int, Write | None]]:
    at = 0
    while at < len(log):
        offset, length, kind = _ENTRY.unpack_from(log, at)
        begin, at = at + _ENTRY.size, at + _ENTRY.size + length
        yield at, None if kind == _FLUSH else Write(offset, log[begin:at])


def _apply(disk: FileIO, entries: Iterable[Write | None]) -> None:
    for entry in entries:
        if entry is not None:
            os.pwrite(disk.fileno(), entry.data, entry.offset)


def _copy(source: Path, goal: Path) -> None:
    """Copy a file, and not its holes."""
    subprocess.run(["cp", "--sparse=auto", source, goal], check=True)
