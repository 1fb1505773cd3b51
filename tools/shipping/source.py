"""Buildroot itself: the pinned release, fetched once and checked, or a checkout that is given."""

import hashlib
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.programs import ImageFailed, need, run


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Buildroot."""

    version: str
    sha256: str
    """Of its `.tar.xz`."""

    @property
    def archive(self) -> str:
        """The name of its archive."""
        return f"buildroot-{self.version}.tar.xz"

    @property
    def address(self) -> str:
        """Where it is published."""
        return f"https://buildroot.org/downloads/{self.archive}"


RELEASE = Release(
    version="2025.02.16",
    sha256="15305e3d366eeaf4a5ecaf2ed42f685fd6af7fe5dbf1f62e1de5f46ee83225e2",
)
"""The long-term line that the tree is written for."""


def checkout(folder: Path) -> Path:
    """A checkout that is given. Raises ImageFailed if it is of another release than ours."""
    makefile = folder / "Makefile"
    if not makefile.exists() or f"BR2_VERSION := {RELEASE.version}\n" not in makefile.read_text():
        raise ImageFailed(
            f"{folder}: no checkout of Buildroot {RELEASE.version}; "
            f"please unpack {RELEASE.address} there, or leave it to this program"
        )
    return folder


def fetched(downloads: Path) -> Path:
    """The pinned release below `downloads`, fetched now if it is not there. Raises ImageFailed."""
    folder = downloads / f"buildroot-{RELEASE.version}"
    if not folder.exists():
        archive = downloads / RELEASE.archive
        if not archive.exists():
            _fetch(RELEASE.address, archive)
        verify(archive, RELEASE.sha256)
        with tempfile.TemporaryDirectory(dir=downloads, prefix=".unpacking-") as unpacking:
            run(need("tar", "tar"), "--extract", "--file", archive, "--directory", unpacking)
            (Path(unpacking) / folder.name).rename(folder)
    return checkout(folder)


def verify(archive: Path, sha256: str) -> None:
    """Remove an archive that is not what it should be, and raise ImageFailed."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        archive.unlink()
        raise ImageFailed(f"{archive.name}: its SHA-256 is {found}, not {sha256}; removed")


def _fetch(address: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        with urllib.request.urlopen(address, timeout=60) as answer, part.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, TimeoutError) as problem:
        raise ImageFailed(
            f"{address}: {problem}; where it cannot be reached, put {target.name} into "
            f"{target.parent}, or name a checkout: --buildroot DIR"
        ) from None
    os.replace(part, target)
