"""The root file system of the test image: Debian's userland, our overlay, the appliance."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.architecture import AMD64, Architecture
from tools.imaging.cache import Cache
from tools.imaging.kernel import Kernel
from tools.imaging.packages import PYTHON, Native, trust_certificates, unpack, unpacked
from tools.imaging.programs import run
from tools.imaging.root import make_impersonal, name_version
from tools.imaging.version import Version
from tools.imaging.wheels import site_packages

REPOSITORY = Path(__file__).parents[2]
OVERLAY = REPOSITORY / "overlay"

PACKAGES = (
    *("base-files", "base-passwd", "dash", "coreutils", "findutils", "grep", "sed", "netbase"),
    *("util-linux", "mount", "procps", "kmod", "tzdata", "ca-certificates", "openssl"),
    *("systemd", "systemd-sysv", "systemd-repart", "systemd-resolved", "systemd-timesyncd"),
    *("udev", "dbus-broker", "e2fsprogs", "dosfstools", "iproute2", "nftables"),
    *("python3", "libstdc++6", "rauc", "efibootguard"),
)
"""What the box needs of Debian, whatever its processor."""

DIST_PACKAGES = "usr/lib/python3/dist-packages"
"""Where Debian's Python looks for packages."""

_UNUSED = (
    *("etc/apt", "etc/cron.d", "etc/cron.daily", "etc/dpkg", "etc/init.d", "etc/kernel"),
    *("etc/logrotate.d", "etc/rc?.d", "etc/rmt", "etc/skel", "etc/ssh", "etc/update-motd.d"),
    *("etc/X11", "etc/xdg", "etc/fstab", "etc/issue*", "etc/motd", "etc/systemd/system/*"),
    *("usr/include", "usr/games", "usr/lib/apt", "usr/lib/dpkg", "usr/lib/kernel"),
    *("usr/lib/gcc", "usr/lib/init", "usr/lib/python3*/*-packages/README*"),
    *(f"usr/lib/python{PYTHON}/{unused}" for unused in (
        "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo")),
    *("usr/lib/systemd/boot", "usr/lib/udev/hwdb.d", "usr/lib/*-linux-gnu/gconv"),
    *("usr/lib/*-linux-gnu/perl*", "usr/lib/systemd/network/*", "usr/lib/systemd/user"),
    *(f"usr/lib/tmpfiles.d/{unused}.conf" for unused in (
        "20-systemd-s*", "credstore", "debian", "home", "legacy", "libselinux1", "provision",
        "x11")),
    "usr/lib/systemd/system/x11-common.service",
    *(f"usr/share/{unused}" for unused in (
        "bash-completion", "bug", "doc", "doc-base", "fonts", "gcc", "gdb", "icons", "info",
        "lintian", "locale", "man", "menu", "perl*", "pixmaps", "polkit-1", "zsh")),
    *("var/cache", "var/lib/apt", "var/lib/dpkg", "var/log/*", "var/backups"),
)  # fmt: skip
"""What packages bring along and the box never reads (patterns below the root)."""


@dataclass(frozen=True, slots=True)
class Userland:
    """What the root file system is made of."""

    cache: Cache
    architecture: Architecture
    keyring: Path
    """The certificate of the authority whose bundles boxes of this image take."""

    def make(self, root: Path, kernel: Kernel, version: Version) -> None:
        """Make the whole root file system in the empty folder `root`."""
        native = Native(unpack(self._debian(AMD64), root.with_name("native")))
        unpack(self._base(kernel), root)
        _copy_tree(OVERLAY, root)
        _install_appliance(root, native)
        make_impersonal(root)
        name_version(root, self.architecture.machine, version, self.keyring)
        native.run("usr/bin/systemd-sysusers", f"--root={root}", silent=True)
        native.run("usr/bin/systemctl", f"--root={root}", "preset-all", "--global")
        native.run("usr/bin/systemctl", f"--root={root}", "preset-all")
        for account_backup in ("passwd-", "group-", "shadow-", "gshadow-"):
            (root / "etc" / account_backup).unlink(missing_ok=True)

    def _debian(self, architecture: Architecture) -> Path:
        packages = (*PACKAGES, *architecture.libraries)
        return unpacked(self.cache, "userland", architecture, packages)

    def _base(self, kernel: Kernel) -> Path:
        """A tar file of all that does not come from this repository: it takes longest."""
        debian = self._debian(self.architecture)
        site = site_packages(self.cache, self.architecture)

        def make(tar: Path) -> None:
            root = unpack(debian, tar.with_name("root"))
            _configure(root)
            if kernel.modules:
                shutil.copytree(kernel.modules, root / "usr/lib/modules", symlinks=True)
            shutil.copytree(site, root / DIST_PACKAGES, symlinks=True, dirs_exist_ok=True)
            native = Native(unpack(self._debian(AMD64), tar.with_name("native")))
            _compile(native, root, f"usr/lib/python{PYTHON}", DIST_PACKAGES)
            run("tar", "--create", "--file", tar, "--directory", root, ".")

        modules = kernel.modules.parent.name if kernel.modules else "no modules"
        parts: list[str | bytes] = [debian.name, site.name, modules, Path(__file__).read_bytes()]
        return self.cache.get(f"base-{self.architecture.debian}.tar", parts, make)


def _configure(root: Path) -> None:
    """Do what maintainer scripts would have done, and leave out what the box never reads."""
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    trust_certificates(root)
    for pattern in _UNUSED:
        for path in sorted(root.glob(pattern)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _install_appliance(root: Path, native: Native) -> None:
    target = root / DIST_PACKAGES / "appliance"
    shutil.copytree(REPOSITORY / "appliance", target, ignore=shutil.ignore_patterns("__pycache__"))
    _compile(native, root, f"{DIST_PACKAGES}/appliance")
    command = root / "usr/bin/appliance"
    command.write_text(
        "#!/usr/bin/python3 -I\nimport sys\nfrom appliance.cli import main\nsys.exit(main())\n"
    )
    command.chmod(0o755)


def _compile(native: Native, root: Path, *folders: str) -> None:
    """Byte-compile what a read-only root never could. Bytecode is the same for every processor."""
    native.run(
        *(f"usr/bin/python{PYTHON}", "-I", "-m", "compileall", "-q"),
        *("--invalidation-mode", "unchecked-hash", "-s", root, "-p", "/"),
        *(root / folder for folder in folders),
    )


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a folder over another; what is there already is replaced."""
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        if path.is_symlink() or path.is_file():
            there.parent.mkdir(parents=True, exist_ok=True)
            there.unlink(missing_ok=True)
            shutil.copy2(path, there, follow_symlinks=False)
        else:
            there.mkdir(parents=True, exist_ok=True)
