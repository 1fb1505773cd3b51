"""What the box's own services call: settings from a stick, LED, restart budget, clock."""

from __future__ import annotations

import argparse
import grp
import json
import logging
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import __version__
from appliance.cli.options import Commands, Failed, command, root_option, run_option, stop_asked

if TYPE_CHECKING:
    from appliance.provisioning.apply import Generations

LOGGER = logging.getLogger(__name__)

READERS = "netty"
"""The group whose members may read the box's settings."""


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    settle = command(
        commands, "settle", _settle, "Make the settings that the box holds the active ones."
    )
    settle.add_argument(
        "--restart", action="store_true", help="have the services take them now, if they changed"
    )
    provision = command(
        commands, "provision", _provision, "Take the settings that a USB stick brings, and answer."
    )
    provision.add_argument("stick", type=Path, metavar="DEVICE", help="or a folder in its place")
    provision.add_argument(
        "--unplugged", action="store_true", help="only note that this stick was pulled"
    )
    provision.add_argument(
        "--data",
        type=Path,
        default=Path("/data"),
        metavar="DIR",
        help="where the archive's disk is mounted; without it the AE is not tried",
    )
    for parser in (settle, provision):
        parser.add_argument(
            "--generations",
            type=Path,
            default=Path("/state/settings"),
            metavar="DIR",
            help="where the box holds its settings",
        )
        run_option(parser)
    led = command(
        commands, "led", _led, "Judge how the box is; show it by LED and console, tell others."
    )
    led.add_argument("--lost", action="store_true", help="only show that it is not known")
    health = command(commands, "health", _health, "Say how the box is; exit status 0: it works.")
    health.add_argument("--json", action="store_true", help="for programs")
    budget = command(
        commands,
        "budget",
        _budget,
        "The restart budget: exit status 0 while the AE may be started.",
    )
    budget.add_argument(
        "--count",
        action="store_true",
        help="count the end of the AE that systemd tells of (ExecStopPost=)",
    )
    clock = command(
        commands,
        "clock",
        _clock,
        "Set the clock forward to the last time seen, if it is before that.",
    )
    for parser in (led, health, budget, clock):
        root_option(parser)


def _settle(options: argparse.Namespace) -> int:
    from appliance.provisioning.activation import Activation, settle
    from appliance.provisioning.apply import Damaged

    try:
        settled = settle(_generations(options), Activation(options.run), restart=options.restart)
    except Damaged as error:
        raise Failed(f"{error}; a stick with netty.toml brings new settings") from None
    logging.info("the settings are active" if settled else "no settings yet: waiting for a stick")
    return 0


def _provision(options: argparse.Namespace) -> int:
    from appliance.provisioning.activation import Activation
    from appliance.provisioning.visit import unplugged

    if options.unplugged:
        unplugged(options.stick, options.run)
        return 0
    # What was begun is taken back before the process ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    from appliance.trial import visit
    from appliance.updates.box import BoxSlots

    BoxSlots(run=options.run).await_proof()
    activation = Activation(options.run, serves=os.path.ismount(options.data))
    visit(_generations(options), activation).of(options.stick)
    return 0


def _generations(options: argparse.Namespace) -> Generations:
    from appliance.provisioning.apply import Generations

    try:
        group = grp.getgrnam(READERS).gr_gid
    except KeyError:  # A PC has no such group.
        group = None
    return Generations(options.generations, group=group)


def _led(options: argparse.Namespace) -> int:
    from appliance.health.daemon import Daemon, show_lost
    from appliance.health.places import Places

    places = Places(options.root)
    if options.lost:
        # Told to stop, as at a shutdown, it has not died.
        if os.environ.get("SERVICE_RESULT") != "success":
            show_lost(places)
        return 0
    Daemon.of(places, __version__).run(stop_asked())
    return 0


def _health(options: argparse.Namespace) -> int:
    from appliance.health.banner import banner
    from appliance.health.places import Places
    from appliance.health.verdict import read_verdict

    verdict = read_verdict(Places(options.root))
    if options.json:
        print(json.dumps(asdict(verdict), ensure_ascii=False, default=dict))
    else:
        print(banner(verdict), end="")
    return 0 if verdict.colour == "green" else 1


def _budget(options: argparse.Namespace) -> int:
    from appliance.health.budget import Budget, cause_of
    from appliance.health.places import Places

    budget = Budget(Places(options.root))
    if options.count:
        if cause := cause_of(os.environ):
            budget.count(cause)
        return 0
    try:
        budget.begin()
    except OSError as error:
        LOGGER.warning("the restart budget cannot be kept: %s", error)
    if budget.spent():
        raise Failed(
            "the restart budget is spent: the AE crashed again and again, and is left alone; "
            "switch the box off and on, or apply other settings"
        )
    return 0


def _clock(options: argparse.Namespace) -> int:
    from appliance.health.clock import set_forward
    from appliance.health.places import Places

    if seconds := set_forward(Places(options.root)):
        print(f"the clock was {seconds:.0f} s before the last time seen, and was set to that")
    return 0
