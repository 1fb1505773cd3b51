"""Signs of life: every loop of the service beats, and a silent one is named."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop that must show progress at least every `within` seconds."""

    name: str
    within: float


@dataclass(slots=True)
class Heartbeats:
    """When each loop was last seen to make progress."""

    clock: Callable[[], float] = time.monotonic
    _limits: dict[str, float] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, loop: Loop) -> None:
        """Start to watch `loop`, which counts as just seen."""
        with self._lock:
            self._limits[loop.name] = loop.within
            self._last[loop.name] = self.clock()

    def beat(self, name: str) -> None:
        """Note that the loop `name` made progress."""
        with self._lock:
            self._last[name] = self.clock()

    def silent(self) -> tuple[str, ...]:
        """Return the names of the loops that made no progress within their limit."""
        now = self.clock()
        with self._lock:
            return tuple(
                name for name, limit in self._limits.items() if now - self._last[name] > limit
            )
