"""From the text of netty.toml to Settings, or to all its mistakes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path as FilePath
from typing import Any, TypeVar

from appliance.settings.checks import Reading, contradictions
from appliance.settings.kinds import Kind, Mistake, Pem, describe, did_you_mean, quoted
from appliance.settings.model import ListOf, Setting, Settings, Table, Tables, keys_of
from appliance.settings.positions import Place
from appliance.settings.problems import Path, Problem, Problems, dotted
from appliance.settings.source import decoded, refuse_other_formats, text_of
from appliance.settings.syntax import Document, parse

__all__ = ["Problem", "Problems", "read", "read_bytes", "read_file"]

M = TypeVar("M")

_SEVERAL = frozenset(key for key, _, each in keys_of(Settings) if isinstance(each.kind, Tables))


def read(text: str) -> Settings:
    """Return the settings of a text.

    A byte-order mark and CRLF line ends are accepted. Raises Problems with every mistake.
    """
    # Two programs that each turn LF into CRLF leave CR CR LF.
    plain = re.sub(r"\r+\n", "\n", text.removeprefix("\ufeff"))
    refuse_other_formats(plain)
    reader = _Reader(parse(plain, _SEVERAL))
    settings = reader.settings()
    if settings is None:
        raise Problems(reader.problems)
    return settings


def read_bytes(data: bytes) -> Settings:
    """Return the settings of the content of a file, which may be cut behind its largest size.

    Raises Problems with every mistake.
    """
    return read(decoded(data))


def read_file(path: FilePath) -> Settings:
    """Return the settings of a file of UTF-8 text, at most 64 KiB.

    Raises Problems with every mistake, also where there is no such file or it is of another kind.
    """
    return read(text_of(path))


class _Reader:
    """Reads one document; a value that is not right becomes a problem, and None here."""

    def __init__(self, document: Document) -> None:
        self.problems = list(document.problems)
        self._document = document
        # What is missing may stand in a statement that could not be read.
        self._complete = not document.problems
        self._reading = Reading({}, set())

    def settings(self) -> Settings | None:
        settings = self._table(Settings, self._document.tree, ())
        if self._complete:
            for each in contradictions(self._reading):
                found = self._beside(each.found, each.beside)
                place = self._document.places.value(each.path)
                self._problem(each.path, place, each.expected, found, each.remedy)
        return None if self.problems else settings

    def _beside(self, found: str, path: Path | None) -> str:
        if path is None:
            return found
        return f"{found}, as in line {self._document.places.value(path).line}"

    def _problem(self, path: Path, place: Place, expected: str, found: str, remedy: str) -> None:
        self._reading.faulty.add(path)
        self.problems.append(
            Problem(place.line, place.column, dotted(path), expected, found, remedy)
        )

    def _refuse(self, path: Path, expected: str, written: object, remedy: str) -> None:
        place = self._document.places.value(path)
        self._problem(path, place, expected, describe(written), remedy)

    def _table(self, model: type[M], tree: Mapping[str, Any], path: Path) -> M | None:
        arguments: dict[str, Any] = {}
        known = {key: (of, setting) for key, of, setting in keys_of(model)}
        for key in tree.keys() - known.keys():
            self._unknown(key, model, path)
        for key, (of, setting) in known.items():
            if key in tree:
                arguments[of.name] = self._value(setting.kind, tree[key], (*path, key))
            elif of.default is MISSING:
                arguments[of.name] = None
                self._missing(setting, (*path, key))
        if any(argument is None for argument in arguments.values()):
            return None
        table = model(**arguments)
        self._reading.values[path] = table
        return table

    def _value(self, kind: Kind[Any] | ListOf | Table | Tables, written: Any, path: Path) -> Any:
        match kind:
            case Table():
                return self._one_table(kind.model, written, path)
            case Tables():
                return self._tables(kind.model, written, path)
            case ListOf():
                return self._list(kind, written, path)
        try:
            value = kind.read(written)
        except Mistake as mistake:
            place = self._document.places.value(path)
            self._problem(path, place, mistake.expected, mistake.found, mistake.remedy)
            return None
        self._reading.values[path] = value
        return value

    def _one_table(self, model: type, written: Any, path: Path) -> Any:
        if isinstance(written, dict):
            return self._table(model, written, path)
        self._refuse(path, "a table", written, f"write {_heading(path)}, and its keys below")
        return None

    def _tables(self, model: type, written: Any, path: Path) -> Any:
        remedy = f"write {_heading((*path, 0))} above each, and its keys below"
        if not isinstance(written, list):
            self._refuse(path, "tables in double brackets", written, remedy)
            if isinstance(written, dict):
                # Its keys are judged all the same, where they stand.
                self._table(model, written, path)
            return None
        tables = [
            self._one_table(model, each, (*path, index)) for index, each in enumerate(written)
        ]
        return None if any(each is None for each in tables) else tuple(tables)

    def _list(self, kind: ListOf, written: Any, path: Path) -> Any:
        if not isinstance(written, list):
            entry = quoted(written) if isinstance(written, str) else '"…"'
            self._refuse(path, kind.expected, written, f"write [{entry}]")
            return None
        values = [
            self._value(kind.kind, each, (*path, index)) for index, each in enumerate(written)
        ]
        return None if any(each is None for each in values) else tuple(values)

    def _missing(self, setting: Setting, path: Path) -> None:
        self._reading.faulty.add(path)
        if not self._complete:
            return
        kind, key = setting.kind, path[-1]
        match kind:
            case Pem():
                remedy = f"add {key} = '''…''' with the PEM text between the quotes"
            case Kind():
                remedy = f"add a line such as {key} = {kind.write(setting.sample)}"
            case _:
                remedy = f"add {key}"
        if len(path) == 1:
            remedy += " above the first table"
        expected = kind.expected if isinstance(kind, Kind) else "a value"
        place = self._document.places.value(path)
        self._problem(path, place, expected, "nothing", remedy)

    def _unknown(self, key: str, model: type, path: Path) -> None:
        known = [name for name, _, _ in keys_of(model)]
        meant = did_you_mean(key, known)
        homes = _homes(key)
        if meant:
            remedy = f"did you mean {meant}?"
        elif homes:
            remedy = f"it belongs {' or '.join(homes)}"
        else:
            remedy = f"remove it; the keys here are {', '.join(known)}"
        where = f"a key of {_heading(path)}" if path else "a table, or a key that stands above them"
        place = self._document.places.key((*path, key))
        self._problem((*path, key), place, where, "one that is not known", remedy)


def _heading(path: Path) -> str:
    """Return what stands above the keys of a table."""
    name = dotted(tuple(step for step in path if isinstance(step, str)))
    return f"[[{name}]]" if isinstance(path[-1], int) else f"[{name}]"


def _homes(key: str) -> list[str]:
    """Return the tables that have a key of this name."""
    homes = []
    for name, _, setting in keys_of(Settings):
        match setting.kind:
            case Table(model):
                heading = f"under [{name}]"
            case Tables(model):
                heading = f"under [[{name}]]"
            case _:
                if name == key:
                    homes.append("at the top of the file, above the first table")
                continue
        if any(name == key for name, _, _ in keys_of(model)):
            homes.append(heading)
    return homes
