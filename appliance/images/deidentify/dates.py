"""Dates moved by a number of days that is the patient's own (PS3.15 Section E.3.6).

The number is made with the box's key: the same for all studies of a patient, today and after a
restart, so that the days between them stay what they were. Times of day stay, and with them all
that is computed from them; what is moved is moved by whole days.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from hashlib import blake2b
from typing import Final

_NEAREST: Final = 366
_FARTHEST: Final = 3653
_DATE: Final = re.compile(rb"(\d{4})(\.?)(\d\d)\2(\d\d)")
_LONGEST_DATETIME: Final = re.compile(rb"(\d{8})(\d*(?:\.\d{1,6})?(?:[+-]\d{4})?)")


class DateShift:
    """Moves dates into the past, by 1 to 10 years."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def days(self, whose: str) -> int:
        """By how many days the dates of a patient ID, or of a study UID if it has none, go back."""
        text = whose.encode("utf-8", "surrogatepass")
        digest = blake2b(text, digest_size=8, key=self._key, person=b"dates").digest()
        return _NEAREST + int.from_bytes(digest, "big") % (_FARTHEST - _NEAREST + 1)

    def shifted(self, value: bytes, vr: bytes, whose: str) -> bytes | None:
        """The values of an element of VR DA or DT; None if one cannot be moved by whole days.

        A date-time that is known to the month or year only is such a one.
        """
        shift = timedelta(days=self.days(whose))
        moved: list[bytes] = []
        for single in value.split(b"\\"):
            stripped = single.strip(b" \0")
            if not stripped:
                moved.append(b"")
                continue
            rest = b""
            if vr == b"DT":
                match = _LONGEST_DATETIME.fullmatch(stripped)
                if match is None:
                    return None
                stripped, rest = match[1], match[2]
            earlier = _moved(stripped, shift)
            if earlier is None:
                return None
            moved.append(earlier + rest)
        return b"\\".join(moved)


def _moved(value: bytes, shift: timedelta) -> bytes | None:
    match = _DATE.fullmatch(value)
    if match is None:
        return None
    try:
        earlier = date(int(match[1]), int(match[3]), int(match[4])) - shift
    except (ValueError, OverflowError):
        return None
    return f"{earlier.year:04}{earlier.month:02}{earlier.day:02}".encode("ascii")
