"""What differs between the two processors that the image is made for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """One processor, by the names that everybody else has for it."""

    debian: str
    """Debian's name, and that of `--arch`."""
    machine: str
    """The kernel's and the Python wheels' name."""
    efi: str
    """UEFI's suffix of program names: BOOTX64.EFI, BOOTAA64.EFI."""
    kernel: str
    """Debian's package of the kernel."""
    console: str
    """The serial port on which the kernel and systemd talk."""
    loader_watchdog: bool
    """Whether EFI Boot Guard knows a watchdog of such machines. Where it does not, it starts no
    kernel that is to be watched: there the watch begins with systemd."""
    compiled: frozenset[str]
    """Python packages without a wheel for it: compiled by us."""
    libraries: tuple[str, ...]
    """Debian packages that the compiled ones are linked with."""


AMD64 = Architecture(
    debian="amd64",
    machine="x86_64",
    efi="x64",
    kernel="linux-image-amd64",
    console="ttyS0",
    loader_watchdog=True,
    compiled=frozenset({"pillow-simd"}),
    libraries=(
        *("libjpeg62-turbo", "libopenjp2-7", "liblcms2-2"),
        *("libwebp7", "libwebpmux3", "libwebpdemux2"),
    ),
)

ARM64 = Architecture(
    debian="arm64",
    machine="aarch64",
    efi="aa64",
    kernel="linux-image-arm64",
    console="ttyAMA0",
    loader_watchdog=False,
    compiled=frozenset(),
    libraries=(),
)

ARCHITECTURES = {architecture.debian: architecture for architecture in (AMD64, ARM64)}
