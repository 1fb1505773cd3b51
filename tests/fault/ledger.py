"""What was sent to a box and what it answered, and when: what must be on its disk at any moment.

Moments are positions in the log of its disk (see `block_log`), or counts of entries in it. An
answer counts from the last write or flush that was done when it was heard.
"""

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from tests.fault.specimens import Content


@dataclass(frozen=True, slots=True)
class Sending:
    """One C-STORE; `acknowledged` None: there was no answer."""

    instance: str
    version: int
    begun: int
    acknowledged: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """What a box that lost its power at some moment has to hold of one instance."""

    required: bool
    """It was acknowledged: there must be a row."""
    versions: frozenset[int]
    """Any of these contents, and no other."""
    may_be_dropped: bool
    may_be_expired: bool
    must_be_expired: bool


@dataclass(slots=True)
class Ledger:
    """Everything that was sent and done while a disk was recorded. Moments in it are positions."""

    now: Callable[[], int]
    sendings: list[Sending] = field(default_factory=list)
    dropping_from: int | None = None
    """When the box was first told to keep no DICOM file whose pictures are made."""
    expiring_from: int | None = None
    """When the box was first told to keep within a quota."""
    expired_at: int | None = None
    """When it had removed what was too much."""
    expired: frozenset[str] = frozenset()
    """What it had removed by then."""
    expired_later: frozenset[str] = frozenset()
    """What was removed at the end."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, content: Content, store: Callable[[Content], int]) -> None:
        """Send an instance by `store`, which returns the status; note what came of it."""
        begun = self.now()
        acknowledged = None
        try:
            status = store(content)
            acknowledged = self.now()
            assert status == 0x0000, f"{content.instance}: status {status:#06x}"
        finally:
            with self._lock:
                self.sendings.append(
                    Sending(content.instance, content.version, begun, acknowledged)
                )

    @property
    def acknowledged(self) -> int:
        """How many were, so far."""
        with self._lock:
            return sum(sending.acknowledged is not None for sending in self.sendings)

    def close(
        self, uid: Callable[[str], str], expired: Iterable[str], later: Iterable[str]
    ) -> None:
        """Call instances by the UIDs that the box gives them, and note what it removed."""
        self.sendings = [replace(one, instance=uid(one.instance)) for one in self.sendings]
        self.expired, self.expired_later = frozenset(expired), frozenset(later)

    def due(self, issued: Callable[[int], int], cut: int) -> dict[str, Due]:
        """What is due after `cut` entries of the log, of each instance that may be there at all.

        `issued` says how many entries were done at a position.
        """

        def passed(position: int | None) -> bool:
            return position is not None and issued(position) <= cut

        begun: dict[str, list[Sending]] = {}
        for sending in self.sendings:
            if passed(sending.begun):
                begun.setdefault(sending.instance, []).append(sending)
        expirable = self.expired | self.expired_later if passed(self.expiring_from) else frozenset()
        expired = self.expired if passed(self.expired_at) else frozenset()
        return {
            instance: _due(
                sendings,
                [sending for sending in sendings if passed(sending.acknowledged)],
                dropping=passed(self.dropping_from),
                expirable=instance in expirable,
                expired_at=self.expired_at if instance in expired else None,
                again=instance in self.expired_later,
            )
            for instance, sendings in begun.items()
        }


def _due(
    sendings: Collection[Sending],
    acknowledged: Collection[Sending],
    dropping: bool,
    expirable: bool,
    expired_at: int | None,
    again: bool,
) -> Due:
    """`expired_at`: when an instance is known to have been removed; `again`: it was, at the end."""
    since = [one for one in sendings if expired_at is not None and one.begun >= expired_at]
    returned = any(one in acknowledged for one in since)
    return Due(
        required=bool(acknowledged),
        versions=frozenset(
            one.version
            for one in sendings
            if not any(_replaces(later, one) for later in acknowledged)
        ),
        may_be_dropped=dropping,
        may_be_expired=expirable and (again or not returned),
        must_be_expired=expired_at is not None and not since,
    )


def _replaces(later: Sending, one: Sending) -> bool:
    return one.acknowledged is not None and later.begun >= one.acknowledged
