"""The answer to a stick: a report for the box's other parts, and a file on the stick for people.

Neither says anything about a patient, and neither holds a key or a password.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from appliance.provisioning.apply import Outcome
from appliance.provisioning.stick import RESULT

REPORT = "netty-provision/report.json"
"""The report, below /run."""

_HEADLINES = {
    "accepted": "ACCEPTED. The box works with these settings. Please remove the stick.",
    "already applied": "ALREADY APPLIED. The box has these settings. Please remove the stick.",
    "rejected": "REJECTED. Nothing was changed.",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the last stick, for the LED and the page."""

    outcome: Literal["", "applying", "accepted", "already applied", "rejected"]
    sentence: str
    plugged: bool
    """Whether that stick is still there."""
    at: float
    """Seconds since 1970."""
    revision: int | None
    """Of the settings that are active; None if there are none."""
    device: str = ""
    """Where the stick is."""

    @classmethod
    def on(cls, device: Path, outcome: str, sentence: str, at: float, revision: int | None) -> Self:
        """What became of the stick on a device, which may be gone by now."""
        return cls(outcome, sentence, device.exists(), at, revision, str(device))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the stick is told."""

    serial: str
    version: str
    outcome: Outcome
    at: datetime
    active: Mapping[str, str]
    """What the box works with now, in words."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the certificates that the box shows, by what shows them."""
    not_read: tuple[str, ...] = ()
    """Files that somebody may have meant."""

    @property
    def text(self) -> str:
        """The answer for people."""
        outcome = self.outcome
        lines = [_HEADLINES[outcome.outcome], "", outcome.sentence]
        if outcome.remedy:
            lines.append(outcome.remedy)
        if outcome.problems:
            lines += ["", "File, line and column of each mistake:"]
            lines += [f"  {each.file or 'netty.toml'}:{each}" for each in outcome.problems]
        if self.not_read:
            lines += ["", f"Not read: {', '.join(self.not_read)}"]
        lines += ["", *the_box_now(self.serial, self.version, self.active)]
        if self.fingerprints:
            lines += ["", "Fingerprints (SHA-256) of its certificates:"]
            lines += [f"  {name}: {value}" for name, value in self.fingerprints.items()]
        lines += ["", f"Written {self.at:%Y-%m-%d %H:%M:%S %Z}".rstrip() + "."]
        return "\n".join(lines) + "\n"

    @property
    def data(self) -> dict[str, Any]:
        """The answer for programs."""
        return {
            "outcome": self.outcome.outcome,
            "sentence": self.outcome.sentence,
            "remedy": self.outcome.remedy,
            "problems": [
                {**asdict(each), "file": each.file or "netty.toml"}
                for each in self.outcome.problems
            ],
            "serial": self.serial,
            "version": self.version,
            "at": self.at.isoformat(timespec="seconds"),
            "active": dict(self.active),
            "fingerprints": dict(self.fingerprints),
            "not_read": list(self.not_read),
        }

    def write(self, stick: Path) -> None:
        """Put both forms on the stick, each whole. Raises OSError."""
        write_answer(stick, f"{RESULT}{self.serial}", self.text, self.data)


def the_box_now(serial: str, version: str, facts: Mapping[str, str]) -> list[str]:
    """Return the lines of an answer that say which box it was, and what it works with."""
    known = {"serial number": serial, "software": version, **facts}
    return ["The box now:", *(f"  {name}: {value}" for name, value in known.items())]


def write_answer(stick: Path, name: str, text: str, data: Mapping[str, Any]) -> None:
    """Put an answer on the stick, for people and for programs, each whole. Raises OSError."""
    # With a byte-order mark and CRLF every editor of Windows shows it right.
    _replace_file(stick / f"{name}.txt", ("\ufeff" + text).replace("\n", "\r\n").encode())
    _replace_file(stick / f"{name}.json", json.dumps(data, ensure_ascii=False).encode())


def write_report(run: Path, report: Report) -> None:
    """Replace the report below `run`, at once. Raises OSError."""
    path = run / REPORT
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(json.dumps(asdict(report), ensure_ascii=False))
        temporary.chmod(0o644)
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def read_report(run: Path) -> Report | None:
    """Return the report below `run`; None if there is none that can be read."""
    try:
        return Report(**json.loads((run / REPORT).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _replace_file(path: Path, data: bytes) -> None:
    """Put a whole file on a stick, in place of an earlier one. Raises OSError."""
    temporary = path.with_suffix(".tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
