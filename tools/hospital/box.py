"""The appliance as a process of its own: `appliance run`, and what `appliance status` says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.hospital.peers import Peer, PeerFailed, running
from tools.hospital.sender import Node

TITLE = "HAPPY_netty"
"""The box's default AE title."""

STOP_WITHIN = 30.0
"""Seconds that the box gets to end its running stores and pictures."""


def appliance(*arguments: str | Path) -> list[str]:
    """The command line of one `appliance` command, run with this Python."""
    return [sys.executable, "-m", "appliance", *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Box:
    """A box that runs, or did: where its settings and its archive are."""

    settings: Path
    data: Path

    def status(self) -> dict[str, Any]:
        """What `appliance status --json` says. Raises CalledProcessError while there is nothing."""
        command = appliance("status", "--json", "--data", self.data)
        answer = subprocess.run(command, check=True, capture_output=True)
        status: dict[str, Any] = json.loads(answer.stdout)
        return status

    def check(self) -> None:
        """Raise PeerFailed with what `appliance check` says against the settings."""
        verdict = subprocess.run(
            appliance("check", self.settings), capture_output=True, text=True, check=False
        )
        if verdict.returncode:
            raise PeerFailed(verdict.stderr or verdict.stdout)

    @contextmanager
    def run(self, port: int) -> Iterator[Peer]:
        """Run it until the block ends. `port` is the one that its settings name."""
        folder = self.data.parent
        self.data.mkdir(parents=True, exist_ok=True)
        command = appliance("run", "--settings", self.settings, "--data", self.data)
        with running(command, Node(TITLE, port), folder, stop_within=STOP_WITHIN) as peer:
            yield peer

    @contextmanager
    def page(self, port: int, secure_port: int) -> Iterator[Peer]:
        """Serve its page until the block ends, by HTTP and by HTTPS."""
        folder = self.data.parent / "page"
        folder.mkdir(parents=True, exist_ok=True)
        command = appliance(
            *("panel", "--settings", self.settings, "--data", self.data),
            *("--port", str(port), "--secure-port", str(secure_port)),
        )
        with running(command, Node("the page", port), folder) as peer:
            yield peer
