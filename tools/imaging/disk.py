"""From a root file system and a kernel to the disk: verity, boot slots, file systems, genimage.

Every file made here is the same, byte for byte, whenever it is made of the same content.
"""

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.updates.slots import BOOT_STATE, LABEL, NO_LABEL, SLOTS, Slot
from tools.imaging.architecture import Architecture
from tools.imaging.boot_guard import BootGuard
from tools.imaging.kernel import Kernel
from tools.imaging.layout import Layout, Partition
from tools.imaging.programs import ImageFailed, need, run

BLOCK = 4096
"""Bytes of a block of data and of hashes under verity."""

_VERITY_SALT = "00" * 32
"""A salt hinders nobody here: the hash is public. A fixed one makes the same image twice."""

_EXT4 = (
    *("has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit"),
    *("flex_bg", "sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize"),
    "metadata_csum",
)
"""Features of our ext4, whatever this machine's mke2fs would choose."""

_LARGEST_DATA = 2 * 1024**4
"""Bytes to which an ext4 of ours can grow while it is mounted."""


@dataclass(frozen=True, slots=True)
class Verity:
    """The verified root: where its hashes begin and what they come to."""

    blocks: int
    root_hash: str

    def table(self, label: str) -> str:
        """The kernel's `dm-mod.create=` for this root in the partition `label`.

        A block that is not what it was when the image was made stops the kernel; it restarts.
        """
        target = (
            f"0 {self.blocks * BLOCK // 512} verity 1 PARTLABEL={label} PARTLABEL={label} "
            f"{BLOCK} {BLOCK} {self.blocks} {self.blocks} sha256 {self.root_hash} "
            f"{_VERITY_SALT} 1 panic_on_corruption"
        )
        return f'dm-mod.create="netty-root,,,ro,{target}" dm-mod.waitfor=PARTLABEL={label}'


