"""The connection self-test against peers that nobody here wrote, and against strange ones."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from appliance.archive.hops import STEPS, ConnectionTest, Hop, Said
from appliance.archive.place import Place
from appliance.archive.requests import Requests
from appliance.settings.model import Query, RemoteAE, Timeouts, Watch
from tests.instances import study
from tests.interop.boxes import TITLE, Box, box, settings
from tests.interop.hospitals import Hospital, talkative
from tests.interop.strange_pacs import (
    FIND,
    GET,
    MOVE,
    SUCCESS,
    Call,
    StrangePacs,
    raw_server,
    reject,
)
from tools.hospital import volume
from tools.hospital.peers import PACS, free_port

CT = volume.Study(slices=3)
PATIENT = CT.patient.identifier
QUICK = Query(settle=1, timeouts=Timeouts(association=5, response=5, total=20))


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.slow] * (name == "qrscp")) for name in PACS],
)
def hospital(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hospital]:
    files = volume.write(CT, tmp_path_factory.mktemp("ct"))
    with talkative(request.param, tmp_path_factory.mktemp("pacs"), free_port(), files) as hospital:
        yield hospital


def judged(running: Box, remote: str = "pacs") -> ConnectionTest:
    """What the box finds when somebody asks for a test."""
    requests = running.service.requests
    number = requests.ask_test(remote)
    running.until(lambda: requests.find_test(number).state == "finished", "no end of the test")
    return requests.find_test(number)


def outcomes(test: ConnectionTest) -> dict[str, str]:
    return {hop.step: hop.outcome for hop in test.hops}


PASSED = dict.fromkeys(STEPS[:6], "passed")


@pytest.mark.parametrize("method", ["move", "get"])
def test_every_hop_of_a_connection_that_works(
    hospital: Hospital, method: str, tmp_path: Path
) -> None:
    remote = hospital.remote(retrieve=method)
    wanted = settings(hospital.port, remote, watch=(Watch("NOBODY"), Watch(PATIENT)))
    with box(tmp_path, wanted, scheduled=False) as running:
        test = judged(running)
        assert outcomes(test) == dict.fromkeys((*STEPS[:5], method), "passed")
        assert test.works
        assert running.held == 1, "one instance, and no more"
        assert judged(running).works
        assert running.held == 2, "the next one"
    for letter in (test.letter.ja, test.letter.en):
        for said in (TITLE, "127.0.0.1", str(hospital.port), remote.title, str(remote.port)):
            assert said in letter
    told = [text for hop in test.hops for text in (hop.says.ja, hop.says.en, hop.detail)]
    assert not any(PATIENT in text or CT.study_instance_uid in text for text in told)


def test_a_box_that_is_not_registered(hospital: Hospital, tmp_path: Path) -> None:
    if hospital.name == "orthanc":
        pytest.skip("Orthanc does not answer who is not registered")
    wanted = settings(
        hospital.port,
        hospital.remote(retrieve="move"),
        ae={"title": "UNKNOWN_BOX"},
        watch=(Watch(PATIENT),),
    )
    with box(tmp_path, wanted, scheduled=False) as running:
        test = judged(running)
    assert not test.works
    failed = test.hops[-1]
    assert (failed.step, failed.outcome) == ("move", "failed")
    assert "does not know UNKNOWN_BOX as a destination" in failed.says.en
    assert "UNKNOWN_BOX" in failed.says.ja
    assert "0xA801" in failed.detail


def test_a_get_makes_good_for_a_move(hospital: Hospital, tmp_path: Path) -> None:
    remote = hospital.remote(retrieve="auto")
    wanted = settings(free_port(), remote, watch=(Watch(PATIENT),), query=QUICK)
    with box(tmp_path, wanted, scheduled=False) as running:
        test = judged(running)
    assert outcomes(test) == {**PASSED, "move": "failed", "get": "passed"}
    assert test.works


def lists_no_images(call: Call) -> None:
    if call.level == "STUDY":
        for match in call.matches():
            call.answer(0xFF00, match)
    call.answer(SUCCESS)


def refuses(call: Call) -> None:
    call.answer(0xA700)


def sends_nothing(call: Call) -> None:
    call.answer(SUCCESS, counters=(None, 1, 0, 0))


def sends_as_another(call: Call) -> None:
    call.store(call.wanted()[:1], calling="ANOTHER")
    call.answer(SUCCESS, counters=(None, 1, 0, 0))


STRANGE: dict[str, tuple[dict[str, Any], str, str]] = {
    "lists nothing": ({"find": lists_no_images}, "find", "lists no images"),
    "refuses find": ({"find": refuses}, "find", "C-FIND fails"),
    "aborts find": ({"find": Call.abort}, "find", "C-FIND fails"),
    "no find": ({"contexts": ()}, "find", "does not offer queries"),
    "rejects": ({"greet": reject(1, 1, 3)}, "association", "register our AE title HAPPY_netty"),
    "sends nothing": ({"move": sends_nothing}, "move", "no image arrives"),
    "sends as another": ({"move": sends_as_another}, "move", "rejected an association"),
    "hangs up": ({"move": Call.hang_up}, "move", "no image arrives"),
    "refuses get": ({"get": refuses}, "get", "by C-GET"),
}
"""PACS that nobody would buy: what they do, the hop that fails, and what is said of it."""

ABSENT = {
    "nowhere": ("name", "no-such-host.invalid is not known"),
    "closed": ("port", "refuses the connection"),
    "silent": ("association", "does not answer as a DICOM AE"),
}
SKIPPED: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "only sends": ({"query": False}, {"find": "query = false", "move": "no image of a watched"}),
    "has nothing": ({}, {"move": "no image of a watched patient"}),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ConnectionTest]]:
    """What one box finds out about all of them."""
    port = free_port()
    remotes = []
    with ExitStack() as stack:
        silent = stack.enter_context(raw_server(lambda connection: None))
        remotes += [
            RemoteAE("nowhere", "PACS", "no-such-host.invalid"),
            RemoteAE("closed", "PACS", "127.0.0.1", free_port()),
            RemoteAE("silent", "PACS", "127.0.0.1", silent),
        ]
        for number, (name, (scripts, step, _)) in enumerate(STRANGE.items()):
            given = {"contexts": (FIND, MOVE, GET), **scripts}
            images = study(PATIENT, f"2.25.7{number}")
            pacs = StrangePacs(f"STRANGE_{number}", images, box=(TITLE, port), **given)
            stack.enter_context(pacs.listening())
            method = "get" if step == "get" else "move"
            remotes.append(RemoteAE(name, pacs.title, "127.0.0.1", pacs.port, retrieve=method))
        honest = StrangePacs("HONEST", study("SOMEBODY", "2.25.8"), box=(TITLE, port))
        stack.enter_context(honest.listening())
        for name, (changes, _) in SKIPPED.items():
            remotes.append(RemoteAE(name, "HONEST", "127.0.0.1", honest.port, **changes))
        wanted = settings(port, *remotes, watch=(Watch(PATIENT),), query=QUICK)
        folder = tmp_path_factory.mktemp("box")
        running = stack.enter_context(box(folder, wanted, scheduled=False))
        yield {name: judged(running, name) for name in (*(one.name for one in remotes), "stranger")}
        assert running.held == 0


@pytest.mark.parametrize("name", STRANGE)
def test_where_a_strange_pacs_fails(verdicts: dict[str, ConnectionTest], name: str) -> None:
    _, step, says = STRANGE[name]
    test = verdicts[name]
    failed = test.hops[-1]
    assert (failed.step, failed.outcome) == (step, "failed")
    assert says in failed.says.en
    assert failed.detail or says == "lists no images"
    assert not test.works
    before = dict.fromkeys(STEPS[: len(test.hops) - 1], "passed")
    assert outcomes(test) == {**before, step: "failed"}


@pytest.mark.parametrize("name", ABSENT)
def test_nobody_answers(verdicts: dict[str, ConnectionTest], name: str) -> None:
    step, says = ABSENT[name]
    test = verdicts[name]
    assert (test.hops[-1].step, test.hops[-1].outcome) == (step, "failed")
    assert says in test.hops[-1].says.en
    assert not test.works


def test_a_remote_that_the_box_does_not_know(verdicts: dict[str, ConnectionTest]) -> None:
    assert "is not in the settings" in verdicts["stranger"].hops[0].says.en
    assert not verdicts["stranger"].works


@pytest.mark.parametrize("name", SKIPPED)
def test_what_cannot_be_tried_is_no_failure(verdicts: dict[str, ConnectionTest], name: str) -> None:
    _, skipped = SKIPPED[name]
    test = verdicts[name]
    assert test.works
    assert {hop.step for hop in test.hops if hop.outcome == "skipped"} == set(skipped)
    for hop in test.hops:
        assert skipped.get(hop.step, "") in hop.says.en


def test_a_suspended_box_fetches_nothing(tmp_path: Path) -> None:
    strange = StrangePacs("STRANGE", study(PATIENT, "2.25.7"))
    with strange.listening():
        remote = RemoteAE("pacs", "STRANGE", "127.0.0.1", strange.port)
        wanted = settings(free_port(), remote, watch=(Watch(PATIENT),))
        with box(tmp_path, wanted, scheduled=False) as running:
            running.service.requests.suspend()
            test = judged(running)
    assert outcomes(test) == {**dict.fromkeys(STEPS[:5], "passed"), "move": "skipped"}
    assert "C-MOVE IMAGE" not in strange.calls


def test_a_test_that_was_interrupted_begins_anew(tmp_path: Path) -> None:
    wanted = settings(free_port(), RemoteAE("pacs", "PACS", "127.0.0.1", free_port()))
    place = Place(tmp_path / "data", tmp_path / "state")
    place.data.mkdir()
    with closing(Requests.open(place.folders.requests)) as requests:
        number = requests.ask_test("pacs")
        requests.begin_test(number)
        requests.note_hop(number, Hop("name", "passed", 0.1, Said("", "of before")))
    with box(tmp_path, wanted, scheduled=False) as running:
        find = running.service.requests.find_test
        running.until(lambda: find(number).state == "finished", "no end of the test")
        assert [hop.step for hop in find(number).hops] == ["name", "port"]
        assert find(number).hops[0].says.en != "of before"
