"""Another version of the box: installed, tried, kept."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from appliance.cli.options import Commands, Failed, command, run_option


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    states = command(
        commands, "boot-state", _boot_state, "Which slot starts next (RAUC's boot-loader backend)."
    )
    states.add_argument("words", nargs="*", metavar="WORD", help="RAUC's call")
    update = command(commands, "update", _update, "Another version of the box: install, try, keep.")
    update.add_argument(
        "what",
        choices=(
            *("install", "stick", "fetch", "fleet", "request", "admit", "settle", "confirm"),
            "reset",
        ),
        help="install a bundle; serve a stick that may bring one; look where the settings say; "
        "ask the fleet's server; do what the page was asked for; answer RAUC whether it may; find "
        "out what became of the last one; try the one that runs, and keep it; restore the factory "
        "state that was asked for",
    )
    update.add_argument(
        "source", nargs="?", metavar="SOURCE", help="a path or an address; the stick's device"
    )
    update.add_argument(
        "--while-receiving", action="store_true", help="install even if images are arriving"
    )
    update.add_argument(
        "--patience",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="that each check of a trial gets (default: 600)",
    )
    prove = command(
        commands, "prove", _prove, "Take an image and make a picture of it, apart from the archive."
    )
    prove.add_argument("folder", type=Path, metavar="DIR", help="where there is room for it")
    for parser in (states, update):
        run_option(parser)


def _boot_state(options: argparse.Namespace) -> int:
    from appliance.updates.boot_state import BootStateFailed, answer
    from appliance.updates.box import BoxSlots
    from appliance.updates.slots import UnknownSlot

    box = BoxSlots(run=options.run)
    try:
        box.primary_changes(options.words)
        said = answer(box.boot_states, options.words)
    except (BootStateFailed, UnknownSlot) as error:
        raise Failed(str(error)) from None
    if said:
        print(said)
    return 0


def _update(options: argparse.Namespace) -> int:
    from appliance.provisioning.activation import CommandFailed
    from appliance.updates.admission import Refused
    from appliance.updates.release import NoRelease
    from appliance.updates.slots import UnknownSlot
    from appliance.updating import NotGood, UpdatingBox, restart

    box = UpdatingBox(run=options.run)
    if options.what in ("install", "stick") and not options.source:
        raise Failed(f"update {options.what}: say what from")
    try:
        match options.what:
            case "admit":
                box.admit(os.environ)
            case "settle":
                logging.info("update: %s", box.settle().phase or "none under way")
            case "confirm":
                box.confirm(options.patience)
            case "reset":
                box.carry_out_reset()
                restart()
            case "stick" if box.take(Path(options.source)):
                restart()
            case "fetch" if box.fetch():
                restart()
            case "fleet" if box.ask_fleet():
                restart()
            case "request" if box.do_as_asked():
                restart()
            case "install" if box.install(options.source, told=options.while_receiving):
                restart()
    except (Refused, NoRelease, UnknownSlot, NotGood, CommandFailed) as error:
        raise Failed(str(error)) from None
    return 0


def _prove(options: argparse.Namespace) -> int:
    from appliance.proof import NotProved, prove

    try:
        prove(options.folder)
    except NotProved as error:
        raise Failed(str(error)) from None
    return 0
