"""What the tests of the image measure, in one file."""

import fcntl
import json
import time
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.machine import Machine


@dataclass(frozen=True, slots=True)
class Figures:
    """Measurements by name, in a JSON file that several test processes write to."""

    file: Path

    def note_since_power(self, name: str, machine: Machine) -> None:
        """Keep what it took this machine to come so far since it was switched on."""
        self.note(
            f"from power to {name}",
            {
                "seconds": machine.seconds(time.monotonic()),
                "processor seconds of this machine": round(machine.processor_seconds(), 1),
            },
        )

    def note(self, name: str, value: object) -> None:
        """Keep a measurement, in place of an earlier one of that name."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = json.loads(file.read() or "{}")
            file.truncate(0)
            json.dump({**known, name: value}, file, indent=2, sort_keys=True)
