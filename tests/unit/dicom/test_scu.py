"""Our requests, before a PACS that lies, stalls, babbles or hangs up."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from pynetdicom.acse import ACSE

from appliance.dicom.matches import Match, study_identifier
from appliance.dicom.scu import RequestFailed, Requestor, SubOperations
from appliance.settings.model import RemoteAE, Timeouts
from tests.unit.dicom.listening import OURS, Memory
from tests.unit.dicom.pacs import (
    ECHO,
    FIND,
    GET,
    MOVE,
    PENDING,
    Counterpart,
    counters,
    match,
    pacs,
    proposed,
    response,
    silent,
)
from tests.unit.dicom.wire import (
    ABORTED,
    CT,
    IMPLICIT,
    RELEASE,
    SECONDARY_CAPTURE,
    VERIFICATION,
    Answer,
    associate,
    echo_command,
    number,
    pdata,
    pdu,
    store,
    value,
)

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"

requestor = Requestor(OURS, Timeouts(association=20, response=20, total=60))
hasty = Requestor(OURS, Timeouts(association=1, response=1, total=2))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 30
    while set(threading.enumerate()) - before:
        assert time.monotonic() < end, "a thread of a request still runs"
        time.sleep(0.01)


def find(remote: RemoteAE, **keys: str) -> list[Match]:
    return list(requestor.find(remote, "STUDY", keys))


def find_hastily(remote: RemoteAE) -> list[Match]:
    return list(hasty.find(remote, "STUDY", {}))


def failing(kind: str, call: Callable[[], object], within: float = 20) -> RequestFailed:
    began = time.monotonic()
    with pytest.raises(RequestFailed) as failure:
        call()
    assert time.monotonic() - began < within
    assert failure.value.kind == kind, failure.value.sentence
    assert "scripted" in failure.value.sentence
    return failure.value


def test_a_query() -> None:
    answers = match(patient="4711", study="1.2"), match(study="1.3"), response(FIND, 0)
    with pacs(lambda peer: peer.serve(*answers)) as (remote, heard):
        assert find(remote, PatientID="4711") == [
            Match("STUDY", patient_id="4711", study="1.2"),
            Match("STUDY", study="1.3"),
        ]
    assert proposed(heard.requests[0]) == {1: [STUDY_FIND, IMPLICIT]}
    assert heard.requests[0][4:36] == b"SCRIPTED        HAPPY_netty     "
    elements, identifier = heard.messages[0]
    assert number(elements[0x0000_0100]) == FIND
    assert elements[0x0000_0002].rstrip(b"\0").decode() == STUDY_FIND
    assert b"STUDY " in identifier
    assert b"4711" in identifier
    assert bytes.fromhex("0800 5000 00000000") in identifier, "Accession Number is only returned"


def test_each_query_has_an_association_of_its_own() -> None:
    def script(peer: Counterpart) -> None:
        peer.serve(response(FIND, 0))

    with pacs(script, script) as (remote, heard):
        assert (find(remote), find(remote)) == ([], [])
    assert len(heard.requests) == 2


def test_relational_queries_are_negotiated_where_the_settings_say_so() -> None:
    extended = b"\x56\0\0\x1e\0\x1b" + STUDY_FIND.encode() + b"\x01"

    def script(peer: Counterpart) -> None:
        peer.serve(response(FIND, 0))

    with pacs(script, script) as (remote, heard):
        find(remote)
        find(replace(remote, relational=True))
    assert [extended in request for request in heard.requests] == [False, True]


BABBLE = {
    "a C-ECHO-RQ": pdata(value(1, 3, echo_command())),
    "a C-FIND-RSP without status": response(FIND, None),
    "a C-ECHO-RSP": response(ECHO, 0),
    "a C-MOVE-RSP": response(MOVE, PENDING, *counters(1, 0, 0, 0)),
    "a pending response without an identifier": response(FIND, PENDING),
}


@pytest.mark.parametrize("babble", BABBLE.values(), ids=BABBLE)
def test_what_is_no_answer_is_passed_over(babble: bytes) -> None:
    answers = babble, match(study="1.2"), babble, response(FIND, 0)
    with pacs(lambda peer: peer.serve(*answers)) as (remote, _):
        assert find(remote) == [Match("STUDY", study="1.2")]


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0xFE00, 0x0122, 0x0001])
def test_a_status_that_is_no_success(status: int) -> None:
    with pacs(lambda peer: peer.serve(response(FIND, status))) as (remote, _):
        failure = failing("status", lambda: find(remote))
    assert failure.status == status
    assert f"{status:04X}" in failure.sentence


def ends(*said: bytes) -> Callable[[Counterpart], None]:
    """A PACS that accepts, hears the request, says something else than an answer, and hangs up."""

    def script(peer: Counterpart) -> None:
        peer.accept()
        peer.message()
        peer.say(b"".join(said))

    return script


def talks(*said: bytes) -> Callable[[Counterpart], None]:
    """The same, but it keeps the connection."""

    def script(peer: Counterpart) -> None:
        ends(*said)(peer)
        peer.line.rest()

    return script


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (ends(), "aborted"),
        (ends(match(study="1.2")), "aborted"),
        (ends(match(study="1.2")[:30]), "aborted"),
        (talks(ABORTED), "aborted"),
        (talks(pdu(0x42, b"what")), "aborted"),
        (talks(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "aborted"),
        (talks(associate()), "aborted"),
        (talks(pdata(value(1, 3, b"\xff" * 20))), "aborted"),
        (talks(pdata(value(9, 3, echo_command()))), "timeout"),
        (talks(response(FIND, PENDING, data=b"\xff" * 50)), "garbled"),
        (talks(response(FIND, PENDING, data=b"\x10\x00")), "garbled"),
        (talks(store("1.2", b"data", context=9)), "aborted"),
        (talks(RELEASE), "timeout"),
        (talks(), "timeout"),
    ],
)  # fmt: skip
def test_an_association_that_goes_wrong(script: Callable[[Counterpart], None], kind: str) -> None:
    ask = find_hastily if kind == "timeout" else find
    with pacs(script) as (remote, _):
        failing(kind, lambda: ask(remote))


def test_a_store_on_the_association_of_a_query_is_refused() -> None:
    def script(peer: Counterpart) -> None:
        peer.accept()
        peer.message()
        peer.say(store("1.2", bytes(100_000), context=1))
        refused = peer.line.hear()
        assert refused is not None
        assert refused.status == 0x0122
        peer.say(response(FIND, 0))
        peer.release()

    with pacs(script) as (remote, _):
        assert find(remote) == []


def test_matches_before_the_failure_are_given() -> None:
    with pacs(ends(match(study="1.2"))) as (remote, _):
        matches = requestor.find(remote, "STUDY", {})
        assert next(matches) == Match("STUDY", study="1.2")
        failing("aborted", lambda: next(matches))


def test_the_time_from_one_response_to_the_next() -> None:
    def script(peer: Counterpart) -> None:
        peer.accept()
        peer.message()
        for _ in range(4):
            time.sleep(0.4)
            peer.say(match(study="1.2"))
        silent(peer)

    with pacs(script) as (remote, _):
        began = time.monotonic()
        slow = Requestor(OURS, Timeouts(association=20, response=1, total=60))
        failure = failing("timeout", lambda: list(slow.find(remote, "STUDY", {})))
        assert 2.5 < time.monotonic() - began < 20
    assert "nothing came for 1 s" in failure.sentence


def test_the_time_to_the_end() -> None:
    def script(peer: Counterpart) -> None:
        peer.accept()
        peer.message()
        with pytest.raises(ConnectionError):
            while True:
                peer.say(match(study="1.2"))
                time.sleep(0.1)

    with pacs(script) as (remote, _):
        began = time.monotonic()
        failure = failing("timeout", lambda: find_hastily(remote))
        assert 1.9 < time.monotonic() - began < 20
    assert "within 2 s" in failure.sentence


@pytest.mark.parametrize("said", [b"", b"\x02\0\0\0", b"\x02\0\0\0\x01\0half"])
def test_the_time_to_the_establishment(said: bytes) -> None:
    def script(peer: Counterpart) -> None:
        peer.say(said)
        silent(peer)

    with pacs(script) as (remote, _):
        began = time.monotonic()
        failing("timeout", lambda: find_hastily(remote))
        assert 0.9 < time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("rejection", "words"),
    [
        ((1, 1, 3), "does not know our AE title HAPPY_netty"),
        ((1, 1, 7), "does not call itself SCRIPTED"),
        ((2, 3, 1), "congested"),
        ((2, 3, 2), "too many associations"),
        ((1, 1, 1), "source 1, reason 1"),
        ((1, 2, 2), "source 2, reason 2"),
    ],
)
def test_a_rejection_says_who_can_mend_it(rejection: tuple[int, int, int], words: str) -> None:
    with pacs(rejects(*rejection)) as (remote, _):
        assert words in failing("rejected", lambda: find(remote)).sentence


def rejects(*rejection: int) -> Callable[[Counterpart], None]:
    def script(peer: Counterpart) -> None:
        assert peer.line.hear() is not None
        peer.say(pdu(3, bytes((0, *rejection))))
        assert peer.line.hear() is None

    return script


def test_a_rejection_that_comes_before_anybody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    send = ACSE.send_request

    def send_and_dawdle(self: ACSE) -> None:
        send(self)
        self.dul.join(20)

    monkeypatch.setattr(ACSE, "send_request", send_and_dawdle)
    with pacs(rejects(1, 1, 3)) as (remote, _):
        assert "AE title" in failing("rejected", lambda: find(remote)).sentence


def test_a_service_that_is_not_offered() -> None:
    def script(peer: Counterpart) -> None:
        peer.accept({1: 3})
        peer.line.rest()

    with pacs(script) as (remote, _):
        assert "HAPPY_netty" in failing("unsupported", lambda: find(remote)).sentence


@pytest.mark.parametrize(
    "answer",
    [
        pdu(2, bytes(10)),
        pdu(2, b"\xff" * 100),
        pdu(2, associate()[6:]),
        pdu(3, b""),
        pdu(6, bytes(4)),
        ABORTED,
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_an_answer_to_the_request_that_is_none(answer: bytes) -> None:
    def script(peer: Counterpart) -> None:
        assert peer.line.hear() is not None
        peer.say(answer)
        peer.line.rest()

    with pacs(script) as (remote, _):
        with pytest.raises(RequestFailed) as failure:
            find(remote)
        assert failure.value.kind in ("timeout", "aborted", "rejected", "unsupported")
        assert "scripted" in failure.value.sentence


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    remote = RemoteAE("scripted", "SCRIPTED", "127.0.0.1", port)
    assert str(port) in failing("unreachable", lambda: find(remote)).sentence
    unknown = replace(remote, host="no-such-host.invalid")
    assert "no-such-host.invalid" in failing("unreachable", lambda: find(unknown)).sentence


@contextmanager
def nobody(address: str) -> Iterator[None]:
    """An address where nothing listens."""
    yield


@contextmanager
def drained(address: str) -> Iterator[None]:
    """An address where whoever calls hears nothing: its queue is full."""
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port)), backlog=0) as server, ExitStack() as callers:
        for _ in range(2):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(server.getsockname())
        yield


@pytest.mark.parametrize("first", [nobody, drained])
def test_each_address_of_a_host_is_called(
    first: Callable[[str], AbstractContextManager[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with an address of each family, or of each of two servers of a PACS."""
    patient = Requestor(OURS, Timeouts(association=4, response=20, total=60))

    look_up = socket.getaddrinfo

    def addresses(host: str, *about: Any, **more: Any) -> list[Any]:
        both = ("127.0.0.2", "127.0.0.1") if host == "pacs.example" else (host,)
        return [found for one in both for found in look_up(one, *about, **more)]

    with (
        pacs(lambda peer: peer.serve(response(ECHO, 0))) as (remote, heard),
        first(f"127.0.0.2:{remote.port}"),
    ):
        monkeypatch.setattr("appliance.dicom.scu.socket.getaddrinfo", addresses)
        patient.echo(replace(remote, host="pacs.example"))
    assert len(heard.requests) == 1


