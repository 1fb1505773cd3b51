"""The inline receive path on a real connection, from literal bytes, state by state.

The states are those of PS3.8 Section 9.2: in Sta2 an association request is awaited, in Sta6 an
association is established. `test_reader.py` cuts C-STOREs in every way; here are the conversations.
"""

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from pynetdicom.dimse_messages import C_ECHO_RQ, C_FIND_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_FIND

from appliance.dicom.inline import (
    InvalidPDU,
    StoreRequest,
    find_response,
    parse_command,
    store_response,
)
from appliance.dicom.scp import Listener
from appliance.dicom.statuses import StoreStatus
from tests.unit.dicom.listening import OURS, Memory, listening, until
from tests.unit.dicom.wire import (
    ABORT,
    ABORTED,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    COMMAND,
    CT,
    CT_CONTEXT,
    LAST,
    P_DATA,
    RELEASE,
    RELEASE_RP,
    RELEASED,
    VERIFICATION,
    Context,
    Line,
    associate,
    association,
    command,
    echo,
    echo_command,
    element,
    line,
    number,
    pdata,
    pdu,
    short,
    store,
    store_command,
    value,
)

ASSOCIATE = (
    bytes.fromhex("01 00 000000E0 0001 0000")
    + b"HAPPY_netty     SENDER          "
    + bytes(32)
    + bytes.fromhex("10 00 0015")
    + b"1.2.840.10008.3.1.1.1"
    + bytes.fromhex("20 00 002E 01 00 00 00 30 00 0011")
    + b"1.2.840.10008.1.1"
    + bytes.fromhex("40 00 0011")
    + b"1.2.840.10008.1.2"
    + bytes.fromhex("20 00 0036 03 00 00 00 30 00 0019")
    + b"1.2.840.10008.5.1.4.1.1.2"
    + bytes.fromhex("40 00 0011")
    + b"1.2.840.10008.1.2"
)
"""An A-ASSOCIATE-RQ for Verification and CT up to its user information, which says 16 KiB PDUs."""

USER_INFORMATION = bytes.fromhex("50 00 0013 51 00 0004 00004000 52 00 0007") + b"1.2.3.4"

REQUEST = (
    bytes.fromhex("0000 0000 04000000 58000000")
    + bytes.fromhex("0000 0200 1A000000")
    + b"1.2.840.10008.5.1.4.1.1.2\0"
    + bytes.fromhex("0000 0001 02000000 0100")
    + bytes.fromhex("0000 1001 02000000 0100")
    + bytes.fromhex("0000 0007 02000000 0000")
    + bytes.fromhex("0000 0008 02000000 0100")
    + bytes.fromhex("0000 0010 06000000")
    + b"1.2.3\0"
)
"""A C-STORE-RQ for the CT 1.2.3."""

DATA = bytes(range(256)) * 5

BY_PROVIDER = bytes.fromhex("00 00 02 00")
"""The body of an A-ABORT from the service provider, reason not specified (PS3.8 Table 9-26)."""


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def listener(memory: Memory) -> Iterator[Listener]:
    with listening(memory) as listener:
        yield listener


@pytest.fixture
def sta6(listener: Listener) -> Iterator[Line]:
    with association(listener.port) as connected:
        yield connected


def test_the_literals_are_what_the_builders_build() -> None:
    literal = ASSOCIATE + USER_INFORMATION
    assert len(literal) == 0xE0 + 6
    assert associate() == literal
    assert store_command("1.2.3") == REQUEST


