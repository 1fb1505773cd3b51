"""What a board has: a file of its own for each, so that the image is the same everywhere else."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROLES: Final = ("green", "amber", "red", "multicolour")


class BoardProblem(Exception):
    """The file is not what it should be; the text says what is wrong where."""


@dataclass(frozen=True, slots=True)
class Board:
    """LEDs by what they are for, as patterns of names under /sys/class/leds, and consoles.

    Without an amber one, green and red shine together.
    """

    green: tuple[str, ...] = ()
    amber: tuple[str, ...] = ()
    red: tuple[str, ...] = ()
    multicolour: tuple[str, ...] = ()
    consoles: tuple[str, ...] = ()
    """Paths of terminals that show the banner."""


def read_board(path: Path) -> Board:
    """Return what the file says. Raises BoardProblem."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BoardProblem(f"{path}: {error}") from error
    leds, console = _table(path, content, "led"), _table(path, content, "console")
    if unknown := set(leds) - {*ROLES}:
        raise BoardProblem(f"{path}: led.{min(unknown)}: expected one of {', '.join(ROLES)}")
    roles = {role: _names(path, f"led.{role}", leds.get(role, [])) for role in ROLES}
    return Board(**roles, consoles=_names(path, "console.devices", console.get("devices", [])))


def _table(path: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise BoardProblem(f"{path}: {name}: expected a table")
    return table


def _names(path: Path, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BoardProblem(f"{path}: {key}: expected a list of names")
    return tuple(value)
