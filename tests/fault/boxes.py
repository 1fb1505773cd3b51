"""Boxes for tests that kill, starve or cheat them: their settings, their start, their end."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.notify import NotifySocket
from tools.hospital.box import appliance
from tools.hospital.peers import free_port

HERE = Path(__file__).parents[2]
SETTINGS = """\
revision = 1

[ae]
port = {port}
address = "127.0.0.1"
profile = "{profile}"
unsolicited = "{unsolicited}"
{ae}

[[remote]]
name = "main"
title = "PACS"
host = "127.0.0.1"
query = false
{remote}

[images]
workers = 1

[storage]
reserve = "{reserve}"

{more}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a box keeps its things, and the port that it listens on."""

    folder: Path
    port: int

    @classmethod
    def prepare(
        cls,
        folder: Path,
        profile: str = "strict",
        unsolicited: str = "store",
        reserve: str = "1 MiB",
        ae: str = "",
        remote: str = "",
        more: str = "",
    ) -> "Site":
        """Write the settings of a box that takes what the remote PACS on loopback sends."""
        site = cls(folder, free_port())
        site.data.mkdir(parents=True)
        text = SETTINGS.format(
            port=site.port,
            profile=profile,
            unsolicited=unsolicited,
            reserve=reserve,
            ae=ae,
            remote=remote,
            more=more,
        )
        site.settings.write_text(text)
        return site

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.folder / "netty.toml"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the box says."""
        return self.folder / "log.txt"

    @property
    def arguments(self) -> list[str]:
        """Of `appliance`, to run the box."""
        return ["run", "--settings", str(self.settings), "--data", str(self.data)]

    def query(self, statement: str, *values: object) -> list[Any]:
        """Read the catalogue."""
        with closing(sqlite3.connect(f"file:{self.data}/catalogue.sqlite?mode=ro", uri=True)) as db:
            return db.execute(statement, values).fetchall()

    def status(self) -> dict[str, Any]:
        """What `appliance status --json` says."""
        command = appliance("status", "--json", "--data", self.data)
        answer = subprocess.run(command, check=True, capture_output=True, cwd=HERE)
        status: dict[str, Any] = json.loads(answer.stdout)
        return status


class Nursery:
    """Starts boxes in a hurry; see `nursery`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fault.nursery"],
            cwd=HERE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, site: Site, environment: dict[str, str]) -> "Running":
        """Start a box."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {
            "arguments": site.arguments,
            "environment": environment,
            "log": str(site.log),
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Running(int(self._process.stdout.readline()))

    def close(self) -> None:
        """Start no more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A nursery that is closed with the block."""
    opened = Nursery()
    try:
        yield opened
    finally:
        opened.close()


@dataclass(frozen=True, slots=True)
class Running:
    """A box that was born in the nursery."""

    pid: int

    @property
    def alive(self) -> bool:
        """Whether its process is still there."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, 0)
            return True
        return False

    def kill(self) -> None:
        """Kill it as a power cut does, and see it gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.await_end()

    def await_end(self, seconds: float = 30) -> None:
        """Return when it has ended."""
        end = time.monotonic() + seconds
        while self.alive:
            assert time.monotonic() < end, f"process {self.pid} does not end"
            time.sleep(0.002)


class Process:
    """A box that was started as `appliance run`, as systemd does; `systemd` hears what it says."""

    def __init__(
        self, site: Site, systemd: NotifySocket, verbose: bool = False, **environment: str
    ) -> None:
        with site.log.open("ab") as log:
            self.process = subprocess.Popen(
                appliance(*(["--verbose"] if verbose else []), *site.arguments),
                cwd=HERE,
                env={**os.environ, "NOTIFY_SOCKET": str(systemd.path), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.systemd = systemd

    def await_ready(self, times: int = 1) -> None:
        """Return when systemd was told READY so many times in all."""
        self.systemd.await_(lambda said: sum("READY" in message for message in said) >= times, 60)

    def stop(self, seconds: float = 60) -> int:
        """Send SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        self.process.wait()

    close = kill


@contextmanager
def running(site: Site, systemd: NotifySocket, **environment: str) -> Iterator[Process]:
    """A box that is ready, and is killed with the block if it was not stopped."""
    process = Process(site, systemd, **environment)
    try:
        process.await_ready()
        yield process
    except BaseException as error:
        error.add_note(f"the box said: {site.log.read_text(errors='replace')[-3000:]}")
        raise
    finally:
        process.kill()
