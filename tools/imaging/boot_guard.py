"""EFI Boot Guard, wherever it comes from: a package of the suite, or Buildroot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools.imaging.architecture import AMD64, Architecture
from tools.imaging.cache import Cache
from tools.imaging.packages import Native, unpack, unpacked
from tools.imaging.programs import ImageFailed, need, run


class BootGuard(Protocol):
    """The boot loader for one processor, and its programs on this machine."""

    def efi(self, name: str) -> Path:
        """The EFI program `efibootguard` or `kernel-stub`. Raises ImageFailed."""

    def set_state(self, *arguments: str) -> None:
        """Run `bg_setenv`. Raises ImageFailed."""

    def unify(self, *arguments: str | Path) -> None:
        """Run `bg_gen_unified_kernel`. Raises ImageFailed."""


@dataclass(frozen=True, slots=True)
class SuiteBootGuard:
    """EFI Boot Guard of the suite that the test image is made of."""

    folder: Path
    """Where its packages are unpacked."""
    architecture: Architecture
    cache: Cache

    def efi(self, name: str) -> Path:
        """The EFI program `efibootguard` or `kernel-stub`."""
        programs = self._package(self.architecture).glob("usr/lib/*/efibootguard")
        return next(programs) / f"{name}{self.architecture.efi}.efi"

    def set_state(self, *arguments: str) -> None:
        """Run `bg_setenv`. Raises ImageFailed."""
        Native(self._package(AMD64)).run("usr/bin/bg_setenv", *arguments)

    def unify(self, *arguments: str | Path) -> None:
        """Run `bg_gen_unified_kernel`. Raises ImageFailed."""
        package = self._package(self.architecture)
        run("python3", package / "usr/bin/bg_gen_unified_kernel", *arguments)

    def _package(self, architecture: Architecture) -> Path:
        folder = self.folder / f"boot-guard-{architecture.debian}"
        if not folder.exists():
            unpack(unpacked(self.cache, "boot-guard", architecture, ("efibootguard",)), folder)
        return folder


@dataclass(frozen=True, slots=True)
class BuiltBootGuard:
    """EFI Boot Guard as Buildroot made it: its programs are on the path."""

    folder: Path
    """Where the EFI programs are."""
    architecture: Architecture

    def efi(self, name: str) -> Path:
        """The EFI program `efibootguard` or `kernel-stub`. Raises ImageFailed."""
        program = self.folder / f"{name}{self.architecture.efi}.efi"
        if not program.exists():
            raise ImageFailed(f"{program} is missing: Buildroot's package efibootguard makes it")
        return program

    def set_state(self, *arguments: str) -> None:
        """Run `bg_setenv`. Raises ImageFailed."""
        run(need("bg_setenv", "efibootguard"), *arguments)

    def unify(self, *arguments: str | Path) -> None:
        """Run `bg_gen_unified_kernel`. Raises ImageFailed."""
        run(need("bg_gen_unified_kernel", "efibootguard"), *arguments)
