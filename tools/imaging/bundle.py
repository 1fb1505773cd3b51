"""Update bundles, and what a box must hold to take them: the same for the test image and the
shipped one.

A bundle brings the root and the boot partition of a version. Both fit either slot; which one they
go into is the box's affair (`appliance.updates`).
"""

import argparse
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Protocol

from appliance.archive import schema
from appliance.updates.release import GROUP, RELEASE, Release, Schema
from appliance.updates.slots import SLOTS, Slot
from tools.imaging.architecture import AMD64, ARCHITECTURES
from tools.imaging.cache import cache_from_environment
from tools.imaging.description import Description
from tools.imaging.keys import Identity, Keys
from tools.imaging.packages import Native, unpack, unpacked
from tools.imaging.programs import ImageFailed, need, run
from tools.imaging.version import Version

BUILD = Path(__file__).parents[2] / "build"

KEYS = BUILD / "keys"
"""Where a developer's keys are made."""

KEYRING = "etc/rauc/keyring.pem"
SYSTEM = "etc/rauc/system.conf"

MANIFEST = "manifest.raucm"
ROOT_IMAGE, BOOT_IMAGE = "root.img", "boot.img"

_SYSTEM = """\
# Made with the image, from the layout of its disk.
[system]
compatible={compatible}
bootloader=custom
bundle-formats=verity
data-directory=/state/update/rauc
mountprefix=/run/rauc/mnt

[keyring]
path=/{keyring}
check-purpose=codesign

[streaming]
sandbox-user=netty-update

[handlers]
bootloader-custom-backend=/usr/lib/netty/boot-state
pre-install=/usr/lib/netty/admit
"""

_SLOT = """
[slot.root.{number}]
device=/dev/disk/by-partlabel/{slot.root}
type=raw
bootname={slot.name}

[slot.boot.{number}]
device=/dev/disk/by-partlabel/{slot.boot}
type=raw
parent=root.{number}
"""

_MANIFEST = """\
[update]
compatible={compatible}
version={release.version}
build={release.build}

[bundle]
format=verity

[meta.{group}]
{meta}

[image.root]
filename={root}

[image.boot]
filename={boot}
"""


def compatible(machine: str) -> str:
    """The name of the boxes that a bundle is for, by the kernel's name of their processor."""
    return f"netty-{machine}"


def system_conf(machine: str) -> str:
    """RAUC's configuration on a box with that processor."""
    slots = (_SLOT.format(number=n, slot=Slot(name)) for n, name in enumerate(SLOTS))
    return _SYSTEM.format(compatible=compatible(machine), keyring=KEYRING) + "".join(slots)


def release_of(version: Version) -> Release:
    """What this checkout's version says of itself."""
    return Release(version.number, version.commit, _schema("catalogue"), _schema("requests"))


def _schema(database: Literal["catalogue", "requests"]) -> Schema:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.migrate(connection, schema.migrations(database))
        (oldest,) = connection.execute("SELECT oldest_able FROM release").fetchone()
        return Schema(schema.version(connection), oldest)


def prepare_root(root: Path, machine: str, version: Version, keyring: Path) -> None:
    """Give a root what it needs to be updated: RAUC's configuration, whom it trusts, its name."""
    files = {
        SYSTEM: system_conf(machine),
        KEYRING: keyring.read_text(),
        RELEASE: release_of(version).write(),
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)


@dataclass(frozen=True, slots=True)
class Content:
    """What a bundle is made of."""

    machine: str
    release: Release
    root_hash: str
    root: Path
    boot: Path

    @classmethod
    def of(cls, folder: Path) -> "Content":
        """The content of an image that was made in a folder. Raises ImageFailed."""
        image = Description.read(folder)
        machine, release = image.architecture.machine, release_of(image.version)
        return cls(machine, release, image.root_hash, folder / "root.verity", folder / "boot.vfat")

    @property
    def manifest(self) -> str:
        """What RAUC reads of the bundle."""
        meta = self.release.meta(self.root_hash)
        return _MANIFEST.format(
            compatible=compatible(self.machine),
            release=self.release,
            group=GROUP,
            meta="\n".join(f"{name}={value}" for name, value in meta.items()),
            root=ROOT_IMAGE,
            boot=BOOT_IMAGE,
        )


def make_bundle(content: Content, bundle: Path, signer: Identity, rauc: "Rauc") -> None:
    """Make a signed bundle. Raises ImageFailed."""
    with TemporaryDirectory(dir=bundle.parent, prefix=".bundle-") as making:
        inside = Path(making) / "content"
        inside.mkdir()
        (inside / MANIFEST).write_text(content.manifest)
        for name, source in ((ROOT_IMAGE, content.root), (BOOT_IMAGE, content.boot)):
            _link(source, inside / name)
        made = Path(making) / "made.raucb"
        need("mksquashfs", "squashfs-tools")
        rauc.run(
            *("bundle", f"--cert={signer.certificate}", f"--key={signer.key}"),
            *("--mksquashfs-args=-comp zstd -Xcompression-level 6", inside, made),
        )
        made.rename(bundle)


def _link(source: Path, target: Path) -> None:
    """Another name for a large file where the file system allows it, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class Rauc(Protocol):
    """The program that makes bundles."""

    def run(self, *arguments: str | Path) -> str:
        """Run a command of it and return what it printed. Raises ImageFailed."""


@dataclass(frozen=True, slots=True)
class SuiteRauc:
    """RAUC of the suite that the test image is made of, unpacked in a folder."""

    tree: Path

    def run(self, *arguments: str | Path) -> str:
        """Run a command of it and return what it printed. Raises ImageFailed."""
        if not self.tree.exists():
            unpack(unpacked(cache_from_environment(), "rauc", AMD64, ("rauc",)), self.tree)
        return Native(self.tree).run("usr/bin/rauc", *arguments)


@dataclass(frozen=True, slots=True)
class InstalledRauc:
    """RAUC of this machine, or the one that Buildroot made for it."""

    program: str | Path = "rauc"

    def run(self, *arguments: str | Path) -> str:
        """Run a command of it and return what it printed. Raises ImageFailed."""
        return run(self.program, *arguments)


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/bundle", description="Makes a signed update bundle of an image that was made."
    )
    parser.add_argument("bundle", type=Path, nargs="?", metavar="OUT.raucb")
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default="amd64")
    parser.add_argument("--image", type=Path, metavar="DIR", help="(default: build/image-ARCH)")
    parser.add_argument("--certificate", type=Path, metavar="PEM", help="who signs")
    parser.add_argument("--key", type=Path, metavar="PEM", help="its private key, or PKCS#11 URL")
    options = parser.parse_args()
    folder = options.image or BUILD / f"image-{options.arch}"
    bundle = options.bundle or folder / "update.raucb"
    try:
        if (options.certificate is None) != (options.key is None):
            raise ImageFailed("--certificate and --key go together")
        signer = (
            Identity(options.certificate, options.key) if options.key else Keys(KEYS).made().signer
        )
        with TemporaryDirectory() as tree:
            make_bundle(Content.of(folder), bundle, signer, SuiteRauc(Path(tree) / "rauc"))
    except ImageFailed as problem:
        print(f"bundle: {problem}", file=sys.stderr)
        return 1
    print(f"{bundle}: {bundle.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
