"""What a stick brings: finds netty.toml and what belongs to it, and copies that to memory.

A folder stands for the mounted stick. Nothing in it is trusted: neither names nor sizes nor kinds;
links are not followed. What somebody meant to be netty.toml, and is not, is named.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from appliance.settings.patients import LARGEST as LARGEST_PATIENTS
from appliance.settings.patients import NAME as PATIENTS
from appliance.settings.problems import Problem, Problems
from appliance.settings.source import LARGEST as LARGEST_SETTINGS

SETTINGS = "netty.toml"
SIGNATURE = "netty.toml.sig"

RESULT = "netty-result-"
"""What the names of answers begin with."""
_OF_UPDATES = ("netty-update-", "netty-reset.")
"""What the names of files begin with that `updates` puts on sticks and takes from them."""

LARGEST_SIGNATURE = 4096
"""Bytes of a signature file that are read; one key takes some 200."""

_MOST_NAMES = 4096
"""Names in the root of a stick that are looked at."""
_MOST_FOLDERS = 64
"""Folders in the root that are looked into, to say where netty.toml was put by mistake."""


class Unusable(Exception):
    """What is on the stick cannot be taken."""

    def __init__(self, sentence: str, remedy: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(sentence, remedy, tuple(problems))
        self.sentence = sentence
        self.remedy = remedy
        self.problems = tuple(problems)

    @classmethod
    def of(cls, problems: Problems) -> Unusable:
        """Return the mistakes of the files as one."""
        count = len(problems.problems)
        mistakes = "a mistake" if count == 1 else f"{count} mistakes"
        remedy = "Correct what is named below, and plug the stick in again."
        return cls(f"The settings have {mistakes}.", remedy, problems.problems)

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}"


@dataclass(frozen=True, slots=True)
class Contents:
    """The bytes of the files on a stick; of one that is too large, one byte more than is taken."""

    settings: bytes
    patients: bytes | None = None
    signature: bytes | None = None
    also: tuple[str, ...] = ()
    """Names beside netty.toml that somebody may have meant; they are not read."""


def read_stick(folder: Path) -> Contents | None:
    """Return what a stick brings; None if nothing on it has to do with settings.

    Raises Unusable with what is wrong, or OSError where the stick cannot be read (any more).
    """
    names = names_on(folder)
    settings = the_one(names, SETTINGS)
    similar = tuple(sorted(name for name in names if _is_similar(name)))
    if settings is None:
        if similar:
            raise _misnamed(similar)
        _look_into_folders(folder, names)
        return None
    patients, signature = the_one(names, PATIENTS), the_one(names, SIGNATURE)
    return Contents(
        read_file(folder / settings, LARGEST_SETTINGS),
        read_file(folder / patients, LARGEST_PATIENTS) if patients else None,
        read_file(folder / signature, LARGEST_SIGNATURE) if signature else None,
        similar,
    )


def names_on(folder: Path) -> list[str]:
    """Return the names in the root of a stick but for hidden ones. Raises OSError."""
    with os.scandir(folder) as entries:
        # macOS puts "._netty.toml" beside each file.
        return [each.name for each in islice(entries, _MOST_NAMES) if each.name[:1] != "."]


def the_one(names: Sequence[str], wanted: str) -> str | None:
    """Return the one name that is the wanted one but for its case. Raises Unusable for several."""
    found = sorted(name for name in names if name.casefold() == wanted)
    if len(found) > 1:
        listed = " and ".join(map(_shown, found))
        raise Unusable(f"There is more than one {wanted}: {listed}.", "Keep the right one alone.")
    return found[0] if found else None


def _is_similar(name: str) -> bool:
    """Whether somebody may have meant netty.toml: another ending, or a mark that it is a copy."""
    plain = name.casefold()
    if plain in (SETTINGS, SIGNATURE) or plain.startswith((RESULT, *_OF_UPDATES)):
        return False
    return (
        re.fullmatch(r"netty.{0,40}\.(toml|txt|rtf|docx?|tml|ini|conf)", plain, re.DOTALL)
        is not None
        or re.fullmatch(r".{0,40}\.toml(\.txt)?", plain, re.DOTALL) is not None
        or plain == "netty"
    )


def _misnamed(similar: Sequence[str]) -> Unusable:
    listed = ", ".join(map(_shown, similar[:5]))
    found = f"There is no {SETTINGS}, but {listed}."
    if len(similar) > 1:
        return Unusable(found, f"Name the right one {SETTINGS}, and remove the others.")
    if similar[0].casefold().endswith((".rtf", ".doc", ".docx")):
        remedy = f"Open it, and save it as plain text in UTF-8 under the name {SETTINGS}."
        return Unusable(found, remedy)
    remedy = (
        f"Name it {SETTINGS}. Windows hides the ending of a name unless the Explorer shows "
        '"File name extensions".'
    )
    return Unusable(found, remedy)


def _look_into_folders(folder: Path, names: Sequence[str]) -> None:
    for name in islice(sorted(names), _MOST_FOLDERS):
        within = folder / name
        try:
            if stat.S_ISDIR(within.lstat().st_mode) and (within / SETTINGS).is_file():
                break
        except (OSError, ValueError):
            continue
    else:
        return
    raise Unusable(
        f"{SETTINGS} is in the folder {_shown(name)}.",
        "Put it into the root of the stick, outside all folders.",
    )


def read_file(path: Path, largest: int) -> bytes:
    """Return at most one byte more than the largest; hold to what lies under the name itself.

    Raises Unusable if that is no file, or OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _no_file(path, error) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            remedy = f"Put the file {path.name} itself into the root of the stick."
            raise Unusable(f"{_shown(path.name)} is a folder.", remedy)
        if not stat.S_ISREG(mode):
            raise Unusable(f"{_shown(path.name)} is no file.", "Copy the file to the stick again.")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(largest + 1)
    finally:
        os.close(descriptor)


def _no_file(path: Path, error: OSError) -> Exception:
    if path.is_symlink():
        return Unusable(f"{_shown(path.name)} is a link.", "Copy the file itself to the stick.")
    return error


def _shown(name: str) -> str:
    """Return a name as it may stand in a sentence, whatever it holds."""
    plain = "".join(each if each.isprintable() else "�" for each in name)
    return plain if len(plain) <= 60 else f"{plain[:60]}…"