def test_a_store_from_literal_bytes(listener: Listener, memory: Memory) -> None:
    with line(listener.port) as peer:
        accepted = peer.ask(ASSOCIATE + USER_INFORMATION)
        assert accepted.kind == ASSOCIATE_AC
        assert accepted.results == {1: (0, "1.2.840.10008.1.2"), 3: (0, "1.2.840.10008.1.2")}
        answer = peer.ask(
            bytes.fromhex("04 00 0000006A 00000066 03 03")
            + REQUEST
            + bytes.fromhex("04 00 0000000A 00000006 03 02 DEADBEEF")
        )
        assert answer.kind == P_DATA
        assert answer.body == (
            bytes.fromhex("00000066 03 03")
            + bytes.fromhex("0000 0000 04000000 58000000")
            + bytes.fromhex("0000 0200 1A000000")
            + b"1.2.840.10008.5.1.4.1.1.2\0"
            + bytes.fromhex("0000 0001 02000000 0180")
            + bytes.fromhex("0000 2001 02000000 0100")
            + bytes.fromhex("0000 0008 02000000 0101")
            + bytes.fromhex("0000 0009 02000000 0000")
            + bytes.fromhex("0000 0010 06000000")
            + b"1.2.3\0"
        )
        released = peer.ask(RELEASE)
        assert (released.kind, released.body) == (RELEASE_RP, RELEASED[6:])
        assert peer.hear() is None
    assert memory.stored == {"1.2.3": bytes.fromhex("DEADBEEF")}
    assert memory.receptions[0].request == StoreRequest(
        3, 1, "1.2.840.10008.5.1.4.1.1.2", "1.2.3", CT, "1.2.840.10008.1.2"
    )


def test_messages_of_every_kind_one_after_the_other(sta6: Line, memory: Memory) -> None:
    for turn in range(3):
        assert sta6.ask(echo(10 * turn)).status == 0
        answer = sta6.ask(store(f"1.{turn}", DATA, message=10 * turn + 1))
        assert (answer.status, number(answer.response[0x0000_0120])) == (0, 10 * turn + 1)
    assert sta6.ask(RELEASE).kind == RELEASE_RP
    assert memory.stored == {f"1.{turn}": DATA for turn in range(3)}


def test_messages_that_come_at_once_are_all_answered(sta6: Line, memory: Memory) -> None:
    """Nobody negotiated that (PS3.7 Section D.3.3.3), but no message is lost or mixed up."""
    one_pdu = pdata(
        value(3, COMMAND | LAST, store_command("1.2", message=2)),
        value(3, LAST, DATA),
        value(1, COMMAND | LAST, echo_command(3)),
        value(3, COMMAND | LAST, store_command("1.4", message=4)),
        value(3, LAST, b""),
    )
    sta6.say(store("1.1", DATA) + one_pdu + store("1.5", DATA, message=5) + echo(6))
    answers = [sta6.hear() for _ in range(6)]
    kinds = {
        number(one.response[0x0000_0120]): number(one.response[0x0000_0100])
        for one in answers
        if one is not None
    }
    store_rsp, echo_rsp = 0x8001, 0x8030
    assert kinds == {
        1: store_rsp, 2: store_rsp, 3: echo_rsp, 4: store_rsp, 5: store_rsp, 6: echo_rsp
    }  # fmt: skip
    assert memory.stored == {"1.1": DATA, "1.2": DATA, "1.4": b"", "1.5": DATA}


def test_the_response_names_what_it_answers(memory: Memory, sta6: Line) -> None:
    memory.status = StoreStatus(0xB007, "an odd comment")
    answer = sta6.ask(store("1.2.3.4", DATA, message=0xFFFF))
    assert answer.context == CT_CONTEXT.number
    assert answer.response == {
        0x0000_0000: struct.pack("<I", len(answer.body) - 6 - 12),
        0x0000_0002: CT.encode() + b"\0",
        0x0000_0100: b"\x01\x80",
        0x0000_0120: b"\xff\xff",
        0x0000_0800: b"\x01\x01",
        0x0000_0900: b"\x07\xb0",
        0x0000_0902: b"an odd comment",
        0x0000_1000: b"1.2.3.4\0",
    }


def test_a_comment_is_cut_to_what_its_vr_holds() -> None:
    request = StoreRequest(3, 1, CT, "1.2", CT, "1.2.840.10008.1.2")
    response = store_response(request, StoreStatus(0xC000, "e\u0301" * 64))
    assert b"e?" * 32 in response
    assert b"e?" * 33 not in response


def test_a_store_without_a_dataset_is_an_empty_one(sta6: Line, memory: Memory) -> None:
    nothing = short(0x0000_0800, 0x0101)
    request = store_command("1.2.3").replace(short(0x0000_0800, 0x0001), nothing)
    assert sta6.ask(pdata(value(3, COMMAND | LAST, request))).status == 0
    assert memory.stored == {"1.2.3": b""}


