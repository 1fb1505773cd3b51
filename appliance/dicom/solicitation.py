"""Which studies are outstanding, and for whom: what makes an incoming instance solicited.

The Move Originator fields of a C-STORE-RQ are a hint at best (several PACS put their own title
there), so an instance counts as solicited when its study was asked of the remote that sends it.
Original Study Instance UIDs live in here, in memory only.
"""

import time
from dataclasses import dataclass, field
from threading import Condition


@dataclass(slots=True, eq=False)
class Outstanding:
    """A study that was asked for and may arrive.

    `missing` are the mapped SOP Instance UIDs that a listing named and that were not held;
    `arrived` those that were acknowledged since, `refused` how many were answered with a failure,
    `refused_for_now` whether one of these may be taken later.
    """

    remote: str
    study: str
    missing: frozenset[str]
    arrived: set[str] = field(default_factory=set)
    refused: int = 0
    refusal: str = ""
    refused_for_now: bool = False
    last_activity: float = field(default_factory=time.monotonic)
    _changed: Condition = field(default_factory=Condition)

    def instance_arrived(self, instance: str) -> None:
        """Note that `instance` (mapped UID) is durable."""
        with self._changed:
            self.arrived.add(instance)
            self.last_activity = time.monotonic()
            self._changed.notify_all()

    def instance_refused(self, reason: str, for_now: bool = False) -> None:
        """Note that an instance of the study was answered with a failure status.

        `for_now` tells that the reason lies with us, and passes.
        """
        with self._changed:
            self.refused += 1
            self.refused_for_now = self.refused_for_now or for_now
            self.refusal = reason
            self.last_activity = time.monotonic()
            self._changed.notify_all()

    def active(self) -> None:
        """Note that bytes of an instance, or a pending response, came in."""
        self.last_activity = time.monotonic()

    @property
    def still_missing(self) -> frozenset[str]:
        """The instances that were listed and have not arrived."""
        with self._changed:
            return self.missing - self.arrived

    def wait_settled(
        self, quiet: float, at_most: float, wanted: frozenset[str] | None = None
    ) -> bool:
        """Return True when nothing is missing, or nothing has happened for `quiet` seconds.

        False when `at_most` seconds have passed before that. `wanted`: nothing of these.
        """
        end = time.monotonic() + at_most
        wanted = self.missing if wanted is None else wanted
        with self._changed:
            while not wanted <= self.arrived:
                now = time.monotonic()
                if now >= self.last_activity + quiet:
                    return True
                if now >= end:
                    return False
                self._changed.wait(min(end, self.last_activity + quiet) - now)
        return True


class Solicitation:
    """The studies outstanding now, by remote; safe to use from every thread."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Outstanding] = {}
        self._lock = Condition()

    def ask(self, remote: str, study: str, missing: frozenset[str]) -> Outstanding:
        """Make `study` (original UID) outstanding for `remote` and return its record."""
        outstanding = Outstanding(remote, study, missing)
        with self._lock:
            self._open[remote, study] = outstanding
        return outstanding

    def end(self, outstanding: Outstanding) -> None:
        """Stop taking instances of the study; later ones are unsolicited."""
        with self._lock:
            key = (outstanding.remote, outstanding.study)
            if self._open.get(key) is outstanding:
                del self._open[key]

    def find(self, remote: str, study: str) -> Outstanding | None:
        """Return the record under which `remote` may send instances of `study`, or None."""
        with self._lock:
            return self._open.get((remote, study))

    def active(self, remote: str) -> None:
        """Note that bytes came in of an instance of which it is not known yet what it is of."""
        with self._lock:
            for outstanding in self._open.values():
                if outstanding.remote == remote:
                    outstanding.active()
