"""What a box in QEMU writes to its disk, in order: for the cuts of `tests.fault.block_log`."""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.fault.block_log import SECTOR, BlockLog, Writer

_SUPER: Final = struct.Struct("<QQQI")
"""Magic, version, number of entries, size of a sector (QEMU, block/blklogwrites.c)."""
_MAGIC: Final = 0x6A736677736872
_ENTRY: Final = struct.Struct("<QQQQ")
"""First sector, number of sectors, flags, length of data that say what a mark is."""
_FLUSH, _DISCARD = 1, 4


def recorded(disk: Path, log: Path) -> str:
    """QEMU's `-drive` for a disk whose every write and flush is written to `log`, a new file."""
    log.touch(exist_ok=False)
    nodes = [
        f"{node}.{option}"
        for node, file in (("file", disk), ("log", log))
        for option in ("driver=raw", "file.driver=file", f"file.filename={file}")
    ]
    return ",".join(["if=none,id=disk,driver=blklogwrites", *nodes])


def block_log(base: Path, log: Path) -> BlockLog:
    """The log of a machine that has ended, over its disk as it was in the beginning."""
    told = log.with_suffix(".told")
    writer = Writer(told)
    with log.open("rb") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    for offset, data in _writes(whole):
        if data is None:
            writer.flush()
        else:
            writer.write(offset, data)
    return BlockLog(base, told)


def _writes(log: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Offset and data of each write; None for a flush. What was discarded may stay as it was."""
    magic, version, entries, size = _SUPER.unpack_from(log)
    if (magic, version, size) != (_MAGIC, 1, SECTOR):
        raise ValueError(f"no log of writes: {magic:#x}, version {version}, sectors of {size}")
    at = SECTOR
    for _ in range(entries):
        sector, sectors, flags, _length = _ENTRY.unpack_from(log, at)
        at += SECTOR
        if flags & _FLUSH:
            yield 0, None
        if flags & _DISCARD or not sectors:
            continue
        yield sector * SECTOR, log[at : at + sectors * SECTOR]
        at += sectors * SECTOR
