"""Associations over TLS: whose certificate is taken, and what a peer that stalls costs the rest."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance.dicom.inline import StoreRequest
from appliance.dicom.scp import Listener
from appliance.dicom.scu import RequestFailed, Requestor
from appliance.dicom.tls import TLSProblem, client_context, server_context
from appliance.settings.model import TLS, RemoteAE, Timeouts
from tests.unit.dicom.certificates import Identity, authority, encrypted, signed
from tests.unit.dicom.listening import OURS, Memory, Remembered, listening, until
from tests.unit.dicom.wire import (
    ASSOCIATE_AC,
    PATIENCE,
    RELEASE,
    RELEASE_RP,
    Line,
    associate,
    echo,
    pdata,
    store,
    store_command,
    value,
)

TIMEOUTS = Timeouts(association=20, response=20, total=60)
DATA = bytes(range(256)) * 4000


@dataclass(frozen=True)
class Hospital:
    """Its authority, the box and a PACS that it certified; and who does not belong to it."""

    authority: Identity
    box: Identity
    pacs: Identity
    elsewhere: Identity
    stranger: Identity
    folder: Path

    def settings(self, identity: Identity, **changes: object) -> TLS:
        given = {"authorities": self.authority.certificate, **changes}
        return TLS(identity.certificate, identity.key, **given)  # type: ignore[arg-type]

    def client(self, identity: Identity | None) -> ssl.SSLContext:
        """The context of a peer, not made by the package."""
        context = ssl.create_default_context(cadata=self.authority.certificate)
        if identity is not None:
            context.load_cert_chain(*identity.files(self.folder / "client"))
        return context


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    folder = tmp_path_factory.mktemp("certificates")
    ours, foreign = authority(folder, "hospital"), authority(folder, "foreign")
    return Hospital(
        ours,
        signed(folder, "box", ours),
        signed(folder, "pacs", ours),
        signed(folder, "elsewhere", ours, "DNS:another.example.org"),
        signed(folder, "stranger", foreign),
        folder,
    )


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def listener(memory: Memory, hospital: Hospital) -> Iterator[Listener]:
    context = server_context(hospital.settings(hospital.box))
    with listening(memory, tls=context) as listener:
        yield listener


@contextmanager
def secured(port: int, context: ssl.SSLContext) -> Iterator[Line]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connected,
    ):
        yield Line(connected)


def test_a_conversation(listener: Listener, memory: Memory, hospital: Hospital) -> None:
    with secured(listener.port, hospital.client(hospital.pacs)) as peer:
        assert peer.ask(associate()).kind == ASSOCIATE_AC
        assert peer.ask(echo()).status == 0
        assert peer.ask(store("1.2.3", DATA)).status == 0
        assert peer.ask(store("1.2.4", DATA[:9], message=2)).status == 0
        assert peer.ask(RELEASE).kind == RELEASE_RP
    assert memory.stored == {"1.2.3": DATA, "1.2.4": DATA[:9]}


def turned_away(port: int, context: ssl.SSLContext) -> bool:
    """Whether the handshake fails; in TLS 1.3 a client learns that with its first answer."""
    try:
        with secured(port, context) as peer:
            peer.say(associate())
            return peer.hear() is None
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize("who", [None, "stranger"])
def test_a_peer_without_a_certificate_we_trust(
    listener: Listener, hospital: Hospital, who: str | None
) -> None:
    identity = getattr(hospital, who) if who else None
    assert turned_away(listener.port, hospital.client(identity))
    assert not turned_away(listener.port, hospital.client(hospital.pacs))


def test_a_peer_needs_no_certificate_where_the_settings_say_so(hospital: Hospital) -> None:
    tls = hospital.settings(hospital.box, require_certificate=False)
    with listening(Memory(), tls=server_context(tls)) as listener:
        assert not turned_away(listener.port, hospital.client(None))


def test_what_is_older_than_tls_1_2_is_turned_away(listener: Listener, hospital: Hospital) -> None:
    for version, allowed in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
        context = hospital.client(hospital.pacs)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning) if not allowed else ExitStack():
            context.minimum_version = context.maximum_version = version
        assert turned_away(listener.port, context) != allowed


def test_an_association_without_tls_is_closed(listener: Listener) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=PATIENCE) as plain:
        plain.sendall(associate())
        assert Line(plain).rest() in ([], [0x15])  # an alert, read as a PDU


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", bytes.fromhex("16 03 01 0200") + bytes(9)])
def test_a_stalled_handshake_delays_nobody(
    listener: Listener, hospital: Hospital, said: bytes
) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", listener.port)))
            silent.sendall(said)
        began = time.monotonic()
        with secured(listener.port, hospital.client(hospital.pacs)) as peer:
            assert peer.ask(associate()).kind == ASSOCIATE_AC
            assert peer.ask(echo()).status == 0
        assert time.monotonic() - began < 10, "it waited for REQUEST_WITHIN"


def test_a_stalled_handshake_is_given_up(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.dicom.scp.REQUEST_WITHIN", 0.5)
    context = server_context(hospital.settings(hospital.box))
    with (
        listening(Memory(), tls=context) as listener,
        socket.create_connection(("127.0.0.1", listener.port), timeout=PATIENCE) as silent,
    ):
        began = time.monotonic()
        assert Line(silent).rest() == []
        assert 0.4 < time.monotonic() - began < 20


def test_the_request_must_follow_the_handshake_in_time(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.dicom.scp.REQUEST_WITHIN", 1.0)
    context = server_context(hospital.settings(hospital.box))
    with (
        listening(Memory(), tls=context) as listener,
        secured(listener.port, hospital.client(hospital.pacs)) as silent,
    ):
        began = time.monotonic()
        assert silent.rest() == []
        assert time.monotonic() - began < 20


class Slow(Memory):
    """Storage that takes its time over what it is fed first."""

    def __init__(self) -> None:
        super().__init__()
        self.feeding, self.go_on = threading.Event(), threading.Event()

    def begin(self, request: StoreRequest) -> Remembered:
        reception = super().begin(request)
        take = reception.feed

        def feed(views: Sequence[memoryview]) -> None:
            take(views)
            self.feeding.set()
            self.go_on.wait(PATIENCE)

        reception.feed = feed  # type: ignore[method-assign]
        return reception


def test_a_cut_connection_yields_nothing_that_was_encrypted(hospital: Hospital) -> None:
    """What is left in the socket once TLS is gone is no data."""
    memory = Slow()
    context = server_context(hospital.settings(hospital.box))
    with (
        listening(memory, tls=context) as listener,
        secured(listener.port, hospital.client(hospital.pacs)) as peer,
    ):
        assert peer.ask(associate()).kind == ASSOCIATE_AC
        peer.say(pdata(value(3, 3, store_command("1.2.3"))))
        peer.say(pdata(value(3, 0, bytes(300_000)))[:100_000])
        assert memory.feeding.wait(PATIENCE)
        listener.cut_all()
        memory.go_on.set()
        until(lambda: memory.outcomes == ["abandoned"], "the reception is still open")
        assert set(memory.receptions[0].data) <= {0}


def requestor(tls: ssl.SSLContext | None) -> Requestor:
    return Requestor(replace(OURS, title="SENDER"), TIMEOUTS, tls)


def box_at(port: int, host: str = "127.0.0.1") -> RemoteAE:
    return RemoteAE(name="box", title="HAPPY_netty", host=host, port=port, tls=True)


def test_our_own_requests_over_tls(listener: Listener, hospital: Hospital) -> None:
    context = client_context(hospital.settings(hospital.pacs))
    assert requestor(context).echo(box_at(listener.port)) < 20


@pytest.mark.parametrize("server", ["elsewhere", "stranger"])
def test_we_do_not_talk_to_who_cannot_prove_its_name(hospital: Hospital, server: str) -> None:
    identity: Identity = getattr(hospital, server)
    context = server_context(hospital.settings(identity, require_certificate=False))
    with listening(Memory(), tls=context) as listener:
        ours = client_context(hospital.settings(hospital.pacs))
        with pytest.raises(RequestFailed) as failure:
            requestor(ours).echo(box_at(listener.port))
    assert failure.value.kind == "unreachable"
    assert "certificate" in failure.value.sentence


def test_a_peer_that_refuses_our_certificate(listener: Listener, hospital: Hospital) -> None:
    context = client_context(hospital.settings(hospital.stranger))
    with pytest.raises(RequestFailed) as failure:
        requestor(context).echo(box_at(listener.port))
    assert failure.value.kind in ("unreachable", "timeout", "aborted")


def test_tls_for_a_remote_without_tls_in_the_settings(listener: Listener) -> None:
    with pytest.raises(RequestFailed, match=r"no \[tls\]"):
        requestor(None).echo(box_at(listener.port))


def test_a_remote_that_speaks_no_tls(hospital: Hospital) -> None:
    with listening(Memory()) as plain:
        context = client_context(hospital.settings(hospital.pacs))
        with pytest.raises(RequestFailed) as failure:
            requestor(context).echo(box_at(plain.port))
    assert failure.value.kind == "unreachable"


def test_what_cannot_be_used_is_named(hospital: Hospital, tmp_path: Path) -> None:
    box = hospital.box
    unusable = {
        "no certificate": TLS("", box.key),
        "no key": TLS(box.certificate, ""),
        "garbage": TLS("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", box.key),
        "another's key": TLS(box.certificate, hospital.pacs.key),
        "authorities of garbage": TLS(box.certificate, box.key, "nonsense"),
        "an encrypted key": hospital.settings(encrypted(tmp_path, box)),
    }
    for tls in unusable.values():
        for context in (server_context, client_context):
            with pytest.raises(TLSProblem, match=r"^\[tls\] .* give the PEM text"):
                context(tls)


def test_the_key_is_never_a_file(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def noting(self: ssl.SSLContext, path: str, **others: str) -> None:
        read.append(str(Path(path).resolve()))
        load(self, path, **others)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", noting)
    server_context(hospital.settings(hospital.box))
    assert len(read) == 1
    assert read[0].startswith("/memfd:")
