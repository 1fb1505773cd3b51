"""Loops that beat, and those that have stopped to."""

from dataclasses import dataclass

import pytest

from appliance.health.heartbeats import Heartbeats, Loop


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heartbeats(clock: Clock) -> Heartbeats:
    return Heartbeats(clock)


def test_a_loop_counts_as_seen_when_it_is_expected(heartbeats: Heartbeats, clock: Clock) -> None:
    heartbeats.expect(Loop("round", 10))
    clock.now += 10
    assert heartbeats.silent() == ()
    clock.now += 0.1
    assert heartbeats.silent() == ("round",)


def test_a_beat_ends_the_silence_of_its_loop_alone(heartbeats: Heartbeats, clock: Clock) -> None:
    heartbeats.expect(Loop("round", 10))
    heartbeats.expect(Loop("house", 10))
    clock.now += 11
    assert set(heartbeats.silent()) == {"round", "house"}
    heartbeats.beat("round")
    assert heartbeats.silent() == ("house",)


def test_each_loop_has_its_own_limit(heartbeats: Heartbeats, clock: Clock) -> None:
    heartbeats.expect(Loop("fast", 1))
    heartbeats.expect(Loop("slow", 100))
    clock.now += 50
    assert heartbeats.silent() == ("fast",)


def test_a_beat_of_a_loop_that_nobody_expects_is_nothing(heartbeats: Heartbeats) -> None:
    heartbeats.beat("stranger")
    assert heartbeats.silent() == ()


def test_a_clock_of_its_own_is_monotonic() -> None:
    heartbeats = Heartbeats()
    heartbeats.expect(Loop("round", 60))
    assert heartbeats.silent() == ()
