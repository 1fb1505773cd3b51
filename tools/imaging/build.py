"""The whole way to an image."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.imaging.architecture import Architecture
from tools.imaging.cache import Cache
from tools.imaging.disk import DiskMaker
from tools.imaging.kernel import debian_kernel
from tools.imaging.layout import read_layout
from tools.imaging.userland import Userland
from tools.imaging.version import version_here


@dataclass(frozen=True, slots=True)
class Build:
    """An image that was made."""

    disk: Path
    """The disk, as large as the layout says; a box's own is larger, and `data` grows into it."""
    sizes: dict[str, int]
    """Bytes of its parts."""


def build(
    architecture: Architecture, folder: Path, cache: Cache, say: Callable[[str], None]
) -> Build:
    """Make an image in `folder`: `disk.img`, its parts, and `image.json`, which describes it.

    Raises ImageFailed. An image that was there before stays until the new one is whole.
    """
    version = version_here()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".image-") as making:
        say("the kernel")
        kernel = debian_kernel(cache, architecture)
        say("the root file system (the first time: packages, and Pillow-SIMD compiled)")
        root = Path(making) / "tree" / "root"
        root.mkdir(parents=True)
        Userland(cache, architecture).make(root, kernel, version)
        say("the disk")
        parts = Path(making) / "parts"
        parts.mkdir()
        disk = DiskMaker(parts, read_layout(), architecture, cache, version.time).make(root, kernel)
        names = ("root.verity", "vmlinuz.efi", "initramfs")
        made = Build(folder / disk.name, {name: (parts / name).stat().st_size for name in names})
        description = {**asdict(version), "architecture": architecture.debian, **made.sizes}
        (parts / "image.json").write_text(json.dumps(description, indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in (*names, disk.name, "image.json"):
            (parts / name).rename(folder / name)
    return made
