"""Trees of Debian packages, unpacked but not configured: nothing of theirs runs here.

`mmdebstrap --variant=extract` serves a foreign processor as well as our own. What maintainer
scripts would have done, `userland` does. The mirror is the one that this machine's own apt uses.
"""

import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.architecture import AMD64, Architecture
from tools.imaging.cache import Cache
from tools.imaging.programs import ImageFailed, need, run

SUITE = "trixie"
PYTHON = "3.13"
"""The suite's Python."""

APT_SOURCES = Path("/etc/apt")

_UNWANTED = ("man", "doc", "info", "locale", "lintian", "bug")
"""Folders below /usr/share that nothing on a box reads."""


def mirror(sources: Path = APT_SOURCES) -> str:
    """The address of the Debian mirror that this machine's apt uses.

    Raises ImageFailed if apt names none, as on another distribution.
    """
    for address in _addresses(sources):
        if re.search(r"/debian/?$", address):
            return address
    raise ImageFailed(
        f"no Debian mirror in {sources}: the image is built on Debian, "
        "with a line such as 'deb http://deb.debian.org/debian bookworm main' in sources.list"
    )


def _addresses(sources: Path) -> Iterable[str]:
    lists = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*.list"))]
    for file in filter(Path.exists, lists):
        yield from re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s", file.read_text(), re.MULTILINE)
    for file in sorted((sources / "sources.list.d").glob("*.sources")):
        for line in re.findall(r"^URIs:(.*)$", file.read_text(), re.MULTILINE):
            yield from line.split()


def unpacked(cache: Cache, name: str, architecture: Architecture, packages: Sequence[str]) -> Path:
    """A tar file of these packages and all that they depend on, for that processor."""
    command = [
        *(need("mmdebstrap", "mmdebstrap"), "--quiet", "--variant=extract", "--format=tar"),
        *(f"--architectures={architecture.debian}", f"--include={','.join(packages)}"),
        *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _UNWANTED),
    ]

    def make(path: Path) -> None:
        run(*command, SUITE, path, f"deb {mirror()} {SUITE} main")

    return cache.get(f"{name}-{architecture.debian}.tar", [SUITE, *command[1:]], make)


def unpack(tar: Path, folder: Path, *members: str) -> Path:
    """Unpack a tar file, or the `members` (patterns) of it, into `folder`, and return that."""
    folder.mkdir(parents=True, exist_ok=True)
    run("tar", "--extract", "--file", tar, "--directory", folder, "--exclude=./dev/*",
        "--no-same-owner", "--wildcards", *members)  # fmt: skip
    return folder


def trust_certificates(tree: Path) -> None:
    """Do what ca-certificates' maintainer script does: one file of all authorities."""
    authorities = sorted((tree / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    bundle = tree / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(authority.read_bytes() for authority in authorities))


@dataclass(frozen=True, slots=True)
class Native:
    """Runs programs out of an unpacked tree for x86-64, with the tree's own libraries.

    So the image's own Python compiles its bytecode and its own systemd reads its units, whatever
    this machine has, and nobody need be root.
    """

    tree: Path

    def run(self, program: str, *arguments: str | Path, silent: bool = False) -> str:
        """Run `program`, a path below the tree. Raises ImageFailed if it fails."""
        if platform.machine() != AMD64.machine:
            raise ImageFailed(f"images are built on {AMD64.machine}; this is {platform.machine()}")
        libraries = self.tree / "usr/lib/x86_64-linux-gnu"
        loader = self.tree / "usr/lib64/ld-linux-x86-64.so.2"
        where = f"{libraries}:{libraries / 'systemd'}"
        return run(
            *(loader, "--library-path", where, self.tree / program, *arguments),
            environment={"PYTHONHOME": str(self.tree / "usr"), "SYSTEMD_LOG_LEVEL": "warning"},
            silent=silent,
        )
