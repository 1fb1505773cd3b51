"""The clock of the day: forward to what is known, never back, and trusted when a server set it."""

import os
from pathlib import Path

import pytest

from appliance.health.clock import SEEN_EVERY, LastSeen, built_at, earliest, is_trusted, set_forward
from appliance.health.places import Places
from appliance.health.reports import read_report, write_report
from appliance.health.seen import Seen

BUILT = 4e9
"""Later than the files of this repository, which count as built, too."""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    epoch = tmp_path / "usr/lib/clock-epoch"
    epoch.parent.mkdir(parents=True)
    epoch.touch()
    os.utime(epoch, (BUILT, BUILT))
    places.seen.parent.mkdir(parents=True)
    return places


def seen(places: Places, clock: float) -> None:
    write_report(places.seen, Seen("one", 100.0, clock))


def test_it_is_never_before_the_build(places: Places) -> None:
    assert built_at(places) == BUILT
    was: list[float] = []
    assert set_forward(places, lambda: 0.0, was.append) == BUILT
    assert was == [BUILT]


def test_it_is_never_before_the_last_time_seen(places: Places) -> None:
    seen(places, BUILT + 5000)
    was: list[float] = []
    assert set_forward(places, lambda: BUILT + 1, was.append) == 4999
    assert was == [BUILT + 5000]


@pytest.mark.parametrize("ahead", [0, 1, 1e9])
def test_it_is_never_set_back(places: Places, ahead: float) -> None:
    seen(places, BUILT + 5000)
    assert set_forward(places, lambda: BUILT + 5000 + ahead, lambda now: pytest.fail("set")) == 0


@pytest.mark.parametrize("text", ["", "{}", '{"boot": "", "uptime": 1, "clock": "noon"}'])
def test_a_note_that_is_damaged_is_none(places: Places, text: str) -> None:
    places.seen.write_text(text)
    assert earliest(places) == BUILT


def test_a_note_of_a_time_far_from_the_build_is_nonsense(places: Places) -> None:
    seen(places, BUILT + 60 * 365 * 86_400)
    assert earliest(places) == BUILT


def test_without_the_right_it_says_so(places: Places) -> None:
    def refuse(now: float) -> None:
        raise PermissionError("Operation not permitted")

    with pytest.raises(PermissionError):
        set_forward(places, lambda: 0.0, refuse)


def test_trust_comes_from_a_time_server(places: Places) -> None:
    assert not is_trusted(places)
    places.synchronised.parent.mkdir(parents=True)
    places.synchronised.touch()
    assert is_trusted(places)


class Time:
    """Both clocks of a test."""

    def __init__(self) -> None:
        self.day, self.monotonic = BUILT + 1000.0, 50.0

    def passes(self, seconds: float) -> None:
        self.day += seconds
        self.monotonic += seconds

    def noting(self, places: Places) -> LastSeen:
        return LastSeen(places, lambda: self.day, lambda: self.monotonic)


def test_it_is_noted_now_and_then_and_not_at_once(places: Places) -> None:
    seen(places, BUILT)
    time = Time()
    noting = time.noting(places)
    noting.note()
    assert read_report(places.seen, Seen).boot == "one", "the boot before can still be read"
    moments = set()
    for _ in range(100):
        time.passes(SEEN_EVERY / 10)
        noting.note()
        moments.add(read_report(places.seen, Seen).clock)
    assert len(moments) == 11
    assert read_report(places.seen, Seen).uptime == time.monotonic


@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_server_may_take_back_what_was_seen(places: Places, trusted: bool) -> None:
    seen(places, BUILT + 9000)
    if trusted:
        places.synchronised.parent.mkdir(parents=True)
        places.synchronised.touch()
    time = Time()
    noting = time.noting(places)
    noting.note()
    time.passes(SEEN_EVERY)
    noting.note()
    assert read_report(places.seen, Seen).clock == (time.day if trusted else BUILT + 9000)


def test_a_state_that_cannot_be_written_is_said(places: Places) -> None:
    places.seen.parent.rmdir()
    places.seen.parent.touch()
    time = Time()
    noting = time.noting(places)
    noting.note()
    time.passes(SEEN_EVERY)
    with pytest.raises(OSError):
        noting.note()
