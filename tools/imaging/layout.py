"""The disk's layout, from `buildroot/board/layout.toml`, and genimage's input made from it.

Buildroot makes its disk from the same file:

    python3 -m tools.imaging.layout OUTPUT.img > genimage.cfg
"""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.programs import ImageFailed

LAYOUT_FILE = Path(__file__).parents[2] / "buildroot" / "board" / "layout.toml"

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of the disk."""

    name: str
    """Its label in the partition table (PARTLABEL)."""
    type: str
    """The GUID of its type."""
    uuid: str
    """The GUID of its own, also of the file system that is made for it."""
    size: int
    """In MiB."""
    image: str | None = None
    """The file that fills it; None: it stays empty."""

    @property
    def size_bytes(self) -> int:
        """Its size in bytes."""
        return self.size * MIB


@dataclass(frozen=True, slots=True)
class Layout:
    """The whole disk."""

    uuid: str
    partitions: tuple[Partition, ...]
    watchdog: int
    """Seconds that the boot loader gives the kernel until systemd feeds the watchdog."""
    parameters: tuple[str, ...]
    """The kernel's command line, without root and console."""

    def partition(self, name: str) -> Partition:
        """The partition of that name. Raises KeyError if there is none."""
        for partition in self.partitions:
            if partition.name == name:
                return partition
        raise KeyError(name)

    def offset(self, name: str) -> int:
        """Where on the disk the partition begins, in bytes: at 1 MiB, one behind the other."""
        names = [partition.name for partition in self.partitions]
        before = self.partitions[: names.index(name)]
        return MIB + sum(partition.size_bytes for partition in before)

    def genimage(self, disk: str) -> str:
        """genimage's configuration, which makes the file `disk` of the partitions' files."""
        return "\n".join(
            [
                f'image "{disk}" {{',
                "\thdimage {",
                '\t\tpartition-table-type = "gpt"',
                f'\t\tdisk-uuid = "{self.uuid}"',
                '\t\talign = "1M"',
                "\t}",
                *(
                    line
                    for partition in self.partitions
                    for line in _genimage_partition(partition, self.offset(partition.name))
                ),
                "}",
                "",
            ]
        )


def _genimage_partition(partition: Partition, offset: int) -> list[str]:
    return [
        f"\tpartition {partition.name} {{",
        f'\t\tpartition-type-uuid = "{partition.type}"',
        f'\t\tpartition-uuid = "{partition.uuid}"',
        f'\t\toffset = "{offset // MIB}M"',
        f'\t\tsize = "{partition.size}M"',
        *([f'\t\timage = "{partition.image}"'] if partition.image else []),
        "\t}",
    ]


def read_layout(file: Path = LAYOUT_FILE) -> Layout:
    """Read the layout. Raises ImageFailed, which names the file, if it is not one."""
    try:
        content = tomllib.loads(file.read_text())
        return Layout(
            uuid=content["disk"]["uuid"],
            partitions=tuple(Partition(**partition) for partition in content["partition"]),
            watchdog=content["boot"]["watchdog"],
            parameters=tuple(content["boot"]["parameters"]),
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as problem:
        raise ImageFailed(f"{file}: not a disk layout: {problem!r}") from problem


if __name__ == "__main__":
    print(read_layout().genimage(sys.argv[1]), end="")
