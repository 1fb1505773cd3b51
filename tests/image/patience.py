"""How long a box may take, and waiting for it."""

import time
from collections.abc import Callable
from typing import Final

from tools.imaging.qmp import MachineTimeout

START_WITHIN: Final = 900.0
"""Seconds. An idle machine takes 60 of them, a busy one without KVM several times as many."""

SOON: Final = 300.0


def until(
    what: str, come: Callable[[], bool], within: float = START_WITHIN, every: float = 0.5
) -> float:
    """Wait for something to be so, and return how many seconds that took. Raises MachineTimeout."""
    begun = time.monotonic()
    while not come():
        if time.monotonic() - begun > within:
            raise MachineTimeout(f"not within {within:.0f} s: {what}")
        time.sleep(every)
    return round(time.monotonic() - begun, 2)
