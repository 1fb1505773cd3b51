"""Other versions of the box: its own image with one thing changed, as signed bundles."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from tests.image.hardware import own_kernel
from tools.imaging.architecture import AMD64
from tools.imaging.boot_guard import SuiteBootGuard
from tools.imaging.build import Build, kernel_of
from tools.imaging.bundle import KEYS, Content, SuiteRauc, make_bundle
from tools.imaging.cache import cache_from_environment
from tools.imaging.disk import DiskMaker
from tools.imaging.keys import Identity, Keys, make_signer
from tools.imaging.layout import read_layout
from tools.imaging.programs import need, run
from tools.imaging.userland import DIST_PACKAGES
from tools.imaging.version import version_here

Change = Callable[[Path], None]

SERVICE = "netty-page-of-doom.service"

_PANIC = """\
[Unit]
After=multi-user.target
[Service]
ExecStart=/bin/sh -c 'echo c > /proc/sysrq-trigger'
"""


def another(root: Path) -> None:
    """As good as this one, and not the same."""
    (root / "usr/lib/netty/another").write_text("another version\n")


def yet_another(root: Path) -> None:
    """As good as these, and a third."""
    (root / "usr/lib/netty/another").write_text("yet another version\n")


def of_the_fleet(root: Path) -> None:
    """As good as these, and a fourth."""
    (root / "usr/lib/netty/another").write_text("a version of the fleet\n")


def _replace_module(root: Path, name: str, text: str) -> None:
    """Have a module of ours do something else; its compiled form would be preferred."""
    module = root / DIST_PACKAGES / "appliance" / f"{name}.py"
    for compiled in (module.parent / "__pycache__").glob(f"{module.stem}.*.pyc"):
        compiled.unlink()
    module.write_text(text)


def without_init(root: Path) -> None:
    (root / "usr/lib/systemd/systemd").unlink()


def with_an_ae_that_crashes(root: Path) -> None:
    _replace_module(root, "service", "import os\nos.abort()\n")


def with_an_ae_that_hangs(root: Path) -> None:
    _replace_module(root, "service", "import time\ntime.sleep(1e6)\n")


def with_a_dead_page(root: Path) -> None:
    _replace_module(root, "panel/app", "raise SystemExit(1)\n")


def with_a_panic(root: Path) -> None:
    units = root / "usr/lib/systemd/system"
    (units / SERVICE).write_text(_PANIC)
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / SERVICE).symlink_to(f"../{SERVICE}")


def flip_a_byte(root: Path) -> None:
    """Another version, which is damaged when its hashes are made."""
    (root / "usr/lib/netty/damaged").touch()


BAD: dict[str, Change] = {
    "init is missing": without_init,
    "the AE crashes": with_an_ae_that_crashes,
    "the AE hangs": with_an_ae_that_hangs,
    "the kernel panics": with_a_panic,
    "a byte of the root is flipped": flip_a_byte,
    "the page is dead": with_a_dead_page,
}


@dataclass(frozen=True, slots=True)
class Versions:
    """Makes bundles of an image's other versions in `folder`."""

    image: Build
    folder: Path

    @property
    def _rauc(self) -> SuiteRauc:
        return SuiteRauc(self.folder / "suite")

    @property
    def keys(self) -> Keys:
        """Whom boxes of this image trust."""
        return Keys(KEYS).made()

    def bundle(self, name: str, change: Change) -> Path:
        """A bundle of the image after a change."""
        tree, parts = self.folder / name / "tree", self.folder / name / "parts"
        parts.mkdir(parents=True)
        tree.mkdir()
        run(need("unsquashfs", "squashfs-tools"), "-quiet", "-no-progress", "-dest", tree / "root",
            self.image.disk.with_name("root.verity"))  # fmt: skip
        change(tree / "root")
        cache, version = cache_from_environment(), version_here()
        guard = SuiteBootGuard(tree / "boot-guard", AMD64, cache)
        maker = DiskMaker(parts, read_layout(), AMD64, guard, version.time)
        verity = maker.verified(maker.squashed(tree / "root"))
        maker.boot(verity, kernel_of(cache, AMD64, own_kernel()))
        if change is flip_a_byte:
            _flip_root_inode(parts / "root.verity")
        content = replace(
            Content.of(self.image.disk.parent),
            root_hash=verity.root_hash,
            root=parts / "root.verity",
            boot=parts / "boot.vfat",
        )
        bundle = self.folder / f"{name}.raucb"
        make_bundle(content, bundle, self.keys.signer, self._rauc)
        return bundle

    def refused(self) -> dict[str, tuple[Path, str]]:
        """Bundles that no box takes, by what is wrong, each with a word of why."""
        self.folder.mkdir(parents=True, exist_ok=True)
        old = Identity(self.folder / "old.pem", self.folder / "old.key")
        make_signer(old, self.keys.authority, "old", ends=datetime(2026, 1, 2, tzinfo=UTC))
        strange = Keys(self.folder / "strange").made("strange").signer
        right = self.small("right", self.keys.signer)
        return {
            "forged": (self.small("forged", strange), "not signed by the maker"),
            "expired": (self.small("expired", old), "has expired"),
            "elsewhere": (
                self.small("elsewhere", self.keys.signer, machine="toaster"),
                "another kind of box",
            ),
            "older": (
                self.small("older", self.keys.signer, number="0.0.1"),
                "is older than",
            ),
            "truncated": (_changed(right, "truncated", lambda whole: whole[:-5000]), ""),
            "flipped": (_changed(right, "flipped", _middle_flipped), ""),
        }

    def small(
        self, name: str, signer: Identity, machine: str = AMD64.machine, number: str = ""
    ) -> Path:
        """A bundle that would work no box, and is small."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = Content.of(self.image.disk.parent)
        image = self.folder / f"{name}.img"
        image.write_bytes(Random(name).randbytes(400_000))
        release = replace(content.release, version=number or content.release.version)
        bundle = self.folder / f"{name}.raucb"
        content = replace(
            content, machine=machine, release=release, root_hash="0" * 64, root=image, boot=image
        )
        make_bundle(content, bundle, signer, self._rauc)
        return bundle


def _flip_root_inode(file: Path) -> None:
    """Flip a byte of what every start reads first (squashfs, kernel documentation, 4.1)."""
    with file.open("r+b") as image:
        superblock = image.read(96)
        root_inode, inodes = (int.from_bytes(superblock[at : at + 8], "little") for at in (32, 64))
        where = inodes + (root_inode >> 16) + 2
        image.seek(where)
        (byte,) = image.read(1)
        image.seek(where)
        image.write(bytes([byte ^ 1]))


def _middle_flipped(whole: bytes) -> bytes:
    where = len(whole) // 2
    return whole[:where] + bytes([whole[where] ^ 1]) + whole[where + 1 :]


def _changed(bundle: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    changed = bundle.with_name(f"{name}.raucb")
    changed.write_bytes(change(bundle.read_bytes()))
    return changed
