"""What the front page shows of the box at this moment, whoever looks at it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.archive.album import Fetched, Running
from appliance.archive.records import CatalogueFailed
from appliance.health.verdict import Verdict
from appliance.panel.shelf import Shelf
from appliance.panel.told import Tell

Look = Callable[[], Verdict]
"""How the box is now."""

LOOK_EVERY = 1.0
"""Seconds that one look serves, however many want to see."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The box, with nothing in it about a patient."""

    verdict: Verdict
    running: tuple[Running, ...] = ()
    today: Fetched | None = None
    """None where the catalogue cannot be read."""


class Live:
    """Looks at the box, at most once in a while."""

    def __init__(self, look: Look, tell: Tell, shelf: Shelf) -> None:
        self._look = look
        self._tell = tell
        self._shelf = shelf
        self._seen: tuple[float, Moment] | None = None

    def moment(self) -> Moment:
        """How it is now."""
        now = time.monotonic()
        if self._seen is None or now - self._seen[0] >= LOOK_EVERY:
            self._seen = (now, self._now())
        return self._seen[1]

    def verdict(self) -> Verdict:
        """The state alone."""
        return self._look()

    def _now(self) -> Moment:
        verdict = self._look()
        try:
            album = self._shelf.album()
            today = album.fetched_since(midnight(self._tell().timezone, time.time()))
            # What a dead process left is not running.
            running = album.running() if verdict.service else ()
        except CatalogueFailed:
            return Moment(verdict)
        return Moment(verdict, running, today)


def zone(name: str) -> ZoneInfo:
    """The time zone of that name; UTC where it is not known."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def midnight(timezone: str, now: float) -> float:
    """When the day of `now` began at the box, in seconds since 1970."""
    here = datetime.fromtimestamp(now, zone(timezone))
    return here.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