BEGUN = pdata(value(3, COMMAND | LAST, REQUEST)) + pdata(value(3, 0, DATA))
"""A C-STORE in the middle of its dataset."""


@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize(
    ("said", "answered"),
    [(RELEASE, [RELEASE_RP]), (ABORTED, []), (pdu(0x42, b""), [ABORT]), (associate(), [ABORT])],
    ids=["release", "abort", "unknown PDU", "association request"],
)
def test_a_dataset_that_is_broken_off(
    sta6: Line, memory: Memory, said: bytes, answered: list[int], piece: int
) -> None:
    for at in range(0, len(BEGUN + said), piece):
        sta6.say((BEGUN + said)[at : at + piece])
    assert sta6.rest() == answered
    until(lambda: memory.outcomes == ["abandoned"], "the reception is still open")


@pytest.mark.parametrize("cut", [len(BEGUN), len(BEGUN) - 1, 120, 112, 50, 5])
@pytest.mark.parametrize("way", ["closed", "half closed", "reset"])
def test_a_connection_that_is_lost(listener: Listener, memory: Memory, way: str, cut: int) -> None:
    with association(listener.port) as peer:
        peer.say(BEGUN[:cut])
        if way == "reset":
            until(lambda: len(memory.receptions) == (cut > 111), "the dataset was not begun")
            peer.reset()
        elif way == "half closed":
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.rest() == []
    begun = ["abandoned"] if cut > 111 else []
    until(lambda: memory.outcomes == begun, "the reception is still open")


def test_a_peer_that_stalls_in_a_dataset(memory: Memory) -> None:
    with listening(memory, replace(OURS, stall=1)) as listener, association(listener.port) as peer:
        peer.say(BEGUN)
        began = time.monotonic()
        assert peer.rest() == []
        assert 0.8 < time.monotonic() - began < 20
    assert memory.outcomes == ["abandoned"]


def test_a_peer_that_says_nothing_more(memory: Memory) -> None:
    with listening(memory, replace(OURS, stall=1)) as listener, association(listener.port) as peer:
        assert peer.ask(store("1.2.3", DATA)).status == 0
        began = time.monotonic()
        assert peer.rest() == [ABORT]
        assert 0.8 < time.monotonic() - began < 20
    assert memory.outcomes == ["finished"]


def head(control: int, size: int, context: int = 3) -> bytes:
    """A P-DATA-TF PDU that announces a value of `size` bytes and ends there."""
    return struct.pack(">BBIIBB", P_DATA, 0, size + 6, size + 2, context, control)


INVALID = {
    "a value longer than its PDU": struct.pack(">BBIIBB", 4, 0, 10, 100, 3, 3),
    "a value shorter than its own head": struct.pack(">BBIIBB", 4, 0, 10, 1, 3, 3),
    "a value of 4 GiB": struct.pack(">BBIIBB", 4, 0, 0xFFFFFFFF, 0xFFFFFFFF, 3, 3),
    "a command set of 64 KiB": head(COMMAND, 65_537),
    "a command set of 64 KiB in parts": pdata(value(3, COMMAND, bytes(40_000))) * 2,
    "a command set of garbage": pdata(value(3, 3, b"\xff" * 50)),
    "a command set that is cut off": pdata(value(3, 3, REQUEST[:-1])),
    "a command set of another group": pdata(value(3, 3, element(0x0010_0010, b"Name"))),
    "an empty command set": pdata(value(3, 3, b"")),
    "a command without a field": pdata(value(3, 3, command(short(0x0000_0110, 1)))),
    "a command that nobody knows": pdata(value(3, 3, command(short(0x0000_0100, 0x7777)))),
    "a message ID of four bytes": pdata(
        value(3, 3, store_command("1.2.3").replace(short(0x0110, 1), element(0x0110, b"\xff" * 4)))
    ),
    "a store on a context that was not accepted": store("1.2.3", DATA, context=5),
    "a store on context 0": store("1.2.3", DATA, context=0),
    "a dataset without a command": pdata(value(3, LAST, DATA)),
    "a command within a dataset": BEGUN + pdata(value(3, 3, echo_command())),
    "a dataset on another context": pdata(value(3, 3, REQUEST)) + pdata(value(1, LAST, DATA)),
    "a message that is too large": pdata(
        value(1, 3, command(short(0x0100, 0x0020), short(0x0800, 0x0001)))
    )
    + head(0, 17 << 20, 1),
    "an A-ASSOCIATE-RQ": associate(),
    "an A-ASSOCIATE-AC": pdu(2, associate()[6:]),
    "an A-ASSOCIATE-RJ": pdu(3, bytes((0, 1, 1, 1))),
    "an A-RELEASE-RP": RELEASED,
    "an A-ABORT without a body": pdu(7, b""),
    "an unknown PDU": pdu(0x42, b"what"),
    "a PDU of type 0": bytes(6),
    "an A-RELEASE-RQ of 4 GiB": bytes.fromhex("05 00 FFFFFFFF"),
    "what a browser says": b"GET / HTTP/1.1\r\nHost: netty\r\n\r\n",
}


