"""When a remote is asked: intervals, pauses that survive, requests by hand, and what stops it."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.archive.catalogue import CatalogueFailed, RenderOutcome
from appliance.archive.requests import FetchRequest
from appliance.dicom.matches import Level, Match
from appliance.retrieval import scheduler
from appliance.retrieval.scheduler import RemoteSchedule
from appliance.settings.model import RemoteAE, Watch
from tests.unit.retrieval.stage import MORNING, PACS, QUERY, Stage, failure, images

P1 = Watch("P1")


def moves(stage: Stage) -> list[str]:
    return [asked for asked in stage.remote.asked if asked.startswith("MOVE")]


def turn(stage: Stage, schedule: RemoteSchedule, after: float = 0) -> list[str]:
    """Look once, `after` seconds later; what was asked for it."""
    stage.clock.now += after
    stage.remote.asked.clear()
    schedule.turn()
    return list(stage.remote.asked)


def ended(stage: Stage, number: int) -> FetchRequest:
    request = stage.requests.find(number)
    assert request.state == "finished"
    assert (request.patient_id, request.accession, request.study) == (None, None, None)
    return request


# -- the watch list in turn


def test_it_asks_at_once_and_then_at_every_interval(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    schedule = stage.schedule(P1)
    assert "MOVE 1.1" in turn(stage, schedule)
    assert turn(stage, schedule, QUERY.every - 1) == []
    assert turn(stage, schedule, 1)[0] == "FIND STUDY P1"


def test_a_second_round_over_an_unchanged_remote_moves_nothing(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P1", "1.2")]
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    assert moves(stage) == ["MOVE 1.1", "MOVE 1.2"]
    turn(stage, schedule, QUERY.every)
    assert moves(stage) == []
    stage.remote.held = [*images("P1", "1.1"), *images("P1", "1.2", count=3)]
    turn(stage, schedule, QUERY.every)
    assert moves(stage) == ["MOVE 1.2"]


def test_a_study_that_failed_is_tried_again_when_its_pause_is_over(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    stage.remote.sends = lambda study: 0
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    for wait in (60, 120, 240, 480):
        assert turn(stage, schedule, wait - 1) == []
        assert "MOVE 1.1" in turn(stage, schedule, 1)
    # From here on the pause is longer than the interval: the remote is asked, nothing is moved.
    asked = turn(stage, schedule, QUERY.every)
    assert asked != []
    assert moves(stage) == []
    assert len(stage.events()) == 5


def test_growth_ends_a_pause(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    stage.remote.sends = lambda study: 0
    schedule = stage.schedule(P1)
    for _ in range(7):
        turn(stage, schedule, 960)
    assert moves(stage) == []
    stage.remote.held = images("P1", "1.1", count=3)
    turn(stage, schedule, QUERY.every)
    assert moves(stage) == ["MOVE 1.1"]


def test_pauses_of_one_remote_do_not_hold_for_another(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    stage.remote.sends = lambda study: 0
    turn(stage, stage.schedule(P1))
    other = stage.schedule(P1, pacs=replace(PACS, name="other"))
    turn(stage, other)
    assert moves(stage) == ["MOVE 1.1"]
    turn(stage, stage.schedule(P1), 1)
    assert moves(stage) == []


def test_a_remote_that_may_not_be_queried_is_not_asked(stage: Stage) -> None:
    assert turn(stage, stage.schedule(P1, pacs=replace(PACS, query=False))) == []


def test_with_nobody_to_ask_for_a_remote_is_greeted(stage: Stage) -> None:
    schedule = stage.schedule()
    assert turn(stage, schedule) == ["ECHO"]
    assert stage.catalogue.remote_state("main").last_reached == stage.clock.now
    stage.remote.failures["ECHO"] = failure("unreachable", "it is off")
    assert turn(stage, schedule, QUERY.every) == ["ECHO"]
    assert stage.catalogue.remote_state("main").failure == "it is off"


def test_without_a_watch_list_in_turn_only_hands_ask(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    schedule = stage.schedule(P1, scheduled=False)
    assert turn(stage, schedule) == []
    stage.requests.ask_fetch("main", patient_id="P1")
    assert "MOVE 1.1" in turn(stage, schedule)


# -- a remote that is down


def test_a_remote_that_is_down_is_left_for_growing_pauses_that_survive(stage: Stage) -> None:
    stage.remote.failures["FIND STUDY"] = failure("unreachable", "it is off")
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    for expected in (60, 120, 240):
        state = stage.catalogue.remote_state("main")
        assert state.failure == "it is off"
        assert state.next_attempt == stage.clock.now + expected
        stage.restart()
        schedule = stage.schedule(P1)
        assert turn(stage, schedule, expected - 1) == []
        assert turn(stage, schedule, 1) == ["FIND STUDY P1"]
    assert stage.events() == ["it is off"]
    stage.remote.failures.clear()
    assert turn(stage, schedule, 480) == ["FIND STUDY P1"]
    assert stage.catalogue.remote_state("main").failures == 0


def test_another_reason_is_another_event(stage: Stage) -> None:
    schedule = stage.schedule(P1)
    for kind, sentence in (("unreachable", "off"), ("unreachable", "off"), ("rejected", "no")):
        stage.remote.failures["FIND STUDY"] = failure(kind, sentence)
        turn(stage, schedule, 3600)
    assert stage.events() == ["off", "no"]
    assert stage.catalogue.remote_state("main").failures == 3


def test_the_pause_has_a_longest(stage: Stage) -> None:
    stage.remote.failures["FIND STUDY"] = failure("rejected")
    schedule = stage.schedule(P1)
    for _ in range(12):
        turn(stage, schedule, QUERY.retry_longest)
    state = stage.catalogue.remote_state("main")
    assert state.next_attempt == stage.clock.now + QUERY.retry_longest


def test_pauses_of_studies_survive_too(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    stage.remote.sends = lambda study: 0
    turn(stage, stage.schedule(P1))
    stage.restart()
    assert turn(stage, stage.schedule(P1), 30)[0] == "FIND STUDY P1"
    assert moves(stage) == []
    turn(stage, stage.schedule(P1), 30)
    assert moves(stage) == ["MOVE 1.1"]
    assert stage.catalogue.retrievals(1)[0].next_attempt == stage.clock.now + 120


@pytest.mark.parametrize("kind", ["timeout", "aborted"])
def test_silence_in_one_query_is_held_against_the_remote_only_if_it_is_dead(
    stage: Stage, kind: str
) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P1", "1.2")]

    def silent_about_the_first(service: str) -> None:
        if stage.remote.asked[-1] == "FIND SERIES 1.1":
            raise failure(kind, "silent about one")

    stage.remote.before = silent_about_the_first
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    assert "ECHO" in stage.remote.asked
    assert moves(stage) == ["MOVE 1.2"]
    assert stage.catalogue.remote_state("main").failures == 0
    assert stage.events() == ["silent about one"]
    stage.remote.failures["ECHO"] = failure("timeout")
    turn(stage, schedule, 60)
    assert stage.remote.asked[-1] == "ECHO"
    assert stage.catalogue.remote_state("main").failure == "silent about one"


def test_one_entry_that_cannot_be_asked_stops_no_other_and_is_told_once(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P2", "1.2")]

    def refuse_the_first(service: str) -> None:
        if stage.remote.asked[-1] == "FIND STUDY P1":
            raise failure("status", "refused")

    stage.remote.before = refuse_the_first
    schedule = stage.schedule(P1, Watch("P2"))
    turn(stage, schedule)
    assert moves(stage) == ["MOVE 1.2"]
    turn(stage, schedule, QUERY.every)
    assert stage.events() == ["refused"]
    stage.remote.before = lambda service: None
    turn(stage, schedule, QUERY.every)
    assert moves(stage) == ["MOVE 1.1"]
    stage.remote.before = refuse_the_first
    turn(stage, schedule, QUERY.every)
    assert stage.events() == ["refused", "refused"]


def test_a_remote_that_refuses_every_entry_has_failed(stage: Stage) -> None:
    stage.remote.failures["FIND STUDY"] = failure("status", "refused")
    turn(stage, stage.schedule(P1, Watch("P2")))
    assert stage.catalogue.remote_state("main").failure == "refused"


def test_a_study_of_which_nothing_is_listed_is_told_in_growing_pauses(stage: Stage) -> None:
    stage.remote.held = [replace(one, series="") for one in images("P1", "1.1")]
    schedule = stage.schedule(P1)
    for wait in (0, 60, 120):
        turn(stage, schedule, wait)
    assert len(stage.events()) == 3
    assert "lists no images of it" in stage.events()[0]
    assert stage.catalogue.remote_state("main").failures == 0


RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"


def test_what_this_box_does_not_take_is_told_once_and_left(stage: Stage) -> None:
    plan, private = images("P1", "1.1", count=4)[2:]
    rest = [replace(plan, sop_class=RT_PLAN), replace(private, sop_class="1.3.12.2.1107.5.9.1")]
    stage.remote.held = [*images("P1", "1.1"), *rest]
    schedule = stage.schedule(P1)
    for _ in range(4):
        turn(stage, schedule, QUERY.every)
    assert stage.events() == [
        "main has more of a study than this box takes: instances of RT Plan Storage, a private "
        "class are left there"
    ]
    assert stage.catalogue.status().outstanding == 0
    stage.remote.held = rest
    turn(stage, stage.schedule(Watch("P1")), QUERY.every)
    assert moves(stage) == []
    assert len(stage.events()) == 1, "a study without images is no failure"


def moved(stage: Stage, schedule: RemoteSchedule, days: int) -> list[float]:
    """Turns for some days; after how many hours there was a C-MOVE."""
    began, found = stage.clock.now, []
    while stage.clock.now < began + days * 86_400:
        if any(asked.startswith("MOVE") for asked in turn(stage, schedule, QUERY.every)):
            found.append((stage.clock.now - began) / 3600)
    return found


def test_a_rest_that_never_comes_is_asked_for_ever_more_rarely(stage: Stage) -> None:
    """The whole study is sent each time, for nothing."""
    stage.remote.held = images("P1", "1.1", count=3)
    stage.remote.sends = lambda study: 2
    hours = moved(stage, stage.schedule(P1), 60)
    pauses = [later - earlier for earlier, later in pairwise(hours)]
    assert pauses == sorted(pauses)
    assert len(hours) < 25
    assert pauses[-1] == 7 * 24
    stage.restart()
    assert len(moved(stage, stage.schedule(P1), 14)) == 2, "the pause outlives a restart"
    stage.remote.sends = lambda study: 3
    moved(stage, stage.schedule(P1), 8)
    assert stage.catalogue.status().outstanding == 0


def test_what_had_no_room_is_asked_for_as_often_as_ever(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1", count=3)
    stage.remote.sends = lambda study: 2

    def refuse(service: str) -> None:
        outstanding = stage.solicitation.find(PACS.name, "1.1")
        if service == "MOVE" and outstanding:
            outstanding.instance_refused("0xA700 no space left above the reserve", for_now=True)

    stage.remote.before = refuse
    hours = moved(stage, stage.schedule(P1), 20)
    assert hours[-1] - hours[-2] <= 6


def test_a_study_whose_rest_never_comes_expires_and_is_not_brought_back(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1", count=3)
    stage.remote.sends = lambda study: 2
    schedule = stage.schedule(P1)
    moved(stage, schedule, 2)
    render(stage)
    assert stage.catalogue.oldest_complete_studies() == ()
    moved(stage, schedule, 60)
    render(stage)
    (study,) = stage.catalogue.oldest_complete_studies()
    assert stage.catalogue.expire(study.study) > 0
    assert stage.catalogue.status().bytes == 0
    assert moved(stage, schedule, 30) == []
    stage.remote.held = images("P1", "1.1", count=4)
    stage.remote.sends = lambda study: 0
    assert len(moved(stage, schedule, 1)) > 1, "it has grown"


def render(stage: Stage) -> None:
    """Have all that waits rendered."""
    jobs = stage.catalogue.next_renders(100)
    stage.catalogue.finish_renders([RenderOutcome(job, "rendered") for job in jobs])


# -- the clock


@pytest.mark.parametrize("back", [3600, 10 * 365 * 86_400])
def test_a_clock_set_back_makes_nobody_wait_longer(stage: Stage, back: float) -> None:
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    assert turn(stage, schedule, -back) == ["FIND STUDY P1"]
    assert turn(stage, schedule, QUERY.every) == ["FIND STUDY P1"]


def test_a_clock_set_back_ends_pauses_that_would_last_for_years(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    stage.remote.sends = lambda study: 0
    stage.clock.now = MORNING + 10 * 365 * 86_400
    turn(stage, stage.schedule(P1))
    stage.remote.failures["FIND STUDY"] = failure("unreachable")
    turn(stage, stage.schedule(P1))
    stage.remote.failures.clear()
    stage.clock.now = MORNING
    stage.restart()
    turn(stage, stage.schedule(P1))
    assert moves(stage) == ["MOVE 1.1"]


def test_a_clock_set_forward_only_asks_earlier(stage: Stage) -> None:
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    assert turn(stage, schedule, 10 * 365 * 86_400) == ["FIND STUDY P1"]
    assert turn(stage, schedule, 1) == []


# -- by hand


def test_what_is_asked_by_hand_comes_first_and_says_how_it_went(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P2", "1.2", count=3)]
    number = stage.requests.ask_fetch("main", patient_id="P2")
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    assert stage.remote.asked[0] == "FIND STUDY P2"
    assert moves(stage) == ["MOVE 1.2"]
    request = ended(stage, number)
    assert (request.outcome, request.sentence) == (
        "complete",
        "3 instances fetched, 1 studies complete",
    )
    assert (request.studies, request.listed, request.missing, request.arrived) == (1, 3, 3, 3)
    turn(stage, schedule)
    assert moves(stage) == ["MOVE 1.1"]


def test_what_is_asked_by_hand_does_not_wait_for_the_end_of_a_round(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P1", "1.2"), *images("P2", "2.1")]

    def ask(service: str) -> None:
        if stage.remote.asked[-1] == "MOVE 1.1":
            stage.requests.ask_fetch("main", study="2.1")

    stage.remote.before = ask
    turn(stage, stage.schedule(P1))
    assert moves(stage) == ["MOVE 1.1", "MOVE 2.1", "MOVE 1.2"]


def test_a_request_is_for_the_remote_that_it_names(stage: Stage) -> None:
    number = stage.requests.ask_fetch("other", patient_id="P1")
    assert turn(stage, stage.schedule(scheduled=False)) == []
    assert stage.requests.find(number).state == "asked"


def test_by_hand_no_pause_is_waited_for(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    stage.remote.sends = lambda study: 0
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    number = stage.requests.ask_fetch("main", study="1.1")
    turn(stage, schedule, 1)
    assert moves(stage) == ["MOVE 1.1"]
    assert ended(stage, number).outcome == "failed"


def test_studies_of_others_are_not_fetched_by_hand(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P2", "1.2")]
    everybody = [stage.remote._match("STUDY", one) for one in stage.remote.held]
    stage.remote.find = lambda remote, level, keys: iter(everybody)  # type: ignore[method-assign]
    number = stage.requests.ask_fetch("main", patient_id="P1", accession="A7")
    turn(stage, stage.schedule())
    assert ended(stage, number).sentence == "main has no such study, or no images of it"


@pytest.mark.parametrize(
    ("keys", "outcome", "says"),
    [
        ({"patient_id": "P9"}, "failed", "main has no such study, or no images of it"),
        ({"study": "9.9"}, "failed", "main has no such study, or no images of it"),
        ({"accession": "A1"}, "complete", "2 instances fetched"),
    ],
)
def test_by_hand_with_each_key(stage: Stage, keys: dict[str, str], outcome: str, says: str) -> None:
    stage.remote.held = [replace(one, accession="A1") for one in images("P1", "1.1")]
    number = stage.requests.ask_fetch("main", **keys)
    turn(stage, stage.schedule())
    request = ended(stage, number)
    assert (request.outcome, says in request.sentence) == (outcome, True)


@pytest.mark.parametrize(
    ("kind", "down"),
    [("unreachable", True), ("rejected", True), ("timeout", True), ("status", False)],
)
def test_by_hand_a_failure_is_an_answer(stage: Stage, kind: str, down: bool) -> None:
    stage.remote.failures = {
        "FIND STUDY": failure(kind, "who can mend it"),
        "ECHO": failure("unreachable"),
    }
    number = stage.requests.ask_fetch("main", patient_id="P1")
    turn(stage, stage.schedule())
    request = ended(stage, number)
    assert (request.outcome, request.sentence) == ("failed", "who can mend it")
    assert bool(stage.catalogue.remote_state("main").failures) is down


def test_by_hand_failures_do_not_lengthen_the_pause_of_the_watch_list(stage: Stage) -> None:
    """Else whoever tries again and again silences it for hours after the PACS is back."""
    stage.remote.failures["FIND STUDY"] = stage.remote.failures["ECHO"] = failure("unreachable")
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    before = stage.catalogue.remote_state("main")
    for _ in range(5):
        stage.requests.ask_fetch("main", patient_id="P1")
        turn(stage, schedule, 1)
    after = stage.catalogue.remote_state("main")
    assert (after.failures, after.next_attempt) == (before.failures, before.next_attempt)


def test_by_hand_what_works_ends_the_pause_of_the_watch_list(stage: Stage) -> None:
    stage.remote.failures["FIND STUDY"] = failure("unreachable")
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    stage.remote.failures.clear()
    stage.remote.held = images("P1", "1.1")
    stage.requests.ask_fetch("main", patient_id="P2")
    turn(stage, schedule, 1)
    assert stage.catalogue.remote_state("main").failures == 0
    turn(stage, schedule, 1)
    assert moves(stage) == ["MOVE 1.1"]


def test_by_hand_of_a_remote_that_may_not_be_queried(stage: Stage) -> None:
    number = stage.requests.ask_fetch("main", patient_id="P1")
    turn(stage, stage.schedule(pacs=replace(PACS, query=False)))
    assert "set query = true for it in the settings" in ended(stage, number).sentence


def test_by_hand_a_study_that_is_found_several_times_is_fetched_once(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    once = stage.remote.find

    def twice(remote: RemoteAE, level: Level, keys: dict[str, str]) -> Iterator[Match]:
        found = list(once(remote, level, keys))
        yield from [*found, *found]

    stage.remote.find = twice  # type: ignore[method-assign]
    number = stage.requests.ask_fetch("main", patient_id="P1")
    turn(stage, stage.schedule())
    assert moves(stage) == ["MOVE 1.1"]
    assert ended(stage, number).sentence == "2 instances fetched, 1 studies complete"


def test_by_hand_a_study_that_fails_stops_no_other(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P1", "1.2")]

    def refuse_the_first(service: str) -> None:
        if stage.remote.asked[-1] == "FIND SERIES 1.1":
            raise failure("status", "refused")

    stage.remote.before = refuse_the_first
    number = stage.requests.ask_fetch("main", patient_id="P1")
    turn(stage, stage.schedule())
    assert moves(stage) == ["MOVE 1.2"]
    request = ended(stage, number)
    assert (request.outcome, request.sentence, request.arrived) == ("partial", "refused", 2)


def test_a_request_that_is_withdrawn_harms_nobody(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P1", "1.2")]
    number = stage.requests.ask_fetch("main", patient_id="P1")

    def withdraw(service: str) -> None:
        if stage.remote.asked[-1] == "MOVE 1.1":
            stage.requests.finish(number, "failed", "withdrawn")

    stage.remote.before = withdraw
    turn(stage, stage.schedule())
    assert moves(stage) == ["MOVE 1.1", "MOVE 1.2"]
    assert ended(stage, number).sentence == "withdrawn"


def test_a_request_that_a_restart_interrupts_is_served_then(stage: Stage) -> None:
    stage.remote.held = images("P1", "1.1")
    number = stage.requests.ask_fetch("main", patient_id="P1")
    schedule = stage.schedule()
    stage.remote.before = lambda service: schedule.stop()
    turn(stage, schedule)
    assert moves(stage) == []
    assert stage.requests.find(number).state != "finished"
    stage.remote.before = lambda service: None
    stage.restart()
    turn(stage, stage.schedule())
    assert ended(stage, number).outcome == "complete"


# -- what keeps the box from asking


def test_suspended_it_asks_nothing_and_says_so_to_hands(stage: Stage) -> None:
    stage.requests.suspend()
    schedule = stage.schedule(P1)
    number = stage.requests.ask_fetch("main", patient_id="P1")
    assert turn(stage, schedule) == []
    assert ended(stage, number).sentence == "the box is suspended: resume it, then ask again"
    assert turn(stage, schedule, 10 * QUERY.every) == []
    stage.requests.resume()
    assert turn(stage, schedule) == ["FIND STUDY P1"]


def test_without_space_it_asks_nothing_and_goes_on_as_soon_as_there_is_some(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P1", "1.2")]

    def run_out(service: str) -> None:
        if service == "MOVE":
            stage.may_retrieve = False

    stage.remote.before = run_out
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    assert moves(stage) == ["MOVE 1.1"]
    assert turn(stage, schedule, 1) == []
    number = stage.requests.ask_fetch("main", patient_id="P1")
    assert turn(stage, schedule, 1) == []
    assert "no space is left above the reserve" in ended(stage, number).sentence
    stage.may_retrieve = True
    turn(stage, schedule, 1)
    assert moves(stage) == ["MOVE 1.2"]


# -- faults of our own


def test_a_fault_of_ours_is_told_without_its_text_and_tried_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.remote.failures["FIND STUDY"] = ValueError("Yamada^Tarou")
    schedule = stage.schedule(P1)
    turn(stage, schedule)
    state = stage.catalogue.remote_state("main")
    assert "by a fault of this box: ValueError at _asked" in state.failure
    assert "Yamada" not in state.failure + "".join(stage.events()) + caplog.text
    assert turn(stage, schedule, 60) == ["FIND STUDY P1"]


def test_a_fault_of_ours_ends_the_request_that_met_it(stage: Stage) -> None:
    stage.remote.failures["FIND STUDY"] = ValueError("Yamada^Tarou")
    number = stage.requests.ask_fetch("main", patient_id="P1")
    turn(stage, stage.schedule())
    sentence = ended(stage, number).sentence
    assert "ValueError" in sentence
    assert "Yamada" not in sentence


def test_the_loop_goes_on_when_the_archive_can_be_written_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "TICK", 0.01)
    monkeypatch.setattr(scheduler, "PAUSE_WHEN_UNWRITABLE", 0.01)
    stage.remote.held = images("P1", "1.1")
    schedule = stage.schedule(P1)
    failures = iter([CatalogueFailed("full"), sqlite3.OperationalError("?"), None])

    def fail_at_first(service: str) -> None:
        if service == "MOVE" and (error := next(failures)):
            raise error

    stage.remote.before = fail_at_first
    with running(schedule):
        soon(lambda: stage.catalogue.remote_state("main").failures)
        stage.clock.now += 60
        soon(lambda: stage.catalogue.study_progress(stage.mapped("1.1")).complete)


# -- the loop


@contextmanager
def running(schedule: RemoteSchedule) -> Iterator[None]:
    """Runs the loop of a schedule in a thread, which must have ended soon after the block."""
    thread = threading.Thread(target=schedule.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        schedule.stop()
        thread.join(5)
    assert not thread.is_alive()


def soon(look: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_loop_beats_and_stops_at_once_within_a_pause(stage: Stage) -> None:
    schedule = stage.schedule(P1)
    with running(schedule):
        soon(lambda: stage.remote.asked)
        soon(lambda: stage.beats.count("schedule of main") >= 3)
        began = time.monotonic()
    assert time.monotonic() - began < 2


def test_it_beats_before_every_query_of_a_long_round(stage: Stage) -> None:
    patients = [Watch(f"P{number}") for number in range(20)]
    stage.remote.held = images("P7", "7.1", series=5)
    turn(stage, stage.schedule(*patients))
    queries = [asked for asked in stage.remote.asked if asked.startswith("FIND")]
    assert len(queries) == 20 + 1 + 5
    assert len(stage.beats) >= len(queries)


def test_it_beats_before_every_query_by_hand(stage: Stage) -> None:
    """Of a PACS that hangs, each takes a minute; the AE must not be restarted for that."""
    schedule = stage.schedule()
    turn(stage, schedule)
    stage.remote.failures["FIND STUDY"] = stage.remote.failures["ECHO"] = failure("timeout")
    for number in range(10):
        stage.requests.ask_search("main", patient_id=f"P{number}")
        stage.requests.ask_fetch("main", patient_id=f"P{number}")
    before = len(stage.beats)
    asked = turn(stage, schedule, 1)
    assert len(stage.beats) - before >= len(asked) >= 20


def test_it_stops_between_two_studies(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P1", "1.2")]
    schedule = stage.schedule(P1)

    def stop(service: str) -> None:
        if service == "MOVE":
            schedule.stop()

    stage.remote.before = stop
    turn(stage, schedule)
    assert moves(stage) == ["MOVE 1.1"]
