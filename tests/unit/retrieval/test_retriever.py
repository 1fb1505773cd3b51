"""One study fetched: the verdict is counted in durable rows, and each failure has its sentence."""

import threading
import time
from dataclasses import replace

import pytest

from appliance.archive.catalogue import Retrieval as Row
from appliance.dicom.scu import SubOperations
from appliance.retrieval.planner import StudyPlan
from appliance.retrieval.retriever import Retrieval, pause
from appliance.settings.model import LocalAE, Query, RemoteAE, Timeouts
from tests.unit.retrieval.stage import MORNING, PACS, QUERY, Stage, failure, images

STUDY = "1.2.3"
AUTO = replace(PACS, retrieve="auto")


def plan(stage: Stage, remote: RemoteAE = PACS, count: int = 3) -> StudyPlan:
    stage.remote.held = images("P1", STUDY, count)
    planned = stage.planner.plan(remote, STUDY)
    stage.remote.asked.clear()
    return planned


def retrieve(stage: Stage, remote: RemoteAE = PACS, query: Query = QUERY) -> Retrieval:
    return stage.retriever(query).retrieve(plan(stage, remote))


def rows(stage: Stage) -> list[Row]:
    return list(reversed(stage.catalogue.retrievals(100, stage.mapped(STUDY))))


def test_complete_is_what_is_durable_whatever_the_status(stage: Stage) -> None:
    stage.remote.answer = SubOperations(0xC000, 0, 3, 0, "")
    assert retrieve(stage) == Retrieval("complete", 3, 0, "", None)
    (row,) = rows(stage)
    assert (row.method, row.outcome, row.arrived, row.next_attempt) == ("move", "complete", 3, None)
    assert stage.solicitation.find(PACS.name, STUDY) is None
    assert stage.catalogue.attempts(stage.mapped(STUDY)) == 0


def test_a_part_counts_and_is_tried_again_and_stays_solicited(stage: Stage) -> None:
    stage.remote.sends = lambda study: 1
    retrieval = retrieve(stage)
    assert (retrieval.result, retrieval.arrived, retrieval.missing) == ("partial", 1, 2)
    assert retrieval.next_attempt == MORNING + QUERY.retry_first
    assert "did not send everything that it lists (status 0x0000)" in retrieval.sentence
    assert stage.solicitation.find(PACS.name, STUDY) is not None


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (0xA801, "register the AE title HAPPY_netty with this box's address and port 11112"),
        (0x0000, "nothing arrived: its administrator must check that HAPPY_netty is registered"),
        (0xC000, "answered the C-MOVE (status 0xC000) but nothing arrived"),
        (0xA900, "answered the C-MOVE (status 0xA900) but nothing arrived"),
    ],
)
def test_nothing_came(stage: Stage, status: int, says: str) -> None:
    stage.remote.sends = lambda study: 0
    stage.remote.answer = SubOperations(status, None, None, None, "P1 is unknown")
    retrieval = retrieve(stage)
    assert (retrieval.result, retrieval.arrived) == ("failed", 0)
    assert says in retrieval.sentence
    assert "P1" not in retrieval.sentence
    assert rows(stage)[0].sentence == retrieval.sentence


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0xA702])
def test_out_of_resources_is_told_as_passing(stage: Stage, status: int) -> None:
    stage.remote.sends = lambda study: 2
    stage.remote.answer = SubOperations(status, 2, 1, 0, "")
    assert "is out of resources" in retrieve(stage).sentence


def test_what_we_refused_ourselves_is_no_fault_of_the_remote(stage: Stage) -> None:
    stage.remote.sends = lambda study: 1

    def refuse(service: str) -> None:
        outstanding = stage.solicitation.find(PACS.name, STUDY)
        if service == "MOVE" and outstanding:
            outstanding.instance_refused("0xA700 no space left above the reserve", True)
            outstanding.instance_refused("0xA700 no space left above the reserve", True)

    stage.remote.before = refuse
    sentence = retrieve(stage).sentence
    assert sentence == (
        "2 instances from main were refused by this box, the last one with 0xA700 no space left "
        "above the reserve"
    )


@pytest.mark.parametrize("kind", ["unreachable", "rejected", "unsupported", "timeout", "aborted"])
def test_a_request_that_fails_ends_with_its_sentence(stage: Stage, kind: str) -> None:
    stage.remote.failures["MOVE"] = failure(kind, "who can mend it")
    retrieval = retrieve(stage)
    assert (retrieval.result, retrieval.sentence) == ("failed", "who can mend it")
    assert rows(stage)[0].outcome == "failed"


