"""The tables of the standard as data: which attribute is treated how, and how it is typed.

`ps3.15_table_e.1-1.csv` is PS3.15 Table E.1-1, the Basic Application Level Confidentiality
Profile; `supplement.csv` names attributes that the table passes over although they hold the very
values that it removes elsewhere; `ps3.3_attribute_types.csv` and `ps3.4_iods.csv` tell the types
that decide between the letters of an action such as X/Z/D (PS3.15 Table E.1-1a).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from appliance.images.deidentify.options import NAMES
from appliance.settings.model import DeidentifyOption as OptionName

EDITION: Final = "2026c"
ACTIONS: Final = frozenset({"D", "Z", "X", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"})

_TAG: Final = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)")


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute of Table E.1-1, the action of the Basic Profile for it, and the options'.

    `options` holds K or C for each option whose column says so.
    """

    tag: int
    name: str
    action: str
    options: dict[OptionName, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttributeTypes:
    """The types that attributes with an action of several letters have (PS3.5 Section 7.4).

    `root` maps an IOD to its attributes of type 1 and 2 outside of any sequence; what it does not
    name is of type 3 there. `nested` maps (tag, tag of the sequence around it) to the strictest
    type that PS3.3 gives it in such items. Conditional types count as their unconditional ones:
    whoever sent the attribute found the condition met.
    """

    iods: dict[str, str]
    root: dict[str, dict[int, int]]
    nested: dict[tuple[int, int], int]


def read_table() -> tuple[Row, ...]:
    """The rows that name one attribute; see `patterns` for the others.

    Raises ValueError for a row that cannot be understood: a table that is misread would let
    values through.
    """
    return tuple(_rows("ps3.15_table_e.1-1.csv", "basic_profile"))


def read_supplement() -> tuple[Row, ...]:
    """The attributes that are treated like the table's although it does not list them.

    The options treat one as they treat the attribute of the table that it `follows`.
    """
    options = {row.tag: row.options for row in read_table()}
    return tuple(
        Row(row.tag, row.name, row.action, options[_tag(followed)] if followed else {})
        for row, followed in zip(
            _rows("supplement.csv", "action"),
            (row["follows"] for row in _read("supplement.csv")),
            strict=True,
        )
    )


def patterns() -> tuple[str, ...]:
    """The rows that name many attributes: private ones, curves and overlays, all to be removed."""
    return tuple(r["tag"] for r in _read("ps3.15_table_e.1-1.csv") if not _TAG.match(r["tag"]))


def read_attribute_types() -> AttributeTypes:
    """The types of the attributes whose action has several letters."""
    root: dict[str, dict[int, int]] = {}
    nested: dict[tuple[int, int], int] = {}
    for row in _read("ps3.3_attribute_types.csv"):
        tag, kind = _tag(row["tag"]), int(row["type"])
        if row["parent"]:
            nested[tag, _tag(row["parent"])] = kind
        for iod in row["iods"].split():
            root.setdefault(iod, {})[tag] = kind
    iods = {row["sop_class"]: row["iod"] for row in _read("ps3.4_iods.csv")}
    return AttributeTypes(iods, root, nested)


def read_vocabulary() -> frozenset[str]:
    """The words that a cleaned text may keep, case-folded."""
    return frozenset(
        row["word"].casefold()
        for file in ("vocabulary.csv", "spoken_words.csv")
        for row in _read(file)
    )


@dataclass(frozen=True, slots=True)
class SafePrivate:
    """A private attribute that is known to identify nobody: group, offset in its block, VR."""

    creator: str
    group: int
    offset: int
    vr: bytes


def read_safe_private() -> tuple[SafePrivate, ...]:
    """The private attributes that Retain Safe Private keeps (PS3.15 Section E.3.10)."""
    return tuple(
        SafePrivate(
            row["creator"], int(row["group"], 16), int(row["offset"], 16), row["vr"].encode("ascii")
        )
        for row in _read("safe_private.csv")
    )


def _rows(file: str, column: str) -> Iterator[Row]:
    for row in _read(file):
        if not _TAG.match(row["tag"]):
            continue
        if row[column] not in ACTIONS:
            raise ValueError(f"{file}: {row['tag']} has the unknown action {row[column]!r}")
        options = {name: row[name] for name in NAMES if row.get(name)}
        if not set(options.values()) <= {"K", "C"}:
            raise ValueError(f"{file}: {row['tag']} has an unknown action under an option")
        yield Row(_tag(row["tag"]), row["name"], row[column], options)


def _read(name: str) -> Iterator[dict[str, str]]:
    text = (files(__package__) / "data" / name).read_text("utf-8")
    yield from csv.DictReader(text.splitlines())


def _tag(text: str) -> int:
    match = _TAG.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a tag of the form (gggg,eeee)")
    return int(match[1] + match[2], 16)
