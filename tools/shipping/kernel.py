"""Builds the kernel of the shipped image alone, from Linux's source, and leaves it in build/.

Buildroot does the same within hours of other work. With this one, `tools/image --kernel` makes a
test image, and $NETTY_KERNEL has the tests of the image use it.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.architecture import AMD64, ARCHITECTURES, Architecture
from tools.imaging.programs import ImageFailed, need, run

REPOSITORY = Path(__file__).parents[2]
BOARDS = REPOSITORY / "buildroot/board"


_NAMES = {
    "x86_64": ("x86_64", "arch/x86/boot/bzImage"),
    "aarch64": ("arm64", "arch/arm64/boot/Image"),
}
"""What Linux calls each processor, and where it leaves its kernel."""


@dataclass(frozen=True, slots=True)
class KernelTree:
    """Linux's source, to be built in the folder `output` for one processor."""

    source: Path
    architecture: Architecture
    output: Path

    def configure(self) -> None:
        """Configure it as Buildroot does. Raises ImageFailed if it has not all that was chosen."""
        if not (self.source / "Kconfig").exists():
            raise ImageFailed(f"{self.source} is no source of Linux: it has no Kconfig")
        self.output.mkdir(parents=True, exist_ok=True)
        files = (BOARDS / "linux.config", BOARDS / self.architecture.machine / "linux.config")
        chosen = "".join(file.read_text() for file in files)
        configuration = self.output / ".config"
        configuration.write_text(chosen)
        run(*self._make("olddefconfig"))
        if lost := list(_lost(chosen, configuration.read_text())):
            raise ImageFailed(f"this Linux does not take what was chosen: {', '.join(lost)}")

    def build(self) -> Path:
        """Build it; it says what it is at. Returns the kernel. Raises ImageFailed."""
        image = self.output / _NAMES[self.architecture.machine][1]
        made = subprocess.run(self._make(image.name, f"-j{os.cpu_count() or 1}"), check=False)
        if made.returncode:
            raise ImageFailed("Linux cannot be built; what its make said above says why")
        return image

    def _make(self, *targets: str) -> list[str]:
        machine = self.architecture.machine
        command = [need("make", "make"), "-s", "-C", str(self.source), f"O={self.output}"]
        command.append(f"ARCH={_NAMES[machine][0]}")
        if machine != platform.machine():
            command.append(f"CROSS_COMPILE={machine}-linux-gnu-")
        return [*command, *targets]


def _lost(chosen: str, configuration: str) -> Iterator[str]:
    """The lines of `chosen` that the configuration contradicts."""
    has = dict(re.findall(r"^(CONFIG_\w+)=(.*)$", configuration, re.MULTILINE))
    for name, value in re.findall(r"^(CONFIG_\w+)=(.*)$", chosen, re.MULTILINE):
        if has.get(name) != value:
            yield f"{name}={value}"
    for name in re.findall(r"^# (CONFIG_\w+) is not set$", chosen, re.MULTILINE):
        if name in has:
            yield f"{name}=n"


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="tools/kernel", description=__doc__)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="Linux 6.12, unpacked")
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default=AMD64.debian)
    options = parser.parse_args()
    folder = REPOSITORY / "build" / f"kernel-{options.arch}"
    tree = KernelTree(options.source.resolve(), ARCHITECTURES[options.arch], folder / "linux")
    try:
        tree.configure()
        kernel = shutil.copy(tree.build(), folder)
    except ImageFailed as problem:
        print(f"kernel: {problem}", file=sys.stderr)
        return 1
    print(kernel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
