"""The whole way to an image."""

import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.architecture import Architecture
from tools.imaging.boot_guard import SuiteBootGuard
from tools.imaging.bundle import KEYS
from tools.imaging.cache import Cache, alone, digest
from tools.imaging.description import NAME, Description
from tools.imaging.disk import DiskMaker
from tools.imaging.kernel import Kernel, OwnKernel, debian_kernel
from tools.imaging.keys import Keys
from tools.imaging.layout import read_layout
from tools.imaging.programs import ImageFailed
from tools.imaging.userland import Userland
from tools.imaging.version import Version, version_here

REPOSITORY = Path(__file__).parents[2]

_MADE_OF = ("appliance", "buildroot/board", "overlay", "pyproject.toml", "tools/imaging")
"""All that an image is made of, besides what the package mirrors give."""


@dataclass(frozen=True, slots=True)
class Build:
    """An image that was made."""

    disk: Path
    """The disk, as large as the layout says; a box's own is larger, and `data` grows into it."""
    sizes: dict[str, int]
    """Bytes of the files it was made of, by name."""


def build(
    architecture: Architecture,
    folder: Path,
    cache: Cache,
    say: Callable[[str], None],
    keyring: Path | None = None,
    kernel: Path | None = None,
) -> Build:
    """Make an image in `folder`: `disk.img`, its parts, and `image.json`, which describes it.

    Boxes of it take updates of those who are certified by `keyring`; without one, of whoever has
    the keys of this checkout. `kernel` is our own; without one, it is Debian's. If the image is
    there already, made of the same content, it stays. Raises ImageFailed; an image that was there
    before then stays as well.
    """
    version = version_here()
    keyring = keyring or Keys(KEYS).made().authority.certificate
    own = kernel.read_bytes() if kernel else b""
    given = (architecture.debian, version.os_release(), keyring.read_bytes(), own)
    made_of = digest((*given, *_content()))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_name(f"{folder.name}.lock")):
        if _made_of(folder) != made_of:
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".image-") as making:
                userland = Userland(cache, architecture, keyring)
                say("the kernel")
                chosen = kernel_of(userland.cache, architecture, kernel)
                parts, root_hash = _parts(Path(making), userland, chosen, version, say)
                Description.of(parts, version, architecture, root_hash, made_of).write(parts)
                _replace(folder, parts)
        return Build(folder / "disk.img", Description.read(folder).sizes)


def kernel_of(cache: Cache, architecture: Architecture, own: Path | None) -> Kernel:
    """The kernel of an image: our own where there is one, else Debian's."""
    return OwnKernel(own) if own else debian_kernel(cache, architecture)


def _content() -> Iterator[bytes]:
    """Everything in this checkout that ends up in an image or decides how it is made."""
    for name in _MADE_OF:
        top = REPOSITORY / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_symlink():
                yield f"{path} -> {path.readlink()}".encode()
            elif path.is_file() and path.suffix != ".pyc":
                yield f"{path} {stat.filemode(path.stat().st_mode)}".encode()
                yield path.read_bytes()


def _parts(
    making: Path,
    userland: Userland,
    kernel: Kernel,
    version: Version,
    say: Callable[[str], None],
) -> tuple[Path, str]:
    """A new folder with the disk and the files it is made of; and the hash of the root."""
    cache, architecture = userland.cache, userland.architecture
    say("the root file system (the first time: packages, and Pillow-SIMD compiled)")
    root = making / "tree" / "root"
    root.mkdir(parents=True)
    userland.make(root, kernel, version)
    say("the disk")
    parts = making / "parts"
    parts.mkdir()
    guard = SuiteBootGuard(making / "boot-guard", architecture, cache)
    maker = DiskMaker(parts, read_layout(), architecture, guard, version.time)
    return parts, maker.make(root, kernel).root_hash


def _made_of(folder: Path) -> str:
    """What the image in a folder was made of; nothing where there is no whole one."""
    try:
        return Description.read(folder).made_of
    except ImageFailed:
        return ""


def _replace(folder: Path, parts: Path) -> None:
    """Put the new image in the old one's place. The description comes last and makes it whole."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in (*Description.read(parts).sizes, NAME):
        (parts / name).rename(folder / name)
