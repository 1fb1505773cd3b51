"""The kernel of an image: Debian's, with the modules that a box may need, or our own.

Ours, of the configuration in `buildroot/board`, has no modules and finds the root itself. Debian's
has device mapper, verity and disks as modules; so an initramfs does for it what ours does by
itself: set up the root from `dm-mod.create=` on the command line. The command line is therefore the
same for both.
"""

import lzma
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools.imaging.architecture import AMD64, Architecture
from tools.imaging.cache import Cache
from tools.imaging.cpio import Archive
from tools.imaging.packages import Native, unpack, unpacked
from tools.imaging.programs import ImageFailed, need, run

INIT = Path(__file__).with_name("initramfs-init")

EARLY_MODULES = (
    *("virtio_blk", "virtio_scsi", "nvme", "ahci", "sd_mod", "sdhci_pci", "sdhci_acpi"),
    *("mmc_block", "xhci_pci", "usb_storage", "uas", "squashfs", "dm_verity"),
    *("i6300esb", "iTCO_wdt", "sbsa_gwdt"),
)
"""What must be there before the root is: disks, the root itself, and the watchdog, which the boot
loader has started already."""

MODULES = (
    *EARLY_MODULES,
    *(
        "crc32c_generic",
        "crc32c_intel",
        "ext4",
        "vfat",
        "exfat",
        "nls_ascii",
        "nls_cp437",
        "nls_iso8859-1",
        "nls_utf8",
        "loop",
        "nbd",
    ),
    *("virtio_net", "virtio_console", "virtio_rng", "e1000e", "igb", "igc", "r8169", "8021q"),
    *("nf_tables", "nft_ct", "nft_limit", "nft_log", "nft_reject_inet", "nf_conntrack"),
    *("xhci_hcd", "ehci_pci", "usbhid", "hid_generic", "evdev", "uinput", "uhid"),
    *("leds_gpio", "ledtrig_timer", "ledtrig_pattern", "ledtrig_heartbeat", "gpio_pl061"),
    *("efivarfs", "efi_pstore", "autofs4", "wdat_wdt", "softdog", "configfs", "rtc_efi"),
)
"""All that the image holds, by name; what these need in turn comes with them."""


class Kernel(Protocol):
    """The kernel of an image."""

    @property
    def image(self) -> Path:
        """The kernel itself."""

    @property
    def modules(self) -> Path | None:
        """What belongs into /usr/lib/modules."""

    def initramfs(self) -> bytes | None:
        """What finds the root for it; None: it finds its root itself."""


@dataclass(frozen=True, slots=True)
class OwnKernel:
    """The kernel that Buildroot makes, as `make bzImage` or `make Image` leaves it."""

    image: Path

    @property
    def modules(self) -> None:
        """None are needed: all is built in."""

    def initramfs(self) -> None:
        """None is needed."""


@dataclass(frozen=True, slots=True)
class DebianKernel:
    """Debian's, unpacked: `vmlinuz`, `modules/VERSION` and the programs of its initramfs."""

    folder: Path

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return self.folder / "vmlinuz"

    @property
    def modules(self) -> Path:
        """What belongs into /usr/lib/modules."""
        return self.folder / "modules"

    def initramfs(self) -> bytes:
        """The initramfs, uncompressed: it is small, and the firmware reads it."""
        archive = Archive()
        for name in ("dev", "proc", "sys", "root"):
            archive.folder(name)
        archive.file("init", INIT.read_bytes(), executable=True)
        tree = self.folder / "initramfs"
        for path in sorted(tree.rglob("*")):
            name = str(path.relative_to(tree))
            if path.is_dir():
                archive.folder(name)
            else:
                archive.file(name, path.read_bytes(), executable=path.suffix != ".ko")
        return archive.finish()


def debian_kernel(cache: Cache, architecture: Architecture) -> DebianKernel:
    """Debian's kernel for that processor."""
    packages = (architecture.kernel, "busybox-static", "dmsetup", "kmod")
    tar = unpacked(cache, "kernel", architecture, packages)

    def make(folder: Path) -> None:
        tree = unpack(tar, folder.with_name("tree"))
        folder.mkdir()
        shutil.copy(next((tree / "boot").glob("vmlinuz-*")), folder / "vmlinuz")
        version = next((tree / "usr/lib/modules").iterdir()).name
        _choose_modules(cache, tree, folder, version)
        _choose_programs(tree, folder / "initramfs")

    parts: list[str | bytes] = [tar.name, Path(__file__).read_bytes()]
    return DebianKernel(cache.get(f"chosen-kernel-{architecture.debian}", parts, make))


