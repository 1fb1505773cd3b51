"""Who may associate: every A-ASSOCIATE-RJ of the design, and what an A-ASSOCIATE-AC says."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from appliance.dicom.associations import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.dicom.scp import Listener
from appliance.settings.model import RemoteAE
from tests.unit.dicom.listening import OURS, SENDER, Memory, Noted, listening, until
from tests.unit.dicom.wire import (
    ABORTED,
    ASSOCIATE_AC,
    CT,
    EXPLICIT,
    IMPLICIT,
    RELEASE,
    RELEASE_RP,
    VERIFICATION,
    Context,
    associate,
    association,
    echo,
    item,
    line,
    store,
)

OTHER = RemoteAE(name="other", title="OTHER", host="127.0.0.1")
ELSEWHERE = RemoteAE(name="elsewhere", title="ELSEWHERE", host="192.0.2.1")
REMOTES = (SENDER, OTHER, ELSEWHERE)


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def listener(noted: Noted) -> Iterator[Listener]:
    with listening(Memory(), remotes=REMOTES, note=noted) as listener:
        yield listener


REJECTED = {
    "application context": (associate(application="1.2.840.10008.3.1.1.2"), (1, 1, 2)),
    "protocol version 0": (associate(version=0), (1, 2, 2)),
    "protocol version 2": (associate(version=2), (1, 2, 2)),
    "called title": (associate(called="SOMEBODY"), (1, 1, 7)),
    "called title in other letters": (associate(called="happy_NETTY"), (1, 1, 7)),
    "calling title": (associate(calling="STRANGER"), (1, 1, 3)),
    "calling title in other letters": (associate(calling="sender"), (1, 1, 3)),
    "calling address": (associate(calling="ELSEWHERE"), (1, 1, 3)),
}


@pytest.mark.parametrize(("request_", "rejection"), REJECTED.values(), ids=REJECTED)
def test_what_is_rejected(
    listener: Listener, request_: bytes, rejection: tuple[int, int, int]
) -> None:
    with line(listener.port) as peer:
        assert peer.ask(request_).rejection == rejection
        assert peer.hear() is None
    with association(listener.port) as peer:
        assert peer.ask(echo()).status == 0


@pytest.mark.parametrize(("version"), [1, 3, 0xFFFF])
def test_only_bit_0_of_the_protocol_version_counts(listener: Listener, version: int) -> None:
    with association(listener.port, associate(version=version)) as peer:
        assert peer.ask(RELEASE).kind == RELEASE_RP


def test_each_rejection_is_noted_with_its_reason(listener: Listener, noted: Noted) -> None:
    for request_, _ in REJECTED.values():
        with line(listener.port) as peer:
            peer.ask(request_)
    assert noted.texts == [
        "'SENDER' at 127.0.0.1 was rejected: application context",
        "'SENDER' at 127.0.0.1 was rejected: it called another AE title than ours",
        "'SENDER' at 127.0.0.1 was rejected: it called another AE title than ours",
        "'STRANGER' at 127.0.0.1 was rejected: its AE title is not registered for this address",
        "'sender' at 127.0.0.1 was rejected: its AE title is not registered for this address",
        "'ELSEWHERE' at 127.0.0.1 was rejected: its AE title is not registered for this address",
    ]


def test_titles_are_padded_on_both_sides(listener: Listener) -> None:
    request_ = associate(called="  HAPPY_netty", calling=" SENDER")
    with association(listener.port, request_) as peer:
        assert peer.ask(echo()).status == 0


def test_one_remote_cannot_starve_another() -> None:
    ae = replace(OURS, associations_per_remote=3)
    noted = Noted()
    with ExitStack() as stack:
        listener = stack.enter_context(listening(Memory(), ae, REMOTES, note=noted))
        first, *_ = [stack.enter_context(association(listener.port)) for _ in range(3)]
        fourth = stack.enter_context(line(listener.port))
        assert fourth.ask(associate()).rejection == (2, 3, 2)
        assert "as many associations as one remote may have" in noted.texts[0]
        other = stack.enter_context(association(listener.port, associate(calling="OTHER")))
        assert other.ask(echo()).status == 0
        assert first.ask(RELEASE).kind == RELEASE_RP
        until(lambda: _accepted(listener), "the association that ended still counts")


def _accepted(listener: Listener) -> bool:
    with line(listener.port) as peer:
        return peer.ask(associate()).kind == ASSOCIATE_AC


@pytest.mark.parametrize("end", [RELEASE, ABORTED, b"", b"\x42" + bytes(5), store("1", b"")[:50]])
def test_however_an_association_ends_it_no_longer_counts(end: bytes) -> None:
    with listening(Memory(), replace(OURS, associations_per_remote=1)) as listener:
        for _ in range(3):
            until(lambda: _no_longer_rejected(listener, end), "it still counts")


def _no_longer_rejected(listener: Listener, end: bytes) -> bool:
    with line(listener.port) as peer:
        if peer.ask(associate()).kind != ASSOCIATE_AC:
            return False
        peer.say(end)
        return True


def test_there_is_no_limit_but_the_remotes_own() -> None:
    """pynetdicom's is ten, idle connections included."""
    with ExitStack() as stack:
        ae = replace(OURS, associations_per_remote=100)
        listener = stack.enter_context(listening(Memory(), ae))
        peers = [stack.enter_context(association(listener.port)) for _ in range(60)]
        assert [peer.ask(echo()).status for peer in peers] == [0] * 60


