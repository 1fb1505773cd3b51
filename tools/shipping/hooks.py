"""What Buildroot calls while it builds (`buildroot/board/post-build.sh`, `post-image.sh`).

    python -m tools.shipping.hooks root TARGET-DIR MACHINE
    python -m tools.shipping.hooks disk IMAGES-DIR MACHINE

MACHINE is the kernel's name of the processor. $NETTY_KEYRING names the certificate of those whose
updates the boxes take; without it, they take those that are signed with the keys of this checkout.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.imaging.architecture import ARCHITECTURES, Architecture
from tools.imaging.boot_guard import BuiltBootGuard
from tools.imaging.bundle import KEYS
from tools.imaging.description import Description
from tools.imaging.disk import DiskMaker
from tools.imaging.kernel import OwnKernel
from tools.imaging.keys import Keys
from tools.imaging.layout import read_layout
from tools.imaging.programs import ImageFailed
from tools.imaging.root import make_impersonal, name_version
from tools.imaging.version import Version, version_here

REPOSITORY = Path(__file__).parents[2]
SYSUSERS = REPOSITORY / "overlay/usr/lib/sysusers.d/netty.conf"

MADE = "netty"
"""The folder below Buildroot's images in which the disk and its parts are made."""

USERS = "netty-users"
"""The file below Buildroot's images with our accounts, in Buildroot's own form."""

LARGEST_ROOT = 100 * 1000**2
"""Bytes that a compressed root may have."""

_UNUSED = (
    *("etc/fstab", "etc/init.d", "etc/issue", "etc/profile*", "usr/lib/systemd/network/*"),
    *("usr/lib/systemd/boot", "usr/lib/systemd/user", "usr/share/bash-completion"),
    *("usr/sbin/agetty", "usr/sbin/sulogin"),
    *(f"usr/lib/python3*/{unused}" for unused in (
        "ensurepip", "idlelib", "lib2to3", "pydoc_data", "tkinter", "turtledemo")),
    *(f"usr/lib/python3*/site-packages/{unused}" for unused in (
        "*/tests", "numpy/*/tests", "numpy/f2py", "numpy/core/include", "numpy/core/lib",
        "numpy/distutils", "pybind11")),
)  # fmt: skip
"""What packages bring along and the box never reads (patterns below the root)."""

_FORBIDDEN = frozenset(
    {
        *("as", "cc", "g++", "gcc", "gdb", "gdbserver", "ld", "make"),
        *("apt", "dpkg", "opkg", "pip", "pip3", "rpm"),
        *("dropbear", "scp", "sshd", "telnetd", "wget"),
        *("agetty", "bash", "getty", "login", "su", "sudo", "sulogin"),
    }
)
"""Programs that help whoever broke in, and nobody else here."""


def finish_root(target: Path, machine: str, version: Version, keyring: Path) -> None:
    """Make the box's root of what Buildroot's packages and the overlay brought.

    Raises ImageFailed if it holds a program that no box may have.
    """
    for path in _unused(target):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    make_impersonal(target)
    name_version(target, machine, version, keyring)
    if found := sorted(forbidden(target)):
        raise ImageFailed(f"a box must not have {', '.join(found)}; which package brought it?")


def _unused(target: Path) -> Iterator[Path]:
    for pattern in _UNUSED:
        yield from sorted(target.glob(pattern))


def forbidden(root: Path) -> set[str]:
    """The programs below `root` that no box may have, busybox's own names included."""
    folders = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin")
    present = {path.name for folder in folders for path in (root / folder).glob("*")}
    return present & _FORBIDDEN


def users_table(sysusers: Iterable[str]) -> str:
    """Accounts of sysusers.d(5), one for each line, in the form of Buildroot's makeusers.

    Nobody can log in to them, and their home is `/`: Buildroot would make any other in the root,
    where only a mount point may be. Raises ImageFailed at a line that it cannot translate.
    """
    table = []
    for line in sysusers:
        words = shlex.split(line, comments=True)
        match words:
            case []:
                continue
            case ["u", name, number, comment, *_] if number.isdecimal():
                table.append(f"{name} {number} {name} {number} * - - - {comment}")
            case _:
                raise ImageFailed(f"{SYSUSERS}: Buildroot cannot be told this account: {line}")
    return "\n".join([*table, ""])


_KERNELS = {"x86_64": "bzImage", "aarch64": "Image"}
"""What Buildroot calls the kernel of each processor."""


def make_disk(images: Path, architecture: Architecture, version: Version) -> Path:
    """Make the disk of Buildroot's root file system and kernel; return the folder of its parts.

    Raises ImageFailed, also if the root has grown larger than a box's may be.
    """
    folder = images / MADE
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    root = folder / "root.verity"
    shutil.copyfile(images / "rootfs.squashfs", root)
    size = root.stat().st_size
    if size > LARGEST_ROOT:
        raise ImageFailed(f"the compressed root is {size} bytes; at most {LARGEST_ROOT} may be")
    guard = BuiltBootGuard(images / "efibootguard", architecture)
    maker = DiskMaker(folder, read_layout(), architecture, guard, version.time)
    verity = maker.verified(root)
    maker.disk(verity, OwnKernel(images / _KERNELS[architecture.machine]))
    Description.of(folder, version, architecture, verity.root_hash).write(folder)
    return folder


def _keyring() -> Path:
    named = os.environ.get("NETTY_KEYRING")
    return Path(named) if named else Keys(KEYS).made().authority.certificate


def main(hook: str, folder: Path, machine: str) -> None:
    """Run one hook. Raises ImageFailed."""
    architecture = next(each for each in ARCHITECTURES.values() if each.machine == machine)
    version = version_here()
    if hook == "root":
        finish_root(folder, machine, version, _keyring())
        images = Path(os.environ["BINARIES_DIR"])
        images.mkdir(parents=True, exist_ok=True)
        (images / USERS).write_text(users_table(SYSUSERS.read_text().splitlines()))
    else:
        make_disk(folder, architecture, version)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    except ImageFailed as problem:
        sys.exit(f"netty: {problem}")
