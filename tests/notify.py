"""systemd's side of sd_notify(3): a socket that hears what a service says."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class NotifySocket:
    """What was said, in order: each message a mapping of variables."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._said: list[dict[str, str]] = []

    @property
    def said(self) -> list[dict[str, str]]:
        """All messages up to now."""
        while True:
            try:
                message = self._socket.recv(4096).decode()
            except BlockingIOError:
                return self._said
            self._said.append(dict(line.split("=", 1) for line in message.splitlines()))

    def count(self, variable: str) -> int:
        """How many messages set a variable."""
        return sum(variable in message for message in self.said)

    def await_(self, heard: Callable[[list[dict[str, str]]], bool], seconds: float = 20) -> None:
        """Return as soon as `heard` is true of what was said; fail when it never is."""
        end = time.monotonic() + seconds
        while not heard(self.said):
            assert time.monotonic() < end, f"only this was said: {self.said}"
            time.sleep(0.02)

    def close(self) -> None:
        """Hear nothing more."""
        self._socket.close()
        self.path.unlink()


@contextmanager
def notify_socket(folder: Path) -> Iterator[NotifySocket]:
    """A socket in `folder`, whose path a service finds in NOTIFY_SOCKET."""
    listening = NotifySocket(folder / "notify")
    try:
        yield listening
    finally:
        listening.close()
