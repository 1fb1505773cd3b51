"""What the tests of the image measure, in one file."""

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figures:
    """Measurements by name, in a JSON file that several test processes write to."""

    file: Path

    def note(self, name: str, value: object) -> None:
        """Keep a measurement, in place of an earlier one of that name."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = json.loads(file.read() or "{}")
            file.truncate(0)
            json.dump({**known, name: value}, file, indent=2, sort_keys=True)
