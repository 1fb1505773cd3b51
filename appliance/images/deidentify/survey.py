"""A look over a whole dataset before the walk: whose it is, and which values identify.

What cleans a description must know the names that stand elsewhere in the dataset, and what moves
a date the patient. One pass over the headers of the elements, without recursion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from appliance.images.deidentify import actions as act
from appliance.images.deidentify import character_sets
from appliance.images.deidentify.actions import Cleaning
from appliance.images.deidentify.clean import identifying_words
from appliance.images.deidentify.elements import (
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    Broken,
    Codec,
    Incomplete,
)
from appliance.images.deidentify.unlisted import Declared

_PRIVATE_GROUP: Final = 0x00080301
_PRIVATE_CREATOR: Final = 0x00080302
_BLOCK_STATUS: Final = 0x00080303
_NOT_IDENTIFYING: Final = 0x00080304
_OWN: Final = frozenset({act.SPECIFIC_CHARACTER_SET, act.PATIENT, act.STUDY})
_LONGEST: Final = 1024
_MOST: Final = 10_000
_DELIMITERS: Final = frozenset({ITEM, ITEM_END, SEQUENCE_END})


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen.

    sure: whether all of the dataset could be followed; if not, names may stand in what was not
    cut: whether the data end within an element, or before any pixels
    whose: the patient ID of the dataset, or its Study Instance UID if it has none
    identifying: the words of its identifying values, at every depth
    declared: the private elements that the sender declares to identify nobody
    """

    sure: bool = True
    cut: bool = False
    whose: str = ""
    identifying: frozenset[str] = frozenset()
    declared: frozenset[Declared] = frozenset()


def survey(data: bytes, codec: Codec, cleaning: Cleaning, label: bytes) -> Survey:
    """Look over the dataset in `data` up to its pixels.

    `label` is the Specific Character Set of a dataset that names none.
    """
    looking = _Looking(data, codec, cleaning, label)
    try:
        pixels = looking.run()
    except Broken:
        return looking.seen(sure=False, cut=False)
    except Incomplete:
        return looking.seen(sure=False, cut=True)
    return looking.seen(sure=True, cut=not pixels)


@dataclass(slots=True)
class _Looking:
    data: bytes
    codec: Codec
    cleaning: Cleaning
    label: bytes
    depth: int = 0
    """Sequences of undefined length around the position."""
    within: int = 0
    """The end of those of defined length."""
    sure: bool = True
    own: dict[int, str] = field(default_factory=dict)
    values: list[str] = field(default_factory=list)
    declared: set[Declared] = field(default_factory=set)
    group: int = 0
    creator: str = ""

    def seen(self, *, sure: bool, cut: bool) -> Survey:
        return Survey(
            sure=sure and self.sure and len(self.values) < _MOST,
            cut=cut,
            whose=self.own.get(act.PATIENT) or self.own.get(act.STUDY, ""),
            identifying=identifying_words(self.values),
            declared=frozenset(self.declared),
        )

    def run(self) -> bool:
        """Look at each element; True if the pixels were reached."""
        at, limit = 0, len(self.data)
        while at < limit:
            if limit - at < 8 and not any(self.data[at:limit]):
                return False  # zeros to fill a block
            tag, vr, start, length = self.codec.measure(self.data, at, limit)
            outside = at >= self.within and not self.depth
            if outside and tag in PIXEL_DATA:
                return True
            at = self._step(tag, vr, start, length, outside=outside)
            if at > limit:
                raise Incomplete
        return False

    def _step(self, tag: int, vr: bytes, start: int, length: int, *, outside: bool) -> int:
        """Take one element; return where the next one starts, that of its items for a sequence."""
        if tag in _DELIMITERS:
            self.depth -= tag == SEQUENCE_END and self.depth > 0
            return start
        sequence = vr == b"SQ" or tag in self.cleaning.sequences or length == UNDEFINED
        if sequence and vr == b"UN":  # whose items are in another encoding
            self.sure = False
            if length == UNDEFINED:
                raise Broken("what follows a sequence of VR UN is not looked at")
        elif sequence and length == UNDEFINED:
            self.depth += 1
            return start
        elif sequence:
            self.within = max(self.within, start + length)
            return start
        else:
            self._take(tag, start, length, outside=outside)
        return start + length

    def _take(self, tag: int, start: int, length: int, *, outside: bool) -> None:
        identifies = tag in self.cleaning.identifying
        declares = _PRIVATE_GROUP <= tag <= _NOT_IDENTIFYING
        if not (identifies or declares or (outside and tag in _OWN)):
            return
        value = self.data[start : start + min(length, _LONGEST)]
        if identifies:
            self.sure = self.sure and length <= _LONGEST
            if len(self.values) < _MOST:
                self.values.append(character_sets.decode(value, self.label))
        if declares:
            self._declare(tag, value)
        if not outside:
            return
        if tag == act.SPECIFIC_CHARACTER_SET:
            self.label = character_sets.repair(value.strip(b" \0")) or self.label
        elif tag in (act.PATIENT, act.STUDY):
            self.own.setdefault(tag, character_sets.decode(value, self.label))

    def _declare(self, tag: int, value: bytes) -> None:
        numbers = [self.codec.number(value[i : i + 2]) for i in range(0, len(value), 2)]
        if tag == _PRIVATE_GROUP:
            self.group = numbers[0] if numbers else 0
        elif tag == _PRIVATE_CREATOR:
            self.creator = value.decode("latin-1").strip(" \0")
        elif tag == _BLOCK_STATUS and value.strip(b" \0") == b"SAFE":
            self.declared.add(Declared(self.creator, self.group, None))
        elif tag == _NOT_IDENTIFYING:
            self.declared |= {Declared(self.creator, self.group, n & 0xFF) for n in numbers}
