"""One command, `appliance`, for the box's services and for a technician's PC.

A module for each audience. Every command imports what it needs when it runs: most need little, and
the AE's own start has something to do while its parts are loaded.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from appliance import __version__
from appliance.cli import box, files, gateway, page, remotes, settings, updates
from appliance.settings.problems import Obstacle, Problems

LOGGER = logging.getLogger(__name__)

_EPILOGUE = """\
A new box, step by step:
  appliance settings > netty.toml       an annotated example; write your remotes and patients in
  appliance check netty.toml            says every mistake, with line, column and remedy
  appliance echo PACS                   can the PACS be reached, and does it know us?
  appliance find PACS --patient-id 123  what does it have?
  appliance run --settings netty.toml --data /var/lib/netty
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("pynetdicom").setLevel(logging.DEBUG if options.verbose else logging.CRITICAL)
    try:
        return int(options.command(options))
    except Problems as problems:
        for problem in problems.problems:
            file = options.patients if problem.file else options.settings
            print(f"{file}:{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not isinstance(error, (Obstacle, OSError)):
            LOGGER.exception("a fault of this program")
            return _fault()
        print(f"appliance: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The command line, with every command."""
    line = argparse.ArgumentParser(
        prog="appliance",
        description="The netty box: fetches the studies it lacks from a PACS, removes the "
        "patient's identity, and makes pictures of them.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("--version", action="version", version=f"appliance {__version__}")
    line.add_argument("--verbose", action="store_true", help="log every protocol step")
    commands = line.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for audience in (gateway, settings, remotes, files, page, box, updates):
        audience.add(commands)
    return line


def _fault() -> int:
    """The exit status that counts against the restart budget."""
    from appliance.health.budget import FAULT

    return FAULT
