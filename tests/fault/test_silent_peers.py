"""Peers that connect and say nothing, or hardly anything: nobody else notices them.

A hundred plain connections and a hundred that stop within their TLS handshake stand beside one
that works.
"""

import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from appliance.archive.place import Place
from appliance.dicom import scp
from appliance.service import Service
from appliance.settings.reader import read_file
from tests.fault.boxes import Process, Site, running
from tests.fault.wire import CLASSES, PRESENTATION_STATE, Sender, associate
from tests.instances import instance
from tests.notify import NotifySocket, notify_socket
from tools.hospital.peers import free_port, program

SILENT = 100
SUCCESS = 0x0000
CLIENT_HELLO_CUT_SHORT = bytes.fromhex("160301020001000001fc0303")


def presentation(number: int) -> Dataset:
    made = instance("P1", "2.25.61", "2.25.61.1", number)
    made.SOPClassUID = PRESENTATION_STATE
    del made.PixelData
    return made


def certificate(folder: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that signs itself, and its key, both in PEM."""
    command = [
        program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-noenc", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem",
        "-days", "2", "-subj", "/CN=box", "-addext", "subjectAltName=IP:127.0.0.1",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "certificate.pem").read_text(), (folder / "key.pem").read_text()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[NotifySocket]:
    with notify_socket(tmp_path) as listening:
        yield listening


@contextmanager
def connections(port: int, count: int, first: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections to `port` on which only `first` is said."""
    with ExitStack() as opened:
        made = []
        for _ in range(count):
            made.append(opened.enter_context(socket.create_connection(("127.0.0.1", port), 5)))
            made[-1].sendall(first)
        yield made


def rate(port: int, instances: int = 60) -> float:
    """Instances stored per second on one association."""
    with Sender(port) as sender:
        began = time.monotonic()
        for number in range(instances):
            assert sender.store(presentation(number)) == SUCCESS
        return instances / (time.monotonic() - began)


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_working_sender_beside_two_hundred_silent_ones(
    tmp_path: Path, systemd: NotifySocket
) -> None:
    cert, key = certificate(tmp_path)
    secure = free_port()
    tls = (
        f"[tls]\nport = {secure}\ncertificate = '''\n{cert}'''\nkey = '''\n{key}'''\n"
        f"authorities = '''\n{cert}'''\nrequire_certificate = false\n"
    )
    site = Site.prepare(tmp_path / "box", more=tls)
    trusting = ssl.create_default_context(cadata=cert)
    with running(site, systemd) as box:
        alone, beside = [], []
        for turn in range(5):  # by turns, because the machine has other things to do as well
            alone.append(rate(site.port))
            with (
                connections(site.port, SILENT),
                connections(secure, SILENT // 2),
                connections(secure, SILENT // 2, CLIENT_HELLO_CUT_SHORT),
            ):
                beside.append(rate(site.port))
                if turn == 0:
                    with Sender(secure, tls=_For(trusting)) as sender:
                        assert sender.store(presentation(9000)) == SUCCESS
                    assert idle(box) < 0.1
        # Whom a silent peer delays waits for its timer, seconds; this machine itself halves rates.
        assert max(beside) > 0.2 * max(alone), (beside, alone)
        assert idle(box) < 0.1
        assert box.stop() == 0


class _For:
    """Wraps connections to 127.0.0.1."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_socket(self, connection: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(connection, server_hostname="127.0.0.1")


def idle(box: Process, seconds: float = 2.0) -> float:
    """The share of one processor that a box uses while nothing is asked of it."""
    time.sleep(0.3)
    before = processor_seconds(box.process.pid)
    time.sleep(seconds)
    return (processor_seconds(box.process.pid) - before) / seconds


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(scp, "REQUEST_WITHIN", 1.0)
    text = Site.prepare(tmp_path / "box", ae='stall = "1 s"\nassociations_per_remote = 4')
    box = Service(read_file(text.settings), Place(tmp_path / "data", tmp_path / "data/state"))
    box.start()
    yield box
    box.stop()


def soon(look: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def closed(connection: socket.socket) -> bool:
    """Whether the box has ended a connection, by closing it or by an A-ABORT before that."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def test_who_does_not_ask_for_an_association_in_time_is_cut_off(service: Service) -> None:
    with connections(service.port, 5) as silent:
        began = time.monotonic()
        soon(lambda: all(map(closed, silent)))
        assert 0.5 < time.monotonic() - began < 8


def test_who_asks_for_it_byte_by_byte_is_cut_off_too(service: Service) -> None:
    request = associate("PACS", "HAPPY_netty", CLASSES)
    with connections(service.port, 1) as (slow,):
        began = time.monotonic()
        for byte in request:
            if closed(slow):
                break
            slow.setblocking(True)
            slow.sendall(bytes([byte]))
            time.sleep(0.05)
        assert time.monotonic() - began < 4
        assert closed(slow)


def test_who_stalls_within_a_dataset_is_cut_off_and_leaves_nothing(
    service: Service, tmp_path: Path
) -> None:
    one = presentation(1)
    with Sender(service.port) as sender:
        data = encode(one, True, True) or b""
        message = sender.message(PRESENTATION_STATE, one.SOPInstanceUID, data)
        sender.socket.sendall(message[:-10])
        began = time.monotonic()
        soon(lambda: closed(sender.socket))
        assert 0.5 < time.monotonic() - began < 8
    soon(lambda: service.catalogue.status().counters.get("interrupted") == 1)
    assert not [path for path in (tmp_path / "data/dicom").rglob("*") if path.is_file()]


def test_who_sends_byte_by_byte_delays_nobody(service: Service) -> None:
    one = presentation(1)
    with Sender(service.port) as slow, Sender(service.port) as fast:
        data = encode(one, True, True) or b""
        message = slow.message(PRESENTATION_STATE, one.SOPInstanceUID, data)

        def dribble() -> None:
            for byte in message[:100]:
                slow.socket.sendall(bytes([byte]))
                time.sleep(0.01)
            slow.socket.sendall(message[100:])

        dribbling = threading.Thread(target=dribble, daemon=True)
        dribbling.start()
        stored = 0
        while dribbling.is_alive():
            assert fast.store(presentation(100 + stored)) == SUCCESS
            stored += 1
        assert stored > 20
        assert slow.status() == SUCCESS


def test_one_address_may_not_have_all_the_connections(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scp, "REQUEST_WITHIN", 60.0)
    with connections(service.port, scp.UNASSOCIATED_PER_ADDRESS + 10) as many:
        soon(lambda: sum(map(closed, many)) == 10)
        with socket.create_connection(
            ("127.0.0.1", service.port), 5, source_address=("127.0.0.2", 0)
        ) as other:
            assert not closed(other)


def test_nothing_is_left_of_connections_that_are_gone(service: Service) -> None:
    with Sender(service.port) as sender:
        sender.store(presentation(1))
    time.sleep(1.5)
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with connections(service.port, 30, b"GET / HTTP/1.1\r\n\r\n"):
            pass
        for number in range(10):
            with Sender(service.port) as sender:
                assert sender.store(presentation(number)) == SUCCESS
    soon(lambda: threading.active_count() <= threads)
    soon(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
    assert service._admission.running() == 0
    assert not service._listeners[0]._waiting
