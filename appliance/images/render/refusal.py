"""The two ways in which a dataset ends without a picture."""

from __future__ import annotations


class Refusal(Exception):
    """A dataset that yields no picture; `reason` is one plain sentence without dataset text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoPicture(Refusal):
    """There is nothing to show: a report, a presentation state, an encapsulated document."""


class Undecodable(Refusal):
    """There are pixels, but they cannot be turned into a picture."""
