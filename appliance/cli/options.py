"""What the commands share: options of several of them, and how one says that it cannot be done."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.settings.problems import Obstacle

if TYPE_CHECKING:
    from appliance.archive.place import Place

DEFAULT_SETTINGS = Path("netty.toml")
DEFAULT_DATA = Path("data")

Commands = Any
"""argparse gives the object that makes subcommands no public type."""


class Failed(Obstacle):
    """A command that cannot be done; the text says what to do."""


def command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    """Add the command `name`, which `run` carries out and returns its exit status."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(command=run, settings=DEFAULT_SETTINGS)
    return parser


def settings_option(parser: argparse.ArgumentParser) -> None:
    """Add --settings."""
    parser.add_argument(
        "--settings",
        type=Path,
        default=DEFAULT_SETTINGS,
        metavar="FILE",
        help=f"the settings (default: {DEFAULT_SETTINGS})",
    )


def patients_option(parser: argparse.ArgumentParser) -> None:
    """Add --patients."""
    parser.add_argument(
        "--patients",
        type=Path,
        default=None,
        metavar="FILE",
        help="a patients.csv, whose patients are watched, too",
    )


def place_options(parser: argparse.ArgumentParser) -> None:
    """Add --data and --state: where the archive is."""
    parser.add_argument(
        "--data",
        type=Path,
        default=DEFAULT_DATA,
        metavar="DIR",
        help=f"where the archive is (default: {DEFAULT_DATA})",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=None,
        metavar="DIR",
        help="where the box's key is (default: DATA/state)",
    )


def root_option(parser: argparse.ArgumentParser) -> None:
    """Add --root, in place of the box's own."""
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="DIR",
        help="where the box's files are (default: /)",
    )


def run_option(parser: argparse.ArgumentParser) -> None:
    """Add --run."""
    parser.add_argument(
        "--run", type=Path, default=Path("/run"), metavar="DIR", help="in place of /run"
    )


def place_of(options: argparse.Namespace) -> Place:
    """What `place_options` say."""
    from appliance.archive.place import Place

    return Place(options.data, options.state or options.data / "state")


def stop_asked() -> int:
    """A descriptor from which 8 bytes can be read once SIGTERM or SIGINT has come."""
    # A lock taken in a signal's handler could be the one that the signal interrupted.
    asked = os.eventfd(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.eventfd_write(asked, 1))
    return asked
