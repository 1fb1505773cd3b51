"""Figures: what was measured, beside which peer, against which target."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of all runs, in the order in which they were measured."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def text(self) -> str:
        """Median, and from the smallest to the largest."""
        return f"{_short(self.median)} ({_short(min(self.values))} to {_short(max(self.values))})"

    def over(self, other: "Sample") -> "Sample":
        """This divided by `other`, run by run: what was measured side by side is compared."""
        return Sample(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. The ratio to the peer is how many times better we are.

    `at_least` bounds the ratio (or, without a peer, the value), `at_most` the value; neither: the
    row only informs.
    """

    what: str
    unit: str
    ours: Sample
    peer: str = ""
    theirs: Sample | None = None
    more_is_better: bool = True
    at_least: float | None = None
    at_most: float | None = None

    @property
    def ratio(self) -> Sample | None:
        """How many times better than the peer, run by run."""
        if self.theirs is None:
            return None
        if self.more_is_better:
            return self.ours.over(self.theirs)
        return self.theirs.over(self.ours)

    @property
    def met(self) -> bool | None:
        """Whether the target is met by the median; None when there is none."""
        if self.at_most is not None:
            return self.ours.median <= self.at_most
        if self.at_least is not None:
            return (self.ratio or self.ours).median >= self.at_least
        return None

    def cells(self) -> tuple[str, ...]:
        """What, ours, the peer's, ratio, target, verdict: as text."""
        target = "–"
        if self.at_most is not None:
            target = f"≤ {self.at_most:g} {self.unit}"
        elif self.at_least is not None:
            target = f"≥ {self.at_least:g}" + ("" if self.theirs else f" {self.unit}")
        return (
            self.what,
            f"{self.ours.text()} {self.unit}",
            f"{self.peer}: {self.theirs.text()}" if self.theirs else "–",
            self.ratio.text() if self.ratio else "–",
            target,
            {True: "met", False: "**missed**", None: "–"}[self.met],
        )

    def record(self) -> dict[str, Any]:
        """The row for the file of results."""
        return {
            "what": self.what,
            "unit": self.unit,
            "ours": list(self.ours.values),
            "peer": self.peer or None,
            "theirs": list(self.theirs.values) if self.theirs else None,
            "ratio": self.ratio.median if self.ratio else None,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "met": self.met,
        }


HEADINGS = ("what", "the box", "peer", "ratio", "target", "verdict")


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def interleaved(
    runs: int, contestants: Mapping[str, Callable[[], float]], say: Callable[[str], None]
) -> dict[str, Sample]:
    """Measure each contestant `runs` times, in turn, so that what disturbs one disturbs all."""
    values: dict[str, list[float]] = {name: [] for name in contestants}
    for run in range(1, runs + 1):
        for name, measure in contestants.items():
            values[name].append(measure())
            say(f"run {run} of {runs}, {name}: {_short(values[name][-1])}")
    return {name: Sample(tuple(measured)) for name, measured in values.items()}
