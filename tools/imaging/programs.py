"""Other people's programs: run them, and say well what went wrong."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


class ImageFailed(Exception):
    """The image cannot be made; the text says what failed and what to do."""


class ProgramAbsent(ImageFailed):
    """A program or file of another Debian package is needed and not there."""


def need(program: str, package: str) -> str:
    """The path of `program`. Raises ProgramAbsent, which names the Debian package to install."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise ProgramAbsent(f"{program} is missing; please run: sudo apt-get install {package}")
    return found


def need_file(path: Path, package: str) -> Path:
    """`path`, which exists. Raises ProgramAbsent, which names the Debian package to install."""
    if not path.exists():
        raise ProgramAbsent(f"{path} is missing; please run: sudo apt-get install {package}")
    return path


def run(
    *command: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    text: bytes | None = None,
    silent: bool = False,
) -> str:
    """Run a command to its end and return what it printed.

    `environment` adds to this process's own, `text` is what it reads. Raises ImageFailed with the
    last lines of what the command said, errors included, if it ends with another status than 0;
    with `silent`, also if it says anything about errors.
    """
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        cwd=folder,
        env={**_own_environment(), **(environment or {})},
        input=text,
    )
    output = done.stdout.decode(errors="replace")
    if done.returncode or (silent and done.stderr):
        said = (output + done.stderr.decode(errors="replace")).splitlines()[-20:]
        raise ImageFailed(f"{command[0]} ended with {done.returncode}:\n" + "\n".join(said))
    return output


def _own_environment() -> dict[str, str]:
    """This process's, without a date for what is built: an image's date is its commit's."""
    return {name: text for name, text in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
