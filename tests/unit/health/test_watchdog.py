"""systemd hears READY, STATUS and STOPPING, and WATCHDOG only while all is well."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.health.heartbeats import Heartbeats, Loop
from appliance.health.watchdog import WITHOUT_WATCHDOG, Watchdog, ping_interval
from tests.notify import NotifySocket, notify_socket


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotifySocket]:
    with notify_socket(tmp_path) as listening:
        monkeypatch.setenv("NOTIFY_SOCKET", str(listening.path))
        yield listening


def watchdog(
    *checks: Callable[[], str], heartbeats: Heartbeats | None = None, interval: float = 0.02
) -> Watchdog:
    return Watchdog(heartbeats or Heartbeats(), checks, lambda: "working", interval=interval)


def test_it_says_that_it_is_ready_and_how_it_is(systemd: NotifySocket) -> None:
    watchdog().ready()
    assert systemd.said == [{"READY": "1", "STATUS": "working"}]


def test_it_pings_while_every_check_is_content(systemd: NotifySocket) -> None:
    assert watchdog(lambda: "", lambda: "").check() == ()
    assert systemd.said == [{"WATCHDOG": "1", "STATUS": "working"}]


def test_one_problem_stops_the_pings_and_is_the_status(systemd: NotifySocket) -> None:
    assert watchdog(lambda: "", lambda: "the disk is gone").check() == ("the disk is gone",)
    assert systemd.said == [{"STATUS": "the disk is gone"}]


def test_a_silent_loop_stops_the_pings(systemd: NotifySocket) -> None:
    heartbeats = Heartbeats()
    heartbeats.expect(Loop("housekeeping", -1))
    assert watchdog(lambda: "", heartbeats=heartbeats).check() == (
        "housekeeping makes no progress",
    )
    assert systemd.count("WATCHDOG") == 0


def test_a_check_that_fails_itself_is_a_problem_and_no_end(systemd: NotifySocket) -> None:
    def fails() -> str:
        raise OSError("no more descriptors")

    (problem,) = watchdog(fails).check()
    assert "no more descriptors" in problem
    assert systemd.count("WATCHDOG") == 0


def test_a_status_that_cannot_be_told_does_not_stop_the_pings(systemd: NotifySocket) -> None:
    def fails() -> str:
        raise OSError("no more descriptors")

    mute = Watchdog(Heartbeats(), (), fails, interval=1)
    assert mute.check() == ()
    assert systemd.count("WATCHDOG") == 1


def test_the_loop_pings_again_when_a_problem_has_passed(systemd: NotifySocket) -> None:
    problems = ["", "", "it is late", ""]
    dog = watchdog(lambda: problems[0])
    thread = threading.Thread(target=dog.run, daemon=True)
    thread.start()
    systemd.await_(lambda said: said.count({"WATCHDOG": "1", "STATUS": "working"}) >= 3)
    problems[0] = "it is late"
    systemd.await_(lambda said: said[-1] == {"STATUS": "it is late"})
    before = systemd.count("WATCHDOG")
    time.sleep(0.2)
    assert systemd.count("WATCHDOG") == before
    problems[0] = ""
    systemd.await_(lambda said: "WATCHDOG" in said[-1])
    dog.stopping()
    thread.join(5)
    assert not thread.is_alive()
    assert systemd.said[-1] == {"STOPPING": "1"}


def test_without_systemd_nobody_is_told_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    dog = watchdog(lambda: "")
    dog.ready()
    assert dog.check() == ()
    dog.stopping()


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "300000"}, 0.1),
        ({"WATCHDOG_USEC": "0"}, WITHOUT_WATCHDOG),
        ({"WATCHDOG_USEC": ""}, WITHOUT_WATCHDOG),
        ({"WATCHDOG_USEC": "soon"}, WITHOUT_WATCHDOG),
        ({}, WITHOUT_WATCHDOG),
    ],
)
def test_it_pings_three_times_within_the_limit(
    environment: dict[str, str], interval: float
) -> None:
    assert ping_interval(environment) == pytest.approx(interval)
