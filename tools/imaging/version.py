"""Which version of the box an image is: from pyproject.toml and the commit."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.programs import run

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Version:
    """The version of an image."""

    number: str
    """As pyproject.toml has it."""
    commit: str
    """Its commit, with "-changed" behind it if the folder differs from that."""
    time: int
    """When that commit was made, in seconds since 1970: the date of everything in the image."""

    def os_release(self) -> str:
        """The content of os-release(5)."""
        return (
            'ID=netty\nNAME="netty box"\n'
            f'PRETTY_NAME="netty box {self.number}"\n'
            f"VERSION_ID={self.number}\nIMAGE_ID=netty\nIMAGE_VERSION={self.number}\n"
            f"BUILD_ID={self.commit}\n"
        )


def version_here() -> Version:
    """The version of this checkout. Raises ImageFailed outside of a Git repository."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    git = ("git", "-C", REPOSITORY)
    return Version(
        number=project["version"],
        commit=run(
            *git, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=-changed"
        ).strip(),
        time=int(run(*git, "log", "-1", "--format=%ct")),
    )
