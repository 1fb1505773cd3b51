"""An annotated netty.toml, made from the model: every key, what it means and takes, its default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field
from typing import Any

from appliance.settings.kinds import Kind
from appliance.settings.model import ListOf, Setting, Settings, Table, Tables, keys_of

_WIDTH = 96

_INTRODUCTION = """\
netty.toml: the settings of a netty box.

Lines that begin with # and a space explain. A # directly before a key, or before a name in
brackets, switches that line off: take it away to switch the line on. Where a line has two, take
both away only if you want that key as well.

Texts stand in "double quotes", or in 'single quotes' where they contain a backslash. Numbers, true,
false and dates stand alone. A key belongs to the name in brackets above it. Every mistake is named
by the command: appliance check netty.toml
"""


def example() -> str:
    """Return the example. It reads back as the defaults, with revision 1."""
    lines = [*_comment(_INTRODUCTION), "", *_keys(Settings, "", ""), *_tables()]
    return "\n".join(lines)


def _comment(text: str) -> Iterator[str]:
    for paragraph in text.strip().split("\n\n"):
        yield from textwrap.wrap(
            paragraph,
            _WIDTH,
            initial_indent="# ",
            subsequent_indent="# ",
            break_on_hyphens=False,
            break_long_words=False,
        )


def _tables() -> Iterator[str]:
    for key, of, setting in keys_of(Settings):
        match setting.kind:
            case Table(model):
                header = f"[{key}]"
            case Tables(model):
                header = f"[[{key}]]"
            case _:
                continue
        off = "" if isinstance(of.default, model) else "#"
        yield "# " + "-" * (_WIDTH - 2)
        yield from _comment(setting.meaning)
        yield off + header
        yield ""
        yield from _keys(model, "", off)


def _keys(model: type, prefix: str, off: str) -> Iterator[str]:
    """Yield the lines of a table's keys; `off` stands before each if the table is switched off."""
    for key, of, setting in keys_of(model):
        match setting.kind:
            case Table(inner) if prefix or model is not Settings:
                yield from _keys(inner, f"{key}.", off)
            case Kind() | ListOf() as kind:
                yield from _key(prefix + key, of, setting, kind, off)


def _key(
    key: str, of: Field[Any], setting: Setting, kind: Kind[Any] | ListOf, off: str
) -> Iterator[str]:
    yield from _comment(setting.meaning)
    yield from _comment(f"Takes {kind.expected}.")
    yield from _comment(default_in_words(of, kind))
    shown = setting.sample if of.default in (None, MISSING) else of.default
    if of.default is None:
        off += "#"
    yield from (off + line for line in f"{key} = {kind.write(shown)}".split("\n"))
    yield ""


def default_in_words(of: Field[Any], kind: Kind[Any] | ListOf) -> str:
    """Return what happens if the key is left out."""
    if of.default is MISSING:
        return "Required."
    if of.default is None:
        return "Default: absent."
    return f"Default: {kind.write(of.default)}."
