"""The clock of the day: never earlier than this build or the last time seen, and trusted or not.

Many boxes have no battery behind their clock, or a dead one. A time that is surely too early is set
forward to the latest that is known; from there a time server mends it.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from appliance.health.places import Places
from appliance.health.reports import Unreadable, read_report, write_report
from appliance.health.seen import Seen, boot_id

SEEN_EVERY: Final = 120.0
"""Seconds between two notes of the last time seen: seldom, for the sake of the flash."""

_BELIEVED: Final = 30 * 365 * 86_400.0
"""Seconds after the build beyond which a time that was seen is nonsense."""


def is_trusted(places: Places) -> bool:
    """Whether a time server has set the clock since this boot."""
    return places.synchronised.exists()


def built_at(places: Places) -> float:
    """When this build was made, in seconds since 1970."""
    times = [0.0]
    for file in places.built():
        with suppress(OSError):
            times.append(file.stat().st_mtime)
    return max(times)


def earliest(places: Places) -> float:
    """The time before which it cannot be, in seconds since 1970."""
    built = built_at(places)
    try:
        seen = read_report(places.seen, Seen).clock
    except Unreadable:
        return built
    return max(built, seen) if seen < built + _BELIEVED else built


def set_forward(
    places: Places,
    clock: Callable[[], float] = time.time,
    set_clock: Callable[[float], None] = lambda now: time.clock_settime(time.CLOCK_REALTIME, now),
) -> float:
    """Set the clock to the earliest possible time if it is before that; by how many seconds.

    Raises PermissionError for want of CAP_SYS_TIME.
    """
    behind = earliest(places) - clock()
    if behind <= 0:
        return 0.0
    set_clock(clock() + behind)
    return behind


@dataclass(slots=True)
class LastSeen:
    """Notes on the state partition that the box is alive.

    The first note waits, so that what the boot before noted can be read until then.
    """

    places: Places
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _due: float | None = None

    def note(self) -> None:
        """Note it if the last note is old. Raises OSError.

        A clock that no server has set does not go back behind the last time seen.
        """
        now = self.monotonic()
        if self._due is None:
            self._due = now + SEEN_EVERY
        if now < self._due:
            return
        clock = self.clock()
        if not is_trusted(self.places):
            clock = max(clock, earliest(self.places))
        self._due = now + SEEN_EVERY
        self.places.seen.parent.mkdir(parents=True, exist_ok=True)
        write_report(self.places.seen, Seen(boot_id(self.places), now, clock), durable=True)
