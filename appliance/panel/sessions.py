"""Who is logged in: sessions, the tokens of their forms, and how often a password may be wrong."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from itsdangerous import BadSignature, Signer, TimestampSigner

from appliance.panel.visitors import machine_of

LONGEST: Final = 8 * 3600
"""Seconds from login after which one has to log in again."""
IDLE: Final = 1800.0
"""Seconds without a request of a person after which one has to, too."""
MOST: Final = 100
"""Sessions at the same time; a further one ends the one that was used the longest ago."""

WRONG: Final = 5
"""Wrong passwords from one address until it has to wait."""
WAIT: Final = 900.0
"""Seconds that it waits."""
REMEMBERED: Final = 4096
"""Addresses."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who knew the password."""

    id: str


class Sessions:
    """The sessions of one process: they end with it, and when `password` (hashed) is another."""

    def __init__(
        self,
        password: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._password = password
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._used: dict[str, float] = {}

    def begin(self) -> str:
        """A new session; the value of its cookie."""
        id = secrets.token_urlsafe(24)
        while len(self._used) >= MOST:
            self._used.pop(min(self._used, key=self._used.__getitem__))
        self._used[id] = self._clock()
        return self._cookies().sign(id).decode("ascii")

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie, which is used by that; None if there is none, or it is over."""
        session = self.look(cookie)
        if session is not None:
            self._used[session.id] = self._clock()
        return session

    def look(self, cookie: str) -> Session | None:
        """The session of a cookie, which stays as idle as it was; None as of `find`."""
        try:
            id = self._cookies().unsign(cookie.encode("ascii", "replace"), LONGEST).decode("ascii")
        except BadSignature:
            return None
        used = self._used.get(id)
        if used is None or self._clock() - used > IDLE:
            self._used.pop(id, None)
            return None
        return Session(id)

    def end(self, session: Session) -> None:
        """From now on its cookie is worth nothing."""
        self._used.pop(session.id, None)

    def form_token(self, session: Session) -> str:
        """What every form of a session must bring back."""
        return self._forms().get_signature(session.id.encode()).decode("ascii")

    def is_form_token(self, session: Session, token: str) -> bool:
        """Whether a form is one of ours, for this session."""
        return self._forms().verify_signature(session.id.encode(), token.encode("utf-8"))

    def _cookies(self) -> TimestampSigner:
        return TimestampSigner(self._key(), salt="session")

    def _forms(self) -> Signer:
        return Signer(self._key(), salt="form")

    def _key(self) -> bytes:
        return self._secret + self._password().encode()


class Attempts:
    """How often each address was wrong lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, list[float]] = {}

    def wait(self, address: str) -> float:
        """Seconds until `address` may try again; 0 if it may now."""
        times = self._recent(machine_of(address))
        return max(0.0, times[-WRONG] + WAIT - self._clock()) if len(times) >= WRONG else 0.0

    def wrong(self, address: str) -> None:
        """Note that `address` tried, before it is known whether it was right."""
        machine = machine_of(address)
        times = self._recent(machine)
        self._wrong.pop(machine, None)  # The dictionary keeps the order of the last attempts.
        self._wrong[machine] = [*times, self._clock()][-WRONG:]
        if len(self._wrong) > REMEMBERED:
            self._wrong.pop(next(iter(self._wrong)))

    def right(self, address: str) -> None:
        """Note that `address` knew the password."""
        self._wrong.pop(machine_of(address), None)

    def _recent(self, machine: str) -> list[float]:
        now = self._clock()
        return [at for at in self._wrong.get(machine, ()) if now - at < WAIT]
