"""The AE and its archive: what runs, and how far it is."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.options import (
    Commands,
    Failed,
    command,
    patients_option,
    place_of,
    place_options,
    settings_option,
    stop_asked,
)
from appliance.settings.problems import Obstacle, Problems

if TYPE_CHECKING:
    from appliance.archive.place import Place
    from appliance.service import Service


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    run = command(
        commands, "run", _run, "Run the DICOM AE in the foreground, as systemd does, until SIGTERM."
    )
    settings_option(run)
    patients_option(run)
    place_options(run)
    run.add_argument(
        "--generation",
        type=Path,
        default=None,
        metavar="DIR",
        help="a folder with netty.toml and perhaps patients.csv, in place of the two options",
    )
    run.add_argument(
        "--report",
        type=Path,
        default=None,
        metavar="DIR",
        help="write report.json there every few seconds: how the AE is, for other programs "
        "(default: DATA/run/netty-ae)",
    )
    status = command(commands, "status", _status, "Show what is held, outstanding and rendered.")
    place_options(status)
    status.add_argument("--json", action="store_true", help="for programs")
    for name, summary in (
        ("suspend", "Suspend the service: remotes are not asked, associations are refused."),
        ("resume", "End a suspension."),
    ):
        place_options(command(commands, name, _switch(name), summary))
    recover = command(
        commands, "recover", _recover, "Bring the archive in order after a crash; run does so, too."
    )
    place_options(recover)


def _run(options: argparse.Namespace) -> int:
    from appliance.health.reports import ServiceReport, write_report

    asked = stop_asked()
    if options.generation:
        options.settings = options.generation / "netty.toml"
        patients = options.generation / "patients.csv"
        options.patients = patients if patients.exists() else None
    report = options.report / "report.json" if options.report else _own_report(options.data)
    try:
        service = _started(options, report)
    except Exception as error:
        if report and isinstance(error, (Problems, Obstacle, OSError)):
            with suppress(OSError):  # What is wrong is printed, too.
                write_report(report, ServiceReport(time.monotonic(), failure=str(error)))
        raise
    os.read(asked, 8)
    service.stop()
    return 0


def _own_report(data: Path) -> Path:
    """Where an AE on a PC tells the page how it is."""
    from appliance.health.places import Places
    from appliance.health.reports import SERVICE

    report = Places(data).run / SERVICE
    report.parent.mkdir(parents=True, exist_ok=True)
    return report


def _started(options: argparse.Namespace, report: Path | None) -> Service:
    from appliance.images.decoders import Proving
    from appliance.settings.patients import read_files

    settings = read_files(options.settings, options.patients)
    proving = Proving(settings.ae.profile)
    # The decoders prove themselves in another process while these are loaded.
    from appliance.service import Service

    service = Service(settings, place_of(options), report=report, proving=proving)
    service.start()
    return service


def _recover(options: argparse.Namespace) -> int:
    from appliance.archive.recovery import open_recovered

    place = place_of(options)
    place.folders.prepare()
    open_recovered(place.folders).close()
    return 0


def _status(options: argparse.Namespace) -> int:
    from appliance import terminal
    from appliance.archive.catalogue import Catalogue

    place = place_of(options)
    if not place.folders.catalogue.exists():
        raise Failed(f"{options.data} holds no archive: nothing has run there yet")
    catalogue = Catalogue.open_read_only(place.folders.catalogue)
    try:
        status = catalogue.status()
    finally:
        catalogue.close()
    free = terminal.free_bytes(place.data)
    suspended = _suspended(place)
    if options.json:
        print(json.dumps({**asdict(status), "free": free, "suspended": suspended}, default=dict))
    else:
        print(terminal.status_table(status, free, suspended), end="")
    return 0


def _suspended(place: Place) -> bool:
    from appliance.archive.requests import Requests

    if not place.folders.requests.exists():
        return False
    with closing(Requests.open(place.folders.requests)) as requests:
        return requests.suspended


def _switch(name: str) -> Callable[[argparse.Namespace], int]:
    def switch(options: argparse.Namespace) -> int:
        from appliance.archive.requests import Requests

        folders = place_of(options).folders
        if not folders.data.is_dir():
            raise Failed(f"{options.data} is no folder: nothing has run there yet")
        with closing(Requests.open(folders.requests)) as requests:
            requests.suspend() if name == "suspend" else requests.resume()
        return 0

    return switch
