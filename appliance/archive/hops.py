"""The connection self-test as it is kept: hop by hop, in both languages of the box."""

from dataclasses import dataclass
from typing import Final, Literal

Step = Literal["name", "port", "association", "echo", "find", "move", "get"]
STEPS: Final[tuple[Step, ...]] = ("name", "port", "association", "echo", "find", "move", "get")
"""In the order in which they are tried. What comes behind a hop that failed is not tried."""

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Said:
    """The same in both languages."""

    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class Hop:
    """What became of one step."""

    step: Step
    outcome: Outcome
    seconds: float
    says: Said
    """What happened and who can mend it."""
    detail: str = ""
    """What the box noted, in English; for technicians."""


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """A self-test towards one remote. Times are seconds since 1970."""

    id: int
    remote: str
    asked_at: float
    updated_at: float
    state: Literal["asked", "running", "finished"]
    letter: Said
    """To the administrator of the PACS: what to enter there. Empty until it is finished."""
    hops: tuple[Hop, ...] = ()

    @property
    def works(self) -> bool:
        """Whether it is finished and nothing failed; a C-GET makes good for a C-MOVE."""
        outcomes = {hop.step: hop.outcome for hop in self.hops}
        if outcomes.get("get") == "passed":
            outcomes.pop("move", None)
        return self.state == "finished" and bool(outcomes) and "failed" not in outcomes.values()
