"""What every root file system of a box holds, whoever built the rest: Debian or Buildroot."""

import os
from pathlib import Path

from tools.imaging.bundle import prepare_root
from tools.imaging.version import Version

_MOUNT_POINTS = ("data", "dev", "proc", "run", "state", "sys", "tmp")

_LINKS = {
    "etc/mtab": "../proc/self/mounts",
    "etc/resolv.conf": "../run/systemd/resolve/resolv.conf",
    "etc/localtime": "../run/netty/localtime",
}


def make_impersonal(root: Path) -> None:
    """Leave to the box what differs from box to box: its name, its network, its time zone."""
    for name in _MOUNT_POINTS:
        (root / name).mkdir(exist_ok=True)
    (root / "etc/machine-id").write_text("")
    for name, target in _LINKS.items():
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(target)


def name_version(root: Path, machine: str, version: Version, keyring: Path) -> None:
    """Write down which version this is, of when, for which processor, and whose updates it takes.

    `machine` is the kernel's name of the processor; `keyring` certifies those who sign updates.
    """
    (root / "usr/lib/os-release").write_text(version.os_release())
    prepare_root(root, machine, version, keyring)
    # systemd takes no clock for true that is behind the image (systemd-timesyncd.service(8)).
    (root / "usr/lib/clock-epoch").touch()
    os.utime(root / "usr/lib/clock-epoch", (version.time, version.time))
