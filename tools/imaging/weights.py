"""What an image contains and weighs: its root, part by part, each squashed by itself."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tools.imaging.disk import squash
from tools.imaging.programs import need, run

_PACKAGES: Final = "usr/lib/python3/dist-packages"

PARTS: Final = (
    ("the appliance", (f"{_PACKAGES}/appliance",)),
    ("numpy", (f"{_PACKAGES}/numpy*",)),
    ("GDCM", (f"{_PACKAGES}/*gdcm*",)),
    ("pydicom, pynetdicom", (f"{_PACKAGES}/pydicom*", f"{_PACKAGES}/pynetdicom*")),
    ("Pillow-SIMD", (f"{_PACKAGES}/PIL*", f"{_PACKAGES}/pillow*")),
    ("what else Python packages brought", (_PACKAGES,)),
    ("Python", ("usr/lib/python3*", "usr/bin/python3*")),
    ("the kernel's modules", ("usr/lib/modules",)),
    ("systemd and udev", ("usr/lib/systemd", "usr/lib/udev", "usr/lib/*/systemd", "usr/bin/*ctl")),
    ("OpenSSL", ("usr/lib/*/libcrypto.so*", "usr/lib/*/libssl.so*", "usr/bin/openssl")),
    ("other libraries", ("usr/lib/*-linux-gnu",)),
    ("other programs", ("usr/bin", "usr/sbin", "usr/lib", "usr/libexec")),
    ("data and settings", ("*",)),
)
"""Parts of a root, and their files (patterns below it); a file is of the first that has it."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A part of a root: bytes as it is read, and as it lies on the disk."""

    part: str
    plain: int
    squashed: int


def weights(root: Path) -> Iterator[Weight]:
    """Weigh the parts of a squashed root, in the order of `PARTS`.

    Raises ImageFailed.
    """
    with TemporaryDirectory(dir=root.parent, prefix=".weights-") as folder:
        tree, taken = Path(folder) / "root", Path(folder) / "part"
        run(need("unsquashfs", "squashfs-tools"), "-quiet", "-no-progress", "-dest", tree, root)
        for part, patterns in PARTS:
            shutil.rmtree(taken, ignore_errors=True)
            taken.mkdir()
            for path in (path for pattern in patterns for path in sorted(tree.glob(pattern))):
                target = taken / path.relative_to(tree)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
            image = squash(taken, Path(folder) / "part.squashfs", time=0)
            yield Weight(part, _plain(taken), image.stat().st_size)


def _plain(tree: Path) -> int:
    files = (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


def table(found: list[Weight], sizes: dict[str, int]) -> str:
    """The weights as a table of Markdown, with the sizes of the files that the disk is made of."""
    rows = [
        *((each.part, _mb(each.plain), _mb(each.squashed)) for each in found),
        ("**the root**, with its hashes", _mb(sum(each.plain for each in found)),
         f"**{_mb(sizes['root.verity'])}**"),
        ("kernel and initramfs, one for each slot", "", _mb(sizes["linux-a.efi"])),
    ]  # fmt: skip
    lines = ["| part | MB | MB squashed |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}"
