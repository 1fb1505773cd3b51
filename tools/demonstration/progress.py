"""What the box says of its progress, as a line for people."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

_BAR = 24


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of instances, from `appliance status --json`; `pictures` counts files.

    `asked_at` is when a PACS had last been asked for the whole watch list, in seconds since 1970.
    """

    held: int = 0
    missing: int = 0
    queued: int = 0
    rendered: int = 0
    without_picture: int = 0
    failed: int = 0
    pictures: int = 0
    asked_at: float = 0.0

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> "Progress":
        """Read it from the status."""
        return cls(
            held=status["instances"],
            missing=status["outstanding"],
            queued=status["queued"],
            rendered=status["rendered"],
            without_picture=status["without_picture"],
            failed=status["failed"],
            pictures=status["pictures"],
            asked_at=max(
                (remote["last_reached"] or 0.0 for remote in status["remotes"]), default=0.0
            ),
        )

    @property
    def found(self) -> int:
        """What the PACS lists, as far as it was asked."""
        return self.held + self.missing

    def complete(self, expected: int, since: float) -> bool:
        """Whether `expected` instances are held, none waits for its pictures, and the PACS was
        asked for more after `since`.
        """
        finished = self.held >= expected and self.missing == self.queued == 0
        return finished and self.asked_at > since

    def line(self, expected: int, before: "Progress") -> str:
        """One line of at most 79 characters; `before` is the state a moment ago."""
        done = _BAR * (self.held - self.queued) // max(expected, 1)
        bar = "█" * done + "░" * (_BAR - done)
        return (
            f"{bar} found {self.found:4d}  missing {self.missing:4d}  "
            f"arriving {self.held - before.held:3d}  rendered {self.rendered:4d}"
        )


class Line:
    """A line that replaces itself on a terminal, and repeats only what changed elsewhere."""

    def __init__(self, output: TextIO = sys.stdout) -> None:
        self._output = output
        self._last = ""

    def show(self, text: str) -> None:
        """Show `text` in place of the line before."""
        if self._output.isatty():
            self._output.write(f"\r{text}\x1b[K")
        elif text != self._last:
            self._output.write(f"{text}\n")
        self._last = text
        self._output.flush()

    def end(self) -> None:
        """Leave the line as it is and go on below it."""
        if self._last and self._output.isatty():
            self._output.write("\n")
        self._last = ""