@pytest.mark.parametrize("said", INVALID.values(), ids=INVALID)
def test_what_sta6_does_not_allow_is_aborted(
    listener: Listener, memory: Memory, sta6: Line, said: bytes
) -> None:
    answer = sta6.ask(said)
    assert (answer.kind, answer.body) == (ABORT, BY_PROVIDER)
    assert sta6.rest() == []
    assert "finished" not in memory.outcomes
    assert "open" not in memory.outcomes
    with association(listener.port) as another:
        assert another.ask(store("1.2.3", DATA)).status == 0


def other(field: int, *elements: bytes, data: bool = False) -> bytes:
    """A request other than C-STORE about a CT, with a dataset or without."""
    request = command(
        element(0x0000_0002, CT.encode()),
        element(0x0000_0003, CT.encode()),
        short(0x0000_0100, field),
        short(0x0000_0110, 7),
        short(0x0000_0700, 0),
        short(0x0000_0800, 0x0001 if data else 0x0101),
        *elements,
    )
    said = pdata(value(3, COMMAND | LAST, request))
    return said + pdata(value(3, LAST, element(0x0008_0052, b"STUDY "))) if data else said


INSTANCE = element(0x0000_1000, b"1.2.3"), element(0x0000_1001, b"1.2.3")

NOT_OFFERED = {
    "C-FIND": other(0x0020, data=True),
    "C-MOVE": other(0x0021, element(0x0000_0600, b"SENDER"), data=True),
    "C-GET": other(0x0010, data=True),
    "N-EVENT-REPORT": other(0x0100, *INSTANCE, short(0x0000_1002, 1)),
    "N-GET": other(0x0110, *INSTANCE),
    "N-SET": other(0x0120, *INSTANCE, data=True),
    "N-ACTION": other(0x0130, *INSTANCE, short(0x0000_1008, 1)),
    "N-CREATE": other(0x0140, *INSTANCE),
    "N-DELETE": other(0x0150, *INSTANCE),
    "C-ECHO on a storage context": echo(7, context=3),
}


@pytest.mark.parametrize("said", NOT_OFFERED.values(), ids=NOT_OFFERED)
def test_a_service_that_is_not_offered_is_refused(sta6: Line, memory: Memory, said: bytes) -> None:
    field = number(said[said.index(bytes.fromhex("0000 0001 0200 0000")) + 8 :][:2])
    answer = sta6.ask(said)
    assert number(answer.response[0x0000_0100]) == field | 0x8000
    assert (answer.status, number(answer.response[0x0000_0120])) == (0x0211, 7)
    assert sta6.ask(store("1.2.3", DATA)).status == 0
    assert memory.stored == {"1.2.3": DATA}


IGNORED = {
    "C-CANCEL": command(short(0x0100, 0x0FFF), short(0x0120, 1), short(0x0800, 0x0101)),
    "C-STORE-RSP": command(
        short(0x0100, 0x8001), short(0x0120, 1), short(0x0800, 0x0101), short(0x0900, 0)
    ),
    "a request without a message ID": command(
        element(0x0002, VERIFICATION.encode()), short(0x0100, 0x0030), short(0x0800, 0x0101)
    ),
}


