"""The command behind `tools/stick`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.provisioning.apply import check_serial
from appliance.provisioning.signature import (
    NoKey,
    fingerprint,
    read_key,
    signers,
    write_key,
)
from appliance.provisioning.signing import new_key, public_key, sign
from appliance.provisioning.stick import SETTINGS, SIGNATURE, Contents, Unusable, read_stick
from appliance.settings.patients import NAME as PATIENTS
from appliance.settings.patients import read_contents
from appliance.settings.problems import Problems
from appliance.updates.reset import SIGNATURE as RESET_SIGNATURE
from appliance.updates.reset import TOKEN, make_token
from tools.provisioning.image import ImageFailed, make_image, opened, put

_EPILOGUE = """\
From nothing to a stick:
  .venv/bin/appliance settings > netty.toml           an annotated example; write your values in
  tools/stick make stick --settings netty.toml        checks it, and makes the folder "stick"
Copy what is in the folder to the root of a USB stick (FAT32 or exFAT), and plug it into the box.
Its light tells when to remove the stick; netty-result-<serial>.txt on it tells the rest.

A watch list from a spreadsheet: --patients patients.csv (patient_id, pseudonym, accession, since).

So that a box takes settings from you alone:
  tools/stick keys clinic                             makes clinic.key (keep it!) and clinic.pub
  tools/stick make stick --settings netty.toml --key clinic.key
