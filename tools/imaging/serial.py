"""A machine's serial port: every line with its time, to wait for and to keep."""

import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tools.imaging.qmp import MachineTimeout, connect

_TERMINAL_CODES = re.compile(rb"\x1b(?:[\[=(][0-9;:?]*[A-Za-z]?|[^\[=(])|\x00")


@dataclass(frozen=True, slots=True)
class Line:
    """One line that the machine wrote."""

    number: int
    """Its place among all lines since the start, from 0."""
    time: float
    """When its end came, on the clock `time.monotonic`."""
    text: str


class SerialPort:
    """One serial port of a running machine. Its lines also go to a log file, with their times."""

    def __init__(self, path: Path, log: Path, within: float = 20) -> None:
        self._socket = connect(path, within)
        self._changed = threading.Condition()
        self._lines: list[Line] = []
        self._closed = False
        self._start = time.monotonic()
        self._log = log.open("ab", buffering=0)
        threading.Thread(target=self._listen, name=path.name, daemon=True).start()

    @property
    def count(self) -> int:
        """How many lines have come."""
        with self._changed:
            return len(self._lines)

    def lines(self, first: int = 0) -> list[Line]:
        """The lines that have come, from number `first`."""
        with self._changed:
            return self._lines[first:]

    def send(self, text: str) -> None:
        """Type `text` into the machine."""
        self._socket.sendall(text.encode())

    def wait(self, pattern: str, within: float, first: int = 0) -> tuple[Line, re.Match[str]]:
        """The first line from number `first` that `pattern` is found in, waited for if need be.

        Raises MachineTimeout, with the last lines, if it does not come within so many seconds.
        """
        deadline = time.monotonic() + within
        expression = re.compile(pattern)
        seen = first
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if found := expression.search(line.text):
                        return line, found
                seen = max(seen, len(self._lines))
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    raise MachineTimeout(self._report(pattern, within))
                self._changed.wait(left)

    def close(self) -> None:
        """End the connection and the log; the machine goes on."""
        self._socket.close()

    def _report(self, pattern: str, within: float) -> str:
        why = "QEMU has ended" if self._closed else f"within {within:.0f} s"
        last = "\n".join(line.text for line in self._lines[-12:])
        return f"the machine did not write {pattern!r}: {why}; its last lines:\n{last}"

    def _listen(self) -> None:
        rest = b""
        try:
            while received := self._socket.recv(65536):
                *whole, rest = (rest + received).split(b"\n")
                with self._changed:
                    for raw in whole:
                        self._add(raw)
                    self._changed.notify_all()
        except OSError:
            pass
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._log.close()

    def _add(self, raw: bytes) -> None:
        now = time.monotonic()
        text = _TERMINAL_CODES.sub(b"", raw).decode(errors="replace").strip("\r")
        self._lines.append(Line(len(self._lines), now, text))
        self._log.write(f"{now - self._start:9.3f} {text}\n".encode())
