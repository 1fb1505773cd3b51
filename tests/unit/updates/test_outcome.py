"""What a box finds out about its last update when it starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.health.reports import UpdateReport
from appliance.updates.boot_state import BootState, BootStates
from appliance.updates.outcome import settle
from appliance.updates.record import Record
from appliance.updates.release import Bundle, Release, Schema
from appliance.updates.slots import Slot

A, B = Slot("a"), Slot("b")
NEW = Bundle(Release("1.3.0", "abc", Schema(1, 1), Schema(1, 1)), "2" * 64)


@dataclass(frozen=True)
class Nowhere:
    @contextmanager
    def opened(self, slot: Slot, *, writable: bool = False) -> Iterator[Path]:
        raise OSError("no file system")
        yield


@dataclass(frozen=True, slots=True)
class Known(BootStates):
    """Boot states that are given."""

    states: tuple[tuple[Slot, BootState | None], ...] = ()

    def read(self, slot: Slot) -> BootState | None:
        return dict(self.states)[slot]


def after(running: Slot, other: BootState | None) -> BootStates:
    own = BootState(2, "OK", running.payload)
    return Known(Nowhere(), running, Path(), ((running, own), (running.other, other)))


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "update")


FAILED = BootState(0, "FAILED", B.payload)


def test_without_updates_there_is_nothing_to_tell(record: Record) -> None:
    assert settle(A, after(A, FAILED), record) == UpdateReport()


def test_what_runs_on_trial_is_told(record: Record) -> None:
    record.begin(B, NEW, "1.2.0", network=True)
    record.installed(B)
    report = settle(B, after(B, BootState(1, "OK", A.payload)), record)
    assert report.phase == "trial"
    assert "1.3.0 is being tried; 1.2.0 would return" in report.sentence


@pytest.mark.parametrize(
    ("said", "reset", "told"),
    [
        ("Its status page does not answer.", "", "Its status page does not answer."),
        ("", "panic of the kernel", "had proved itself (panic of the kernel)."),
        ("", "", "had proved itself."),
    ],
)
def test_what_came_back_says_why(record: Record, said: str, reset: str, told: str) -> None:
    record.begin(B, NEW, "1.2.0", network=True)
    record.installed(B)
    if said:
        record.failed(B, said)
    report = settle(A, after(A, FAILED), record, reset)
    assert report.phase == "rolled back"
    assert report.sentence.startswith("Version 1.3.0: ")
    assert report.sentence.endswith(told)
    assert record.trial(B) is None
    assert settle(A, after(A, FAILED), record) == report, "it is told until the next update"


def test_a_power_cut_while_it_was_written_is_no_failed_trial(record: Record) -> None:
    record.begin(B, NEW, "1.2.0", network=True)
    assert settle(A, after(A, FAILED), record) == UpdateReport()
    record.begin(B, NEW, "1.2.0", network=True)
    record.installed(B)
    assert settle(A, after(A, None), record) == UpdateReport(), "its boot state was torn"
    assert record.trial(B) is None


def test_what_waits_for_the_restart_waits(record: Record) -> None:
    record.begin(B, NEW, "1.2.0", network=True)
    record.installed(B)
    assert settle(A, after(A, BootState(3, "INSTALLED", B.payload)), record) == UpdateReport()
    assert record.trial(B) is not None


def test_a_version_that_stays_ends_the_complaint(record: Record) -> None:
    record.begin(B, NEW, "1.2.0", network=True)
    record.installed(B)
    settle(A, after(A, FAILED), record)
    record.begin(B, NEW, "1.2.0", network=True)
    record.confirm(B, NEW.release)
    assert record.floor == "1.3.0"
    assert settle(B, after(B, None), record) == UpdateReport()
