"""A stick and a real AE: settings are tried by a process that serves DICOM, and hold or go back.

systemd and networkd are not here: what they would do is done by `Systemd`, and what they would tell
stands in files. The image's tests do the same with the real ones.
"""

import http.server
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.provisioning.activation import ACTIVE, AE, Activation, CommandFailed, settle
from appliance.provisioning.apply import Generations
from appliance.provisioning.gate import LINKS, BoxTrial, NetworkUp, PageAnswers
from appliance.provisioning.result import Report
from appliance.provisioning.visit import Visit
from appliance.settings.reader import read
from appliance.trial import ae_answers
from tools.hospital.box import appliance
from tools.hospital.peers import free_port

STARTS_WITHIN = 60.0
SETTINGS = """\
revision = {revision}
[ae]
port = {port}
address = "127.0.0.1"
profile = "strict"
[storage]
reserve = "1 MiB"
"""


@dataclass
class Systemd:
    """Does for the AE what systemd does on the box."""

    root: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    seen: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.root / "log.txt"

    def __call__(self, words: Sequence[str]) -> None:
        self.seen.append(" ".join(words))
        if tuple(words) == ("systemctl", "restart", AE):
            self.stop()
            if (self.root / "run" / ACTIVE / "netty.toml").exists():
                self.start()

    def start(self) -> None:
        report = self.root / "run/netty-ae"
        report.mkdir(exist_ok=True)
        command = appliance("run", "--generation", self.root / "run" / ACTIVE)
        command += ["--data", str(self.root / "data"), "--report", str(report)]
        (self.root / "data").mkdir(exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log)
        self.starts += 1
        deadline = time.monotonic() + STARTS_WITHIN
        while "listening on port" not in self.log.read_text():
            if self.process.poll() is not None:
                raise CommandFailed(f"{AE} failed")
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@dataclass
class Box:
    root: Path
    systemd: Systemd
    page: http.server.HTTPServer

    @property
    def generations(self) -> Generations:
        return Generations(self.root / "state")

    @property
    def activation(self) -> Activation:
        return Activation(self.root / "run", self.systemd)

    def plug(self, revision: int, port: int) -> Report:
        """Plug in a stick with these settings; return what the box reports."""
        stick = self.root / "stick"
        stick.mkdir(exist_ok=True)
        text = SETTINGS.format(revision=revision, port=port)
        (stick / "netty.toml").write_text(text)
        checks = (
            NetworkUp(self.root / "run"),
            ae_answers,
            PageAnswers(self.page.server_port),
        )
        trial = BoxTrial(self.activation, checks, patience=3.0)
        visit = Visit(self.generations, trial, "NB-1", "1", self.root / "run")
        report = visit.of(stick)
        assert report is not None
        return report

    @property
    def answer(self) -> str:
        return (self.root / "stick/netty-result-NB-1.txt").read_text("utf-8-sig")

    def answers(self, port: int) -> bool:
        return ae_answers(read(SETTINGS.format(revision=1, port=port))) is None


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    links = tmp_path / "run" / LINKS
    links.mkdir(parents=True)
    (links / "2").write_text(
        "ADMIN_STATE=configured\nOPER_STATE=routable\nCARRIER_STATE=carrier\n"
        "NETWORK_FILE=/run/systemd/network/10-netty.network\n"
    )
    page = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    systemd = Systemd(tmp_path)
    yield Box(tmp_path, systemd, page)
    systemd.stop()
    page.shutdown()
    page.server_close()


def test_from_the_first_stick_to_one_that_is_wrong_and_on(box: Box) -> None:
    first, third = free_port(), free_port()

    assert box.plug(1, first).outcome == "accepted"
    assert box.answers(first)
    assert f"  port: {first}" in box.answer

    assert box.plug(1, first).outcome == "already applied"
    assert box.systemd.starts == 1, "nobody was disturbed"

    with socket.create_server(("127.0.0.1", 0)) as taken:
        report = box.plug(2, taken.getsockname()[1])
    assert (report.outcome, report.revision) == ("rejected", 1)
    assert report.sentence.startswith("The DICOM service does not start with these settings: ")
    assert "in use" in report.sentence
    assert box.answers(first), "the earlier settings are back, and work"
    assert "  revision: 1" in box.answer

    assert box.plug(2, third).outcome == "accepted"
    assert box.answers(third)
    assert not box.answers(first)

    box.systemd.stop()
    assert settle(box.generations, box.activation)
    box.systemd.start()
    assert box.answers(third), "after a start, too"


def test_a_page_that_does_not_answer_and_a_cable_that_is_out(box: Box) -> None:
    port = free_port()
    box.page.shutdown()
    box.page.server_close()
    assert box.plug(1, port).sentence.startswith("The status page does not answer")
    assert not box.answers(port), "an unprovisioned box runs no AE"

    (box.root / "run" / LINKS / "2").write_text(
        "ADMIN_STATE=configuring\nOPER_STATE=no-carrier\nCARRIER_STATE=no-carrier\n"
        "NETWORK_FILE=/run/systemd/network/10-netty.network\n"
    )
    report = box.plug(1, port)
    assert (report.outcome, report.revision) == ("rejected", None)
    assert report.sentence.startswith("No network cable is plugged in")
    assert not (box.root / "run" / ACTIVE).is_symlink()

    (box.root / "run" / LINKS / "2").unlink()
    assert "no network interface with a cable" in box.plug(1, port).sentence