def test_suspension_rejects_remotes_but_not_the_box_itself() -> None:
    noted = Noted()
    with listening(Memory(), suspended=lambda: True, note=noted) as listener:
        with line(listener.port) as peer:
            assert peer.ask(associate()).rejection == (2, 3, 2)
        assert noted.texts == ["'SENDER' at 127.0.0.1 was rejected: the box is suspended"]
        with association(listener.port, associate(calling="HAPPY_netty")) as itself:
            assert itself.ask(echo()).status == 0


def test_suspension_is_not_a_matter_of_associations_in_the_strict_profile() -> None:
    ae = replace(OURS, profile="strict")
    with (
        listening(Memory(), ae, suspended=lambda: True) as listener,
        association(listener.port) as peer,
    ):
        assert peer.ask(echo()).status == 0


def fail(*_: object) -> bool:
    raise OSError("the disk is full")


@pytest.mark.parametrize(
    ("broken", "request_"),
    [({"suspended": fail}, associate()), ({"note": fail}, associate(calling="STRANGER"))],
    ids=["whether it is suspended is not known", "the rejection cannot be noted"],
)
def test_what_cannot_be_judged_is_not_let_in(
    broken: dict[str, object], request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with listening(Memory(), **broken) as listener, line(listener.port) as peer:  # type: ignore
        assert peer.ask(request_).rejection == (2, 3, 1)
        assert peer.hear() is None
    assert "the disk is full" in caplog.text
    caplog.clear()


def test_the_answer_names_our_implementation_and_pdu_size() -> None:
    with (
        listening(Memory(), replace(OURS, max_pdu=65_536)) as listener,
        line(listener.port) as peer,
    ):
        body = peer.ask(associate()).body
    assert item(0x51, struct.pack(">I", 65_536)) in body
    assert item(0x52, IMPLEMENTATION_CLASS_UID.encode()) in body
    assert item(0x55, IMPLEMENTATION_VERSION_NAME.encode()) in body


ASYNCHRONOUS = item(0x53, bytes.fromhex("0008 0008"))
ROLE = item(0x54, struct.pack(">H", len(CT)) + CT.encode() + bytes((1, 1)))
IDENTITY = item(0x58, bytes.fromhex("01 00 0004") + b"user" + bytes(2))
UNKNOWN = item(0x5F, b"what") + item(0xFF, b"")


@pytest.mark.parametrize("extra", [ASYNCHRONOUS, ROLE, IDENTITY, UNKNOWN])
def test_what_a_peer_may_negotiate_besides(listener: Listener, extra: bytes) -> None:
    with line(listener.port) as peer:
        answer = peer.ask(associate(extra=extra))
        assert answer.results == {1: (0, IMPLICIT), 3: (0, IMPLICIT)}
        assert ASYNCHRONOUS not in answer.body
        assert peer.ask(store("1.2.3", b"")).status == 0


def test_unknown_items_beside_those_that_are_known(listener: Listener) -> None:
    data = associate()
    at = data.index(bytes.fromhex("2000 002E"))
    data = data[:at] + item(0x77, b"\x20\0\0\1") + data[at:] + item(0x60, b"")
    with association(listener.port, data[:2] + struct.pack(">I", len(data) - 6) + data[6:]) as peer:
        assert peer.ask(echo()).status == 0


def test_contexts_are_accepted_or_refused_one_by_one(listener: Listener) -> None:
    jpeg, find = "1.2.840.10008.1.2.4.50", "1.2.840.10008.5.1.4.1.2.2.1"
    contexts = [
        Context(1, VERIFICATION),
        Context(3, CT, (jpeg,)),
        Context(5, CT, (jpeg, IMPLICIT, EXPLICIT)),
        Context(7, find),
        Context(9, "1.2.3.4"),
        Context(255, CT),
    ]
    with line(listener.port) as peer:
        results = peer.ask(associate(contexts)).results
        assert {number: result for number, (result, _) in results.items()} == {
            1: 0,
            3: 4,  # transfer syntaxes not supported
            5: 0,
            7: 3,  # abstract syntax not supported
            9: 3,
            255: 0,
        }
        assert results[5][1] == EXPLICIT, "the one that the box prefers"
        assert peer.ask(store("1.2.3", b"", context=255)).status == 0


def test_no_acceptable_context_leaves_an_association_for_nothing(listener: Listener) -> None:
    with line(listener.port) as peer:
        assert peer.ask(associate([Context(1, "1.2.3.4")])).results[1][0] == 3
        assert peer.ask(RELEASE).kind == RELEASE_RP


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_on_all_interfaces_ipv4_is_seen_as_ipv4(noted: Noted) -> None:
    ae = replace(OURS, address="")
    v6 = RemoteAE(name="v6", title="SIX", host="::1")
    with listening(Memory(), ae, (SENDER, v6), note=noted) as listener:
        with line(listener.port, "127.0.0.1") as four:
            assert four.ask(associate()).kind == ASSOCIATE_AC
        with line(listener.port, "::1") as six:
            assert six.ask(associate(calling="SIX")).kind == ASSOCIATE_AC
        with line(listener.port, "::1") as mixed:
            assert mixed.ask(associate()).rejection == (1, 1, 3)
        with line(listener.port, "127.0.0.1") as stranger:
            assert stranger.ask(associate(calling="STRANGER")).rejection == (1, 1, 3)
    assert [text.split()[2] for text in noted.texts] == ["::1", "127.0.0.1"]
