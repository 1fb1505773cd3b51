"""A strict reader of encoded datasets: what a de-identified dataset must look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import unpack_from

from appliance.images.deidentify import Encoding

from .datasets import IMPLICIT, SHORT, UNDEFINED

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


@dataclass(frozen=True, slots=True)
class Element:
    """One element, wherever it stands. `path` holds the sequences around it."""

    path: tuple[int, ...]
    tag: int
    vr: bytes
    value: bytes
    items: tuple[tuple[Element, ...], ...] | None


def parse(data: bytes, encoding: Encoding, sequences: frozenset[int]) -> tuple[Element, ...]:
    """All elements. Fails on anything that the standard forbids in the encoding.

    `sequences` names the tags that are sequences, for the implicit encoding.
    """
    elements, end = _elements(data, 0, len(data), encoding, sequences, (), delimited=False)
    assert end == len(data)
    return elements


def flat(elements: tuple[Element, ...]) -> Iterator[Element]:
    """The elements and those of all items in them."""
    for element in elements:
        yield element
        for content in element.items or ():
            yield from flat(content)


def _elements(
    data: bytes,
    at: int,
    limit: int,
    encoding: Encoding,
    sequences: frozenset[int],
    path: tuple[int, ...],
    *,
    delimited: bool,
) -> tuple[tuple[Element, ...], int]:
    found: list[Element] = []
    order = "<" if encoding.little_endian else ">"
    last = -1
    while at < limit:
        group, number = unpack_from(order + "HH", data, at)
        tag = group << 16 | number
        if tag == ITEM_END and delimited:
            return tuple(found), at + 8
        assert group != 0xFFFE, f"{tag:08X} among elements at {at}"
        assert tag > last, f"{tag:08X} follows {last:08X} at {at}"
        last = tag
        vr, start, length = b"", at + 8, unpack_from(order + "I", data, at + 4)[0]
        if not encoding.implicit:
            vr = data[at + 4 : at + 6]
            length = unpack_from(order + "H", data, at + 6)[0]
            if vr not in SHORT:  # a VR of a later edition has the long form, too
                start, length = at + 12, unpack_from(order + "I", data, at + 8)[0]
        inner = IMPLICIT if vr == b"UN" else encoding
        stop = limit if length == UNDEFINED else start + length
        assert stop <= limit, f"{tag:08X} at {at} ends behind its surroundings"
        items = None
        if tag & 0xFFFFFFF0 == 0x7FE00010 and length == UNDEFINED:
            stop = _fragments(data, start, limit, order)
        elif vr == b"SQ" or length == UNDEFINED or (vr in (b"", b"UN") and tag in sequences):
            items, stop = _items(
                data, start, stop, inner, sequences, (*path, tag), delimited=length == UNDEFINED
            )
        found.append(Element(path, tag, vr, data[start:stop], items))
        at = stop
    assert not delimited, "an item without its delimiter"
    return tuple(found), at


def _items(
    data: bytes,
    at: int,
    limit: int,
    encoding: Encoding,
    sequences: frozenset[int],
    path: tuple[int, ...],
    *,
    delimited: bool,
) -> tuple[tuple[tuple[Element, ...], ...], int]:
    order = "<" if encoding.little_endian else ">"
    items = []
    while at < limit or delimited:
        group, number, length = unpack_from(order + "HHI", data, at)
        tag = group << 16 | number
        if tag == SEQUENCE_END and delimited:
            return tuple(items), at + 8
        assert tag == ITEM, f"{tag:08X} among items at {at}"
        open_ended = length == UNDEFINED
        stop = limit if open_ended else at + 8 + length
        assert stop <= limit, f"the item at {at} ends behind its sequence"
        content, at = _elements(data, at + 8, stop, encoding, sequences, path, delimited=open_ended)
        items.append(content)
    assert at == limit
    return tuple(items), at


def _fragments(data: bytes, at: int, limit: int, order: str) -> int:
    while at < limit:
        group, number, length = unpack_from(order + "HHI", data, at)
        at += 8
        if group << 16 | number == SEQUENCE_END:
            return at
        assert group << 16 | number == ITEM
        at += length
    raise AssertionError("fragments without delimiter")