@pytest.mark.parametrize("said", [b"", RELEASE, ABORTED, pdata(value(1, 3, echo_command()))])
def test_a_release_that_is_not_answered(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is there already; the release costs at most a moment."""
    monkeypatch.setattr("appliance.dicom.scu._RELEASE_WITHIN", 0.3)

    def script(peer: Counterpart) -> None:
        peer.accept()
        peer.message()
        peer.say(response(FIND, 0))
        assert peer.line.hear() == Answer(5, bytes(4))
        peer.say(said)
        peer.line.rest()

    with pacs(script) as (remote, _):
        assert find(remote) == []


def test_an_echo() -> None:
    with pacs(lambda peer: peer.serve(response(ECHO, 0))) as (remote, heard):
        assert requestor.echo(remote) < 20
    assert proposed(heard.requests[0]) == {1: [VERIFICATION, IMPLICIT]}


def move(remote: RemoteAE) -> SubOperations:
    return requestor.move(remote, "1.2.3", lambda: 0.0)


def test_a_move() -> None:
    answers = (
        response(MOVE, PENDING, *counters(3, 0, 0, 0)),
        response(MOVE, PENDING),
        response(MOVE, 0xB000, *counters(0, 1, 2, 3)),
    )
    with pacs(lambda peer: peer.serve(*answers)) as (remote, heard):
        turns: list[None] = []
        outcome = requestor.move(remote, "1.2.3", lambda: 0.0, lambda: turns.append(None))
    assert outcome == SubOperations(0xB000, completed=1, failed=2, warning=3, comment="")
    assert len(turns) == 2
    elements, identifier = heard.messages[0]
    assert elements[0x0000_0600].rstrip() == b"HAPPY_netty"
    assert identifier == study_identifier("1.2.3")
    assert proposed(heard.requests[0]) == {1: [STUDY_MOVE, IMPLICIT]}


def test_a_move_without_counters() -> None:
    with pacs(lambda peer: peer.serve(response(MOVE, 0))) as (remote, _):
        assert move(remote) == SubOperations(0, None, None, None, "")


def test_instances_that_come_count_as_responses() -> None:
    def script(peer: Counterpart) -> None:
        peer.accept()
        peer.message()
        time.sleep(1.5)
        peer.say(response(MOVE, 0, *counters(0, 1, 0, 0)))
        peer.release()

    def slow(peer: Counterpart) -> None:
        peer.accept()
        peer.message()
        silent(peer)

    with pacs(script, slow) as (remote, _):
        assert hasty.move(remote, "1.2.3", time.monotonic).completed == 1
        failing("timeout", lambda: hasty.move(remote, "1.2.3", lambda: 0.0))


def test_a_get_brings_the_instances_on_our_association() -> None:
    memory = Memory()

    def script(peer: Counterpart) -> None:
        peer.accept()
        peer.message()
        contexts = {uid: each for each, (uid, *_) in proposed(peer.heard.requests[0]).items()}
        peer.say(store("1.1", b"one", context=contexts[CT], message=7))
        stored = peer.line.hear()
        assert stored is not None
        assert stored.status == 0
        peer.say(response(GET, PENDING, *counters(1, 1, 0, 0)))
        second = {"context": contexts[SECONDARY_CAPTURE], "sop_class": SECONDARY_CAPTURE}
        peer.say(store("1.2", b"two", message=8, **second))  # type: ignore[arg-type]
        assert peer.line.hear() is not None
        peer.say(response(GET, 0, *counters(0, 2, 0, 0)))
        peer.release()

    with pacs(script) as (remote, heard):
        getting = replace(requestor, storage=memory, proven=(IMPLICIT, "1.2.840.10008.1.2.1"))
        outcome = getting.get(remote, "1.2.3", lambda: 0.0)
    assert outcome.completed == 2
    assert memory.stored == {"1.1": b"one", "1.2": b"two"}
    assert heard.messages[0][1] == study_identifier("1.2.3")
    contexts = proposed(heard.requests[0])
    assert contexts[1] == [STUDY_GET, IMPLICIT]
    assert len(contexts) <= 128
    role = b"\x54\0\0\x1d\0\x19" + CT.encode() + b"\0\x01"
    assert role in heard.requests[0], "we are SCP, not SCU, of what we get"


def test_a_get_that_breaks_off_keeps_nothing_half() -> None:
    memory = Memory()

    def script(peer: Counterpart) -> None:
        peer.accept()
        peer.message()
        contexts = {uid: each for each, (uid, *_) in proposed(peer.heard.requests[0]).items()}
        peer.say(store("1.1", bytes(1000), context=contexts[CT])[:-10])

    with pacs(script) as (remote, _):
        getting = replace(requestor, storage=memory, proven=(IMPLICIT,))
        failing("aborted", lambda: getting.get(remote, "1.2.3", lambda: 0.0))
    assert memory.outcomes == ["abandoned"]
