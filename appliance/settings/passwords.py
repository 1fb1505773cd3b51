"""Passwords and tokens as the settings hold them: not themselves, only what proves them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from appliance.settings.kinds import Kind, Mistake

SHORTEST: Final = 10
"""Characters of a password."""

_N, _R, _P = 2**14, 8, 5
"""Cost of scrypt (RFC 7914): 16 MiB for about a fifth of a second."""

_BYTES = 32
_PASSWORD = re.compile(
    r"scrypt\$(\d{4,7})\$(\d{1,2})\$(\d{1,2})\$([\w-]{22})\$([\w-]{43})", re.ASCII
)
_TOKEN = re.compile(r"sha256\$[\w-]{43}", re.ASCII)
_MOST_MEMORY = 64 * 2**20


def hash_password(password: str) -> str:
    """Return the text for `[panel] password`; another one at each call."""
    salt = secrets.token_bytes(16)
    proof = _scrypt(password, salt, _N, _R, _P)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(proof)}"


def is_password(password: str, hashed: str) -> bool:
    """Whether `password` is the one of which `hashed` was made. Takes time and 16 MiB."""
    parts = _PASSWORD.fullmatch(hashed)
    if parts is None:
        return False
    n, r, p = (int(parts[at]) for at in (1, 2, 3))
    return hmac.compare_digest(_scrypt(password, _raw(parts[4]), n, r, p), _raw(parts[5]))


def new_token() -> str:
    """Return a token for a program; nobody can guess it."""
    return secrets.token_urlsafe(_BYTES)


def hash_token(token: str) -> str:
    """Return the text for `[panel] token`. Of what nobody can guess, one round is enough."""
    return f"sha256${_text(hashlib.sha256(token.encode()).digest())}"


def is_token(token: str, hashed: str) -> bool:
    """Whether `token` is the one of which `hashed` was made."""
    return hmac.compare_digest(hash_token(token).encode(), hashed.encode())


@dataclass(frozen=True, slots=True)
class PasswordHash(Kind[str]):
    """What `appliance password` prints. Its text never stands in a Mistake."""

    @property
    def expected(self) -> str:
        """What may be written."""
        return "the line that appliance password prints"

    def read(self, written: object) -> str:
        """Return the text as written."""
        parts = _PASSWORD.fullmatch(written) if isinstance(written, str) else None
        if parts is None or not _is_affordable(*(int(parts[at]) for at in (1, 2, 3))):
            remedy = "run appliance password, and paste what it prints; never the password itself"
            raise Mistake(self.expected, "something else", remedy)
        return parts[0]


@dataclass(frozen=True, slots=True)
class TokenHash(Kind[str]):
    """What `appliance token` prints. Its text never stands in a Mistake."""

    @property
    def expected(self) -> str:
        """What may be written."""
        return "the line that appliance token prints"

    def read(self, written: object) -> str:
        """Return the text as written."""
        if not isinstance(written, str) or not _TOKEN.fullmatch(written):
            remedy = "run appliance token, and paste what it prints; never the token itself"
            raise Mistake(self.expected, "something else", remedy)
        return written


def _is_affordable(n: int, r: int, p: int) -> bool:
    power_of_two = n & (n - 1) == 0
    return power_of_two and r > 0 and 0 < p <= 16 and 128 * n * r <= _MOST_MEMORY // 2


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=_BYTES
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
