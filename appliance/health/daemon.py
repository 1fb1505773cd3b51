"""The one place that judges how the box is: told to others, shown by LED and console."""

import logging
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import sdnotify

from appliance.health.banner import addresses, banner, fingerprint_of, show
from appliance.health.board import Board, BoardProblem, read_board
from appliance.health.clock import LastSeen
from appliance.health.facts import Look, Watch
from appliance.health.led import STEP, Lamps
from appliance.health.places import Places
from appliance.health.reports import HEALTH, write_report
from appliance.health.state import LIGHTS, Facts, Light, state
from appliance.health.verdict import Verdict

LOGGER = logging.getLogger(__name__)

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the box."""
BANNER_EVERY: Final = 300.0
"""Seconds after which the console is written anew, whatever has been printed over it."""


def board_of(places: Places) -> Board:
    """The board; one without LEDs, and a line in the log, if its file cannot be read."""
    try:
        return read_board(places.board)
    except BoardProblem as problem:
        LOGGER.error("no LED and no console: %s", problem)
        return Board()


def judge(look: Look, places: Places, version: str, now: float, before: Verdict | None) -> Verdict:
    """The verdict on what `look` found, at `now` (CLOCK_MONOTONIC), with the one `before` it."""
    judged = state(look.facts)
    return Verdict(
        written=now,
        since=before.since if before and before.name == judged.name else now,
        name=judged.name,
        colour=judged.light.colour,
        rhythm=judged.light.rhythm,
        problems=judged.problems,
        provisioned=look.facts.provisioned,
        clock_trusted=look.clock_trusted,
        version=version,
        addresses=addresses(),
        fingerprint=fingerprint_of(places.certificate),
        service=look.service,
    )


@dataclass(slots=True)
class Daemon:
    """Looks, judges, shows and tells."""

    places: Places
    version: str
    watch: Watch
    lamps: Lamps
    seen: LastSeen
    consoles: tuple[str, ...] = ()
    monotonic: Callable[[], float] = time.monotonic
    notifier: sdnotify.SystemdNotifier = field(default_factory=sdnotify.SystemdNotifier)
    _verdict: Verdict | None = None
    _shown: str = ""
    _shown_at: float = 0.0
    _complaint: str = ""

    @classmethod
    def of(cls, places: Places, version: str) -> "Daemon":
        """The daemon of a box whose files are at `places`."""
        board = board_of(places)
        return cls(
            places,
            version,
            Watch(places),
            Lamps(places.leds, board),
            LastSeen(places),
            board.consoles,
        )

    def run(self, stop: int) -> None:
        """Work until there is something to read from the descriptor `stop`."""
        (self.places.run / HEALTH).parent.mkdir(parents=True, exist_ok=True)
        while True:
            verdict = self.turn()
            self.notifier.notify(f"READY=1\nWATCHDOG=1\nSTATUS={verdict.name}")
            if self._is_stopped(stop):
                return

    def turn(self) -> Verdict:
        """Look once, show it everywhere, and return it. What cannot be shown stops nothing else."""
        verdict = judge(self._look(), self.places, self.version, self.monotonic(), self._verdict)
        light = Light(verdict.colour, verdict.rhythm)
        complaints = (
            self._try("LED", lambda: self.lamps.show(light)),
            self._try("report", lambda: write_report(self.places.run / HEALTH, verdict)),
            self._try("console", lambda: self._show(verdict)),
            self._try("last time seen", self.seen.note),
        )
        self._complain("; ".join(filter(None, complaints)))
        self._verdict = verdict
        return verdict

    def _look(self) -> Look:
        try:
            return self.watch.look()
        except Exception as error:  # A fault of ours must not leave an old light on.
            LOGGER.exception("it cannot be known how the box is")
            return Look(Facts(unknown=repr(error)), None, False)

    def _show(self, verdict: Verdict) -> None:
        text, now = banner(verdict), self.monotonic()
        if text != self._shown or now - self._shown_at > BANNER_EVERY:
            show(text, self.consoles)
            self._shown, self._shown_at = text, now

    def _try(self, what: str, do: Callable[[], object]) -> str:
        try:
            do()
        except OSError as error:
            return f"{what}: {error.strerror or error}"
        return ""

    def _complain(self, complaint: str) -> None:
        """Log what goes wrong once for as long as it does."""
        if complaint and complaint != self._complaint:
            LOGGER.warning("%s", complaint)
        self._complaint = complaint

    def _is_stopped(self, stop: int) -> bool:
        """Wait for the next look, and meanwhile blink what the kernel cannot; or for the end."""
        end = self.monotonic() + LOOK_EVERY
        while (left := end - self.monotonic()) > 0:
            self.lamps.step(self.monotonic())
            pause = min(STEP, left) if self.lamps.needs_steps else left
            if select.select([stop], [], [], pause)[0]:
                return True
        return False


def show_lost(places: Places) -> None:
    """Show a fault: for when the daemon has died, and its last light would go on shining."""
    Lamps(places.leds, board_of(places)).show(LIGHTS["fault"])
