"""Keeps systemd's watchdog quiet only while the service really works.

`WATCHDOG=1` is sent when every loop has shown progress and the box has answered a C-ECHO to itself;
otherwise it stays away, and systemd restarts the service (sd_notify(3), systemd.service(5)).
"""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import sdnotify

from appliance.health.heartbeats import Heartbeats

LOGGER = logging.getLogger(__name__)

WITHOUT_WATCHDOG = 10.0
"""Seconds between two checks where systemd does not ask for any."""


@dataclass(slots=True, eq=False)
class Watchdog:
    """Checks the service and tells systemd.

    `checks` return a sentence when something is wrong, else an empty string.
    """

    heartbeats: Heartbeats
    checks: tuple[Callable[[], str], ...]
    status: Callable[[], str]
    notifier: sdnotify.SystemdNotifier = field(default_factory=sdnotify.SystemdNotifier)
    interval: float = field(default_factory=lambda: ping_interval(os.environ))
    _stopping: threading.Event = field(default_factory=threading.Event)

    def ready(self) -> None:
        """Say that the service has started."""
        self.notifier.notify(f"READY=1\nSTATUS={_answer(self.status)}")

    def stopping(self) -> None:
        """Say that the service stops, and end the loop."""
        self.notifier.notify("STOPPING=1")
        self._stopping.set()

    def run(self) -> None:
        """Check and ping until stopped."""
        while not self._stopping.wait(self.interval):
            self.check()

    def check(self) -> tuple[str, ...]:
        """Check once; ping and return nothing, or return what is wrong and send no ping.

        A check that fails itself is a problem, too.
        """
        problems = self._problems()
        for problem in problems:
            LOGGER.error("the watchdog is not pinged: %s", problem)
        if problems:
            self.notifier.notify(f"STATUS={problems[0]}")
        else:
            self.notifier.notify(f"WATCHDOG=1\nSTATUS={_answer(self.status)}")
        return problems

    def _problems(self) -> tuple[str, ...]:
        silent = tuple(f"{name} makes no progress" for name in self.heartbeats.silent())
        return silent + tuple(filter(None, map(_answer, self.checks)))


def _answer(question: Callable[[], str]) -> str:
    try:
        return question()
    except Exception as error:
        return f"it cannot be told how the box is: {error!r}"


def ping_interval(environment: "os._Environ[str] | dict[str, str]") -> float:
    """Return the seconds between two pings: a third of systemd's limit (WATCHDOG_USEC)."""
    limit = environment.get("WATCHDOG_USEC", "")
    if not limit.isdecimal() or int(limit) == 0:
        return WITHOUT_WATCHDOG
    return int(limit) / 1e6 / 3
