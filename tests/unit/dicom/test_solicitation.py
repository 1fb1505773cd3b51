"""Which studies are outstanding, and how long one waits for them."""

import threading
import time
from collections.abc import Callable

import pytest

from appliance.dicom.solicitation import Solicitation


@pytest.fixture
def solicitation() -> Solicitation:
    return Solicitation()


def test_only_the_remote_that_was_asked_may_send(solicitation: Solicitation) -> None:
    asked = solicitation.ask("pacs", "1.2", frozenset({"a"}))
    assert solicitation.find("pacs", "1.2") is asked
    assert solicitation.find("another", "1.2") is None
    assert solicitation.find("pacs", "1.3") is None


def test_what_ended_is_no_longer_asked_for(solicitation: Solicitation) -> None:
    asked = solicitation.ask("pacs", "1.2", frozenset())
    solicitation.end(asked)
    solicitation.end(asked)
    assert solicitation.find("pacs", "1.2") is None


def test_the_end_of_an_older_request_leaves_the_newer(solicitation: Solicitation) -> None:
    older = solicitation.ask("pacs", "1.2", frozenset())
    newer = solicitation.ask("pacs", "1.2", frozenset())
    solicitation.end(older)
    assert solicitation.find("pacs", "1.2") is newer


def test_what_arrives_is_no_longer_missing(solicitation: Solicitation) -> None:
    asked = solicitation.ask("pacs", "1.2", frozenset({"a", "b"}))
    asked.instance_arrived("a")
    asked.instance_arrived("not listed")
    assert asked.still_missing == {"b"}
    assert asked.arrived == {"a", "not listed"}


def test_refusals_are_counted_with_the_last_reason(solicitation: Solicitation) -> None:
    asked = solicitation.ask("pacs", "1.2", frozenset({"a"}))
    asked.instance_refused("first")
    asked.instance_refused("second")
    assert (asked.refused, asked.refusal, asked.still_missing) == (2, "second", {"a"})


def test_nothing_missing_is_settled_at_once(solicitation: Solicitation) -> None:
    began = time.monotonic()
    assert solicitation.ask("pacs", "1.2", frozenset()).wait_settled(60, 60)
    assert time.monotonic() - began < 20


def later(seconds: float, call: Callable[..., None], *arguments: str) -> None:
    threading.Timer(seconds, call, arguments).start()


def test_the_last_arrival_ends_the_wait(solicitation: Solicitation) -> None:
    asked = solicitation.ask("pacs", "1.2", frozenset({"a", "b"}))
    later(0.05, asked.instance_arrived, "a")
    later(0.1, asked.instance_arrived, "b")
    began = time.monotonic()
    assert asked.wait_settled(60, 60)
    assert 0.09 < time.monotonic() - began < 20
    assert not asked.still_missing


def test_quiet_ends_the_wait_and_activity_prolongs_it(solicitation: Solicitation) -> None:
    asked = solicitation.ask("pacs", "1.2", frozenset({"a"}))
    for turn in range(1, 5):
        later(0.1 * turn, asked.active)
    began = time.monotonic()
    assert asked.wait_settled(0.3, 60)
    assert 0.65 < time.monotonic() - began < 20
    assert asked.still_missing == {"a"}


def test_what_is_not_known_yet_counts_for_all_that_its_remote_was_asked_for(
    solicitation: Solicitation,
) -> None:
    mine = [solicitation.ask("pacs", study, frozenset()) for study in ("1.2", "1.3")]
    other = solicitation.ask("other", "1.2", frozenset())
    for one in (*mine, other):
        one.last_activity = 0.0
    solicitation.active("pacs")
    assert all(one.last_activity > 0 for one in mine)
    assert other.last_activity == 0


def test_a_wait_has_an_end(solicitation: Solicitation) -> None:
    asked = solicitation.ask("pacs", "1.2", frozenset({"a"}))
    began = time.monotonic()
    assert not asked.wait_settled(60, 0.1)
    assert 0.09 < time.monotonic() - began < 20
