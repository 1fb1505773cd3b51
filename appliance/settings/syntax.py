"""From text to TOML, and what is no TOML in plain words.

tomli stops at the first mistake. Here the statement with the mistake is blanked and the rest read
again, so that all mistakes of a file are known at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tomli

from appliance.settings.kinds import halfwidth
from appliance.settings.positions import Lines, Places, Statement, locate, statement_at
from appliance.settings.problems import Problem, dotted

MOST = 50
"""So many syntax errors are reported: a file with more is not meant to be TOML."""

_LIKE_A_STATEMENT = re.compile(
    r"""^[ \t]*(?:\[\[?[ \t]*[A-Za-z]|[A-Za-z0-9_."'-]+[ \t]*=[ \t]*[^=\s])""", re.MULTILINE
)
_LIKE_A_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_LONG_NUMBER = re.compile(r"[0-9][0-9_]{999,}")
_QUOTES = "“”„‟«»‘’‚‛′″＂＇「」"


@dataclass(frozen=True, slots=True)
class Document:
    """A text as tomli reads it, what it could not read, and where all that it could read stands."""

    tree: Mapping[str, Any]
    places: Places
    problems: tuple[Problem, ...]


def parse(text: str, several: frozenset[str]) -> Document:
    """Return the document of a text whose lines end in LF.

    `several` names the tables of which there may be several, for the remedies.
    """
    lines = Lines(text)
    problems: list[Problem] = []
    while len(problems) < MOST:
        try:
            return Document(tomli.loads(text), locate(text), tuple(problems))
        except tomli.TOMLDecodeError as error:
            statement = statement_at(text, error.pos)
            failure = _Failure(text, error.msg, error.pos, statement, several)
            problems.append(_problem(lines, failure))
            text = _blanked(text, statement.start, failure.resume())
        except (ValueError, RecursionError):
            # tomli gives no place for these two: a number of thousands of digits, and lists in
            # lists in lists.
            problems.append(_too_much(lines, text))
            break
    return Document({}, locate(""), tuple(problems))


def _too_much(lines: Lines, text: str) -> Problem:
    number = _LONG_NUMBER.search(text)
    place = lines.place(number.start() if number else 0)
    found = "a number of a thousand digits" if number else "lists or tables nested hundreds deep"
    return Problem(place.line, place.column, "", "settings", found, "remove it")


def _blanked(text: str, start: int, end: int) -> str:
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Where tomli gave up, with what message, and in which statement."""

    text: str
    message: str
    at: int
    statement: Statement
    several: frozenset[str]

    @property
    def character(self) -> str:
        """The character that tomli could not take; empty at the end of the text."""
        return self.text[self.at : self.at + 1]

    @property
    def rest(self) -> str:
        """The rest of the line."""
        return self.text[self.at :].partition("\n")[0]

    @property
    def value(self) -> str:
        """The value on its first line."""
        start = self.statement.value
        return "" if start is None else self.text[start:].partition("\n")[0]

    @property
    def is_header(self) -> bool:
        """Whether the statement is a [table] or a [[list of tables]]."""
        return self.text.startswith("[", self.statement.start)

    @property
    def header(self) -> str:
        """The name between the brackets."""
        return dotted(tuple(step for step in self.statement.path if isinstance(step, str)))

    def runs_on(self) -> bool:
        """Whether the next statement was taken for a part of a list or table without end."""
        next_one = self._next_statement()
        return next_one is not None and next_one <= self.at

    def resume(self) -> int:
        """Return where the next statement may begin."""
        if self.is_header:
            # The keys below belong to a table that is not known.
            header = _LIKE_A_HEADER.search(self.text, self._line_end(self.statement.start))
            return header.start() if header else len(self.text)
        next_one = self._next_statement()
        if next_one is not None and (self.at >= len(self.text) or next_one <= self.at):
            return next_one
        return self._line_end(self.at)

    def _next_statement(self) -> int | None:
        found = _LIKE_A_STATEMENT.search(self.text, self._line_end(self.statement.start))
        return found.start() if found else None

    def _line_end(self, offset: int) -> int:
        end = self.text.find("\n", offset)
        return len(self.text) if end < 0 else end + 1


@dataclass(frozen=True, slots=True)
class _Cause:
    expected: str
    found: str
    remedy: str
    at: int


def _problem(lines: Lines, failure: _Failure) -> Problem:
    cause = _cause(failure)
    place = lines.place(cause.at)
    key = dotted(failure.statement.path)
    return Problem(place.line, place.column, key, cause.expected, cause.found, cause.remedy)


def _cause(failure: _Failure) -> _Cause:
    explained = _odd_character(failure)
    if explained and not failure.message.startswith(_NOT_THE_CHARACTER):
        return explained
    for beginning, explain in EXPLANATIONS.items():
        if failure.message.startswith(beginning):
            return explain(failure)
    return _Cause("TOML", failure.message, "compare with the example", failure.at)


def _odd_character(failure: _Failure) -> _Cause | None:
    """Explain characters that look like others, or like nothing."""
    character = failure.character
    name = f"U+{ord(character):04X}" if character else ""
    if character in _QUOTES and character:
        return _Cause(
            "a straight quote",
            f"the typographic quote {character}",
            'write " on both sides: a word processor has replaced it',
            failure.at,
        )
    if character == "\r":
        return _Cause(
            "a line end",
            "the single character U+000D",
            "save the file with the line ends of Windows or Unix",
            failure.at,
        )
    if character not in ("", "\n") and not character.isprintable():
        return _Cause(
            "text that can be seen",
            f"the invisible character {name}",
            "remove it; between words type an ordinary space",
            failure.at,
        )
    plain = halfwidth(character)
    if plain != character and plain.isascii():
        return _Cause(
            "half-width letters, digits and signs",
            f"the full-width {character}",
            f"write {plain} in half width",
            failure.at,
        )
    return None


def _no_statement(failure: _Failure) -> _Cause:
    character = failure.character
    if character == "=":
        remedy = "write the key before the ="
    elif character in ";/":
        remedy = "begin comments with #"
    elif unicodedata.category(character).startswith("L"):
        remedy = "write keys in ASCII letters, and # before a comment"
    else:
        remedy = 'write key = "value", or # before a comment'
    expected = "a key, a [table] or a # comment"
    return _Cause(expected, f"the character {character}", remedy, failure.at)


def _no_equals_sign(failure: _Failure) -> _Cause:
    character = failure.character
    if character in ("", "\n", "#"):
        found, remedy = "the end of the line", "write = and a value behind the key"
    elif character == ":":
        found, remedy = "a colon", "write = instead of the colon"
    else:
        found, remedy = "something else", 'write key = "value", or # before a comment'
    return _Cause("= behind the key", found, remedy, failure.at)


def _no_value(failure: _Failure) -> _Cause:
    if failure.runs_on():
        return _unclosed(failure)
    word = re.split(r"[\s,#\]}]", failure.rest, maxsplit=1)[0]
    if not word:
        return _Cause("a value", "nothing", "write a value behind the =", failure.at)
    if word.casefold() in ("true", "false", "yes", "no", "on", "off"):
        small = "true" if word.casefold() in ("true", "yes", "on") else "false"
        return _Cause("true or false", word, f"write {small}, in small letters", failure.at)
    return _Cause("a value", "a text without quotes", "put it in double quotes", failure.at)


def _more_behind(failure: _Failure) -> _Cause:
    """Explain what stands behind a complete statement: often the value needed quotes."""
    value = failure.value
    start = failure.statement.value if failure.statement.value is not None else failure.at
    if failure.is_header:
        found, remedy, at = "more behind the brackets", "write it on a new line", failure.at
    elif re.match(r"""[\w."'-]+[ \t]*=""", failure.rest):
        found, remedy, at = "another key", "write each key on a line of its own", failure.at
    elif value[:1] in ('"', "'"):
        found = "more behind the closing quote"
        remedy = "remove it; if a quote belongs to the text, put the whole in the other quotes"
        at = failure.at
    elif re.match(r"[+-]?0[0-9]", value):
        found = "a number that begins with 0"
        remedy = "remove the zeros; if they belong to it, put it in double quotes"
        at = start
    elif re.match(r"[0-9]{4}[/.][0-9]", value):
        found, at = "a date in another form", start
        remedy = "write dates like 2025-04-01, without quotes"
    elif failure.character in (",", ";"):
        found, remedy, at = f'the character "{failure.character}"', "remove it", failure.at
    else:
        found, remedy, at = "a text without quotes", "put the whole in double quotes", start
    return _Cause("the end of the line", found, remedy, at)


def _no_closing_quote(failure: _Failure) -> _Cause:
    at = failure.statement.start if failure.statement.value is None else failure.statement.value
    opening = failure.value[:3]
    if opening in ('"""', "'''"):
        remedy = f"write {opening} behind the end of the text"
        return _Cause(f"a closing {opening}", "the end of the file", remedy, at)
    if not failure.character:
        # tomli looked for a single quote down to the end of the file.
        end = failure.text.find("\n", failure.text.rfind("'", 0, failure.at))
        failure = replace(failure, at=end if end >= 0 else failure.at)
    remedy = "close the text with the quote that it began with"
    if any(quote in failure.text[at : failure.at] for quote in _QUOTES):
        remedy += "; typographic quotes do not count: a word processor has put them there"
    return _Cause("a closing quote", "the end of the line", remedy, failure.at)


def _backslash(failure: _Failure) -> _Cause:
    at = failure.text.rfind("\\", failure.statement.start, failure.at)
    return _Cause(
        "a text",
        "a backslash between double quotes",
        "put the text between single quotes, or write each backslash twice",
        max(at, failure.statement.start),
    )


def _twice(failure: _Failure) -> _Cause:
    earlier = failure.statement.earlier
    line = 1 + failure.text.count("\n", 0, earlier) if earlier is not None else None
    before = f", which stands in line {line} already" if line else " for a second time"
    if not failure.is_header:
        at = failure.statement.start if earlier is not None else failure.at
        return _Cause("each key once", f"the key{before}", "keep one of the two", at)
    name = failure.header
    if name in failure.several:
        remedy = f"write [[{name}]] above each, with two brackets"
    else:
        remedy = f"put all keys of [{name}] together"
    return _Cause("each table once", f"one{before}", remedy, failure.statement.start)


def _two_ways(failure: _Failure) -> _Cause:
    return _Cause(
        "each table in one place",
        "more keys for a table that is complete",
        "write all its keys together",
        failure.statement.start,
    )


def _no_bracket(failure: _Failure) -> _Cause:
    brackets = "]]" if failure.message.startswith("Expected ']]'") else "]"
    found = "the end of the line" if not failure.rest.strip() else "something else"
    if failure.rest.startswith("]"):
        found = "one bracket"
    remedy = f"write {brackets} behind the name"
    return _Cause(f"{brackets} behind the name", found, remedy, failure.at)


def _unclosed(failure: _Failure) -> _Cause:
    braces = "inline table" in failure.message or failure.value[:1] == "{"
    end, what = ("}", "table") if braces else ("]", "list")
    if failure.at >= len(failure.text) or failure.runs_on():
        at = failure.at if failure.statement.value is None else failure.statement.value
        return _Cause(
            f"{end} at the end of the {what}", f"a {what} without end", f"write {end}", at
        )
    remedy = f"write a comma between the entries, and {end} behind the last"
    return _Cause(f"a comma or {end}", "something else", remedy, failure.at)


def _no_key(failure: _Failure) -> _Cause:
    if failure.runs_on():
        return _unclosed(failure)
    found = f"the character {failure.character}" if failure.rest else "the end of the line"
    return _Cause("a name", found, "write a name of ASCII letters, digits, - and _", failure.at)


def _no_day(failure: _Failure) -> _Cause:
    remedy = "write a day that the calendar has"
    return _Cause("a date", "a day that does not exist", remedy, failure.at)


EXPLANATIONS: Mapping[str, Callable[[_Failure], _Cause]] = {
    "Invalid statement": _no_statement,
    "Expected '=' after a key": _no_equals_sign,
    "Invalid value": _no_value,
    "Expected newline or end of document": _more_behind,
    "Unterminated string": _no_closing_quote,
    "Expected \"'": _no_closing_quote,
    # The line end; _odd_character has explained every other.
    "Illegal character": _no_closing_quote,
    "Found invalid character": _no_closing_quote,
    "Unescaped '\\'": _backslash,
    "Invalid hex value": _backslash,
    "Escaped character is not": _backslash,
    "Cannot declare": _twice,
    "Cannot overwrite": _twice,
    "Duplicate inline table key": _twice,
    "Cannot redefine": _two_ways,
    "Cannot mutate": _two_ways,
    "Expected ']": _no_bracket,
    "Unclosed": _unclosed,
    "Invalid initial character": _no_key,
    "Invalid date": _no_day,
}
"""What explains a message of tomli, by the message's beginning."""

_NOT_THE_CHARACTER = (
    "Cannot",
    "Duplicate",
    "Unescaped",
    "Invalid hex",
    "Escaped",
    "Invalid date",
)
"""Messages that are not about the character at their place."""
