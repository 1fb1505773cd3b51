"""The memory of a process and all that it started."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


def tree(root: int) -> list[int]:
    """`root` and its descendants, by process id."""
    found = [root]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def memory(root: int) -> int:
    """Bytes of memory of the tree: proportional set size, so that shared pages count once."""
    return sum(map(_proportional, tree(root)))


def _proportional(process: int) -> int:
    with suppress(OSError):
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        return int(found[1]) << 10 if found else 0
    return 0  # it ended meanwhile


@dataclass(slots=True)
class Peak:
    """The largest memory seen."""

    bytes: int = 0


@contextmanager
def watched(root: int, every: float = 0.02) -> Iterator[Peak]:
    """Look at the memory of the tree again and again while the block runs."""
    peak, ended = Peak(), threading.Event()

    def look() -> None:
        while not ended.is_set():
            peak.bytes = max(peak.bytes, memory(root))
            ended.wait(every)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield peak
    finally:
        ended.set()
        looking.join()