def _choose_modules(cache: Cache, tree: Path, folder: Path, version: str) -> None:
    tools = unpacked(cache, "modules-tools", AMD64, ("kmod",))
    native = Native(unpack(tools, folder.with_name("tools")))
    (tree / "lib").symlink_to("usr/lib")  # base-files would bring it; depmod looks there
    native.run("usr/sbin/depmod", f"--basedir={tree}", version)
    all_modules = tree / "usr/lib/modules" / version
    needs = _dependencies((all_modules / "modules.dep").read_text())
    built_in = {_name(line) for line in (all_modules / "modules.builtin").read_text().split()}

    chosen = folder / "modules" / version
    for module in _closure(MODULES, needs, built_in):
        _unpack_module(all_modules / module, chosen / module)
    for listing in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(all_modules / listing, chosen)
    base = folder.with_name("base")
    (base / "usr/lib").mkdir(parents=True)
    (base / "lib").symlink_to("usr/lib")
    (base / "usr/lib/modules").symlink_to(folder / "modules")
    native.run("usr/sbin/depmod", f"--basedir={base}", version)

    early = folder / "initramfs" / "modules"
    order = []
    for module in _closure(EARLY_MODULES, needs, built_in):
        _unpack_module(all_modules / module, early / f"{_name(module)}.ko")
        order.append(f"{_name(module)}.ko\n")
    (early / "order").write_text("".join(order))


def _name(path: str) -> str:
    """A module's name, as the kernel has it, from its path or from another writing of it."""
    return Path(path).name.partition(".")[0].replace("-", "_")


def _dependencies(text: str) -> dict[str, list[str]]:
    """modules.dep: the path of each module, and those of what it needs, farthest last."""
    lines = (line.partition(":") for line in text.splitlines())
    return {module: needed.split() for module, _, needed in lines}


def _closure(names: Iterable[str], needs: dict[str, list[str]], built_in: set[str]) -> list[str]:
    """The paths of these modules and all that they need, each behind what it needs.

    A name that this processor's kernel does not have is left out.
    """
    paths = {_name(path): path for path in needs}
    order: dict[str, None] = {}
    for name in map(_name, names):
        if name in paths and name not in built_in:
            order.update(dict.fromkeys([*reversed(needs[paths[name]]), paths[name]]))
    return list(order)


def _unpack_module(source: Path, target: Path) -> None:
    """Copy a module, uncompressed: the root compresses better, and loads it faster.

    modules.dep names it with its old suffix until depmod has run again.
    """
    target = target.with_suffix("") if target.suffix == ".xz" else target
    target.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    target.write_bytes(lzma.decompress(content) if source.suffix == ".xz" else content)


def _choose_programs(tree: Path, folder: Path) -> None:
    """busybox, which needs nothing, and dmsetup with its libraries."""
    programs = [tree / "usr/bin/busybox", tree / "usr/sbin/dmsetup"]
    for program in programs:
        _copy_program(program, folder / "bin" / program.name)
    library_folder = next((tree / "usr/lib").glob("*-linux-gnu"))
    waiting = [programs[1]]
    seen: set[str] = set()
    while waiting:
        for name in _libraries(waiting.pop()) - seen:
            seen.add(name)
            library = library_folder / name
            if not library.exists():
                raise ImageFailed(f"dmsetup needs {name}, which its packages do not bring")
            _copy_program(library, folder / "lib" / name)
            waiting.append(library)
    loader = next((tree / "usr/lib").glob("ld-linux-*.so.*"), None) or next(
        (tree / "usr/lib64").glob("ld-linux-*.so.*")
    )
    _copy_program(loader, folder / loader.parent.name / loader.name)


def _copy_program(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _libraries(program: Path) -> set[str]:
    """The libraries that a program is linked with; the loader is none of them."""
    said = run(need("readelf", "binutils"), "--dynamic", "--wide", program)
    names = set(re.findall(r"\(NEEDED\).*\[(.+)\]", said))
    return {name for name in names if not name.startswith("ld-linux")}
