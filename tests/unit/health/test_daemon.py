"""The judge of the box: what it shows and tells, and that nothing stops it."""

import os
import pty
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.health import daemon as module
from appliance.health.banner import WORDS, addresses, banner, fingerprint_of, show
from appliance.health.board import Board
from appliance.health.clock import LastSeen
from appliance.health.daemon import Daemon
from appliance.health.facts import Look, Watch
from appliance.health.led import Lamps
from appliance.health.places import Places
from appliance.health.reports import RemoteReport, ServiceReport
from appliance.health.state import LIGHTS, Facts, Light, state
from appliance.health.verdict import Verdict, read_verdict

DOWN = RemoteReport("main", failure="it is \x1b[31moff\x07")


class Shows:
    """A watch that finds what it is told to, and lamps that remember."""

    def __init__(self) -> None:
        self.found = Look(Facts(), ServiceReport(1.0, box="第一"), True)
        self.fault: Exception | None = None
        self.lights: list[Light] = []

    def look(self) -> Look:
        if self.fault:
            raise self.fault
        return self.found

    def show(self, light: Light) -> int:
        self.lights.append(light)
        return 1

    def step(self, moment: float) -> None:
        """Nothing blinks."""

    needs_steps = False


@pytest.fixture
def shows() -> Shows:
    return Shows()


@pytest.fixture
def daemon(tmp_path: Path, shows: Shows) -> Daemon:
    places = Places(tmp_path)
    (places.run / "netty-health").mkdir(parents=True)
    return Daemon(places, "1.2.3", shows, shows, LastSeen(places))  # type: ignore[arg-type]


def test_it_tells_what_it_shows(daemon: Daemon, shows: Shows) -> None:
    for facts in (Facts(), Facts(unreachable=(DOWN,)), Facts(budget_spent=True)):
        shows.found = replace(shows.found, facts=facts)
        told = daemon.turn()
        assert read_verdict(daemon.places) == told
        judged = state(facts)
        assert (told.name, told.problems) == (judged.name, judged.problems)
        assert shows.lights[-1] == judged.light == Light(told.colour, told.rhythm)
        assert (told.version, told.clock_trusted, told.service) == (
            "1.2.3",
            True,
            shows.found.service,
        )


def test_since_when_it_is_so(daemon: Daemon, shows: Shows) -> None:
    moments = iter((100.0, 100.0, 103.0, 103.0, 106.0, 106.0))
    daemon.monotonic = lambda: next(moments)
    assert daemon.turn().since == 100
    assert daemon.turn().since == 100
    shows.found = replace(shows.found, facts=Facts(suspended=True))
    assert daemon.turn().since == 106


def test_a_fault_of_its_own_is_red(
    daemon: Daemon, shows: Shows, caplog: pytest.LogCaptureFixture
) -> None:
    shows.fault = RuntimeError("this cannot be")
    told = daemon.turn()
    assert told.name == "fault"
    assert "this cannot be" in told.problems[0].detail
    assert shows.lights == [LIGHTS["fault"]]
    shows.fault = None
    assert daemon.turn().name == "working"


def test_what_cannot_be_told_is_shown_all_the_same_and_said_once(
    daemon: Daemon, shows: Shows, caplog: pytest.LogCaptureFixture
) -> None:
    (daemon.places.run / "netty-health").rmdir()
    for _ in range(3):
        assert daemon.turn().name == "working"
    assert len(shows.lights) == 3
    assert [record.getMessage()[:7] for record in caplog.records] == ["report:"]


def test_it_runs_until_told_to_stop(
    daemon: Daemon, shows: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.02)
    stop = os.eventfd(0)
    thread = threading.Thread(target=daemon.run, args=(stop,))
    thread.start()
    end = time.monotonic() + 20
    while len(shows.lights) < 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    os.eventfd_write(stop, 1)
    thread.join(20)
    assert not thread.is_alive()
    os.close(stop)


def test_of_a_machine_it_takes_what_there_is(tmp_path: Path) -> None:
    daemon = Daemon.of(Places(tmp_path), "1")
    assert daemon.lamps.board == Board()
    assert isinstance(daemon.watch, Watch)
    assert isinstance(daemon.lamps, Lamps)
    (tmp_path / "run/netty-health").mkdir(parents=True)
    assert daemon.turn().name == "unprovisioned"


# -- the console


def verdict(facts: Facts) -> Verdict:
    judged = state(facts)
    return Verdict(
        1.0,
        1.0,
        judged.name,
        judged.light.colour,
        judged.light.rhythm,
        judged.problems,
        version="1.2.3",
        addresses=("192.0.2.20",),
        fingerprint="AB:CD",
        service=ServiceReport(1.0, box="box 7"),
    )


def test_the_banner_says_it_all() -> None:
    text = banner(verdict(Facts(unreachable=(DOWN,))))
    for said in ("1.2.3", "box 7", WORDS["degraded"], "main does not answer", "http://192.0.2.20/"):
        assert said in text
    assert "AB:CD" in text
    assert "cable" in banner(replace(verdict(Facts()), addresses=()))


def test_nobody_elses_words_steer_the_terminal() -> None:
    text = banner(verdict(Facts(unreachable=(DOWN,))))
    assert "it is ?[31moff?" in text
    assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_every_state_has_a_word() -> None:
    assert set(WORDS) == {*LIGHTS, "unknown"}


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    ours, theirs = pty.openpty()
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_it_is_shown_where_there_is_a_console(terminal: tuple[int, str]) -> None:
    ours, name = terminal
    show("one\ntwo\n", ("/dev/nowhere", name))
    assert os.read(ours, 1000).endswith(b"one\r\r\ntwo\r\r\n")


def test_a_console_that_nobody_reads_holds_up_nothing(terminal: tuple[int, str]) -> None:
    before = time.monotonic()
    for _ in range(50):
        show("x" * 1000, (terminal[1],))
    assert time.monotonic() - before < 10


def test_the_console_is_written_when_it_changes(
    daemon: Daemon, shows: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(module, "show", lambda text, consoles: shown.append(text))
    now = [100.0]
    daemon.monotonic = lambda: now[0]
    for seconds, facts, times in (
        (0, Facts(), 1),
        (2, Facts(), 1),
        (2, Facts(suspended=True), 2),
        (module.BANNER_EVERY + 1, Facts(suspended=True), 3),
    ):
        now[0] += seconds
        shows.found = replace(shows.found, facts=facts)
        daemon.turn()
        assert len(shown) == times


def test_addresses_are_those_that_others_can_reach() -> None:
    assert all(not one.startswith("127.") and one.count(".") == 3 for one in addresses())


def test_the_fingerprint_is_that_of_the_certificate(tmp_path: Path) -> None:
    file = tmp_path / "certificate.pem"
    assert fingerprint_of(file) == ""
    file.write_text("nonsense")
    assert fingerprint_of(file) == ""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=netty", "-keyout", tmp_path / "key.pem", "-out", file),
        ],
        check=True,
        capture_output=True,
    )
    said = subprocess.run(
        ["openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha256"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    own = said.strip().split("=")[1]
    assert own == fingerprint_of(file)
    file.write_text(f"Die Praxis, 診療所\n{file.read_text()}{file.read_text()}", "utf-8")
    assert own == fingerprint_of(file), "of the first, whatever is above and below it"
