"""AE, LED and page as processes of their own on this machine: they tell the same state."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from appliance import cli
from appliance.settings.passwords import hash_token, new_token
from tests.notify import notify_socket
from tests.panel.houses import House
from tools.hospital.box import Box as OnPC
from tools.hospital.box import appliance
from tools.hospital.peers import free_port, listens

HERE = Path(cli.__file__).parents[2]
SETTINGS = """\
revision = 4
[box]
name = "第二診察室"
[ae]
port = {port}
address = "127.0.0.1"
profile = "strict"
[storage]
reserve = "1 MiB"
"""


@contextmanager
def running(*arguments: str | Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        appliance(*arguments),
        cwd=HERE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Box:
    """A box whose files are in a folder of a test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port, self.page, self.secure = free_port(), free_port(), free_port()
        self.settings = root / "run/netty/settings"
        (root / "run/netty-ae").mkdir(parents=True)
        board = root / "usr/lib/netty/board.toml"
        board.parent.mkdir(parents=True)
        board.write_text('[led]\ngreen = ["g"]\namber = ["a"]\nred = ["r"]\n')
        for name in "gar":
            led = root / "sys/class/leds" / name
            led.mkdir(parents=True)
            (led / "max_brightness").write_text("1")
            (led / "brightness").write_text("0")
            (led / "trigger").write_text("[none]")

    def panel(self) -> tuple[str, ...]:
        """The arguments that serve its page."""
        ports = ("--port", str(self.page), "--secure-port", str(self.secure))
        return ("panel", "--root", str(self.root), *ports)

    def provision(self) -> None:
        self.settings.mkdir(parents=True)
        (self.settings / "netty.toml").write_text(SETTINGS.format(port=self.port))

    @contextmanager
    def ae(self) -> Iterator[subprocess.Popen[bytes]]:
        with running(
            *("run", "--generation", self.settings, "--data", self.root / "data"),
            *("--state", self.root / "state/keys", "--report", self.root / "run/netty-ae"),
        ) as process:
            yield process

    def shining(self) -> set[str]:
        """The colours that shine, at any moment of two seconds when they blink."""
        seen = set()
        end = time.monotonic() + 2.2
        while time.monotonic() < end:
            for led in (self.root / "sys/class/leds").iterdir():
                if (led / "brightness").read_text().strip() == "1":
                    seen.add(led.name)
            time.sleep(0.05)
        return {{"g": "green", "a": "amber", "r": "red"}[name] for name in seen}

    def health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/health", timeout=5) as read:
                answer = read.read()
        except urllib.error.HTTPError as error:
            answer = error.read()
        said: dict[str, Any] = json.loads(answer)
        return said

    def words(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/?lang=en", timeout=5) as read:
            return str(read.read().decode())

    def told(self) -> dict[str, Any]:
        """What the command line says."""
        command = appliance("health", "--json", "--root", self.root)
        done = subprocess.run(command, cwd=HERE, capture_output=True, check=False)
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def await_(self, name: str, seconds: float = 60) -> dict[str, Any]:
        """Return when page, LED and command line all tell the state `name`."""
        soon(lambda: self.health()["name"] == name, seconds)
        soon(lambda: self.shining() == {self.health()["colour"]}, 20)
        assert self.told()["name"] == name
        return self.health()


def soon(look: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if look():
                return
        except (OSError, ValueError):
            pass
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.1)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    with (
        running("led", "--root", tmp_path),
        running(*box.panel()),
    ):
        yield box


def test_all_tell_the_same_from_first_settings_to_a_hung_ae(box: Box) -> None:
    box.await_("unprovisioned")
    assert "There are no settings yet" in box.words()
    box.provision()
    assert box.await_("fault")["problems"][0]["what"]["en"] == "Receiving images is stopped"
    with box.ae() as ae:
        said = box.await_("working")
        assert said["service"]["revision"] == 4
        assert "第二診察室" in box.words()
        command = appliance("suspend", "--data", box.root / "data")
        subprocess.run(command, cwd=HERE, check=True)
        assert "Suspended" in box.await_("degraded")["problems"][0]["what"]["en"]
        ae.send_signal(signal.SIGSTOP)
        box.await_("fault")
        assert "Receiving images does not run" in box.words()


def test_a_judge_that_died_is_not_believed(tmp_path: Path) -> None:
    box = Box(tmp_path)
    with (
        running(*box.panel()),
        running("led", "--root", tmp_path) as led,
    ):
        box.await_("unprovisioned")
        led.send_signal(signal.SIGSTOP)
        soon(lambda: box.health()["name"] == "unknown", 60)
        assert "State unknown" in box.words()


def test_led_and_page_tell_systemd_that_they_work(tmp_path: Path) -> None:
    for name in ("led", "panel"):
        port = Box(tmp_path / name).panel()[3:] if name == "panel" else ()
        with (
            notify_socket(tmp_path) as systemd,
            running(name, "--root", tmp_path, *port, NOTIFY_SOCKET=str(systemd.path)) as process,
        ):
            systemd.await_(lambda said: any("READY" in message for message in said), 60)
            systemd.await_(
                lambda said: sum("WATCHDOG" in message for message in said) >= 2,
                60,
            )
            process.terminate()
            # To end of the SIGTERM that one was sent is a clean end for systemd, too.
            assert process.wait(30) in (0, -signal.SIGTERM), name


def test_headers_are_read_without_a_decoder(tmp_path: Path) -> None:
    """The page has a small share of the box's memory, also for programs that ask for attributes."""
    house, token = House(tmp_path), new_token()
    house.fill(3, 1)
    served, secure = OnPC(tmp_path / "netty.toml", house.folders.data), free_port()
    served.settings.write_text(f'revision = 1\n[panel]\ntoken = "{hash_token(token)}"\n')
    with served.page(free_port(), secure) as page:
        soon(lambda: listens(secure), 60)
        answer = httpx2.get(
            f"https://127.0.0.1:{secure}/dicomweb/studies/2.25.1/metadata",
            headers={"Authorization": f"Bearer {token}"},
            verify=False,
            timeout=30,
        )
        (attributes,) = answer.raise_for_status().json()
        mapped = Path(f"/proc/{page.process.pid}/maps").read_text()
    assert attributes["00080018"]["Value"] == ["2.25.1.1.1"]
    assert "numpy" in mapped, "pydicom was loaded"
    assert "gdcm" not in mapped


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    box = Box(tmp_path)
    arguments = box.panel()
    with running(*arguments):
        soon(lambda: bool(box.health()), 60)
        second = subprocess.run(
            appliance(*arguments), cwd=HERE, capture_output=True, text=True, check=False
        )
    assert second.returncode == 1
    assert second.stderr.startswith("appliance: ")
    assert "Traceback" not in second.stderr
