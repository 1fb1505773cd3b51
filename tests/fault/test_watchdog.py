"""The pings stop when a part of the running box is dead, whatever part; not for a full disk."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import service as service_module
from appliance.archive.catalogue import CatalogueFailed
from appliance.archive.place import Place
from appliance.health.heartbeats import Loop
from appliance.service import Service
from appliance.settings.model import LocalAE, RemoteAE, Settings, Storage, Timeouts
from tests.fault.wire import Sender
from tests.instances import instance
from tests.notify import NotifySocket, notify_socket

SETTINGS = Settings(
    revision=1,
    ae=LocalAE(port=0, address="127.0.0.1", profile="strict", unsolicited="store"),
    remotes=(RemoteAE(name="main", title="PACS", host="127.0.0.1", port=1, query=False),),
    storage=Storage(reserve=1 << 20),
)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotifySocket]:
    with notify_socket(tmp_path) as listening:
        monkeypatch.setenv("NOTIFY_SOCKET", str(listening.path))
        monkeypatch.setattr(service_module, "ECHO_TIMEOUTS", Timeouts(1, 1, 1))
        yield listening


@pytest.fixture
def box(tmp_path: Path, systemd: NotifySocket) -> Iterator[Service]:
    service = Service(SETTINGS, Place(tmp_path / "data", tmp_path / "data/state"))
    service.start()
    yield service
    service.stop()


def problems(box: Service, systemd: NotifySocket) -> str:
    """What the watchdog finds; it must have pinged if that is nothing, and only then."""
    before = systemd.count("WATCHDOG")
    found = box._watchdog.check()
    assert systemd.count("WATCHDOG") - before == (0 if found else 1)
    return "; ".join(found)


def test_all_is_well(box: Service, systemd: NotifySocket) -> None:
    assert problems(box, systemd) == ""
    with Sender(box.port) as sender:
        assert sender.store(instance("P1", "2.25.5", "2.25.5.1", 1)) == 0
    assert problems(box, systemd) == ""


def test_a_dead_committer(box: Service, systemd: NotifySocket) -> None:
    with Sender(box.port) as sender:
        with pytest.raises(CatalogueFailed):
            box.catalogue.write(_die)
        assert sender.store(instance("P1", "2.25.5", "2.25.5.1", 1)) == 0xA700
    assert "the catalogue fails: SystemExit('dead')" in problems(box, systemd)


def test_a_stuck_loop(box: Service, systemd: NotifySocket) -> None:
    box._heartbeats.expect(Loop("schedule of main", 0))
    threading.Event().wait(1.2)  # it beats twice a second
    assert "schedule of main makes no progress" in problems(box, systemd)


def test_a_listener_that_is_gone(box: Service, systemd: NotifySocket) -> None:
    for listener in box._listeners:
        listener.server_close()
    assert "no answer to a C-ECHO to ourselves" in problems(box, systemd)


def test_a_listener_that_accepts_and_never_answers(
    box: Service, systemd: NotifySocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(box._admission, "judge", lambda request, address: ended.wait(30))
    try:
        assert "no answer to a C-ECHO to ourselves" in problems(box, systemd)
    finally:
        ended.set()


def test_a_listener_that_does_not_accept_any_more(
    box: Service, systemd: NotifySocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    (listener,) = box._listeners
    monkeypatch.setattr(listener, "verify_request", lambda request, address: ended.wait(30))
    try:
        assert "no answer to a C-ECHO to ourselves" in problems(box, systemd)
    finally:
        ended.set()


@pytest.mark.filterwarnings("ignore:Exception in thread rendering")
def test_a_dead_render_loop(
    box: Service, systemd: NotifySocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box._rendering, "_submit_queued", _die)
    box._rendering.wake()
    box._rendering._thread.join(10)
    assert "the loop that renders has ended" in problems(box, systemd)


def test_a_full_or_suspended_box_is_well_and_says_so(tmp_path: Path, systemd: NotifySocket) -> None:
    full = replace(SETTINGS, storage=Storage(reserve=1 << 60))
    service = Service(full, Place(tmp_path / "data", tmp_path / "data/state"))
    service.start()
    try:
        assert problems(service, systemd) == ""
        assert "no space left above the reserve" in systemd.said[-1]["STATUS"]
        service.requests.suspend()
        assert problems(service, systemd) == ""
        assert systemd.said[-1]["STATUS"] == "suspended"
    finally:
        service.stop()


def test_requests_that_cannot_be_read_suspend_nothing(box: Service, systemd: NotifySocket) -> None:
    box.requests.close()
    assert problems(box, systemd) == ""
    with Sender(box.port) as sender:
        assert sender.store(instance("P1", "2.25.5", "2.25.5.1", 1)) == 0


def _die(*_: object) -> None:
    raise SystemExit("dead")
