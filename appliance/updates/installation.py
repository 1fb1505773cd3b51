"""An installation: RAUC writes the free slot, and health is told what is going on."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from appliance.health.reports import (
    UPDATE,
    Unreadable,
    UpdateReport,
    read_report,
    write_report,
)
from appliance.settings.shown import without_query

LOGGER = logging.getLogger(__name__)

TOLD: Final = "netty-update/told"
"""There while somebody said that arriving images do not matter, below /run."""
REFUSAL: Final = "netty-update/refusal.json"
"""Why `admit` did not take a bundle, below /run."""
RESULT: Final = "netty-update/result.json"
"""What became of the last installation, below /run."""

_WITHIN: Final = 3 * 3600.0
"""Seconds: over a slow line or from a slow stick a bundle takes long."""

_REASONS: Final = (
    # What RAUC says, and a sentence with what to do.
    ("certificate has expired", "The certificate of who signed the update has expired.",
     "Get the update anew from its maker; if the box's clock is wrong, set its time server."),
    ("certificate is not yet valid", "The box's clock is behind: the update is of its future.",
     "Set a time server (ntp) in the settings."),
    ("signature verification failed", "The update is not signed by the maker of this box.",
     "Get it from its maker; do not use this one."),
    ("Compatible mismatch", "The update is for another kind of box.",
     "Get the one for this box."),
    ("bundle size", "The update is cut short.", "Copy it to the stick again."),
    ("failed to read", "The update cannot be read.", "Copy it to the stick again."),
    ("Invalid bundle", "The update is damaged, or none.", "Copy it to the stick again."),
    ("not a RAUC bundle", "The update is damaged, or none.", "Copy it to the stick again."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a bundle is not taken."""

    sentence: str
    remedy: str
    already: bool = False
    """It is what runs here."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an installation."""

    outcome: Literal["installed", "already installed", "reset", "rejected"]
    sentence: str
    remedy: str = ""


Command = Callable[[Sequence[str]], tuple[int, str]]


def run_rauc(words: Sequence[str]) -> tuple[int, str]:
    """Run a program; return its exit status and what it said."""
    try:
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_WITHIN,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, f"{words[0]}: {error}"
    return done.returncode, done.stdout


@dataclass(frozen=True, slots=True)
class Installation:
    """Installs bundles on this box. `run` stands in place of /run."""

    run: Path = Path("/run")
    rauc: Command = run_rauc

    def of(self, source: str, *, told: bool = False) -> Result:
        """Install the bundle at a path or an address. Raises OSError where /run fails.

        Afterwards the box is to be restarted, if that is the outcome.
        """
        (self.run / UPDATE).parent.mkdir(parents=True, exist_ok=True)
        (self.run / REFUSAL).unlink(missing_ok=True)
        with self._told(told), self._reported():
            status, said = self.rauc(("rauc", "install", source))
        LOGGER.info("rauc install: %s", said.strip().replace(source, without_query(source)))
        result = Result("installed", _TAKEN) if status == 0 else self._rejected(said)
        write_report(self.run / RESULT, result)
        return result

    def ask(self, client: Sequence[str], *, told: bool = False) -> None:
        """Have a server's client install what it is told to, if anything. Raises OSError."""
        (self.run / UPDATE).parent.mkdir(parents=True, exist_ok=True)
        with self._told(told), self._kept():
            status, said = self.rauc(client)
        LOGGER.log(logging.INFO if status == 0 else logging.WARNING, "%s", said.strip())

    @contextmanager
    def _told(self, told: bool) -> Iterator[None]:
        flag = self.run / TOLD
        if told:
            flag.touch()
        try:
            yield
        finally:
            flag.unlink(missing_ok=True)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Tell health that something is written, while it is."""
        with self._kept():
            write_report(self.run / UPDATE, UpdateReport("writing"))
            yield

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Give health back what it was told before."""
        before = UpdateReport()
        with suppress(Unreadable):
            before = read_report(self.run / UPDATE, UpdateReport)
        try:
            yield
        finally:
            write_report(self.run / UPDATE, before)

    def _rejected(self, said: str) -> Result:
        with suppress(Unreadable):
            refusal = read_report(self.run / REFUSAL, Refusal)
            outcome: Literal["already installed", "rejected"] = (
                "already installed" if refusal.already else "rejected"
            )
            return Result(outcome, refusal.sentence, refusal.remedy)
        for sign, sentence, remedy in _REASONS:
            if sign in said:
                return Result("rejected", sentence, remedy)
        last = said.strip().rpartition("\n")[2].removeprefix("LastError: ")
        return Result(
            "rejected",
            f"The update could not be installed: {last}",
            "The box works as before. Try again; if it stays so, call the technician.",
        )


_TAKEN: Final = "The update is written. The box restarts now and tries it."
