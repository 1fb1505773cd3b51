"""A box to be provisioned, without root: its folders, and a trial that does as it is told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.provisioning.apply import Applier, Generations, TrialFailed
from appliance.provisioning.disk import Disk
from appliance.provisioning.stick import Contents
from appliance.provisioning.visit import Visit
from appliance.settings.model import Settings

SERIAL = "NB-0001"
ONE = b'revision = 1\n[box]\nname = "one"\n'
TWO = b'revision = 2\n[box]\nname = "two"\n'
PATIENTS = b"patient_id\n77\n"


@dataclass
class Rehearsal:
    """A trial that notes what it is asked; `fails` at "start", "gate" or "revert"."""

    fails: str = ""
    raises: Callable[[], BaseException] = lambda: TrialFailed("It does not work.", "Mend it.")
    seen: list[tuple[str, str]] = field(default_factory=list)

    def start(self, generation: Path, settings: Settings) -> None:
        assert (generation / "netty.toml").is_file()
        self._note("start", settings)

    def gate(self, settings: Settings) -> None:
        self._note("gate", settings)

    def revert(self, generation: Path | None, settings: Settings | None) -> None:
        assert (generation is None) == (settings is None)
        self._note("revert", settings)

    def _note(self, step: str, settings: Settings | None) -> None:
        self.seen.append((step, settings.box.name if settings else "nothing"))
        if step == self.fails:
            raise self.raises()


@dataclass
class Box:
    """Folders of a box."""

    root: Path
    trial: Rehearsal = field(default_factory=Rehearsal)
    disk: Disk = field(default_factory=Disk)

    @property
    def settings(self) -> Path:
        return self.root / "state/settings"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def generations(self) -> Generations:
        return Generations(self.settings, self.disk)

    @property
    def applier(self) -> Applier:
        return Applier(self.generations, self.trial, SERIAL)

    def visit(self) -> Visit:
        return Visit(self.generations, self.trial, SERIAL, "1.2", self.run, now=lambda: 1.8e9)

    def active(self) -> str:
        """The name in the settings that hold; empty if there are none."""
        current = self.generations.current()
        return current.read().box.name if current else ""

    def accept(self, settings: bytes, patients: bytes | None = None) -> None:
        """Give the box settings that hold."""
        outcome = self.applier.apply(Contents(settings, patients))
        assert outcome.outcome == "accepted", outcome
