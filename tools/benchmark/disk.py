"""What the disk allows: files made durable by threads that do nothing else."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def durable_rate(folder: Path, files: list[Path], threads: int) -> float:
    """Files a second that `threads` write as the box must: fdatasync, rename, directory fsync."""
    contents = [file.read_bytes() for file in files]

    def share(first: int) -> None:
        for number in range(first, len(contents), threads):
            _write(folder / f"{number:05d}", contents[number])

    os.sync()
    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(share, range(threads)))
    return len(contents) / (time.monotonic() - began)


def _write(final: Path, content: bytes) -> None:
    temporary = final.with_suffix(".part")
    with temporary.open("wb", buffering=0) as file:
        file.write(content)
        os.fdatasync(file.fileno())
    temporary.rename(final)
    folder = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
