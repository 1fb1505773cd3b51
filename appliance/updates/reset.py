"""The factory state: asked for by a file on a stick, and restored however often that takes.

The file says for which box it is, and carries a number that no other has; where the box trusts
keys, one of them must have signed it, as they sign settings (`netty-reset.txt.sig`)::

    netty factory reset 1
    serial NB-0001
    number 7f3a…

What was asked for is written down first and struck out last. Between the two everything that this
box was told or has received is removed; each step may be done again, so an interruption at any
moment is followed by the whole of it. What software it has, and may have, stays.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.health.reports import Unreadable, read_report, write_report
from appliance.provisioning.disk import Disk
from appliance.provisioning.signature import signers
from appliance.provisioning.stick import Contents, Unusable

TOKEN: Final = "netty-reset.txt"
SIGNATURE: Final = f"{TOKEN}.sig"

_HEADING = "netty factory reset 1"
_AGAIN = "Make it anew: tools/stick reset."

_ERASED = ("settings", "keys", "budget", "health", "panel", "machine-id", "systemd", "journal")
"""What is removed of `state`; its folder `update` stays."""


@dataclass(frozen=True, slots=True)
class Order:
    """A reset that was asked for."""

    number: str


@dataclass(frozen=True, slots=True)
class Done:
    """The resets that were carried out, the first one first."""

    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reset:
    """Resets a box whose partitions are mounted at `state` and `data`."""

    state: Path = Path("/state")
    data: Path = Path("/data")
    disk: Disk = field(default_factory=Disk)

    @property
    def order(self) -> Path:
        """There from when it is asked for until it is done."""
        return self.state / "update/reset.json"

    @property
    def _record(self) -> Path:
        return self.state / "update/last-reset.json"

    def _done(self) -> Done:
        with suppress(Unreadable):
            return read_report(self._record, Done)
        with suppress(Unreadable):  # As the first versions wrote it: the last one alone.
            return Done((read_report(self._record, Order).number,))
        return Done(())

    def ask(self, token: bytes, signature: bytes | None, serial: str, trusted: frozenset[bytes]
            ) -> bool:  # fmt: skip
        """Write down that the box is to be reset; False if it was, by the same file.

        Raises Unusable where the file does not say so, for this box, by whom it trusts; or OSError.
        """
        number = _number(token, serial)
        signers(Contents(token, None, signature), trusted)
        if number in self._done().numbers:
            return False
        self.order.parent.mkdir(parents=True, exist_ok=True)
        write_report(self.order, Order(number), durable=True)
        return True

    def carry_out(self, done: Callable[[Path], None] = lambda path: None) -> None:
        """Do what was asked for; nothing if nothing was. Raises OSError.

        `done` is called with each thing that was removed. An order that nobody can read any more is
        struck out, and removes nothing: it may have been another one.
        """
        try:
            order = read_report(self.order, Order)
        except Unreadable:
            self._strike_out()
            return
        for path in self._doomed():
            self.disk.remove(path)
            done(path)
        for folder in (self.data, self.state):
            with suppress(FileNotFoundError):
                self.disk.sync_folder(folder)
        before = [number for number in self._done().numbers if number != order.number]
        write_report(self._record, Done((*before, order.number)), durable=True)
        self._strike_out()

    def _strike_out(self) -> None:
        if self.order.exists():
            self.disk.remove(self.order)
            self.disk.sync_folder(self.order.parent)

    def _doomed(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.data)):
                if name != "lost+found":
                    yield self.data / name
        for name in _ERASED:
            yield self.state / name


def make_token(serial: str) -> bytes:
    """The file that resets the box with this serial number, once."""
    return f"{_HEADING}\nserial {serial}\nnumber {secrets.token_hex(16)}\n".encode()


def _number(token: bytes, serial: str) -> str:
    text = token.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    found = re.fullmatch(rf"{_HEADING}\nserial ([^\n]{{1,64}})\nnumber ([0-9a-f]{{32}})\n?", text)
    if found is None:
        raise Unusable(f"{TOKEN} is damaged, or no order to reset a box.", _AGAIN)
    if found[1].casefold() != serial.casefold():
        raise Unusable(
            f"{TOKEN} is for another box: this one has the serial number {serial}.", _AGAIN
        )
    return found[2]
