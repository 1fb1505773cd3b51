"""What de-identification did to each element of a file, as a table for people.

Made of the file before and the file after, not of what the engine says that it did.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from pydicom._dicom_dict import DicomDictionary

from appliance.images.deidentify import actions as act
from appliance.images.deidentify import character_sets, dummies
from appliance.images.deidentify.elements import (
    CODECS,
    IMPLICIT,
    ITEM,
    PIXEL_DATA,
    SEQUENCE_END,
    TEXT_VRS,
    UNDEFINED,
    WORDS,
    Broken,
    Codec,
    Incomplete,
    name,
    skip,
)
from appliance.images.deidentify.options import Options
from appliance.images.deidentify.part10 import encoding_of, read_dataset_of
from appliance.images.deidentify.table import Row, read_supplement, read_table

COLUMNS: Final = ("Tag", "Attribute", "VR", "Rule", "Done", "Before", "After")
_LONGEST_SHOWN: Final = 48
_DEEPEST: Final = 32
_UNPRINTABLE: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its VR as written or by the dictionary, its items if it is a sequence."""

    tag: int
    vr: bytes
    value: bytes
    items: tuple[tuple[Element, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """What was done to one element, `depth` sequences deep; values are shown, not whole."""

    depth: int
    tag: int
    vr: str
    rule: str
    done: str
    before: str
    after: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns."""
        place = ">" * self.depth + name(self.tag)
        return place, _name(self.tag), self.vr, self.rule, self.done, self.before, self.after


def explain(before: bytes, after: bytes, options: Sequence[str] = ()) -> Iterator[Line]:
    """What became of each element of a DICOM file, in the order of the tags.

    before, after: the two files; `options` are those of the profile. Raises Malformed if one is
    not DICOM.
    """
    rules = {row.tag: row for row in (*read_table(), *read_supplement())}
    yield from _compare(
        _elements_of(before), _elements_of(after), _Telling(rules, Options(options))
    )


def as_text(lines: Sequence[Line]) -> str:
    """The table in columns."""
    rows = [COLUMNS, *(line.cells for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    told = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "".join(line.rstrip() + "\n" for line in told)


def as_html(lines: Sequence[Line], title: str) -> str:
    """The table as a page of its own."""
    shown = html.escape(title)
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    body = "\n".join(
        f'<tr class="{line.done}">'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in line.cells)
        + "</tr>"
        for line in lines
    )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{shown}</title>\n'
        "<style>body{font:14px system-ui,sans-serif}table{border-collapse:collapse}"
        "td,th{border:1px solid #8888;padding:.2em .5em;text-align:left;vertical-align:top}"
        ".kept td{color:#777}.removed td{background:#f004}.added td{background:#0a02}"
        ".replaced td,.emptied td,.mapped td,.moved td,.cleaned td{background:#fa03}</style>\n"
        f"<h1>{shown}</h1>\n<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n"
        "</tbody></table></html>\n"
    )


@dataclass(frozen=True, slots=True)
class _Telling:
    rules: dict[int, Row]
    options: Options
    depth: int = 0
    label_before: bytes = b""
    label_after: bytes = b""

    def rule(self, tag: int) -> str:
        """The action that the table has for a tag, and the one that the options make of it."""
        if tag >> 16 & 1:
            return "X (private)"
        row = self.rules.get(tag)
        if row is None:
            return "" if act.is_known(tag) else "X (unknown)"
        letter = self.options.action(row.options)
        return f"{row.action} → {letter}" if letter else row.action

    def within(self, before: Sequence[Element], after: Sequence[Element]) -> _Telling:
        """The same for the elements of a dataset or item, with its character sets."""
        return _Telling(
            self.rules,
            self.options,
            self.depth,
            _label(before) or self.label_before,
            _label(after) or self.label_after,
        )

    def deeper(self) -> _Telling:
        """The same, one sequence deeper."""
        return _Telling(
            self.rules, self.options, self.depth + 1, self.label_before, self.label_after
        )


def _compare(
    before: Sequence[Element], after: Sequence[Element], telling: _Telling
) -> Iterator[Line]:
    telling = telling.within(before, after)
    was = {element.tag: element for element in reversed(before)}
    now = {element.tag: element for element in after}
    for tag in sorted({*was, *now}):
        old, new = was.get(tag), now.get(tag)
        one = new or old
        assert one is not None
        yield Line(
            telling.depth,
            tag,
            one.vr.decode("ascii", "replace"),
            telling.rule(tag),
            _done(old, new),
            _shown(old, telling.label_before),
            _shown(new, telling.label_after),
        )
        items = zip_longest(old.items if old else (), new.items if new else (), fillvalue=())
        for old_item, new_item in items:
            yield from _compare(old_item, new_item, telling.deeper())


def _done(old: Element | None, new: Element | None) -> str:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    if old.items or new.items:
        return "kept" if old == new else "emptied" if not new.items else "changed"
    if old.value.strip(b" \0") == new.value.strip(b" \0"):
        return "kept"
    if not new.value:
        return "emptied"
    if new.vr == b"UI":
        return "mapped"
    return _change(new)


def _change(new: Element) -> str:
    """How the value of an element that is not empty came to be another one."""
    if new.tag in (act.NAME, act.PATIENT) or new.tag in (act.METHOD, act.IDENTITY_REMOVED):
        return "replaced"
    if new.vr in WORDS or new.value.strip(b" \0") == dummies.value(new.vr).strip(b" \0"):
        return "replaced"
    if new.vr in (b"DA", b"DT"):
        return "moved"
    return "cleaned" if new.vr in TEXT_VRS else "replaced"


def _shown(element: Element | None, label: bytes) -> str:
    if element is None:
        return ""
    if element.items:
        return f"{len(element.items)} item(s)"
    if element.vr == b"SQ":
        return "no items"
    if element.vr not in TEXT_VRS:
        return f"{len(element.value)} bytes"
    text = character_sets.decode(element.value[: 8 * _LONGEST_SHOWN], label)
    text = "".join(letter if letter.isprintable() else _UNPRINTABLE for letter in text)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _name(tag: int) -> str:
    return DicomDictionary[tag][2] if tag in DicomDictionary else ""


def _label(elements: Sequence[Element]) -> bytes:
    for element in elements:
        if element.tag == act.SPECIFIC_CHARACTER_SET:
            return character_sets.repair(element.value.strip(b" \0"))
    return b""


def _elements_of(file: bytes) -> tuple[Element, ...]:
    dataset, syntax = read_dataset_of(file)
    return tuple(_elements(dataset, 0, len(dataset), CODECS[encoding_of(syntax)], 0))


def _elements(data: bytes, at: int, limit: int, codec: Codec, depth: int) -> Iterator[Element]:
    """The elements of a dataset or item, as far as they can be followed."""
    try:
        for tag, start, stop in codec.extents(data, at, limit):
            _tag, vr, value, length = codec.measure(data, start, stop)
            known = act.vr_of(tag) if act.is_known(tag) else b"UN"
            vr = vr if vr not in (b"", b"UN") else known
            if tag in PIXEL_DATA or (vr != b"SQ" and length != UNDEFINED) or depth > _DEEPEST:
                yield Element(tag, vr, data[value:stop])
                continue
            inner = (
                IMPLICIT if not codec.implicit and data[start + 4 : start + 6] == b"UN" else codec
            )
            items = tuple(_items(data, value, stop, inner, depth))
            yield Element(tag, b"SQ", b"", items)
    except (Broken, Incomplete):
        return


def _items(
    data: bytes, at: int, limit: int, codec: Codec, depth: int
) -> Iterator[tuple[Element, ...]]:
    while at < limit:
        tag, _vr, start, length = codec.delimiter(data, at, limit)
        if tag == SEQUENCE_END or tag != ITEM:
            return
        at = skip_item(data, start, limit, codec) if length == UNDEFINED else start + length
        stop = at - 8 if length == UNDEFINED else at
        yield tuple(_elements(data, start, min(stop, limit), codec, depth + 1))


def skip_item(data: bytes, start: int, limit: int, codec: Codec) -> int:
    """The end of an item of undefined length whose first element is at `start`."""
    at = start
    while True:
        tag, vr, value, length = codec.measure(data, at, limit)
        if tag >> 16 == 0xFFFE:
            return value
        at = (
            value + length
            if length != UNDEFINED
            else skip(data, value, limit, IMPLICIT if vr == b"UN" else codec)
        )
        if at > limit:
            raise Incomplete
