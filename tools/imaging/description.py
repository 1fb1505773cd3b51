"""`image.json`: what an image is, beside its disk and the parts that the disk is made of."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from tools.imaging.architecture import ARCHITECTURES, Architecture
from tools.imaging.programs import ImageFailed
from tools.imaging.version import Version

NAME: Final = "image.json"
PARTS: Final = ("disk.img", "root.verity", "boot.vfat", "linux-a.efi", "initramfs")
"""Files of an image; one whose kernel finds the root itself has no initramfs."""


@dataclass(frozen=True, slots=True)
class Description:
    """What an image is."""

    version: Version
    architecture: Architecture
    root_hash: str
    sizes: dict[str, int]
    """Bytes of its parts, by name."""
    made_of: str = ""
    """A hash of all that it was made of."""

    @classmethod
    def of(
        cls,
        parts: Path,
        version: Version,
        architecture: Architecture,
        root_hash: str,
        made_of: str = "",
    ) -> Self:
        """Describe the image whose parts are in a folder."""
        files = [parts / name for name in PARTS]
        sizes = {file.name: file.stat().st_size for file in files if file.exists()}
        return cls(version, architecture, root_hash, sizes, made_of)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What is said of the image in a folder. Raises ImageFailed."""
        file = folder / NAME
        try:
            said = json.loads(file.read_text())
            return cls(
                Version(said["number"], said["commit"], said["time"]),
                ARCHITECTURES[said["architecture"]],
                str(said["root_hash"]),
                dict(said["sizes"]),
                str(said["made_of"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ImageFailed(f"{file}: no image is described there: {error}") from None

    def write(self, folder: Path) -> None:
        """Say it beside the parts."""
        said = {
            **asdict(self.version),
            "architecture": self.architecture.debian,
            "root_hash": self.root_hash,
            "made_of": self.made_of,
            "sizes": self.sizes,
        }
        (folder / NAME).write_text(json.dumps(said, indent=2) + "\n")
