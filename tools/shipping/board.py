"""One board, built by Buildroot: configured, made, and asked what it is made of."""

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.architecture import Architecture
from tools.imaging.programs import ImageFailed, run

REPOSITORY = Path(__file__).parents[2]
EXTERNAL = REPOSITORY / "buildroot"

_STEP = re.compile(r">>> (\S*) (\S*) ([^\x1b]+)")
"""Buildroot's own messages: package, version and step; the last steps are of no package."""


@dataclass(frozen=True, slots=True)
class Board:
    """A board, as Buildroot builds it."""

    architecture: Architecture
    buildroot: Path
    """Buildroot's checkout; nothing is written into it."""
    output: Path
    """Buildroot's output folder for this board: some 15 GB."""
    downloads: Path
    """Where sources are kept, for every board."""
    keyring: Path
    """Who certifies those whose updates its boxes take."""
    time: int
    """The date of everything, in seconds since 1970."""

    @property
    def images(self) -> Path:
        """What Buildroot's last step leaves."""
        return self.output / "images"

    @property
    def host(self) -> Path:
        """Programs for this machine that Buildroot made."""
        return self.output / "host"

    @property
    def environment(self) -> dict[str, str]:
        """What Buildroot and our scripts that it calls read."""
        return {
            "BR2_DL_DIR": str(self.downloads),
            "NETTY_KEYRING": str(self.keyring),
            "SOURCE_DATE_EPOCH": str(self.time),
            # Packages of GNU refuse to be configured by root; containers have nobody else.
            "FORCE_UNSAFE_CONFIGURE": "1",
        }

    def configure(self) -> None:
        """Begin with our configuration. Raises ImageFailed."""
        self.output.mkdir(parents=True, exist_ok=True)
        self.ask(f"BR2_EXTERNAL={EXTERNAL}", f"netty_{self.architecture.machine}_defconfig")
        # Buildroot does not notice by itself that our sources have changed.
        if any((self.output / "build").glob("netty-appliance-*")):
            self.ask("netty-appliance-dirclean")

    def ask(self, *targets: str) -> str:
        """Make targets, and return what they print. Raises ImageFailed."""
        return run(*self._make("--silent", *targets), environment=self.environment)

    def make(self, say: Callable[[str], None]) -> None:
        """Make everything, telling each package. What make says is kept in `make.log`.

        Raises ImageFailed with its last lines if it fails.
        """
        packages = self.ask("show-build-order").split()
        log = self.output / "make.log"
        with (
            log.open("w") as file,
            subprocess.Popen(
                self._make(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, **self.environment},
            ) as process,
        ):
            assert process.stdout is not None
            for line in begun(_copied(process.stdout, file.write), packages):
                say(f"{self.architecture.machine}: {line}")
        if process.returncode:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
            raise ImageFailed(f"make ended with {process.returncode} ({log}):\n{last}")

    def _make(self, *arguments: str) -> list[str]:
        return ["make", "-C", str(self.buildroot), f"O={self.output}", *arguments]


def _copied(lines: Iterable[str], write: Callable[[str], object]) -> Iterator[str]:
    for line in lines:
        write(line)
        yield line


def begun(lines: Iterable[str], packages: Iterable[str]) -> Iterator[str]:
    """Of what make prints, each package that it begins with: which of how many, name, version.

    Steps of no package follow when all are there: what makes root and disk of them.
    """
    waiting = dict.fromkeys(packages)
    total = len(waiting)
    for line in lines:
        match _STEP.search(line):
            case re.Match() as found if not found[1]:
                yield found[3].strip()
            case re.Match() as found if found[1] in waiting:
                del waiting[found[1]]
                yield f"{total - len(waiting)} of {total}: {found[1]} {found[2]}".rstrip()
