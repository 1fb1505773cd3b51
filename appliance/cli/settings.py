"""Settings and secrets: checked, explained, made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.options import Commands, Failed, command, patients_option, settings_option

if TYPE_CHECKING:
    from appliance.settings.model import Settings


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    check = command(
        commands, "check", _check, "Say every mistake of a settings file; nothing if it is right."
    )
    check.add_argument("settings", type=Path, metavar="FILE")
    patients_option(check)
    command(commands, "settings", _settings, "Print an annotated example of netty.toml.")
    conformance = command(
        commands,
        "conformance",
        _conformance,
        "Print the DICOM conformance statement of this build and these settings.",
    )
    settings_option(conformance)
    for name, secret, summary in (
        ("password", _password, "Ask for a password; print what stands for it in netty.toml."),
        ("token", _token, "Make a token for programs; print it, and what stands for it."),
    ):
        command(commands, name, secret, summary)


def _check(options: argparse.Namespace) -> int:
    from appliance.settings.patients import read_files

    read_files(options.settings, options.patients)
    return 0


def _settings(options: argparse.Namespace) -> int:
    from appliance.settings.example import example

    print(example(), end="")
    return 0


def _conformance(options: argparse.Namespace) -> int:
    from appliance.dicom.conformance import conformance_statement
    from appliance.settings.reader import read_file

    settings = read_file(options.settings)
    print(conformance_statement(settings, _proven(settings)), end="")
    return 0


def _proven(settings: Settings) -> tuple[str, ...]:
    from appliance.dicom.sop_classes import UNCOMPRESSED
    from appliance.images.decoders import prove_in_subprocess

    if settings.ae.profile == "strict":
        return UNCOMPRESSED
    return tuple(proof.transfer_syntax for proof in prove_in_subprocess() if proof.works)


def _password(options: argparse.Namespace) -> int:
    from getpass import getpass

    from appliance.panel.forms import is_text
    from appliance.settings.passwords import SHORTEST, hash_password

    if sys.stdin.isatty():
        password = getpass("Password: ")
        if getpass("Again: ") != password:
            raise Failed("the two are not the same; nothing was printed")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST:
        raise Failed(f"a password needs {SHORTEST} characters or more")
    if not is_text(password):
        raise Failed("a password is of letters, digits, signs and spaces; the login takes no other")
    print(f'password = "{hash_password(password)}"')
    return 0


def _token(options: argparse.Namespace) -> int:
    from appliance.settings.passwords import hash_token, new_token

    token = new_token()
    print(f'# For the program that reads: {token}\ntoken = "{hash_token(token)}"')
    return 0