@pytest.mark.parametrize("request_", IGNORED.values(), ids=IGNORED)
def test_what_asks_for_nothing_is_not_answered(sta6: Line, memory: Memory, request_: bytes) -> None:
    sta6.say(pdata(value(1, COMMAND | LAST, request_)))
    assert number(sta6.ask(echo(9)).response[0x0000_0120]) == 9
    assert sta6.ask(store("1.2.3", DATA)).status == 0


def test_a_c_cancel_between_the_fragments_of_nothing_ends_nothing(sta6: Line) -> None:
    cancel = pdata(value(1, COMMAND | LAST, IGNORED["C-CANCEL"]))
    for _ in range(50):  # pynetdicom keeps ten of them
        sta6.say(cancel)
    assert sta6.ask(echo()).status == 0


IN_STA2 = {
    "P-DATA-TF": echo(),
    "A-RELEASE-RQ": RELEASE,
    "A-RELEASE-RP": RELEASED,
    "A-ASSOCIATE-AC": pdu(2, associate()[6:]),
    "A-ASSOCIATE-RJ": pdu(3, bytes((0, 1, 1, 1))),
    "unknown": pdu(0x42, b""),
    "what a browser says": b"GET / HTTP/1.1\r\nHost: netty\r\n\r\n",
    "what a TLS client says": bytes.fromhex("16 03 01 0200 01 0001FC 0303") + bytes(510),
    "a request of 4 GiB": bytes.fromhex("01 00 FFFFFFFF"),
    "an empty request": pdu(1, b""),
    "a request that is cut off": pdu(1, associate()[6:-3]),
    "a request of garbage": pdu(1, b"\xff" * 100),
    "an even context": associate([Context(2, CT)]),
    "an AE title of bytes": associate(calling="\xe9\xff\x80"),
    "an empty AE title": associate(calling=""),
}


@pytest.mark.parametrize("said", IN_STA2.values(), ids=IN_STA2)
def test_what_sta2_does_not_allow_is_aborted(listener: Listener, said: bytes) -> None:
    with line(listener.port) as peer:
        answer = peer.ask(said)
        assert (answer.kind, answer.body) == (ABORT, bytes(4))
        assert peer.rest() == []


def test_an_abort_in_sta2_closes(listener: Listener) -> None:
    with line(listener.port) as peer:
        peer.say(ABORTED)
        assert peer.hear() is None


@pytest.mark.parametrize("size", [0, 1, 5, 6, 74, 100, 229])
def test_a_request_that_never_comes_holds_nothing(listener: Listener, size: int) -> None:
    """Its thread ends with the connection (`listening` looks), not when a timer does."""
    with line(listener.port) as peer:
        peer.say(associate()[:size])


