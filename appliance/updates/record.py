"""What a box remembers of its updates, on its state partition: durable, each file whole or old.

``floor.json``    the newest version that ever proved itself here: nothing older is taken
``trial-b.json``  what was put into slot b, until it has proved itself or was given up
``given-up.json`` the last version that did not work, and why
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from appliance.health.reports import Unreadable, read_report, write_report
from appliance.updates.release import Bundle, Release
from appliance.updates.slots import SLOTS, Slot

TRIES: Final = 3
"""How often a version that does not work is taken: its stick may never be pulled."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The newest version that proved itself."""

    version: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A version in the slot that is to start next, or that runs on trial."""

    version: str
    root_hash: str
    before: str
    """The version that runs meanwhile, and would return."""
    network: bool = False
    """Whether the box was on its network before."""
    stage: Literal["writing", "installed"] = "writing"
    failure: str = ""
    """Why it does not work, if it could still say so."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A version that was tried and did not work."""

    version: str
    root_hash: str
    sentence: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Record:
    """The files below one folder. Methods that write raise OSError."""

    folder: Path = Path("/state/update")

    @property
    def floor(self) -> str:
        """The oldest version that may be installed; empty if any may."""
        with suppress(Unreadable):
            return read_report(self.folder / "floor.json", Floor).version
        return ""

    @property
    def given_up(self) -> GivenUp | None:
        """What did not work the last time."""
        with suppress(Unreadable):
            return read_report(self.folder / "given-up.json", GivenUp)
        return None

    def trial(self, slot: Slot) -> Trial | None:
        """What was put into a slot and has not proved itself."""
        with suppress(Unreadable):
            return read_report(self._trial(slot), Trial)
        return None

    def begin(self, slot: Slot, bundle: Bundle, before: str, *, network: bool) -> None:
        """A version is about to be written into a slot."""
        self._write_trial(slot, Trial(bundle.release.version, bundle.root_hash, before, network))

    def installed(self, slot: Slot) -> None:
        """It is whole, and about to become the one that starts next."""
        if trial := self.trial(slot):
            self._write_trial(slot, replace(trial, stage="installed"))

    def failed(self, slot: Slot, sentence: str) -> None:
        """It runs, and does not work."""
        if trial := self.trial(slot):
            self._write_trial(slot, replace(trial, failure=sentence))

    def confirm(self, slot: Slot, release: Release) -> None:
        """It has proved itself: from now on nothing older is taken."""
        floor = self.floor
        if not floor or not release.is_older_than(floor):
            write_report(self.folder / "floor.json", Floor(release.version), durable=True)
        (self.folder / "given-up.json").unlink(missing_ok=True)
        self.forget(slot)

    def give_up(self, slot: Slot, trial: Trial, sentence: str) -> None:
        """It did not work, and the version before it is back."""
        last = self.given_up
        again = last is not None and last.root_hash == trial.root_hash
        times = last.times + 1 if last is not None and again else 1
        given_up = GivenUp(trial.version, trial.root_hash, sentence, times)
        write_report(self.folder / "given-up.json", given_up, durable=True)
        self.forget(slot)

    def forget(self, slot: Slot) -> None:
        """Nothing is on trial in a slot."""
        self._trial(slot).unlink(missing_ok=True)

    def _trial(self, slot: Slot) -> Path:
        return self.folder / f"trial-{slot.name}.json"

    def _write_trial(self, slot: Slot, trial: Trial) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_report(self._trial(slot), trial, durable=True)


def slots_on_trial(record: Record) -> tuple[Slot, ...]:
    """The slots in which something waits to prove itself."""
    return tuple(slot for slot in map(Slot, SLOTS) if record.trial(slot))
