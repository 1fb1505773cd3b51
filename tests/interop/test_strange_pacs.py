"""PACS that lie, fall silent, break off or answer nonsense: all of them at once, around one box.

Each must end in a retry after a growing pause, or in a sentence in the catalogue that says who can
mend it; and none may keep the box from fetching from the honest one among them.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from pydicom.dataset import Dataset
from pynetdicom import _config as pynetdicom_config

from appliance.archive.catalogue import RemoteState, Retrieval
from appliance.archive.place import Place
from appliance.dicom.scu import RequestFailed, Requestor
from appliance.service import Service
from appliance.settings.model import (
    LocalAE,
    Query,
    RemoteAE,
    Settings,
    Storage,
    Timeouts,
    Watch,
)
from tests.instances import study
from tests.interop.strange_pacs import (
    FIND,
    GET,
    MOVE,
    NO_COUNTERS,
    PENDING,
    SUCCESS,
    Call,
    StrangePacs,
    honest_find,
    honest_get,
    honest_move,
    raw_server,
    reject,
)
from tools.hospital.peers import free_port

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")

T = TypeVar("T")

PATIENT = "WATCHED-4711"
TITLE = "HAPPY_netty"
TIMEOUTS = Timeouts(association=10, response=6, total=12)
PATIENCE = 60.0
"""Seconds within which a test must see what it waits for."""


# -- C-MOVE


def unknown_destination(call: Call) -> None:
    call.answer(0xA801)


def no_suboperations(call: Call) -> None:
    call.answer(SUCCESS, counters=(None, 0, 0, 0))


def unable_to_process(call: Call) -> None:
    call.answer(0xC000)


def without_counters(call: Call) -> None:
    for one in call.wanted():
        call.answer(PENDING, counters=NO_COUNTERS)
        call.store([one])
    call.answer(SUCCESS, counters=NO_COUNTERS)


def less_at_first(call: Call) -> None:
    """Two of three, with a warning; the next time all."""
    if call.pacs.calls.count("C-MOVE STUDY") > 1:
        honest_move(call)
        return
    call.store(call.wanted()[:2])
    call.answer(0xB000, counters=(None, 2, 1, 0))


def stops_at_half(call: Call) -> None:
    call.store(call.wanted()[:1])
    call.answer(0xA702, counters=(None, 1, 2, 0))


def aborts_midway(call: Call) -> None:
    if call.pacs.calls.count("C-MOVE STUDY") > 1:
        honest_move(call)
        return
    call.store(call.wanted()[:1])
    call.abort()


def hangs_up_midway(call: Call) -> None:
    call.store(call.wanted()[:1])
    call.hang_up()


def pends_for_ever(call: Call) -> None:
    for _ in call.linger(60):
        call.answer(PENDING, counters=(3, 0, 0, 0))


def says_nothing(call: Call) -> None:
    for _ in call.linger(60):
        pass


def answers_before_it_sends(call: Call) -> None:
    call.answer(SUCCESS, counters=(None, 3, 0, 0))
    time.sleep(0.4)
    call.store(call.wanted())


def sends_another_study_too(call: Call) -> None:
    call.store([*study("SOMEBODY-ELSE", "2.25.999"), *call.wanted()])
    call.answer(SUCCESS, counters=(None, 3, 0, 0))


def sends_under_another_title(call: Call) -> None:
    stored = call.store(call.wanted(), calling="ANOTHER_TITLE")
    call.answer(0xA702, counters=(None, 0, len(stored), 0))


def sends_from_another_address(call: Call) -> None:
    stored = call.store(call.wanted(), address="127.0.0.2")
    call.answer(0xA702, counters=(None, 0, len(stored), 0))


def names_itself_as_originator(call: Call) -> None:
    call.store(call.wanted(), originator=call.pacs.title)
    call.answer(SUCCESS, counters=(None, 3, 0, 0))


def lies_about_what_it_sent(call: Call) -> None:
    call.answer(SUCCESS, counters=(None, 3, 0, 0))


def sends_all_twice(call: Call) -> None:
    call.store([*call.wanted(), *call.wanted()])
    call.answer(SUCCESS, counters=(None, 6, 0, 0))


def sends_the_first_for_ever(call: Call) -> None:
    call.answer(SUCCESS, counters=(None, 3, 0, 0))
    end = time.monotonic() + 20
    while time.monotonic() < end:
        call.store(call.wanted()[:1])
        time.sleep(0.1)


def cuts_the_pixels_short(call: Call) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "cut.dcm"
        for instance in call.wanted():
            instance.save_as(file, enforce_file_format=True)
            os.truncate(file, file.stat().st_size - 10)
            call.store([file])
    call.answer(0xB000, counters=(None, 0, 3, 0))


def comments_on_the_patient(call: Call) -> None:
    call.answer(0xC001, comment=f"no images for {PATIENT}")


# -- C-FIND


def returns_everybody(call: Call) -> None:
    for instance in call.pacs.instances:
        call.answer(PENDING, call.identifier(instance))
    call.answer(SUCCESS)


def finds_all_twice(call: Call) -> None:
    for match in call.matches():
        call.answer(PENDING, match)
        call.answer(PENDING, match)
    call.answer(SUCCESS)


def adds_empty_uids(call: Call) -> None:
    matches = call.matches()
    for match in matches:
        empty = Dataset()
        empty.QueryRetrieveLevel = call.level
        empty.PatientID = PATIENT
        for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(empty, key, "")
        call.answer(PENDING, empty)
        call.answer(PENDING, match)
    call.answer(SUCCESS)


def finds_garbage(call: Call) -> None:
    call.answer(PENDING, b"\x10\x00\x20\x00\xff\xff\xff\x7fnonsense")
    call.answer(SUCCESS)


def finds_pendings_without_identifier(call: Call) -> None:
    call.answer(PENDING)
    honest_find(call)


def answers_on_the_wrong_level(call: Call) -> None:
    if call.level == "STUDY":
        honest_find(call)
        return
    for instance in call.wanted():
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.PatientID = PATIENT
        identifier.StudyInstanceUID = instance.StudyInstanceUID
        call.answer(PENDING, identifier)
    call.answer(SUCCESS)


def lists_no_series(call: Call) -> None:
    if call.level == "STUDY":
        honest_find(call)
    else:
        call.answer(SUCCESS)


def cannot_find(call: Call) -> None:
    call.answer(0xC001, comment=f"table of {PATIENT} is locked")


def cannot_list_the_first_study(call: Call) -> None:
    first = call.pacs.instances[0].StudyInstanceUID
    if call.level == "SERIES" and call.keys.StudyInstanceUID == first:
        call.answer(0xC002)
    else:
        honest_find(call)


def breaks_off_at_the_first_study(call: Call) -> None:
    first = call.pacs.instances[0].StudyInstanceUID
    if call.level == "SERIES" and call.keys.StudyInstanceUID == first:
        call.abort()
    else:
        honest_find(call)


def returns_other_patients_only(call: Call) -> None:
    for one in study("SOMEBODY-ELSE", "2.25.998"):
        call.answer(PENDING, call.identifier(one))
    call.answer(SUCCESS)


def returns_a_wildcard(call: Call) -> None:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = call.level
    identifier.PatientID = PATIENT
    identifier.StudyInstanceUID = "*"
    call.answer(PENDING, identifier)
    honest_find(call)


# -- the whole hospital


def _uid(number: int) -> str:
    return f"2.25.4711.{number}"


def _studies(number: int, count: int = 1) -> list[Dataset]:
    return [one for place in range(count) for one in study(PATIENT, f"{_uid(number)}.{place}")]


def _hospital() -> list[StrangePacs]:
    moves = [
        unknown_destination,
        no_suboperations,
        unable_to_process,
        without_counters,
        less_at_first,
        stops_at_half,
        aborts_midway,
        hangs_up_midway,
        pends_for_ever,
        says_nothing,
        answers_before_it_sends,
        sends_another_study_too,
        sends_under_another_title,
        sends_from_another_address,
        names_itself_as_originator,
        lies_about_what_it_sent,
        sends_all_twice,
        sends_the_first_for_ever,
        cuts_the_pixels_short,
        comments_on_the_patient,
    ]
    finds = [
        returns_everybody,
        finds_all_twice,
        adds_empty_uids,
        finds_garbage,
        finds_pendings_without_identifier,
        answers_on_the_wrong_level,
        lists_no_series,
        cannot_find,
        cannot_list_the_first_study,
        breaks_off_at_the_first_study,
        returns_other_patients_only,
        returns_a_wildcard,
    ]
    pacs = [StrangePacs("HONEST", _studies(0))]
    pacs += [
        StrangePacs(f"MOVE_{number}", _studies(100 + number), move=script, name=script.__name__)
        for number, script in enumerate(moves)
    ]
    pacs += [
        StrangePacs(f"FIND_{number}", _studies(200 + number, 2), find=script, name=script.__name__)
        for number, script in enumerate(finds)
    ]
    pacs += [
        StrangePacs("REJECTS", _studies(300), greet=reject(1, 1, 3)),
        StrangePacs("NO_CONTEXT", _studies(301), contexts=()),
        StrangePacs(
            "GETS",
            _studies(302),
            move=unknown_destination,
            get=honest_get,
            contexts=(FIND, MOVE, GET),
        ),
        StrangePacs("NEITHER", _studies(303), move=unknown_destination),
    ]
    return pacs


@dataclass(frozen=True, slots=True)
class Hospital:
    """The box, and the PACS around it by name."""

    service: Service
    pacs: dict[str, StrangePacs]
    data: Path

    def mapped(self, name: str, place: int = 0) -> str:
        """How the catalogue knows a study of a PACS; `place` counts its studies."""
        uids = list(dict.fromkeys(one.StudyInstanceUID for one in self.pacs[name].instances))
        return str(self.service._deidentifier.uid(uids[place]))

    def attempts(self, name: str, place: int = 0) -> list[Retrieval]:
        """The retrievals of a study that have ended, the first one first."""
        found = self.service.catalogue.retrievals(1000, self.mapped(name, place))
        return [one for one in reversed(found) if one.ended_at is not None]

    def ended(self, name: str, count: int, place: int = 0) -> list[Retrieval]:
        """The first `count` of them, waiting for them."""
        return soon(lambda: self.attempts(name, place)[:count], lambda found: len(found) == count)

    def failed(self, name: str, times: int) -> RemoteState | None:
        """The state of a remote that has failed so many times in a row."""
        state = self.service.catalogue.remote_state(name)
        return state if state.failures >= times else None

    def events(self, subject: str) -> list[str]:
        """What is written for people about a subject."""
        return self._query("SELECT text FROM events WHERE subject = ? ORDER BY id", subject)

    def rows(self, name: str, place: int = 0) -> int:
        """How many instances of a study are in the catalogue."""
        (count,) = self._query(
            "SELECT count(*) FROM instances JOIN studies ON studies.id = study"
            " WHERE studies.uid = ?",
            self.mapped(name, place),
        )
        return int(count)

    def complete(self, name: str, place: int = 0) -> bool:
        """Whether all that was listed of a study is durable."""
        return self.service.catalogue.study_progress(self.mapped(name, place)).complete

    def _query(self, statement: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.data}/catalogue.sqlite?mode=ro", uri=True)) as db:
            return [row for (row,) in db.execute(statement, values)]


def soon(look: Callable[[], T | None], enough: Callable[[T], bool] = bool) -> T:
    """What `look` returns as soon as that is enough; fails when it is not for too long."""
    end = time.monotonic() + PATIENCE
    while (seen := look()) is None or not enough(seen):
        assert time.monotonic() < end, f"it did not come about: {seen}"
        time.sleep(0.1)
    return seen


def _shut(connection: Any) -> None:
    connection.close()


def _mute(connection: Any) -> None:
    connection.recv(1 << 16)


def _web(connection: Any) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


RAW: dict[str, Callable[[Any], None]] = {"SHUT": _shut, "MUTE": _mute, "WEB": _web}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    data = tmp_path_factory.mktemp("box")
    everybody = _hospital()
    with ExitStack() as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pynetdicom_config, "STORE_SEND_CHUNKED_DATASET", True)  # files as they are
        remotes = []
        for pacs in everybody:
            running.enter_context(pacs.listening())
            method = "auto" if pacs.title in ("GETS", "NEITHER") else "move"
            remotes.append(_remote(pacs.name, pacs.title, pacs.port, method))
        for name, converse in RAW.items():
            remotes.append(_remote(name, name, running.enter_context(raw_server(converse))))
        remotes.append(_remote("DOWN", "DOWN", free_port()))
        service = Service(_settings(remotes), Place(data, data / "state"))
        for pacs in everybody:
            pacs.box = (TITLE, service.port)
        service.start()
        running.callback(service.stop)
        yield Hospital(service, {pacs.name: pacs for pacs in everybody}, data)


def _remote(name: str, title: str, port: int, retrieve: Any = "move") -> RemoteAE:
    return RemoteAE(name=name, title=title, host="127.0.0.1", port=port, retrieve=retrieve)


def _settings(remotes: Sequence[RemoteAE]) -> Settings:
    return Settings(
        revision=1,
        ae=LocalAE(title=TITLE, port=0, address="127.0.0.1", profile="strict"),
        remotes=tuple(remotes),
        query=Query(every=3600, timeouts=TIMEOUTS, settle=2, retry_first=1, retry_longest=8),
        watch=(Watch(patient_id=PATIENT, pseudonym="NET-1"),),
        storage=Storage(reserve=1 << 20),
    )


def test_the_honest_one_waits_for_nobody(tmp_path: Path) -> None:
    served = threading.Event()

    def silent_until_then(call: Call) -> None:
        assert served.wait(PATIENCE)

    silent = StrangePacs("SILENT", find=silent_until_then)
    honest = StrangePacs("HONEST", _studies(0))
    patient_query = replace(_settings([]).query, timeouts=Timeouts(60, 60, 60))
    with silent.listening(), honest.listening():
        remotes = (_remote(one.name, one.title, one.port) for one in (silent, honest))
        settings = replace(_settings([]), remotes=tuple(remotes), query=patient_query)
        service = Service(settings, Place(tmp_path, tmp_path / "state"))
        honest.box = (TITLE, service.port)
        service.start()
        try:
            hospital = Hospital(service, {"HONEST": honest}, tmp_path)
            soon(lambda: silent.calls)
            (attempt,) = hospital.ended("HONEST", 1)
            assert (attempt.outcome, attempt.arrived) == ("complete", 3)
            soon(lambda: service.catalogue.remote_state("HONEST").last_reached)
            assert silent.calls == ["C-FIND STUDY"]
        finally:
            served.set()
            service.stop()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unknown_destination", "register the AE title HAPPY_netty with this box's address"),
        ("no_suboperations", "nothing arrived: its administrator must check"),
        ("unable_to_process", "status 0xC000"),
        ("lies_about_what_it_sent", "nothing arrived: its administrator must check"),
        ("comments_on_the_patient", "status 0xC001"),
        ("cuts_the_pixels_short", "were refused by this box, the last one with 0xC000"),
        ("sends_under_another_title", "name its title and address in calls_as and calls_from"),
        ("sends_from_another_address", "name its title and address in calls_as and calls_from"),
    ],
)
def test_a_study_of_which_nothing_comes_is_tried_again(
    hospital: Hospital, name: str, says: str
) -> None:
    first, second = hospital.ended(name, 2)
    assert (first.outcome, first.arrived, first.missing) == ("failed", 0, 3)
    assert first.sentence is not None
    assert says in first.sentence
    assert any(says in event for event in hospital.events(name))
    assert _pause(first) == pytest.approx(1, abs=0.5)
    assert _pause(second) == pytest.approx(2, abs=0.5)
    assert second.begun_at >= first.next_attempt
    assert not hospital.complete(name)
    # It was reached: the study waits, not the remote.
    assert hospital.service.catalogue.remote_state(name).failures == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("says_nothing", f"nothing came for {TIMEOUTS.response} s); the connection was closed"),
        ("pends_for_ever", "or query.timeouts.total must be longer"),
    ],
)
def test_a_study_for_which_nothing_ends_is_given_up_in_time(
    hospital: Hospital, name: str, says: str
) -> None:
    (attempt,) = hospital.ended(name, 1)
    assert (attempt.outcome, attempt.arrived) == ("failed", 0)
    assert attempt.sentence is not None
    assert says in attempt.sentence
    assert _pause(attempt) == pytest.approx(1, abs=0.5)
    assert hospital.service.catalogue.remote_state(name).failures == 0


def test_who_calls_under_a_name_or_from_a_place_not_in_the_settings_is_named(
    hospital: Hospital,
) -> None:
    hospital.ended("sends_under_another_title", 1)
    hospital.ended("sends_from_another_address", 1)
    rejected = hospital.events("association rejected")
    assert any("'ANOTHER_TITLE' at 127.0.0.1" in text for text in rejected)
    title = hospital.pacs["sends_from_another_address"].title
    assert any(f"'{title}' at 127.0.0.2" in text for text in rejected)


@pytest.mark.parametrize(
    "name",
    [
        "without_counters",
        "answers_before_it_sends",
        "sends_another_study_too",
        "names_itself_as_originator",
        "sends_all_twice",
    ],
)
def test_what_arrives_counts_whatever_was_said_about_it(hospital: Hospital, name: str) -> None:
    (attempt,) = hospital.ended(name, 1)
    assert (attempt.outcome, attempt.arrived, attempt.sentence) == ("complete", 3, "")
    assert hospital.rows(name) == 3
    assert hospital.complete(name)
    assert len(hospital.attempts(name)) == 1


def test_another_study_is_acknowledged_and_forgotten(hospital: Hospital) -> None:
    hospital.ended("sends_another_study_too", 1)
    catalogue = hospital.service.catalogue
    assert catalogue.status().counters["discarded"] >= 3
    assert not catalogue.held(hospital.service._deidentifier.uid("2.25.999"))


@pytest.mark.parametrize(
    ("name", "arrived", "says"),
    [
        ("less_at_first", 2, "status 0xB000, 2 completed, 1 failed"),
        ("aborts_midway", 1, "broke the association off"),
    ],
)
def test_the_next_attempt_fetches_what_is_left(
    hospital: Hospital, name: str, arrived: int, says: str
) -> None:
    first, second = hospital.ended(name, 2)
    assert (first.outcome, first.arrived) == ("partial", arrived)
    assert first.sentence is not None
    assert says in first.sentence
    assert (second.outcome, second.missing) == ("complete", 3 - arrived)
    assert hospital.complete(name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("stops_at_half", "out of resources (status 0xA702)"),
        ("hangs_up_midway", "broke the association off"),
    ],
)
def test_part_of_a_study_is_kept_and_the_pause_grows(
    hospital: Hospital, name: str, says: str
) -> None:
    first, second = hospital.ended(name, 2)
    assert (first.outcome, first.arrived, second.missing, second.arrived) == ("partial", 1, 2, 0)
    assert first.sentence is not None
    assert says in first.sentence
    assert _pause(second) > _pause(first)
    assert hospital.rows(name) == 1


def test_a_remote_that_never_ends_to_send_is_left(hospital: Hospital) -> None:
    first = hospital.ended("sends_the_first_for_ever", 1)[0]
    assert (first.outcome, first.arrived) == ("partial", 1)
    assert first.ended_at is not None
    assert first.ended_at - first.begun_at < 3 * TIMEOUTS.total
    assert hospital.rows("sends_the_first_for_ever") == 1


@pytest.mark.parametrize(
    "name",
    [
        "returns_everybody",
        "finds_all_twice",
        "adds_empty_uids",
        "finds_pendings_without_identifier",
        "returns_a_wildcard",
    ],
)
def test_what_a_remote_finds_too_much_is_left(hospital: Hospital, name: str) -> None:
    for place in (0, 1):
        (attempt,) = hospital.ended(name, 1, place)
        assert (attempt.outcome, attempt.missing) == ("complete", 3)
        assert hospital.complete(name, place)
    assert hospital.pacs[name].calls.count("C-MOVE STUDY") == 2
    everything = hospital.service.catalogue.studies()
    assert hospital.service._deidentifier.uid("*") not in everything


@pytest.mark.parametrize("name", ["answers_on_the_wrong_level", "lists_no_series"])
def test_a_study_without_images_is_told_and_looked_at_again(hospital: Hospital, name: str) -> None:
    first, second = hospital.ended(name, 2)
    assert first.sentence is not None
    assert "lists no images of it" in first.sentence
    assert "series and image level" in first.sentence
    assert _pause(second) > _pause(first)
    assert "C-MOVE STUDY" not in hospital.pacs[name].calls


@pytest.mark.parametrize(
    ("name", "says"),
    [("cannot_list_the_first_study", "0xC002"), ("breaks_off_at_the_first_study", "broke the")],
)
def test_a_study_that_cannot_be_listed_keeps_no_other_from_being_fetched(
    hospital: Hospital, name: str, says: str
) -> None:
    soon(lambda: hospital.complete(name, 1))
    first, second = hospital.ended(name, 2, 0)
    assert first.sentence is not None
    assert says in first.sentence
    assert _pause(second) > _pause(first)
    assert hospital.service.catalogue.remote_state(name).failures == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cannot_find", "status 0xC001; its own log says why"),
        ("finds_garbage", "cannot be understood"),
        ("returns_other_patients_only", "must let it match and return Patient ID"),
        ("REJECTS", "it does not know our AE title HAPPY_netty: its administrator must register"),
        ("NO_CONTEXT", "its administrator must enable it for our AE title HAPPY_netty"),
        ("SHUT", "connects but does not answer as a DICOM AE"),
        ("MUTE", "connects but does not answer as a DICOM AE"),
        ("WEB", "connects but does not answer as a DICOM AE"),
        ("DOWN", "nothing answers on that port"),
    ],
)
def test_a_remote_that_cannot_be_asked_is_left_alone_for_growing_pauses(
    hospital: Hospital, name: str, says: str
) -> None:
    times = 1 if name == "MUTE" else 2  # it takes as long as the longest timer
    state = soon(lambda: hospital.failed(name, times), lambda state: says in state.failure)
    soon(lambda: hospital.events(name), lambda events: any(says in event for event in events))
    assert state.last_failed is not None
    assert state.next_attempt is not None
    expected = min(2 ** (state.failures - 1), 8)
    assert state.next_attempt - state.last_failed == pytest.approx(expected, abs=0.5)


def test_get_serves_where_move_does_not_know_us(hospital: Hospital) -> None:
    move, get = hospital.ended("GETS", 2)
    assert hospital.pacs["GETS"].faults == []
    assert (move.method, move.outcome) == ("move", "failed")
    assert (get.method, get.outcome, get.arrived) == ("get", "complete", 3)
    assert hospital.events("GETS") == []


def test_where_neither_serves_the_administrator_hears_of_both(hospital: Hospital) -> None:
    move, get, again = hospital.ended("NEITHER", 3)
    assert [move.method, get.method, again.method] == ["move", "get", "move"]
    assert _pause(get) == pytest.approx(1, abs=0.5)
    told = hospital.events("NEITHER")[0]
    assert "register the AE title HAPPY_netty" in told
    assert "does not offer" in told or "not the service" in told


def test_nothing_that_names_the_patient_is_in_the_catalogue(hospital: Hospital) -> None:
    hospital.ended("comments_on_the_patient", 1)
    soon(lambda: hospital.failed("cannot_find", 1))
    for file in hospital.data.glob("catalogue.sqlite*"):
        assert PATIENT.encode() not in file.read_bytes()


def _pause(attempt: Retrieval) -> float:
    assert attempt.ended_at is not None
    assert attempt.next_attempt is not None
    return attempt.next_attempt - attempt.ended_at


@pytest.mark.parametrize(
    ("rejection", "says"),
    [
        ((1, 1, 1), "its own log says why (source 1, reason 1)"),
        ((1, 1, 2), "its own log says why (source 1, reason 2)"),
        ((1, 1, 3), f"it does not know our AE title {TITLE}"),
        ((1, 1, 7), "it does not call itself REJECTS: correct the title in the settings"),
        ((1, 2, 1), "its own log says why (source 2, reason 1)"),
        ((2, 3, 1), "it is congested"),
        ((2, 3, 2), "it has too many associations open"),
    ],
)
def test_each_rejection_says_who_can_mend_it(rejection: tuple[int, int, int], says: str) -> None:
    with StrangePacs("REJECTS", greet=reject(*rejection)).listening() as pacs:
        failure = _echo_fails(_remote("REJECTS", "REJECTS", pacs.port))
    assert failure.kind == "rejected"
    assert says in failure.sentence


def test_an_abort_instead_of_an_answer() -> None:
    with StrangePacs("ABORTS", greet=lambda event: event.assoc.abort()).listening() as pacs:
        failure = _echo_fails(_remote("ABORTS", "ABORTS", pacs.port))
    assert "does not answer as a DICOM AE" in failure.sentence


def test_a_host_that_has_no_address() -> None:
    failure = _echo_fails(RemoteAE(name="lost", title="LOST", host="pacs.invalid", port=104))
    assert failure.kind == "unreachable"
    assert "the host name pacs.invalid of lost is not known in this network" in failure.sentence


def _echo_fails(remote: RemoteAE) -> RequestFailed:
    with pytest.raises(RequestFailed) as failed:
        Requestor(LocalAE(title=TITLE), TIMEOUTS).echo(remote)
    return failed.value
