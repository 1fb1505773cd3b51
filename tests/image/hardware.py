"""The machine that the tests start: of the processor that $NETTY_ARCHITECTURE names, or a PC."""

import os
from typing import Any

from tools.imaging.architecture import AMD64, ARCHITECTURES, Architecture
from tools.imaging.machine import Hardware


def architecture() -> Architecture:
    """Of the box under test. Raises KeyError where the variable names none of ours."""
    return ARCHITECTURES[os.environ.get("NETTY_ARCHITECTURE", AMD64.debian)]


def hardware(**said: Any) -> Hardware:
    """A machine of that architecture; `said` are fields of `Hardware`."""
    return Hardware(architecture=architecture(), **said)