The first signed settings bind the box to the key. To change it later, sign with the old and the
new one: --key old.key --key new.key
"""


class Failed(Exception):
    """A command that cannot be done; the text says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except Unusable as unusable:
        print(unusable, file=sys.stderr)
        for problem in unusable.problems:
            print(f"  {problem.file or SETTINGS}:{problem}", file=sys.stderr)
        return 1
    except (Failed, ImageFailed, OSError) as error:
        print(f"tools/stick: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/stick",
        description="Prepares the USB stick that gives a box its settings.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    make = commands.add_parser("make", help="make a folder, or the image of a stick, and check it")
    make.add_argument("stick", type=Path, metavar="OUT", help="a folder; or an image: OUT.img")
    make.add_argument("--settings", type=Path, default=Path(SETTINGS), metavar="FILE")
    make.add_argument("--patients", type=Path, metavar="FILE", help="a watch list")
    _key_option(make, required=False)
    make.set_defaults(command=_make)

    check = commands.add_parser("check", help="say what a box would say to a stick")
    check.add_argument("stick", type=Path, metavar="STICK", help="its folder, or an image of it")
    check.add_argument("--serial", metavar="NUMBER", help="of the box that it is meant for")
    check.add_argument(
        "--trust", type=Path, metavar="FILE", help="the public key (.pub) that the box trusts"
    )
    check.set_defaults(command=_check)

    signing = commands.add_parser("sign", help="sign what is on a stick")
    signing.add_argument("stick", type=Path, metavar="STICK", help="its folder, or an image of it")
    _key_option(signing, required=True)
    signing.set_defaults(command=_sign)

    reset = commands.add_parser("reset", help="have a box return to its factory state, once")
    reset.add_argument("stick", type=Path, metavar="STICK", help="a folder")
    reset.add_argument("--serial", required=True, metavar="NUMBER", help="of the box")
    _key_option(reset, required=False)
    reset.set_defaults(command=_reset)

    keys = commands.add_parser("keys", help="make a pair of keys to sign with")
    keys.add_argument("name", type=Path, metavar="NAME", help="makes NAME.key and NAME.pub")
    keys.set_defaults(command=_keys)
    return parser


def _key_option(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        required=required,
        metavar="FILE",
        help="sign with this private key (.key); may be given several times",
    )


def _make(options: argparse.Namespace) -> None:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copyfile(options.settings, folder / SETTINGS)
        if options.patients:
            shutil.copyfile(options.patients, folder / PATIENTS)
        contents = _contents(folder)
        judge(contents)
        if options.key:
            _write_signature(folder, contents, options.key)
        if options.stick.suffix == ".img":
            make_image(options.stick, folder)
        else:
            _fill(options.stick, folder)
    print(f"{options.stick} is ready.")


def _fill(stick: Path, folder: Path) -> None:
    """Copy all files to a stick; what was there of an earlier one is not left beside them."""
    stick.mkdir(parents=True, exist_ok=True)
    for name in (SETTINGS, PATIENTS, SIGNATURE):
        if (folder / name).exists():
            shutil.copyfile(folder / name, stick / name)
        else:
            (stick / name).unlink(missing_ok=True)


def _check(options: argparse.Namespace) -> None:
    trusted = (_read_key(options.trust),) if options.trust else ()
    with opened(options.stick) as folder:
        said = judge(_contents(folder), options.serial, trusted)
    print("\n".join(said))


def _contents(folder: Path) -> Contents:
    contents = read_stick(folder)
    if contents is None:
        raise Unusable(f"There is no {SETTINGS} here.", "Make a stick with: tools/stick make")
    return contents


def judge(
    contents: Contents, serial: str | None = None, trusted: Sequence[bytes] = ()
) -> list[str]:
    """Return what there is to say about a stick that a box would take. Raises Unusable."""
    keys = signers(contents, trusted)
    try:
        settings = read_contents(contents.settings, contents.patients)
    except Problems as problems:
        raise Unusable.of(problems) from None
    if serial is not None:
        check_serial(settings, serial)
    patients = len({entry.patient_id for entry in settings.watch})
    watched = "1 patient" if patients == 1 else f"{patients} patients"
    said = [f"{SETTINGS} is right: revision {settings.revision}, {watched} watched."]
    said += [f"Signed by the key {fingerprint(key)}." for key in sorted(keys)]
    if not keys:
        said.append("Not signed: a box that has taken signed settings refuses it.")
    if settings.box.serials:
        said.append(f"For the boxes {', '.join(settings.box.serials)} alone.")
    said += [f"Not read: {name}" for name in contents.also]
    return said


def _sign(options: argparse.Namespace) -> None:
    with opened(options.stick) as folder:
        contents = replace(_contents(folder), signature=None)
        judge(contents)
        _write_signature(folder, contents, options.key)
        if folder != options.stick:
            put(options.stick, [folder / SIGNATURE])
    print(f"{options.stick} is signed.")


def _reset(options: argparse.Namespace) -> None:
    token = make_token(options.serial)
    options.stick.mkdir(parents=True, exist_ok=True)
    (options.stick / TOKEN).write_bytes(token)
    signature = options.stick / RESET_SIGNATURE
    signature.unlink(missing_ok=True)
    if options.key:
        signature.write_bytes(sign(token, None, list(map(_read_key, options.key))))
    print(f"{options.stick} removes all settings and images of {options.serial}, once.")


def _write_signature(folder: Path, contents: Contents, keys: Sequence[Path]) -> None:
    signature = sign(contents.settings, contents.patients, list(map(_read_key, keys)))
    (folder / SIGNATURE).write_bytes(signature)


def _read_key(path: Path) -> bytes:
    try:
        return read_key(path.read_text("utf-8-sig"))
    except (NoKey, UnicodeDecodeError) as error:
        raise Failed(f"{path} is no key: {error}") from None


def _keys(options: argparse.Namespace) -> None:
    private, public = (Path(f"{options.name}{suffix}") for suffix in (".key", ".pub"))
    key = new_key()
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Failed(f"{private} is there already, and is not replaced") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{write_key(key)}\n")
    public.write_text(f"{write_key(public_key(key))}\n")
    print(f"{private}: sign with it, and keep it safe: who has it may settle your boxes.")
    print(f"{public}: fingerprint {fingerprint(public_key(key))}")


if __name__ == "__main__":
    sys.exit(main())
