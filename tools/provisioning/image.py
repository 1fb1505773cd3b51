"""Images of sticks: FAT32, written and read without a mount and without root (mtools)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.provisioning.volume import Unsuitable, Volume

LABEL = "NETTY"
SIZE = 64 << 20
"""Bytes of an image: the least that FAT32 is made for, and plenty."""


class ImageFailed(Exception):
    """An image cannot be made or read; the text says what to do."""


def make_image(image: Path, folder: Path) -> None:
    """Make the image of a stick with everything in the root of `folder`. Raises ImageFailed."""
    with image.open("wb") as file:
        file.truncate(SIZE)
    _run("mkfs.vfat", "dosfstools", "-F", "32", "-n", LABEL, image)
    put(image, sorted(folder.iterdir()))


def put(image: Path, files: list[Path]) -> None:
    """Copy files into the root of an image, over those of the same names. Raises ImageFailed."""
    _run("mcopy", "mtools", "-o", "-i", image, *files, "::")


@contextmanager
def opened(stick: Path) -> Iterator[Path]:
    """Give the folder of a stick: itself, or a copy of what an image holds. Raises ImageFailed."""
    if stick.is_dir():
        yield stick
        return
    try:
        volume = Volume.on(stick)
    except Unsuitable as error:
        raise ImageFailed(f"{stick}: {error}; a stick has FAT32 or exFAT") from None
    if volume.file_system != "vfat":
        raise ImageFailed(f"{stick}: copy what is in it to a folder, and name that")
    with TemporaryDirectory() as copy:
        _run("mcopy", "mtools", "-s", "-n", "-i", stick, "::", copy)
        yield Path(copy)


def _run(program: str, package: str, *words: str | Path) -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    found = shutil.which(program, path=path)
    if found is None:
        raise ImageFailed(f"{program} is missing; please run: sudo apt-get install {package}")
    done = subprocess.run([found, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageFailed(f"{program}: {done.stderr.strip() or done.stdout.strip()}")
