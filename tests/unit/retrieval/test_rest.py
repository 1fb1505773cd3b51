"""The parts in which the rest of a study is asked for."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.dicom.scu import LARGEST_LIST, OneInstance
from appliance.retrieval.rest import FRUITLESS, REQUESTS, Rest


def listing(count: int, series: int = 1) -> dict[str, OneInstance]:
    """Mapped SOP Instance UIDs of an equal number of instances in each series."""
    return {
        f"m{place}-{number:04}": OneInstance(f"1.{place}", f"1.{place}.{number}")
        for place in range(series)
        for number in range(count)
    }


def asked(listed: dict[str, OneInstance], lost: Iterable[str] = ()) -> int:
    """Ask a remote that stops at each of `lost`; how many requests it took.

    Raises AssertionError if anything else did not come.
    """
    missing, rest, requests = set(listed), Rest(listed), 0
    for part in rest.parts(frozenset(missing), reaches_us=True):
        requests += 1
        assert 0 < len(part) <= LARGEST_LIST
        assert len({listed[instance].series for instance in part}) == 1
        for instance in part:
            if instance in lost:
                break
            missing.discard(instance)
        rest.left(part, missing)
    assert missing == set(lost)
    return requests


def test_parts_are_of_one_series_and_not_too_large() -> None:
    assert asked(listing(3)) == 1
    assert asked(listing(3, series=4)) == 4
    assert asked(listing(LARGEST_LIST)) == 1
    assert asked(listing(LARGEST_LIST + 1)) == 2


def test_one_is_asked_for_first_where_nothing_is_known() -> None:
    listed = listing(5)
    rest = Rest(listed)
    parts = rest.parts(frozenset(listed), reaches_us=False)
    first = next(parts)
    assert first == ("m0-0000",)
    rest.left(first, set())
    assert set(next(parts)) == set(listed)


def test_a_remote_that_does_not_reach_us_is_asked_for_one() -> None:
    listed = listing(5)
    rest = Rest(listed)
    parts = rest.parts(frozenset(listed), reaches_us=False)
    rest.left(next(parts), frozenset(listed))
    assert list(parts) == []


@given(st.sets(st.integers(0, 99), min_size=1, max_size=2))
def test_what_a_remote_stops_at_keeps_nothing_else(lost: set[int]) -> None:
    asked(listing(LARGEST_LIST), [f"m0-{number:04}" for number in lost])


@pytest.mark.parametrize(("comes", "expected"), [(0, FRUITLESS), (1, REQUESTS)])
def test_a_remote_is_not_asked_for_ever(comes: int, expected: int) -> None:
    listed = listing(5000)
    rest, missing, requests = Rest(listed), set(listed), 0
    for part in rest.parts(frozenset(listed), reaches_us=True):
        requests += 1
        missing.difference_update(part[:comes])
        rest.left(part, missing)
    assert requests == expected


def test_what_is_in_no_series_cannot_be_asked_for() -> None:
    listed = {"m1": OneInstance("", "1.1"), "m2": OneInstance("1", "1.2")}
    assert list(Rest(listed).parts(frozenset(listed), reaches_us=True)) == [("m2",)]
    assert list(Rest(listed).parts(frozenset({"m1"}), reaches_us=False)) == []