def test_a_request_that_is_not_finished_in_time(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However busily the peer drips its bytes."""
    monkeypatch.setattr("appliance.dicom.scp.REQUEST_WITHIN", 0.5)
    with listening(memory) as listener, line(listener.port) as silent, line(listener.port) as drip:
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            for byte in associate():
                drip.say(bytes((byte,)))
                time.sleep(0.02)
        assert 0.4 < time.monotonic() - began < 20
        assert silent.rest() == []
        assert time.monotonic() - began < 20


def test_two_requests_at_once(listener: Listener) -> None:
    """The second may be read before or after the first is accepted; it is aborted either way."""
    for _ in range(20):
        with line(listener.port) as peer:
            peer.say(associate() + associate())
            assert peer.rest() in ([ABORT], [ASSOCIATE_AC, ABORT])


def test_a_request_and_a_store_at_once(listener: Listener, memory: Memory) -> None:
    """No peer does that, but one could; in Sta3 only the answer to the request is next."""
    with line(listener.port) as peer:
        peer.say(associate() + store("1.2.3", DATA))
        assert ABORT in peer.rest() or memory.stored == {"1.2.3": DATA}


def test_a_rejected_peer_that_goes_on_talking(listener: Listener) -> None:
    with line(listener.port) as peer:
        assert peer.ask(associate(called="SOMEBODY")).kind == ASSOCIATE_RJ
        with pytest.raises(ConnectionError):
            for _ in range(400):
                peer.say(echo() + associate() + pdu(0x42, b"what") + RELEASE + bytes(100_000))


def test_an_aborted_peer_that_goes_on_sending(listener: Listener, memory: Memory) -> None:
    with association(listener.port) as peer:
        peer.say(INVALID["a command within a dataset"])
        with pytest.raises(ConnectionError):
            for _ in range(400):
                peer.say(pdata(value(3, 0, bytes(100_000))))
    assert memory.outcomes == ["abandoned"]


@pytest.mark.parametrize("count", [150])
def test_silent_connections_delay_nobody(listener: Listener, memory: Memory, count: int) -> None:
    """More of one address than may wait are closed at once; what is established stays."""
    with association(listener.port) as sender:
        silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(count)]
        try:
            began = time.monotonic()
            assert sender.ask(store("1.2.3", DATA)).status == 0
            assert time.monotonic() - began < 10, "it waited for REQUEST_WITHIN"
        finally:
            for connection in silent:
                connection.close()

    def associates() -> bool:
        try:
            with association(listener.port) as another:
                return another.ask(store("1.2.4", DATA)).status == 0
        except (AssertionError, ConnectionError):
            return False

    until(associates, "the address stays locked out by connections that are gone")


def test_a_hundred_silent_connections_beside_a_new_sender(listener: Listener) -> None:
    silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(100)]
    try:
        began = time.monotonic()
        with association(listener.port) as sender:
            assert sender.ask(store("1.2.3", DATA)).status == 0
        assert time.monotonic() - began < 10, "it waited for REQUEST_WITHIN"
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize("data", [bytes(7), b"\xff" * 20, REQUEST + b"\0", REQUEST[:-1]])
def test_a_command_set_that_is_none(data: bytes) -> None:
    with pytest.raises(InvalidPDU):
        parse_command(data)


def test_what_does_not_belong_into_a_command_set_is_passed_over() -> None:
    """Orthanc ends a C-GET that failed with the Failed SOP Instance UID List in the command."""
    foreign = element(0x0008_0058, b"1.2.3") + element(0x0010_0010, b"name")
    assert parse_command(REQUEST + foreign) == parse_command(REQUEST)
    assert parse_command(b"") == {}


def test_a_command_set_taken_apart() -> None:
    elements = parse_command(REQUEST)
    assert elements[0x0002].rstrip(b"\0").decode() == CT
    assert elements[0x0100] == b"\x01\0"
    assert parse_command(elements[0x1000] and REQUEST) == elements


def test_a_find_response_is_what_pynetdicom_reads() -> None:
    response = C_FIND()
    response.MessageIDBeingRespondedTo = 1
    response.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.2.2.1"
    response.Status = 0xFF00
    response.Identifier = BytesIO(b"\x10\x00\x20\x00\x02\x00\x00\x0042")
    found = find_response(values_of(response))
    assert found is not None
    assert (found.Status, found.MessageIDBeingRespondedTo) == (0xFF00, 1)
    assert found.Identifier is not None
    assert found.Identifier.getvalue() == response.Identifier.getvalue()


def test_a_final_find_response_has_no_identifier_but_a_comment() -> None:
    response = C_FIND()
    response.MessageIDBeingRespondedTo = 1
    response.Status = 0xA700
    response.ErrorComment = "too many matches"
    found = find_response(values_of(response))
    assert found is not None
    assert (found.Status, found.ErrorComment) == (0xA700, "too many matches")
    assert found.Identifier is None


def test_other_messages_are_no_find_response() -> None:
    request = C_ECHO()
    request.MessageID = 1
    assert find_response(values_of(request)) is None


def values_of(primitive: C_FIND | C_ECHO) -> list[tuple[int, bytes]]:
    """The presentation data values that pynetdicom makes of a message."""
    message = C_FIND_RSP() if isinstance(primitive, C_FIND) else C_ECHO_RQ()
    message.primitive_to_message(primitive)
    return [
        (context_id, data)
        for part in message.encode_msg(1, 16384)
        for context_id, data in part.presentation_data_value_list
    ]
