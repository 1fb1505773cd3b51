"""The time by which things may be removed: no leap of the system's clock hurries it."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.archive.files import PendingFile, sync_directories

_PACE: Final = 4.0
"""How many times as fast as time passes it may go: so it makes up for when the box was off."""
_KEPT_EVERY: Final = 3600.0


class VouchedClock:
    """Seconds since 1970, as the system's clock has them, but for its leaps.

    A clock without battery, or a time server that lies, may be decades ahead for an hour; what was
    removed in it would never come back. So this one follows by at most four times what has passed,
    over restarts as well, which is what `file` is for; without one it begins at `begin`, such as
    the time of what came last. It is never ahead of the system's clock.
    """

    def __init__(
        self,
        file: Path,
        begin: float | None = None,
        system: Callable[[], float] = time.time,
        running: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._system = system
        self._running = running
        self._looked = running()
        self._kept = self._read()
        self._time = begin if self._kept is None else self._kept

    def __call__(self) -> float:
        """The time. Raises OSError if it cannot be kept."""
        now, running = self._system(), self._running()
        if self._time is None:
            self._time = now
        step = _PACE * (running - self._looked)
        self._time = max(self._time - step, min(now, self._time + step))
        self._looked = running
        if self._kept is None or abs(self._time - self._kept) >= _KEPT_EVERY:
            self._keep(self._time)
        return min(now, self._time)

    def _read(self) -> float | None:
        with suppress(OSError, ValueError):
            return float(int(self._file.read_bytes()[:20]))
        return None

    def _keep(self, moment: float) -> None:
        with PendingFile.create(self._file) as pending:
            pending.write([b"%d\n" % moment])
            sync_directories(pending.settle())
        self._kept = moment
