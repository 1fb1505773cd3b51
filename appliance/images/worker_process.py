"""A render worker as its supervisor sees it: a process that hears batches and says how it fares."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from appliance.images.child import command, environment
from appliance.images.orders import Orders

POLL: Final = 0.5
"""Seconds after which a waiting supervisor shows that it is alive."""

_LEAVE: Final = 2.0
_REAP: Final = 5.0


class Hung(Exception):
    """The worker said nothing for too long."""


class Died(Exception):
    """The worker is gone; the text says how, to follow its name in a sentence.

    `killed`: from outside, which need not have to do with what it was on.
    """

    def __init__(self, how: str, *, killed: bool = False) -> None:
        super().__init__(how)
        self.killed = killed


class WorkerProcess:
    """One worker process. Not for several threads; `pid` may be read by any."""

    def __init__(self, orders: Orders) -> None:
        """Start the process; OSError if the machine has no room for it."""
        self._process = subprocess.Popen(
            command("appliance.images.worker", orders.line()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            # A signal to the AE's group is not for workers: the pool ends them.
            start_new_session=True,
        )
        self._said = bytearray()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, jobs: Sequence[Sequence[str]]) -> None:
        """Hand over a batch, which must fit into a pipe's buffer; raises Died."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(jobs).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None

    def hear(self, patience: float, waiting: Callable[[], None]) -> dict[str, Any]:
        """The next message, for which `patience` seconds are waited.

        `waiting` is called twice a second, and may raise what ends the wait. Raises Hung and Died;
        a worker that talks nonsense counts as dead.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + patience
        while b"\n" not in self._said:
            waiting()
            if time.monotonic() > deadline:
                raise Hung
            ready, _, _ = select.select([descriptor], [], [], POLL)
            if ready:
                said = os.read(descriptor, 1 << 16)
                if not said:
                    raise self._death()
                self._said += said
        line, _, rest = bytes(self._said).partition(b"\n")
        self._said[:] = rest
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError:
            raise Died("said what is not a message") from None
        return message

    def end(self) -> None:
        """Ask the worker to go by closing its input, and see it gone."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LEAVE)
        self.kill()

    def kill(self) -> None:
        """End the worker at once. One that the kernel cannot end now is left to it."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _death(self) -> Died:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(POLL)
        code = self._process.returncode
        if code is None:
            return Died("closed its output")
        if code >= 0:
            return Died(f"ended with status {code}")
        if code == -signal.SIGKILL:
            how = "was ended by SIGKILL, as the kernel does when memory is short"
            return Died(how, killed=True)
        return Died(f"crashed ({signal.Signals(-code).name})")
