"""Where every key and value of a TOML text stands: tomli tells places of syntax errors only.

The scanner reads the same grammar (TOML 1.1) as tomli, but for texts that tomli accepts, and
therefore need not judge them. In a text with a mistake it is right up to the statement that tomli
could not take.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import tomli

from appliance.settings.problems import Path

DEEPEST = 16
"""Longer paths than this have no place of their own: our settings need four steps."""

_BLANK = re.compile(r"[ \t]*")
_BETWEEN_STATEMENTS = re.compile(r"(?:[ \t\n]|#[^\n]*)*+")
_STATEMENT_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?>(?:[^"\\]|\\.|"(?!""))*)"{3,5}'
    r"|'''(?>(?:[^']|'(?!''))*)'{3,5}"
    r'|"(?:[^"\\\n]|\\[^\n])*+"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d \d\d:[0-9:.+Zz-]+|[A-Za-z0-9_:.+-]+")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a text: line and column, each from 1, the column in characters."""

    line: int
    column: int


class Lines:
    """The lines of a text, to turn offsets into places."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(self, offset: int) -> Place:
        """Return the place of a character."""
        line = bisect_right(self._starts, offset)
        return Place(line, offset - self._starts[line - 1] + 1)


class Places:
    """The places of all keys and values of a text."""

    def __init__(self, lines: Lines, keys: dict[Path, int], values: dict[Path, int]) -> None:
        self._lines = lines
        self._keys = keys
        self._values = values

    def __iter__(self) -> Iterator[Path]:
        """Every path that has a place."""
        return iter(self._keys)

    def key(self, path: Path) -> Place:
        """Return where the key is written; in a list, where its entry begins.

        For a path that the text does not have: the place of the nearest one around it.
        """
        return self._nearest(path, self._keys)

    def value(self, path: Path) -> Place:
        """Return where the value begins; for a table under a header, where the header begins."""
        return self._nearest(path, self._values)

    def _nearest(self, path: Path, offsets: dict[Path, int]) -> Place:
        while path and path not in offsets:
            path = path[:-1]
        return self._lines.place(offsets[path]) if path else Place(1, 1)


@dataclass(frozen=True, slots=True)
class Statement:
    """What sets a key or opens a table, and the offset at which it begins.

    `value` is where its value begins; None in a header, or where there is none to be seen.
    `earlier` is where the same path was set before; None if this is the first time.
    """

    start: int
    path: Path
    value: int | None
    earlier: int | None


def locate(text: str) -> Places:
    """Return the places of a text that tomli accepts; lines end in LF."""
    scanner = _Scanner(text)
    for _ in scanner.statements():
        pass
    return Places(Lines(text), scanner.keys, scanner.values)


def statement_at(text: str, offset: int) -> Statement:
    """Return the statement in which tomli gave up, at `offset`.

    Between two statements, in a comment: one without a path, which is the line there.
    """
    scanner = _Scanner(text)
    start = 0
    try:
        for begin in scanner.statements():
            if begin > offset:
                break
            start = begin
        if scanner.end < offset:
            return Statement(text.rfind("\n", 0, offset) + 1, (), None, None)
    except _Lost:
        pass
    path = scanner.path
    named = path[:-1] if path and isinstance(path[-1], int) else path
    first = scanner.keys.get(named, start)
    return Statement(start, path, scanner.value, first if first < start else None)


class _Lost(Exception):
    """What stands here is no TOML."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.end = 0
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {}
        self.path: Path = ()
        self.value: int | None = None
        self._table: Path = ()
        self._last: dict[Path, int] = {}

    def statements(self) -> Iterator[int]:
        """Scan the text; yield where each statement begins, before it is scanned itself."""
        while True:
            self._take(_BETWEEN_STATEMENTS)
            if self.at >= len(self.text):
                return
            yield self.at
            self.path, self.value = (), None
            if self._next("["):
                self._header()
            else:
                self._pair(self._table)
            self._take(_STATEMENT_END)
            self.end = self.at

    def _next(self, token: str) -> bool:
        return self.text.startswith(token, self.at)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _Lost
        self.at = match.end()
        return match[0]

    def _skip(self, token: str) -> None:
        if not self._next(token):
            raise _Lost
        self.at += len(token)

    def _header(self) -> None:
        start = self.at
        brackets = "[[" if self._next("[[") else "["
        self._skip(brackets)
        self._take(_BLANK)
        parts = self._parts()
        path = self._descend((), parts[:-1])
        name, offset = parts[-1]
        path = (*path, name)
        self.path = path
        self._record(path, offset, start)
        if brackets == "[[":
            self._last[path] = self._last.get(path, -1) + 1
            path = (*path, self._last[path])
            self._record(path, start, start)
        self.path = self._table = path
        self._skip("]" * len(brackets))

    def _parts(self) -> list[tuple[str, int]]:
        parts = [self._part()]
        while self._next("."):
            self._skip(".")
            self._take(_BLANK)
            parts.append(self._part())
        return parts

    def _part(self) -> tuple[str, int]:
        start = self.at
        if self._next('"') or self._next("'"):
            name = _key(self._take(_STRING))
        else:
            name = self._take(_BARE)
        self._take(_BLANK)
        return name, start

    def _descend(self, path: Path, parts: list[tuple[str, int]]) -> Path:
        """Follow all but the last part of a dotted key, into the last table of each list."""
        for name, offset in parts:
            path = (*path, name)
            self._record(path, offset, offset)
            if path in self._last:
                path = (*path, self._last[path])
        return path

    def _pair(self, table: Path) -> None:
        parts = self._parts()
        name, offset = parts[-1]
        path = (*self._descend(table, parts[:-1]), name)
        self.path = path
        self._skip("=")
        self._take(_BLANK)
        if self.value is None:
            self.value = self.at
        self._record(path, offset, self.at)
        self._value(path)

    def _record(self, path: Path, key: int, value: int) -> None:
        if len(path) <= DEEPEST:
            self.keys.setdefault(path, key)
            self.values.setdefault(path, value)

    def _value(self, path: Path) -> None:
        if self._next("["):
            self._list(path)
        elif self._next("{"):
            self._inline_table(path)
        elif self._next('"') or self._next("'"):
            self._take(_STRING)
        else:
            self._take(_SCALAR)

    def _list(self, path: Path) -> None:
        index = 0
        self._skip("[")
        self._take(_BETWEEN_STATEMENTS)
        while not self._next("]"):
            self._record((*path, index), self.at, self.at)
            self._value((*path, index))
            self._separator("]")
            index += 1
        self._skip("]")

    def _inline_table(self, path: Path) -> None:
        self._skip("{")
        self._take(_BETWEEN_STATEMENTS)
        while not self._next("}"):
            self._pair(path)
            self._separator("}")
        self._skip("}")

    def _separator(self, end: str) -> None:
        self._take(_BETWEEN_STATEMENTS)
        if not self._next(end):
            self._skip(",")
            self._take(_BETWEEN_STATEMENTS)


def _key(token: str) -> str:
    """Return the key that a quoted key names."""
    try:
        (name,) = tomli.loads(f"{token} = 0")
    except tomli.TOMLDecodeError:
        raise _Lost from None
    return name
