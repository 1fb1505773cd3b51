"""What people outside see: the status page, and the bundle for whoever helps."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import __version__
from appliance.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SETTINGS,
    Commands,
    command,
    patients_option,
    root_option,
)

if TYPE_CHECKING:
    from appliance.panel.serving import Serving


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    panel = command(
        commands,
        "panel",
        _panel,
        "Serve the status page until SIGTERM: by HTTP how the box is, by HTTPS the rest.",
    )
    panel.add_argument(
        "--port", type=int, default=8080, metavar="N", help="for HTTP (default: 8080)"
    )
    panel.add_argument(
        "--secure-port", type=int, default=8443, metavar="N", help="for HTTPS (default: 8443)"
    )
    support = command(
        commands,
        "support",
        _support,
        "Write a bundle for whoever helps: how the box is, without patients and secrets.",
    )
    support.add_argument(
        "--out", type=Path, default=None, metavar="FILE", help="(default: named by the time)"
    )
    for parser in (panel, support):
        _serving_options(parser)
        root_option(parser)


def _serving_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings", type=Path, default=None, metavar="FILE", help="on a PC: the settings"
    )
    patients_option(parser)
    parser.add_argument(
        "--data",
        type=Path,
        default=None,
        metavar="DIR",
        help=f"on a PC: where the archive is (default: {DEFAULT_DATA})",
    )


def _serving(options: argparse.Namespace) -> Serving:
    from appliance.panel.serving import of_box, of_pc
    from appliance.settings.patients import read_files

    if options.settings is None and options.data is None:
        return of_box(options.root)
    settings = read_files(options.settings or DEFAULT_SETTINGS, options.patients)
    return of_pc(settings, options.data or DEFAULT_DATA, __version__)


def _panel(options: argparse.Namespace) -> int:
    # pydicom, which reads headers for WADO-RS, loads each decoder that it finds, this one of 14 MB.
    # The page decodes nothing: to this process there is none.
    sys.modules.setdefault("gdcm", None)  # type: ignore[arg-type]
    _serving(options).run(options.port, options.secure_port)
    return 0


def _support(options: argparse.Namespace) -> int:
    from appliance.panel.support import name_of, write_bundle

    subject = _serving(options).subject()
    target = options.out or Path(name_of(time.time()))
    with target.open("xb") as file:
        write_bundle(file, subject)
    print(target)
    return 0