def test_get_follows_a_move_that_brings_nothing(stage: Stage) -> None:
    stage.remote.sends = lambda study: 1000 if "GET" in stage.remote.asked[-1] else 0
    planned = plan(stage, AUTO)
    probe = planned.listed[min(planned.missing)].instance
    assert stage.retriever().retrieve(planned).result == "complete"
    assert stage.remote.asked == [f"MOVE {STUDY}", f"PART BY MOVE {STUDY} {probe}", f"GET {STUDY}"]
    assert [(row.method, row.outcome) for row in rows(stage)] == [
        ("move", "failed"),
        ("get", "complete"),
    ]


def test_get_does_not_follow_a_move_that_brings_something(stage: Stage) -> None:
    stage.remote.sends = lambda study: 1
    assert retrieve(stage, AUTO).result == "partial"
    assert not any("GET" in asked for asked in stage.remote.asked)


LOST = frozenset({f"{STUDY}.1.2"})


@pytest.mark.parametrize("method", ["move", "get"])
def test_what_a_remote_cannot_send_keeps_nothing_else(stage: Stage, method: str) -> None:
    """Orthanc sends nothing of what comes after it."""
    stage.remote.lost, stage.remote.stops = LOST, True
    planned = plan(stage, replace(PACS, retrieve=method), count=40)  # type: ignore[arg-type]
    retrieval = stage.retriever().retrieve(planned)
    assert (retrieval.result, retrieval.arrived, retrieval.missing) == ("partial", 39, 1)
    assert "did not send everything that it lists" in retrieval.sentence
    assert [row.arrived for row in rows(stage)] == [39]


def test_the_first_may_be_what_it_cannot_send(stage: Stage) -> None:
    stage.remote.lost, stage.remote.stops = frozenset({f"{STUDY}.1.1"}), True
    assert retrieve(stage).arrived == 2


def test_the_strict_profile_asks_for_whole_studies(stage: Stage) -> None:
    stage.remote.lost, stage.remote.stops = LOST, True
    planned = plan(stage)
    strict = replace(stage.retriever(), ae=LocalAE(profile="strict"))
    for _ in range(2):
        assert strict.retrieve(planned).arrived == 1
    assert stage.remote.asked == [f"MOVE {STUDY}"] * 2


def test_a_retry_asks_for_the_rest_alone_if_that_brings_something(stage: Stage) -> None:
    stage.remote.lost = frozenset({f"{STUDY}.1.2", f"{STUDY}.1.3"})
    assert retrieve(stage).missing == 2
    stage.remote.lost = LOST
    again = stage.planner.plan(PACS, STUDY)
    stage.remote.asked.clear()
    retrieval = stage.retriever().retrieve(again)
    assert (retrieval.result, retrieval.missing) == ("partial", 1)
    assert "was asked for 2 single instances that it lists, and did not send 1" in (
        retrieval.sentence
    )
    assert stage.remote.asked[0] == f"PART BY MOVE {STUDY} {STUDY}.1.2 {STUDY}.1.3"
    assert f"MOVE {STUDY}" not in stage.remote.asked
    stage.remote.lost = frozenset()
    last = stage.planner.plan(PACS, STUDY)
    stage.remote.asked.clear()
    assert stage.retriever().retrieve(last).result == "complete"
    assert stage.remote.asked == [f"PART BY MOVE {STUDY} {STUDY}.1.2"]


def test_a_remote_that_counts_what_it_cannot_send_need_not_send_all_again(stage: Stage) -> None:
    stage.remote.lost = LOST
    assert retrieve(stage).missing == 1
    again = stage.planner.plan(PACS, STUDY)
    stage.remote.answer = SubOperations(0xB000, 0, 1, 0, "")
    stage.remote.asked.clear()
    assert "did not send 1" in stage.retriever().retrieve(again).sentence
    assert stage.remote.asked == [f"PART BY MOVE {STUDY} {STUDY}.1.2"]


def test_a_remote_that_sends_no_parts_is_asked_for_the_whole_again(stage: Stage) -> None:
    stage.remote.lost = LOST
    stage.remote.failures["PART BY MOVE"] = failure("status")
    assert retrieve(stage).missing == 1
    stage.remote.lost = frozenset()
    again = stage.planner.plan(PACS, STUDY)
    assert stage.retriever().retrieve(again).result == "complete"


