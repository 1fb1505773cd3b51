"""Text that says what was imaged, without what says who: action C for text (PS3.15 E.3.5).

A word is kept if it is in the vocabulary and nowhere among the identifying values of the same
dataset; Dr. Hand's knee is then a knee. Numbers are kept with a unit behind them. A label keeps
those of its words that may be kept. Free text, which says more than its words, is kept whole or
not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from appliance.images.deidentify.table import read_vocabulary

_PIECE: Final = re.compile(r"[\s,;:()\[\]{}_^=\"'&|*#!?<>~@、。，・（）「」]+")
_JOINT: Final = re.compile(r"[/+.-]")
_QUANTITY: Final = re.compile(r"(\d{1,4}(?:[.,]\d{1,3})?)(mm|cm|ms|s|sec|min|kv|kvp|mas|ma|hz|t|%)")
_NUMBER: Final = re.compile(r"\d{1,4}(?:[.,]\d{1,3})?")
_UNITS: Final = frozenset(
    ("mm", "cm", "ms", "s", "sec", "min", "kv", "kvp", "mas", "ma", "hz", "t", "tesla", "%")
)
_ASIAN: Final = re.compile(r"[\u3005-\u30FF\u3400-\u9FFF\uFF10-\uFF9F]+")
_EDGES: Final = ".-/+"
_SHORTEST: Final = 2


def identifying_words(values: Iterable[str]) -> frozenset[str]:
    """The words of identifying values, as `clean` compares them."""
    words: set[str] = set()
    for value in values:
        folded = value.casefold()
        for piece in _PIECE.split(folded):
            words.add(piece)
            words.update(_JOINT.split(piece))
    return frozenset(word for word in words if len(word) >= _SHORTEST or _ASIAN.fullmatch(word))


def clean(text: str, identifying: frozenset[str], *, whole: bool) -> str | None:
    """What may be kept of a text, None if that is nothing.

    identifying: see `identifying_words`
    whole: whether all of the text must be fit to be kept
    """
    vocabulary = _vocabulary()
    pieces = [piece for piece in _PIECE.split(text) if piece.strip(_EDGES)]
    kept: list[str] = []
    for index, piece in enumerate(pieces):
        following = pieces[index + 1].casefold() if index + 1 < len(pieces) else ""
        if _may_stay(piece, following, identifying, vocabulary):
            kept.append(piece)
        elif whole:
            return None
    words = [piece for piece in kept if not _NUMBER.fullmatch(piece) and piece not in _UNITS]
    return " ".join(kept) if words else None


def _may_stay(
    piece: str, following: str, identifying: frozenset[str], vocabulary: frozenset[str]
) -> bool:
    word = piece.casefold()
    if word in identifying or word.strip(_EDGES) in identifying:
        return False
    if word in vocabulary or word in _UNITS or _QUANTITY.fullmatch(word):
        return True
    if _NUMBER.fullmatch(word):
        return following in _UNITS
    if _ASIAN.search(word):
        return _is_spelled(word, identifying, vocabulary)
    parts = [part for part in _JOINT.split(word) if part]
    return bool(parts) and all(part in vocabulary and part not in identifying for part in parts)


def _is_spelled(run: str, identifying: frozenset[str], vocabulary: frozenset[str]) -> bool:
    """Whether a run of characters without spaces is made of words that may be kept."""
    if any(word in run for word in identifying if _ASIAN.search(word)):
        return False
    reached = {0}
    for start in range(len(run)):
        if start in reached:
            ends = range(start + 1, min(len(run), start + _longest()) + 1)
            reached.update(end for end in ends if run[start:end] in vocabulary)
    return len(run) in reached


@cache
def _vocabulary() -> frozenset[str]:
    return read_vocabulary()


@cache
def _longest() -> int:
    return max(map(len, _vocabulary()))