@dataclass(frozen=True, slots=True)
class DiskMaker:
    """Makes the files of one disk in `folder`."""

    folder: Path
    layout: Layout
    architecture: Architecture
    boot_guard: BootGuard
    time: int
    """The date of everything, in seconds since 1970."""

    def make(self, root: Path, kernel: Kernel) -> Verity:
        """Make the whole disk of a root file system and a kernel; slot b stays empty."""
        verity = self.verified(self.squashed(root))
        self.disk(verity, kernel)
        return verity

    def disk(self, verity: Verity, kernel: Kernel) -> None:
        """Make the whole disk of `root.verity` and a kernel; slot b stays empty."""
        kernels = self.boot(verity, kernel)
        first, second = Slot("a"), Slot("b")
        state = self._boot_state(2, first.payload, "OK")
        self._boot(first.boot, first.label, {BOOT_STATE: state, **kernels})
        state = self._boot_state(1, second.payload, "FAILED")
        self._boot(second.boot, second.label, {BOOT_STATE: state})
        self._esp()
        for name in ("state", "data"):
            self._ext4(self.layout.partition(name))
        self._disk()

    def boot(self, verity: Verity, kernel: Kernel) -> dict[str, Path]:
        """Make `boot.vfat`, the boot partition that an update brings, and return its kernels.

        It fits both slots. Who puts it into one writes label and state over, where they are.
        """
        initramfs = self._initramfs(kernel)
        kernels = {
            Slot(name).kernel: self._unified_kernel(kernel, initramfs, verity, Slot(name))
            for name in SLOTS
        }
        state = self._boot_state(0, "", "FAILED")
        self._boot("boot", NO_LABEL, {BOOT_STATE: state, **kernels})
        return kernels

    def _path(self, name: str) -> Path:
        path = self.folder / name
        path.unlink(missing_ok=True)
        return path

    def squashed(self, root: Path) -> Path:
        """Make `root.verity` of a root file system, without its hashes."""
        return squash(root, self._path("root.verity"), self.time)

    def verified(self, image: Path) -> Verity:
        """Put its hashes behind a squashfs image."""
        blocks = -(-image.stat().st_size // BLOCK)
        os.truncate(image, blocks * BLOCK)
        said = run(need("veritysetup", "cryptsetup-bin"), "format", "--no-superblock",
                   f"--hash-offset={blocks * BLOCK}", f"--data-blocks={blocks}",
                   f"--salt={_VERITY_SALT}", image, image)  # fmt: skip
        room = self.layout.partition("root-a").size_bytes
        if image.stat().st_size > room:
            raise ImageFailed(f"the root is {image.stat().st_size} bytes, its partition {room}")
        found = re.search(r"^Root hash:\s*([0-9a-f]{64})$", said, re.MULTILINE)
        if found is None:
            raise ImageFailed(f"veritysetup gave no root hash: {said}")
        return Verity(blocks=blocks, root_hash=found[1])

    def _initramfs(self, kernel: Kernel) -> Path | None:
        content = kernel.initramfs()
        if content is None:
            return None
        initramfs = self._path("initramfs")
        initramfs.write_bytes(content)
        return initramfs

    def _unified_kernel(
        self, kernel: Kernel, initramfs: Path | None, verity: Verity, slot: Slot
    ) -> Path:
        command_line = " ".join(
            [
                *("console=tty0", f"console={self.architecture.console}"),
                *(*self.layout.parameters, f"rauc.slot={slot.name}"),
                *("root=/dev/dm-0", verity.table(slot.root)),
            ]
        )
        unified = self._path(slot.kernel)
        self.boot_guard.unify(
            *("--cmdline", command_line),
            *(("--initrd", initramfs) if initramfs else ()),
            *(self.boot_guard.efi("kernel-stub"), kernel.image, unified),
        )
        return unified

    def _boot_state(self, revision: int, payload: str, state: str) -> Path:
        """One slot's state for EFI Boot Guard, which starts the highest revision that works."""
        path = self._path(f"BGENV.{revision}")
        watchdog = self.layout.watchdog if self.architecture.loader_watchdog else 0
        self.boot_guard.set_state(
            *(f"--filepath={path}", f"--revision={revision}"),
            *(f"--kernel={payload}", f"--ustate={state}", f"--watchdog={watchdog}"),
        )
        return path

    def _esp(self) -> None:
        name = f"EFI/BOOT/BOOT{self.architecture.efi.upper()}.EFI"
        self._fat(self.layout.partition("esp"), {name: self.boot_guard.efi("efibootguard")})

    def _boot(self, name: str, label: str, files: dict[str, Path]) -> None:
        """A boot partition that EFI Boot Guard knows by this label."""
        labelled = self._path(f"{name}.label")
        labelled.write_bytes(label.encode("utf-16-le"))
        like = self.layout.partition(name if name.startswith("boot-") else "boot-a")
        partition = replace(like, name=name, image=f"{name}.vfat")
        self._fat(partition, {LABEL: labelled, **files})

    def _fat(self, partition: Partition, files: dict[str, Path]) -> None:
        """A FAT16 file system with these files, without mounting anything."""
        image = self._path(partition.image or partition.name)
        run(need("mkfs.vfat", "dosfstools"), "-C", "-F", "16", "-n", partition.name.upper(),
            "-i", partition.uuid[:8], "--invariant", image,
            str(partition.size * 1024))  # fmt: skip
        for name, file in files.items():
            for folder in reversed(Path(name).parents[:-1] if "/" in name else ()):
                self._mtools("mmd", "-i", image, f"::/{folder}")
            dated = self._path("dated")
            shutil.copyfile(file, dated)
            os.utime(dated, (self.time, self.time))
            self._mtools("mcopy", "-m", "-i", image, dated, f"::/{name}")

    def _mtools(self, program: str, *arguments: str | Path) -> None:
        run(need(program, "mtools"), *arguments,
            environment={"SOURCE_DATE_EPOCH": str(self.time), "TZ": "UTC",
                         "MTOOLS_SKIP_CHECK": "1"})  # fmt: skip

    def _ext4(self, partition: Partition) -> None:
        """An empty ext4 that can grow. No block is set aside for root: nobody here is."""
        image = self._path(partition.image or partition.name)
        journal = min(64, partition.size // 8)
        extended = f"hash_seed={partition.uuid},resize={_LARGEST_DATA // BLOCK},root_owner=0:0"
        with image.open("wb") as file:
            file.truncate(partition.size_bytes)
        run(need("mke2fs", "e2fsprogs"), "-q", "-F", "-b", str(BLOCK), "-I", "256", "-m", "0",
            "-O", "none," + ",".join(_EXT4), "-J", f"size={journal}", "-E", extended,
            "-U", partition.uuid, "-L", partition.name, image,
            environment={"MKE2FS_CONFIG": "/dev/null", "E2FSPROGS_FAKE_TIME": str(self.time),
                         "SOURCE_DATE_EPOCH": str(self.time)})  # fmt: skip

    def _disk(self) -> None:
        disk = self._path("disk.img")
        settings = self._path("genimage.cfg")
        settings.write_text(self.layout.genimage(disk.name))
        work = self.folder / "genimage"
        shutil.rmtree(work, ignore_errors=True)
        (work / "root").mkdir(parents=True)
        run(need("genimage", "genimage"), "--config", settings, "--rootpath", work / "root",
            "--tmppath", work / "tmp", "--inputpath", self.folder, "--outputpath", self.folder,
            environment={"SOURCE_DATE_EPOCH": str(self.time)})  # fmt: skip


def squash(root: Path, image: Path, time: int) -> Path:
    """Make a squashfs image of a tree, the same for the same content; return it."""
    run(need("mksquashfs", "squashfs-tools"), root, image, "-all-root", "-noappend",
        "-no-progress", "-quiet", "-no-xattrs", "-comp", "zstd", "-Xcompression-level", "9",
        "-b", "131072", "-mkfs-time", str(time), "-all-time", str(time))  # fmt: skip
    return image
