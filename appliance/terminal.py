"""What the command line shows to people: tables, sizes, one line of progress."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from appliance.archive.hops import Hop
from appliance.archive.records import RemoteState, Status
from appliance.dicom.matches import Level, Match

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_COLUMNS: dict[Level, tuple[tuple[str, str], ...]] = {
    "STUDY": (
        ("patient_id", "Patient ID"),
        ("accession", "Accession"),
        ("study_date", "Date"),
        ("study_time", "Time"),
        ("study", "Study Instance UID"),
    ),
    "SERIES": (("modality", "Modality"), ("series", "Series Instance UID")),
    "IMAGE": (("instance_number", "Number"), ("instance", "SOP Instance UID")),
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with aligned columns, ended by a line break.

    What is in it came from elsewhere: nothing of it moves the cursor or is taken for a command.
    """
    rows = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, ["─" * width for width in widths], *rows)
    ]
    return "\n".join(lines) + "\n"


def match_table(level: Level, matches: Sequence[Match]) -> str:
    """Return what a C-FIND returned as a table."""
    columns = _COLUMNS[level]
    rows = [[_cell(getattr(match, name)) for name, _ in columns] for match in matches]
    found = f"{len(rows)} found\n"
    return table([title for _, title in columns], rows) + found if rows else found


def hop_line(hop: Hop) -> str:
    """Return one step of a connection self-test as text."""
    detail = f"\n{'':14}({hop.detail})" if hop.detail else ""
    return f"{hop.step:<12}  {hop.outcome:<7}  {hop.says.en}{detail}"


def status_table(status: Status, free: int, suspended: bool) -> str:
    """Return the state of the archive as text."""
    figures = [
        *([("suspended", "nothing is taken or fetched until `appliance resume`")] * suspended),
        ("held", f"{status.instances} instances, {status.series} series, {status.studies} studies"),
        ("on disk", f"{size(status.bytes)} DICOM, {size(status.picture_bytes)} pictures"),
        ("outstanding", f"{status.outstanding} instances of {status.incomplete} studies"),
        ("rendered", f"{status.rendered} instances, {status.pictures} pictures"),
        ("to be rendered", str(status.queued)),
        ("without picture", str(status.without_picture)),
        ("failed to render", str(status.failed)),
        *((name, str(count)) for name, count in sorted(status.counters.items())),
        ("space left", size(free)),
    ]
    parts = [table(("what", "how much"), figures)]
    if status.remotes:
        parts.append(table(("remote", "state"), [_remote_row(one) for one in status.remotes]))
    if status.events:
        rows = [(moment(one.at), one.severity, one.subject, one.text) for one in status.events[:10]]
        parts.append(table(("when", "severity", "what", "event"), rows))
    return "\n".join(parts)


def size(count: int) -> str:
    """Return a number of bytes with a unit that suits it."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def moment(seconds: float) -> str:
    """Return a time in seconds since 1970 as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def free_bytes(folder: Path) -> int:
    """Return how many bytes a service user can still write below `folder`."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@dataclass(slots=True)
class Progress:
    """One line on a terminal that is written over and over."""

    stream: TextIO
    enabled: bool
    _width: int = field(default=0)

    def update(self, status: Status) -> None:
        """Show where the archive is."""
        if not self.enabled:
            return
        line = (
            f"outstanding {status.outstanding}  held {status.instances}  "
            f"to be rendered {status.queued}  rendered {status.rendered}"
        )
        self.stream.write("\r" + line.ljust(self._width))
        self.stream.flush()
        self._width = len(line)

    def end(self) -> None:
        """Leave the line behind."""
        if self.enabled and self._width:
            self.stream.write("\n")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _cell(value: str | int | None) -> str:
    return "" if value is None else str(value)


def _remote_row(remote: RemoteState) -> tuple[str, str]:
    if remote.failure:
        again = f"; again at {moment(remote.next_attempt)}" if remote.next_attempt else ""
        return remote.name, f"{remote.failure}{again}"
    reached = moment(remote.last_reached) if remote.last_reached else "never"
    return remote.name, f"last reached {reached}"
