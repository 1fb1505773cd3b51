"""The table of section 12: every row, their order, and what people are told."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.health.reports import RemoteReport
from appliance.health.state import LIGHTS, Facts, Light, Name, Partition, Problem, Service, state

WELL = Facts()
SILENT = RemoteReport("main", failure="main (192.0.2.1:104): nothing answers on that port")


def _fault(facts: Facts) -> bool:
    partitions = {facts.state_partition, facts.data_partition}
    down = facts.service in ("failing", "silent", "stopped")
    return (
        bool(facts.unknown)
        or bool(partitions & {"broken", "read-only"})
        or facts.budget_spent
        or (down and facts.provisioned and facts.data_partition == "sound")
    )


def _degraded(facts: Facts) -> bool:
    return bool(
        facts.space != "enough"
        or facts.unreachable
        or facts.clock_doubtful
        or facts.rolled_back
        or facts.suspended
        or facts.obstacle
    )


TABLE: tuple[tuple[Name, Callable[[Facts], bool], Light], ...] = (
    ("writing", lambda facts: facts.resetting or facts.updating, Light("amber", "fast")),
    ("fault", _fault, Light("red")),
    ("rejected", lambda facts: facts.stick == "rejected", Light("red", "two")),
    ("accepted", lambda facts: facts.stick == "accepted", Light("green", "three")),
    ("degraded", _degraded, Light("amber")),
    (
        "unprovisioned",
        lambda facts: not facts.provisioned and facts.stick != "applying",
        Light("amber", "slow"),
    ),
    (
        "starting",
        lambda facts: (
            facts.trial
            or facts.stick == "applying"
            or facts.service != "working"
            or "waiting" in (facts.state_partition, facts.data_partition)
        ),
        Light("green", "slow"),
    ),
    ("working", lambda facts: True, Light("green")),
)
"""Section 12 of the design, written a second time: what applies, and what the LED shows."""

SENTENCES = st.sampled_from(["", "it is off"])
FACTS = st.builds(
    Facts,
    unknown=SENTENCES,
    resetting=st.booleans(),
    updating=st.booleans(),
    state_partition=st.sampled_from(get_args(Partition)),
    data_partition=st.sampled_from(get_args(Partition)),
    budget_spent=st.booleans(),
    service=st.sampled_from(get_args(Service)),
    failure=SENTENCES,
    provisioned=st.booleans(),
    stick=st.sampled_from(["", "applying", "rejected", "accepted"]),
    stick_sentence=SENTENCES,
    suspended=st.booleans(),
    space=st.sampled_from(["enough", "nearly full", "full"]),
    obstacle=SENTENCES,
    unreachable=st.sampled_from([(), (SILENT,)]),
    clock_doubtful=st.booleans(),
    rolled_back=st.booleans(),
    trial=st.booleans(),
    update_sentence=SENTENCES,
)
FEW = st.lists(st.sampled_from([one.name for one in fields(Facts)]), max_size=4)


@st.composite
def facts_near_well(draw: st.DrawFn) -> Facts:
    """Few things wrong at a time, so that the rows below are met, too."""
    drawn, names = draw(FACTS), draw(FEW)
    return replace(WELL, **{name: getattr(drawn, name) for name in names})


@given(FACTS | facts_near_well())
def test_the_first_row_that_applies_names_the_state(facts: Facts) -> None:
    name, light = next((name, light) for name, applies, light in TABLE if applies(facts))
    judged = state(facts)
    assert (judged.name, judged.light) == (name, light)


@given(FACTS | facts_near_well())
def test_what_is_wrong_is_said_in_both_languages_with_who_can_mend_it(facts: Facts) -> None:
    judged = state(facts)
    assert bool(judged.problems) == (judged.name != "working")
    assert len(set(judged.problems)) == len(judged.problems)
    for problem in judged.problems:
        assert all((problem.what.ja, problem.what.en, problem.who.ja, problem.who.en))


@given(FACTS | facts_near_well())
def test_a_remark_is_told_whatever_the_light_shows(facts: Facts) -> None:
    alone = replace(WELL, unreachable=facts.unreachable, clock_doubtful=facts.clock_doubtful)
    assert set(state(alone).problems) <= set(state(facts).problems) | set(state(WELL).problems)


def test_every_state_has_a_light_of_its_own() -> None:
    assert set(LIGHTS) == set(get_args(Name))
    assert len(set(LIGHTS.values())) == len(LIGHTS)
    assert {name: light for name, _, light in TABLE} == LIGHTS


ROWS: tuple[tuple[dict[str, object], Name, str], ...] = (
    ({"resetting": True}, "writing", "factory state"),
    ({"updating": True, "update_sentence": "version 2, 40 %"}, "writing", "version 2, 40 %"),
    ({"unknown": "systemd does not answer"}, "fault", "systemd does not answer"),
    ({"state_partition": "broken"}, "fault", "storage of the settings is broken"),
    ({"state_partition": "read-only"}, "fault", "storage of the settings cannot be written"),
    ({"data_partition": "broken"}, "fault", "storage of the images is broken"),
    ({"data_partition": "read-only"}, "fault", "storage of the images cannot be written"),
    ({"budget_spent": True, "service": "stopped"}, "fault", "again and again"),
    ({"service": "failing", "failure": "port 104 is taken"}, "fault", "port 104 is taken"),
    ({"service": "silent"}, "fault", "does not respond"),
    ({"service": "stopped"}, "fault", "is stopped"),
    ({"stick": "rejected", "stick_sentence": "line 3"}, "rejected", "line 3"),
    ({"stick": "accepted"}, "accepted", "remove the USB stick"),
    ({"space": "nearly full"}, "degraded", "nearly full"),
    ({"space": "full"}, "degraded", "no images are taken"),
    ({"unreachable": (SILENT,)}, "degraded", "nothing answers on that port"),
    ({"clock_doubtful": True}, "degraded", "clock may be wrong"),
    ({"rolled_back": True}, "degraded", "the software before it is back"),
    ({"suspended": True}, "degraded", "Suspended"),
    ({"obstacle": "the disk is read-only"}, "degraded", "the disk is read-only"),
    ({"obstacle": "no space left", "space": "full"}, "degraded", "no images are taken"),
    ({"provisioned": False, "service": "stopped"}, "unprovisioned", "netty.toml"),
    ({"provisioned": False, "stick": "applying", "service": "starting"}, "starting", "tried"),
    ({"service": "starting"}, "starting", "Starting"),
    ({"data_partition": "waiting", "service": "stopped"}, "starting", "Starting"),
    ({"state_partition": "waiting"}, "starting", "Starting"),
    ({"trial": True}, "starting", "New software"),
)


@pytest.mark.parametrize(("wrong", "name", "says"), ROWS)
def test_one_thing_alone(wrong: dict[str, object], name: Name, says: str) -> None:
    judged = state(replace(WELL, **wrong))  # type: ignore[arg-type]
    assert judged.name == name
    (problem,) = judged.problems
    assert says in _english(problem)


def test_every_fact_is_tried_alone() -> None:
    tried = {name for wrong, _, _ in ROWS for name in wrong}
    assert tried == {one.name for one in fields(Facts)}
    assert set(get_type_hints(Facts)) == tried


def test_all_is_well() -> None:
    assert state(WELL).problems == ()
    assert state(WELL).name == "working"


def test_the_gravest_comes_first() -> None:
    facts = replace(WELL, clock_doubtful=True, unreachable=(SILENT,), data_partition="broken")
    told = [_english(problem) for problem in state(facts).problems]
    assert "storage of the images" in told[0]
    assert "main does not answer" in told[1]
    assert "clock" in told[2]


def _english(problem: Problem) -> str:
    return f"{problem.what.en}; {problem.who.en}; {problem.detail}"
