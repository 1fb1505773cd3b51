"""What the query of a search says (PS3.18 Sections 8.3.4 and 10.6.1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.archive.files import is_uid
from appliance.archive.index import KEYS, Level
from appliance.panel.dicomweb.attributes import ATTRIBUTES, KEYWORDS, WITHOUT_VALUE

MOST: Final = 1000
"""Results of one answer."""
FURTHEST: Final = 1 << 40
MANY: Final = 1000
"""Values of one key."""

_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_LISTS: Final = (*_UIDS, "Modality", "ModalitiesInStudy")
_UNIVERSAL: Final = ("", "*")


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
    nothing_matches: bool
    """It asks for values that nothing here has."""
    warnings: tuple[str, ...]
    """What the asker should know."""


def asked(level: Level, pairs: Iterable[tuple[str, str]], path: dict[str, str]) -> Asked:
    """What `pairs` of a query, and the UIDs in the path, ask for. Raises BadRequest."""
    keys: dict[str, tuple[str, ...]] = {name: (checked(uid),) for name, uid in path.items()}
    numbers = {"limit": MOST, "offset": 0}
    warnings: list[str] = []
    absent: list[str] = []
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
            if value in _UNIVERSAL:
                continue
            if keyword in WITHOUT_VALUE:
                absent.append(keyword)
            else:
                keys[keyword] = _values(keyword, value)
    if absent:
        warnings.append(f"{', '.join(absent)}: no value is held, so that nothing matches")
    return Asked(
        keys, min(numbers["limit"], MOST), numbers["offset"], bool(absent), tuple(warnings)
    )


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
    if keyword not in KEYS[level] and keyword not in WITHOUT_VALUE:
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
    if keyword == "InstanceNumber" and not all(one.isascii() and one.isdigit() for one in values):
        raise BadRequest("InstanceNumber is a whole number")
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
