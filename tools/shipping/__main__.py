"""Builds the shipped image with Buildroot and leaves what a release consists of in one folder."""

import argparse
import sys
import time
from pathlib import Path

from tools.imaging.architecture import ARCHITECTURES
from tools.imaging.bundle import KEYS
from tools.imaging.keys import Identity, Keys
from tools.imaging.programs import ImageFailed
from tools.imaging.version import version_here
from tools.shipping.artefacts import collect, copy_public_key, write_checksums
from tools.shipping.board import Board
from tools.shipping.source import checkout, fetched

BUILD = Path(__file__).parents[2] / "build"

BOARDS = {architecture.machine: architecture for architecture in ARCHITECTURES.values()}


def main() -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args()
    begun = time.monotonic()
    try:
        _build(options)
    except ImageFailed as problem:
        print(f"build: {problem}", file=sys.stderr)
        return 1
    print(f"{options.folder}: made in {(time.monotonic() - begun) / 60:.0f} min")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/build", description=__doc__)
    parser.add_argument("boards", nargs="*", metavar="BOARD", default=[], help=_boards())
    parser.add_argument("--folder", type=Path, default=BUILD / "release", help="where to")
    parser.add_argument(
        "--buildroot", type=Path, metavar="DIR", help="a checkout (default: fetched)"
    )
    parser.add_argument("--output", type=Path, default=BUILD / "buildroot", metavar="DIR")
    parser.add_argument("--downloads", type=Path, default=BUILD / "downloads", metavar="DIR")
    parser.add_argument("--keyring", type=Path, metavar="PEM", help="whose updates boxes take")
    parser.add_argument("--certificate", type=Path, metavar="PEM", help="who signs the bundle")
    parser.add_argument("--key", type=Path, metavar="PEM", help="its private key, or PKCS#11 URL")
    return parser


def _boards() -> str:
    return f"{' or '.join(sorted(BOARDS))} (default: both)"


def _build(options: argparse.Namespace) -> None:
    names = options.boards or sorted(BOARDS)
    if unknown := [name for name in names if name not in BOARDS]:
        raise ImageFailed(f"there is no board {unknown[0]}: {_boards()}")
    version = version_here()
    keyring, signer = _keys(options)
    buildroot = checkout(options.buildroot) if options.buildroot else fetched(options.downloads)
    files = []
    for name in names:
        board = Board(
            architecture=BOARDS[name],
            buildroot=buildroot.resolve(),
            output=(options.output / name).resolve(),
            downloads=options.downloads.resolve(),
            keyring=keyring.resolve(),
            time=version.time,
        )
        board.configure()
        board.make(_say)
        _say(f"{name}: update bundle, bill of materials, licences")
        files += collect(board, version, signer, options.folder)
    files.append(copy_public_key(keyring, options.folder))
    write_checksums(options.folder, files)


def _keys(options: argparse.Namespace) -> tuple[Path, Identity]:
    """Who certifies, and who signs: named all three, or this checkout's own, for trying out."""
    named = (options.keyring, options.certificate, options.key)
    if all(named):
        return options.keyring, Identity(options.certificate, options.key)
    if any(named):
        raise ImageFailed("--keyring, --certificate and --key go together")
    keys = Keys(KEYS).made()
    return keys.authority.certificate, keys.signer


def _say(text: str) -> None:
    print(f"build: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
