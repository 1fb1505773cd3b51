"""Nothing is removed because a clock was wrong for a while."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.archive.files import Folders
from appliance.archive.space import Retention
from appliance.archive.vouched import VouchedClock
from tests.unit.archive.test_space import Archive

HOUR, DAY = 3600.0, 86_400.0
NOW = 1_800_000_000.0


@dataclass
class Time:
    """The system's clock, and how long the machine has been running."""

    system: float = NOW
    running: float = 50.0

    def passes(self, seconds: float) -> None:
        self.system += seconds
        self.running += seconds

    def clock(self, file: Path) -> VouchedClock:
        return VouchedClock(file, None, lambda: self.system, lambda: self.running)


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_right_clock_is_believed(tmp_path: Path, time: Time) -> None:
    clock = time.clock(tmp_path / "time")
    for _ in range(3):
        assert clock() == time.system
        time.passes(DAY)


def test_a_leap_is_followed_slowly_also_over_restarts(tmp_path: Path, time: Time) -> None:
    file = tmp_path / "time"
    time.clock(file)()
    time.system += 50 * 365 * DAY
    clock = time.clock(file)
    assert clock() == NOW
    time.passes(2 * HOUR)
    assert clock() == NOW + 8 * HOUR
    again = time.clock(file)
    assert again() == NOW + 8 * HOUR
    time.system = NOW + 2 * HOUR
    assert again() == time.system, "it was mended"


def test_a_clock_that_is_behind_for_a_moment_costs_no_time(tmp_path: Path, time: Time) -> None:
    clock = time.clock(tmp_path / "time")
    clock()
    time.system -= 365 * DAY
    assert clock() == time.system
    time.system += 365 * DAY
    assert clock() == time.system


def test_the_first_look_is_not_believed_beyond_what_came(tmp_path: Path, time: Time) -> None:
    """As on a box whose version before kept no time."""
    came = NOW - DAY
    clock = VouchedClock(tmp_path / "time", came, lambda: time.system, lambda: time.running)
    time.system += 50 * 365 * DAY
    assert clock() == came


def test_what_a_box_that_was_off_has_missed_is_made_up_for(tmp_path: Path, time: Time) -> None:
    file = tmp_path / "time"
    time.clock(file)()
    time.system += 2 * DAY
    clock = time.clock(file)
    time.passes(DAY)
    assert clock() == time.system


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0" * 30])
def test_a_time_that_cannot_be_read_begins_anew(tmp_path: Path, time: Time, content: bytes) -> None:
    (tmp_path / "time").write_bytes(content)
    assert time.clock(tmp_path / "time")() == NOW


def test_retention_removes_nothing_by_a_clock_that_leaps(folders: Folders, time: Time) -> None:
    archive = Archive(folders)
    time.system = archive.now
    file = folders.vouched_time
    keep = 30
    Retention(archive.catalogue, keep, None, time.clock(file)).run()
    time.system += 50 * 365 * DAY
    assert Retention(archive.catalogue, keep, None, time.clock(file)).run().studies == 0
    assert archive.days() == {0, 1, 2, 3, 4}
    archive.catalogue.close()
