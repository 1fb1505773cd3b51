"""One DICOM file by hand: a picture of it, its identity removed or given back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.options import Commands, Failed, command, place_of, place_options

if TYPE_CHECKING:
    from appliance.images.deidentify import Deidentifier


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    render = command(commands, "render", _render, "Make a picture of one DICOM file.")
    render.add_argument("source", type=Path, metavar="IN.dcm")
    render.add_argument("target", type=Path, metavar="OUT.jpg", help=".jpg, .png or .webp")
    render.add_argument("--quality", type=int, default=90, metavar="1-100")
    deidentify = command(
        commands, "deidentify", _deidentify, "Remove the identity from one DICOM file."
    )
    deidentify.add_argument("source", type=Path, metavar="IN.dcm")
    deidentify.add_argument("target", type=Path, metavar="OUT.dcm")
    deidentify.add_argument("--profile", choices=("basic", "clear"), default="basic")
    deidentify.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME",
        help="an option of basic, as images.options of the settings names it; may be repeated",
    )
    deidentify.add_argument(
        "--recipient",
        type=Path,
        action="append",
        default=[],
        metavar="CERTIFICATE.pem",
        help="who may undo it: what is removed goes along, encrypted; may be repeated",
    )
    deidentify.add_argument(
        "--explain", action="store_true", help="print what was done to each element"
    )
    deidentify.add_argument("--html", action="store_true", help="the same, as a page of HTML")
    place_options(deidentify)
    reidentify = command(
        commands, "reidentify", _reidentify, "Undo deidentify, for a recipient, with their key."
    )
    reidentify.add_argument("source", type=Path, metavar="IN.dcm")
    reidentify.add_argument("target", type=Path, metavar="OUT.dcm")
    reidentify.add_argument("--key", type=Path, required=True, metavar="KEY.pem")


def _render(options: argparse.Namespace) -> int:
    from appliance.images.single import NotRendered, render_apart

    try:
        for path in render_apart(options.source, options.target, options.quality):
            print(path)
    except NotRendered as error:
        raise Failed(f"{options.source}: {error}") from None
    return 0


def _deidentify(options: argparse.Namespace) -> int:
    from appliance.dicom.associations import (
        IMPLEMENTATION_CLASS_UID,
        IMPLEMENTATION_VERSION_NAME,
    )
    from appliance.images.deidentify import Malformed, deidentify_file
    from appliance.images.single import NotRendered, mask_apart

    try:
        data = deidentify_file(
            options.source,
            deidentifier=_deidentifier(options),
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        )
    except Malformed as error:
        raise Failed(f"{options.source}: {error}") from None
    before = options.source.read_bytes() if options.explain or options.html else b""
    _write(options.target, data)
    try:
        mask_apart(options.target, bits=options.profile == "basic")
    except NotRendered as reason:
        print(f"{options.target}: look for text in its pixels: {reason}", file=sys.stderr)
    if before:
        _explain(options, before, options.target.read_bytes())
    return 0


def _explain(options: argparse.Namespace, before: bytes, after: bytes) -> None:
    from appliance.images.deidentify import as_html, as_text, explain

    chosen = options.option
    lines = tuple(explain(before, after, chosen))
    if options.html:
        print(as_html(lines, " ".join((options.source.name, options.profile, *chosen))), end="")
    else:
        print(as_text(lines), end="")


def _deidentifier(options: argparse.Namespace) -> Deidentifier:
    from appliance.images.deidentify import Deidentifier, Recipients

    recipients = [path.read_text("utf-8") for path in options.recipient]
    try:
        return Deidentifier(
            options.profile,
            place_of(options).key,
            options=options.option,
            recipients=Recipients(recipients) if recipients else None,
        )
    except ValueError as error:
        raise Failed(str(error)) from None


def _reidentify(options: argparse.Namespace) -> int:
    from appliance.images.deidentify import EnvelopeFailed, Malformed, reidentified

    try:
        data = reidentified(options.source.read_bytes(), options.key.read_bytes())
    except (EnvelopeFailed, Malformed) as error:
        raise Failed(f"{options.source}: {error}") from None
    _write(options.target, data)
    return 0


def _write(target: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    from appliance.archive.files import PendingFile, sync_directories

    with PendingFile.create(target) as pending:
        pending.write([data])
        sync_directories(pending.settle())
