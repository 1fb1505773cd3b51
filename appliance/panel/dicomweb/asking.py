"""What the query of a search says (PS3.18 Sections 8.3.4 and 10.6.1)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.archive.files import is_uid
from appliance.archive.index import KEYS, RANGES, Level
from appliance.panel.dicomweb.attributes import ATTRIBUTES, KEYWORDS

MOST: Final = 1000
"""Results of one answer."""
FURTHEST: Final = 1 << 40
MANY: Final = 1000
"""Values of one key."""

_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_LISTS: Final = (*_UIDS, "Modality", "ModalitiesInStudy")
_UNIVERSAL: Final = ("", "*")

_WHOLE: Final = (re.compile("[0-9]{1,12}"), "a whole number")
_DATES: Final = (
    re.compile("[0-9]{8}(-([0-9]{8})?)?|-[0-9]{8}"),
    "a date (YYYYMMDD), or two with a hyphen between them, of which one may be left out",
)
_TIME: Final = r"[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?"
_TIMES: Final = (
    re.compile(f"{_TIME}(-({_TIME})?)?|-{_TIME}"),
    "a time (HHMMSS), or two with a hyphen between them, of which one may be left out",
)
_FORMS: Final = {
    "InstanceNumber": _WHOLE,
    "SeriesNumber": _WHOLE,
    "StudyTime": _TIMES,
    **dict.fromkeys(RANGES - {"StudyTime"}, _DATES),
}
"""How the values of some keys are written."""


class BadRequest(Exception):
    """It cannot be understood; the text says why."""


class NotHere(Exception):
    """There is no such thing; the text says so."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A search: its keys and which of the results are wanted."""

    keys: dict[str, tuple[str, ...]]
    limit: int
    offset: int
    warnings: tuple[str, ...]
    """What the asker should know."""


def asked(level: Level, pairs: Iterable[tuple[str, str]], path: dict[str, str]) -> Asked:
    """What `pairs` of a query, and the UIDs in the path, ask for. Raises BadRequest."""
    keys: dict[str, tuple[str, ...]] = {name: (checked(uid),) for name, uid in path.items()}
    numbers = {"limit": MOST, "offset": 0}
    warnings: list[str] = []
    for name, value in pairs:
        if name in numbers:
            numbers[name] = _number(name, value)
        elif name == "fuzzymatching":
            if _flag(name, value):
                warnings.append("fuzzymatching is not supported; only literal matching was done")
        elif name == "includefield":
            _check_fields(value)
        elif name != "accept":  # It is negotiated.
            keyword = _key(level, name, keys)
            if value not in _UNIVERSAL:
                keys[keyword] = _values(keyword, value)
    return Asked(keys, min(numbers["limit"], MOST), numbers["offset"], tuple(warnings))


def named(path: Mapping[str, str]) -> list[str]:
    """The UIDs in a path: of a study, perhaps a series and an instance. Raises BadRequest."""
    return [checked(path[name]) for name in ("study", "series", "instance") if name in path]


def checked(uid: str) -> str:
    """`uid`, if it is one. Raises BadRequest."""
    if not is_uid(uid):
        raise BadRequest(f"{uid[:70]!a} is no UID")
    return uid


def _key(level: Level, name: str, given: dict[str, tuple[str, ...]]) -> str:
    keyword = KEYWORDS.get(name.upper(), name)
    if keyword in given:
        raise BadRequest(f"{keyword} is given twice")
    if keyword not in KEYS[level]:
        able = ", ".join(sorted(KEYS[level]))
        raise BadRequest(f"{name[:70]!a} cannot be searched by at {level} level; {able} can")
    return keyword


def _values(keyword: str, value: str) -> tuple[str, ...]:
    text = value.replace(",", "\\") if keyword in _LISTS else value
    values = tuple(dict.fromkeys(filter(None, text.split("\\"))))
    if not 0 < len(values) <= MANY:
        raise BadRequest(f"{keyword} has no value, or more than {MANY}")
    if keyword in _UIDS:
        return tuple(map(checked, values))
    form, said = _FORMS.get(keyword, (None, ""))
    if form is not None and not all(form.fullmatch(one) for one in values):
        raise BadRequest(f"{keyword} is {said}")
    return values


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 13):
        raise BadRequest(f"{name} is a whole number, 0 or more")
    return min(int(value), FURTHEST)


def _flag(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise BadRequest(f"{name} is true or false")
    return value == "true"


def _check_fields(value: str) -> None:
    """All that is held is returned anyway; what is asked for beyond that may be left out."""
    for field in value.split(","):
        hexadecimal = len(field) == 8 and set(field.upper()) <= set("0123456789ABCDEF")
        if field != "all" and field not in ATTRIBUTES and not hexadecimal and not field.isalnum():
            raise BadRequest(f"includefield: {field[:70]!a} is neither a tag nor a keyword")
