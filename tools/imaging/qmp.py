"""QEMU's machine protocol (QMP): commands, and events with the time they came."""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class MachineTimeout(Exception):
    """What a machine was to do within some time did not happen; the text says what."""


class MachineRefused(Exception):
    """QEMU does not do what it was told; the text is its reason."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the machine."""

    time: float
    """When it was heard of, on the clock `time.monotonic`."""
    name: str
    """QEMU's name of it, such as WATCHDOG, RESET, DEVICE_DELETED."""
    data: dict[str, Any]


def connect(path: Path, within: float) -> socket.socket:
    """Connect to a socket that QEMU is about to make. Raises MachineTimeout after `within` s."""
    deadline = time.monotonic() + within
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise MachineTimeout(f"QEMU did not make {path} within {within:.0f} s") from None
            time.sleep(0.02)
        else:
            return connection


class Monitor:
    """A connection to one QEMU. Commands are for one thread at a time."""

    def __init__(self, path: Path, within: float = 20) -> None:
        self._socket = connect(path, within)
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._answers: list[dict[str, Any]] = []
        self._closed = False
        threading.Thread(target=self._listen, name="qmp", daemon=True).start()
        self.command("qmp_capabilities")

    def command(self, name: str, within: float = 20, **arguments: object) -> Any:
        """Tell QEMU something and return its answer; `_` in an argument's name stands for `-`.

        Raises MachineRefused, and MachineTimeout if no answer comes within so many seconds.
        """
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        message = json.dumps({"execute": name, "arguments": named}).encode()
        with self._changed:
            self._answers.clear()
        self._socket.sendall(message + b"\n")
        self._wait(lambda: bool(self._answers), within, f"QEMU did not answer {name}")
        answer = self._answers.pop(0)
        if "error" in answer:
            raise MachineRefused(f"{name}: {answer['error']['desc']}")
        return answer["return"]

    def event(self, name: str, within: float, since: float = 0.0) -> Event:
        """The first event of that name after `since`, waited for if need be.

        Raises MachineTimeout if it does not come within so many seconds.
        """
        self._wait(lambda: bool(self._named(name, since)), within, f"no event {name}")
        return self._named(name, since)[0]

    def events(self, name: str, since: float = 0.0) -> list[Event]:
        """The events of that name up to now."""
        with self._changed:
            return self._named(name, since)

    def close(self) -> None:
        """End the connection; the machine goes on."""
        self._socket.close()

    def _named(self, name: str, since: float) -> list[Event]:
        return [event for event in self._events if event.name == name and event.time >= since]

    def _wait(self, come: Callable[[], bool], within: float, otherwise: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: come() or self._closed, within)
            if not come():
                why = "QEMU has ended" if self._closed else f"within {within:.0f} s"
                raise MachineTimeout(f"{otherwise}: {why}")

    def _listen(self) -> None:
        try:
            for line in self._socket.makefile("rb"):
                self._hear(json.loads(line))
        except (OSError, ValueError):
            pass
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _hear(self, message: dict[str, Any]) -> None:
        with self._changed:
            if "event" in message:
                event = Event(time.monotonic(), message["event"], message.get("data", {}))
                self._events.append(event)
            elif "QMP" not in message:  # the greeting
                self._answers.append(message)
            self._changed.notify_all()
