"""The machine that the tests start, and its kernel.

$NETTY_ARCHITECTURE names the processor, if it is no PC; $NETTY_KERNEL a kernel of our own, if it is
not to be Debian's.
"""

import os
from pathlib import Path
from typing import Any

from tools.imaging.architecture import AMD64, ARCHITECTURES, Architecture
from tools.imaging.machine import Hardware


def architecture() -> Architecture:
    """Of the box under test. Raises KeyError where the variable names none of ours."""
    return ARCHITECTURES[os.environ.get("NETTY_ARCHITECTURE", AMD64.debian)]


def own_kernel() -> Path | None:
    """The kernel under test, if it is our own."""
    named = os.environ.get("NETTY_KERNEL")
    return Path(named) if named else None


def image_name() -> str:
    """The image under test, as its folder and its figures are called."""
    return f"image-{architecture().debian}{'-own-kernel' if own_kernel() else ''}"


def hardware(**said: Any) -> Hardware:
    """A machine of that architecture; `said` are fields of `Hardware`."""
    return Hardware(architecture=architecture(), **said)