def test_without_room_no_parts_are_asked_for(stage: Stage) -> None:
    def refuse(service: str) -> None:
        if outstanding := stage.solicitation.find(PACS.name, STUDY):
            outstanding.instance_refused("0xA700 no space left above the reserve", True)

    stage.remote.before = refuse
    stage.remote.sends = lambda study: 1
    retrieve(stage)
    assert stage.remote.asked == [f"MOVE {STUDY}"]


def test_the_setting_get_never_moves(stage: Stage) -> None:
    assert retrieve(stage, replace(PACS, retrieve="get")).result == "complete"
    assert stage.remote.modalities == {"CT"}
    assert stage.remote.asked == [f"GET {STUDY}"]


def test_where_both_fail_both_are_told_and_count_as_one_failure(stage: Stage) -> None:
    stage.remote.failures = {
        "MOVE": failure("unsupported", "no C-MOVE"),
        "GET": failure("unsupported", "no C-GET"),
    }
    first, second = retrieve(stage, AUTO), retrieve(stage, AUTO)
    assert first.sentence == "no C-MOVE; and then: no C-GET"
    assert first.next_attempt == MORNING + 60
    assert second.next_attempt == MORNING + 120


def test_pauses_grow_per_remote_and_begin_anew_when_it_is_complete(stage: Stage) -> None:
    stage.remote.sends = lambda study: 0
    pauses = [(retrieve(stage).next_attempt or 0) - MORNING for _ in range(4)]
    assert pauses == [60, 120, 240, 480]
    other = replace(PACS, name="other")
    assert retrieve(stage, other).next_attempt == MORNING + 60
    stage.remote.sends = lambda study: 1000
    assert retrieve(stage).result == "complete"
    assert stage.catalogue.attempts(stage.mapped(STUDY), PACS.name) == 0


def test_a_large_study_that_comes_in_parts_is_not_punished_for_it(stage: Stage) -> None:
    stage.remote.held = images("P1", STUDY, 3)
    for part in range(1, 3):
        stage.remote.sends = lambda study, part=part: part
        planned = stage.planner.plan(PACS, STUDY)
        assert stage.retriever().retrieve(planned).next_attempt == MORNING + 60
    stage.remote.sends = lambda study: 0
    planned = stage.planner.plan(PACS, STUDY)
    assert stage.retriever().retrieve(planned).next_attempt == MORNING + 240


def test_a_pause_never_exceeds_the_longest() -> None:
    query = replace(QUERY, retry_first=7, retry_longest=100)
    assert [pause(query, n) for n in (0, 1, 2, 3, 4, 5, 6)] == [7, 7, 14, 28, 56, 100, 100]
    assert pause(query, 10**9) == 100


def test_a_study_that_cannot_be_listed_is_paused_too(stage: Stage) -> None:
    mapped = stage.mapped(STUDY)
    for expected in (60, 120, 240):
        given_up = stage.retriever().give_up(PACS, mapped, "it lists nothing")
        assert given_up.next_attempt == MORNING + expected
    assert not stage.catalogue.retrieval_due(mapped, MORNING, PACS.name)
    assert [(row.method, row.sentence) for row in rows(stage)] == [("find", "it lists nothing")] * 3


def test_what_comes_late_is_waited_for(stage: Stage) -> None:
    planned = plan(stage)
    stage.remote.sends = lambda study: 0

    def late() -> None:
        for image in stage.remote.held:
            time.sleep(0.2)
            stage.deliver(PACS, image)

    stage.remote.before = lambda service: threading.Thread(target=late, daemon=True).start()
    query = replace(QUERY, settle=1)
    assert stage.retriever(query).retrieve(planned).result == "complete"


def test_a_remote_that_never_ends_to_send_is_left_and_progress_is_shown_meanwhile(
    stage: Stage,
) -> None:
    planned = plan(stage)
    ended = threading.Event()

    def for_ever() -> None:
        while not ended.wait(0.05):
            stage.deliver(PACS, stage.remote.held[0])

    stage.remote.before = lambda service: threading.Thread(target=for_ever, daemon=True).start()
    stage.remote.sends = lambda study: 1
    query = replace(QUERY, settle=10, timeouts=Timeouts(1, 1, 2))
    beats: list[float] = []
    began = time.monotonic()
    try:
        retrieval = stage.retriever(query).retrieve(planned, lambda: beats.append(1))
    finally:
        ended.set()
    assert (retrieval.result, retrieval.arrived) == ("partial", 1)
    assert 2 <= time.monotonic() - began < 6
    assert len(beats) >= 2
