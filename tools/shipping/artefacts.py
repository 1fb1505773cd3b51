"""What a release consists of, in one folder: disk, update, what is inside, licences, checksums."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from tools.imaging.bundle import Content, InstalledRauc, make_bundle
from tools.imaging.keys import Identity
from tools.imaging.programs import need, run
from tools.imaging.version import Version
from tools.shipping.board import Board
from tools.shipping.hooks import MADE

CHECKSUMS = "SHA256SUMS"


def collect(board: Board, version: Version, signer: Identity, folder: Path) -> list[Path]:
    """Put the artefacts of a board that was made into `folder`. Raises ImageFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"netty-{version.number}-{board.architecture.machine}"
    made = board.images / MADE
    disk, bundle, bill, licences = (
        name.with_name(name.name + suffix)
        for suffix in (".img", ".raucb", ".cdx.json", "-licences.tar.gz")
    )
    run("cp", "--sparse=always", made / "disk.img", disk)
    bundle.unlink(missing_ok=True)
    make_bundle(Content.of(made), bundle, signer, InstalledRauc(board.host / "bin/rauc"))
    _bill_of_materials(board, version, bill)
    _licences(board, licences)
    return [disk, bundle, bill, licences]


def _bill_of_materials(board: Board, version: Version, bill: Path) -> None:
    """All that is in the image, as CycloneDX, by Buildroot's own program."""
    info = board.output / "show-info.json"
    info.write_text(board.ask("show-info"))
    run(
        *(need("python3", "python3"), board.buildroot / "utils/generate-cyclonedx"),
        *("--in-file", info, "--out-file", bill),
        *("--project-name", "netty", "--project-version", version.number),
        environment=board.environment,
    )
    json.loads(bill.read_text())


def _licences(board: Board, archive: Path) -> None:
    """The licence of everything in the image, with Buildroot's list of them."""
    board.ask("legal-info")
    run(
        *(need("tar", "tar"), "--create", "--gzip", "--file", archive),
        *("--sort=name", "--owner=0", "--group=0", f"--mtime=@{board.time}"),
        *("--directory", board.output / "legal-info", "--exclude=*sources"),
        *("README", "manifest.csv", "licenses"),
        environment={"GZIP": "-n"},
    )


def write_checksums(folder: Path, files: Iterable[Path]) -> Path:
    """Write SHA256SUMS, as sha256sum(1) reads it."""
    sums = folder / CHECKSUMS
    lines = []
    for file in sorted(files):
        with file.open("rb") as content:
            lines.append(f"{hashlib.file_digest(content, 'sha256').hexdigest()}  {file.name}\n")
    sums.write_text("".join(lines))
    return sums


def copy_public_key(authority: Path, folder: Path) -> Path:
    """Put beside them whose updates these boxes take: it is no secret."""
    target = folder / "authority.pem"
    shutil.copyfile(authority, target)
    return target
