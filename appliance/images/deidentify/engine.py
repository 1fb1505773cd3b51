"""The walk over a dataset's bytes: every element of every item meets the action for its tag.

Runs of elements that are kept leave as one slice of the input; nothing is decoded that need not
be. An element that cannot be followed is dropped if something around it says where it ends (an
item, a sequence of defined length); otherwise the dataset is refused as malformed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from appliance.images.deidentify import actions as act
from appliance.images.deidentify import character_sets, dummies
from appliance.images.deidentify.actions import Marker, Rules
from appliance.images.deidentify.basic import PUBLISHED_CODING_SCHEMES
from appliance.images.deidentify.clean import clean
from appliance.images.deidentify.dates import DateShift
from appliance.images.deidentify.elements import (
    CODECS,
    IMPLICIT,
    ITEM,
    ITEM_END,
    LONG_VRS,
    PIXEL_DATA,
    SEQUENCE_END,
    TEXT_VRS,
    UNDEFINED,
    WORDS,
    Broken,
    Codec,
    Encoding,
    Incomplete,
    Malformed,
    name,
    skip,
)
from appliance.images.deidentify.pseudonyms import Pseudonyms
from appliance.images.deidentify.survey import Survey, survey
from appliance.images.deidentify.uids import SameUIDs, UIDMap
from appliance.images.deidentify.unlisted import (
    CLEANED_VRS,
    OVERLAY_TEXTS,
    Creator,
    Overlay,
    Unlisted,
    safe_elements,
    vr_of_safe,
)

DEEPEST: Final = 32
"""Sequences nested deeper than this are dropped."""

_NESTED: Final = 0xFFFE0000
_OVERLAYS: Final = 0x60
_LAST_CREATOR: Final = 0xFF
_CODE_VALUE: Final = 0x00080100
_CONCEPT_NAME: Final = 0x0040A043
_GRAPHIC_TYPE: Final = 0x00700023
_GRAPHIC_POINTS: Final = 0x00700021
_ROUND: Final = frozenset({b"POINT", b"CIRCLE", b"ELLIPSE"})
_FIRST_PIXELS: Final = 0x7FE00008
_FIRST_ITEM: Final = b"\xfe\xff\x00\xe0"
_LONGEST_NOTED: Final = 1024
_LONGEST_LABEL: Final = 256
_MOST_REPORTED: Final = 100
_MOST_DISORDERED: Final = 1000
_SEQUENCES: Final = frozenset({act.SEQUENCE, act.DUMMY_SEQUENCE, act.CLEAN_SEQUENCE, act.PROBE})
_FREE_TEXT_VRS: Final = frozenset({b"LT", b"ST", b"UT"})
_SEQUENCE_VRS: Final = frozenset({b"", b"SQ", b"UN"})
_NOTED: Final = {tag: act.kept_as(tag) for tag in act.NOTED + act.IDENTITY}
_BY_VR: Final = {
    **{vr: (12 if vr in LONG_VRS else 8, act.KEEP_TEXT) for vr in TEXT_VRS},
    **{vr: (12 if vr in LONG_VRS else 8, size) for vr, size in WORDS.items()},
    b"SQ": (12, act.SEQUENCE),
}
"""Length of the header and the action that keeps, for each VR."""
_UNKNOWN_VR: Final = (12, act.DISCARD)
"""A VR of a later edition has the long form (PS3.5 Section 7.1.2); what it holds, nobody knows."""


@dataclass(slots=True)
class _Dataset:
    """A dataset or item while it is walked over."""

    above: _Dataset | None
    tag: int
    """The sequence that this is an item of; 0 for the dataset itself."""
    actions: Mapping[int, int]
    label: bytes
    """Specific Character Set, repaired; items inherit it (PS3.5 Section 7.5.3)."""
    depth: int = 0
    out: list[bytes] = field(default_factory=list)
    name_at: int = -1
    """Where in `out` the patient's name goes, once the patient ID is known."""
    patient_at: int = -1
    patient: bytes = b""
    disordered: int = 0
    code: bool = False
    published: bool = False
    concept: tuple[bytes, bytes] = (b"", b"")
    """Code value and coding scheme of the name of a content item."""
    creators: dict[tuple[int, int], Creator] = field(default_factory=dict)
    """By group and block."""
    overlays: dict[int, Overlay] = field(default_factory=dict)
    """By group."""


class Replacements:
    """The elements of one encoding that are written in place of others, each made once.

    `markers` holds those that say what was done, by tag.
    """

    def __init__(self, codec: Codec, markers: tuple[Marker, ...]) -> None:
        self._codec = codec
        self.markers = {marker.tag: self._marker(marker) for marker in markers}
        self._empty: dict[int, bytes] = {}
        self._dummy: dict[int, bytes] = {}

    def empty(self, tag: int) -> bytes:
        """The element without a value."""
        element = self._empty.get(tag)
        if element is None:
            element = self._empty[tag] = self._codec.head(tag, act.vr_of(tag), 0)
        return element

    def dummy(self, tag: int) -> bytes:
        """The element with a dummy value of its VR, or with one dummy item."""
        element = self._dummy.get(tag)
        if element is None:
            element = self._dummy[tag] = self._make(tag)
        return element

    def _marker(self, marker: Marker) -> bytes:
        """An element that says what was done."""
        if not marker.codes:
            return self._codec.element(marker.tag, marker.vr, marker.value)
        items = (self._codec.item(dummies.coded(self._codec, *code)) for code in marker.codes)
        return self._codec.element(marker.tag, b"SQ", b"".join(items))

    def _make(self, tag: int) -> bytes:
        items = dummies.items(tag, self._codec)
        if items is not None:
            return self._codec.element(tag, b"SQ", items)
        vr = act.vr_of(tag)
        return self._codec.element(tag, vr, dummies.value(vr))


@dataclass(frozen=True, slots=True)
class Engine:
    """What all walks of one de-identifier share."""

    rules: Rules
    replacements: Mapping[Codec, Replacements]
    uids: UIDMap | SameUIDs
    pseudonyms: Pseudonyms | None
    dates: DateShift


class Walk:
    """One pass over one dataset. `data` ends where the bytes received so far end.

    After `run`: `pixels_at` is the offset of the pixel data element or None, `noted` holds the
    values of the attributes that the caller asks for as they were received, `mapped` those of
    them that were mapped, `patient_id` and `pseudonym` the patient's before and after.
    """

    def __init__(
        self,
        data: bytes,
        encoding: Encoding,
        engine: Engine,
        *,
        complete: bool,
        character_set: bytes,
    ) -> None:
        self._data = data
        self._codec = CODECS[encoding]
        self._rules = engine.rules
        self._replacements = engine.replacements
        self._uids = engine.uids
        self._pseudonyms = engine.pseudonyms
        self._dates = engine.dates
        self._complete = complete
        self._character_set = character_set
        self._markers = list(engine.rules.markers)
        self._sop_class = ""
        self._seen = Survey()
        self.noted: dict[int, bytes] = {}
        self.mapped: dict[int, bytes] = {}
        self.patient_id = ""
        self.pseudonym = ""
        self.pixels_at: int | None = None
        self.discarded: list[str] = []
        self.coerced: list[str] = []

    def run(self) -> bytes:
        """Return the de-identified elements before the pixels.

        Raises Incomplete if more bytes are needed to reach them, Malformed if the dataset cannot
        be understood.
        """
        self._sop_class = self._look_up_sop_class()
        if self._rules.cleaning.looks_ahead:
            self._seen = self._look_ahead()
        top = _Dataset(None, 0, self._rules.actions, self._character_set)
        try:
            self._walk(self._codec, top, 0, len(self._data), delimited=False)
        except Broken as why:
            raise Malformed(str(why)) from None
        return self._finish(self._codec, top) or b""

    def _look_ahead(self) -> Survey:
        cleaning = self._rules.cleaning
        seen = survey(self._data, self._codec, cleaning, self._character_set)
        if seen.cut and not self._complete:
            raise Incomplete
        return seen

    def _look_up_sop_class(self) -> str:
        """The SOP class, which decides on attributes that stand before it."""
        at, limit = 0, len(self._data)
        try:
            for _ in range(64):
                tag, _vr, value, length = self._codec.measure(self._data, at, limit)
                if tag >= act.SOP_CLASS or length == UNDEFINED:
                    break
                at = value + length
        except (Broken, Incomplete):
            return ""
        if tag != act.SOP_CLASS:
            return ""
        return self._data[value : value + length].decode("latin-1").strip(" \0")

    def _walk(self, codec: Codec, here: _Dataset, at: int, limit: int, *, delimited: bool) -> int:
        """Walk from `at` to `limit`, or to the item delimiter; return the offset behind it.

        This is the inner loop of the receive path: what is kept costs no call.
        """
        data = self._data
        find = data.find
        get, unlisted = here.actions.get, self._rules.unlisted
        append = here.out.append
        implicit = codec.implicit
        unpack_brief, unpack_explicit = codec.brief.unpack_from, codec.explicit.unpack_from
        top = here.above is None
        barrier = self._barrier(-1) if top else _NESTED
        last = -1
        vr = b""
        p = run = at
        try:
            while p < limit:
                if p + 8 > limit:
                    if top and self._complete and not any(data[p:limit]):
                        break  # zeros to fill a block
                    raise self._short(p, limit)
                if implicit:
                    group, element, length = unpack_brief(data, p)
                else:
                    group, element, vr, length = unpack_explicit(data, p)
                tag = group << 16 | element

                if not last < tag < barrier:
                    if top and tag in PIXEL_DATA:
                        self.pixels_at = p
                        break
                    if tag == ITEM_END and not top:
                        if run < p:
                            append(data[run:p])
                        if not delimited and p + 8 < limit:
                            self._report(f"{_path(here)}offset {p + 8}: the item ended before")
                        return p + 8 if delimited else limit
                    if group == 0xFFFE:
                        raise Broken(f"{name(tag)} at offset {p} stands where it cannot")
                    if tag <= last:
                        here.disordered += 1
                        if here.disordered > _MOST_DISORDERED:
                            raise Broken(f"{name(tag)} at offset {p}: nothing is in order here")
                    elif top:
                        if run < p:
                            append(data[run:p])
                            run = p
                        self._mark(tag, append)
                        barrier = self._barrier(tag)
                last = tag

                action = get(tag, unlisted)
                if implicit:
                    start = p + 8
                else:
                    form = _BY_VR.get(vr)
                    if form is None:
                        if not (vr.isalpha() and vr.isupper()):
                            raise Broken(f"{name(tag)} at offset {p} has an impossible VR")
                        form = _UNKNOWN_VR
                    header, kept = form
                    start = p + header
                    if header == 12:
                        if start > limit:
                            raise self._short(p, limit)
                        (length,) = codec.long.unpack_from(data, p + 8)
                if action == act.NOTE:
                    if top and length <= _LONGEST_NOTED:
                        self.noted.setdefault(tag, data[start : start + length])
                    action = _NOTED[tag]
                if not implicit and action < act.REMOVE and kept != act.KEEP_ANY:
                    action = -kept if action < 0 and kept < act.REMOVE else kept

                stop = start + length
                if action < act.REMOVE and stop <= limit:
                    if action == act.KEEP_TEXT:
                        nul = find(b"\0", start, stop)
                        sound = nul < 0 or not data[nul:stop].strip(b"\0 ")
                    else:
                        sound = not length % action and (action > 0 or length <= 8)
                    if sound:
                        p = stop
                        continue
                    action = act.DISCARD
                elif stop > limit and length != UNDEFINED:
                    raise self._overrun(tag, p, limit)
                if run < p:
                    append(data[run:p])
                    run = p
                if action == act.REMOVE and stop <= limit:
                    p = run = stop
                elif action == act.UNLISTED and stop <= limit:
                    self._unlisted(codec, here, tag, vr, p, start, stop)
                    p = run = stop
                else:
                    p = run = self._act(codec, here, action, tag, vr, p, start, length, limit)
            else:
                if delimited or (top and not self._complete):
                    raise self._short(p, limit)
        except Broken as why:
            if top or delimited:
                raise
            self._report(f"{_path(here)}{why}")
            if run < p:
                append(data[run:p])
            return limit
        if run < p:
            append(data[run:p])
        if top:
            self._mark(_NESTED, append)
        return p

    def _barrier(self, tag: int) -> int:
        """The next tag behind `tag` at which the walk over the dataset itself must look up."""
        for marker in self._rules.markers:
            if marker.tag > tag:
                return marker.tag
        return _FIRST_PIXELS if tag < _FIRST_PIXELS else _NESTED

    def _mark(self, tag: int, append: Callable[[bytes], None]) -> None:
        """Write the markers that belong before `tag`."""
        while self._markers and self._markers[0].tag <= tag:
            append(self._replacements[self._codec].markers[self._markers.pop(0).tag])

    def _act(
        self,
        codec: Codec,
        here: _Dataset,
        action: int,
        tag: int,
        vr: bytes,
        at: int,
        start: int,
        length: int,
        limit: int,
    ) -> int:
        """Do to an element what its action says; return the offset behind it."""
        out = here.out
        if action == act.RESOLVE:
            parent = None if here.above is None else here.tag
            action = self._rules.resolve(tag, parent, self._sop_class)
        if action in _SEQUENCES and (
            action != act.PROBE or self._is_sequence(vr, start, length, limit)
        ):
            return self._sequence(codec, here, action, tag, vr, start, length, limit)
        if length == UNDEFINED:
            stop = self._skip(IMPLICIT if vr == b"UN" else codec, start, limit)
        else:
            stop = start + length

        if action in (act.CLEAN, act.SHIFT):
            value = self._cleaned(here, action, tag, vr, start, stop)
            if value is not None:
                out.append(codec.element(tag, vr or act.vr_of(tag), value))
                return stop
            action = self._fallback(here, tag)
        if action == act.REMOVE:
            pass
        elif action == act.EMPTY:
            out.append(self._replacements[codec].empty(tag))
        elif action == act.DUMMY:
            out.append(self._replacements[codec].dummy(tag))
        elif action == act.DISCARD:
            self._discard(here, tag, "its value is not of its VR")
        elif action == act.UNLISTED:
            self._unlisted(codec, here, tag, vr, at, start, stop)
        elif action < act.REMOVE and tag in PIXEL_DATA:
            out.append(self._data[at:stop])  # encapsulated, within an item
        elif length == UNDEFINED:
            self._discard(here, tag, "only a sequence can have undefined length")
        elif action == act.UID:
            value = self._data[start:stop]
            mapped = self._uids.map_value(value)
            if here.above is None:
                self.noted.setdefault(tag, value)
                self.mapped.setdefault(tag, mapped)
            out.append(codec.head(tag, b"UI", len(mapped)) + mapped)
        else:
            self._act_rarely(codec, here, action, tag, at, start, stop)
        return stop

    def _cleaned(
        self, here: _Dataset, action: int, tag: int, vr: bytes, start: int, stop: int
    ) -> bytes | None:
        """What may be kept of a text, or a date that was moved; None if nothing may."""
        vr = vr if vr not in (b"", b"UN") else act.vr_of(tag)
        value = self._data[start:stop]
        if not value.strip(b" \0"):
            return b""
        if action == act.SHIFT:
            return self._dates.shifted(value, vr, self._seen.whose) if self._seen.whose else None
        if not self._seen.sure or vr not in TEXT_VRS or b"\0" in value.rstrip(b"\0"):
            return None
        text = character_sets.decode(value.rstrip(b"\0"), here.label)
        free = vr in _FREE_TEXT_VRS
        kept = [
            clean(single, self._seen.identifying, whole=free)
            for single in ([text] if free else text.split("\\"))
        ]
        told = [single for single in kept if single]
        return character_sets.encode("\\".join(told), here.label) if told else None

    def _fallback(self, here: _Dataset, tag: int) -> int:
        """The action for a value that could be neither cleaned nor moved."""
        action = self._rules.cleaning.fallback.get(tag, act.DUMMY)
        if action != act.RESOLVE:
            return action
        parent = None if here.above is None else here.tag
        return self._rules.resolve(tag, parent, self._sop_class)

    def _unlisted(
        self, codec: Codec, here: _Dataset, tag: int, vr: bytes, at: int, start: int, stop: int
    ) -> None:
        """An element that no row names: it goes, unless it is known to identify nobody."""
        cleaning = self._rules.cleaning
        if here.actions is self._rules.inside:
            return
        group, number = tag >> 16, tag & 0xFFFF
        if group % 2 and number > _LAST_CREATOR:
            creator = here.creators.get((group, number >> 8))
            if creator is None or number & 0xFF not in creator.safe:
                return
        element = Unlisted(tag, vr, self._data[start:stop], self._data[at:stop])
        if element.group % 2 and cleaning.private:
            self._private(codec, here, element, start, stop)
        elif element.group >> 8 == _OVERLAYS and cleaning.overlays and here.above is None:
            self._overlay(codec, here, element, start, stop)

    def _private(
        self, codec: Codec, here: _Dataset, element: Unlisted, start: int, stop: int
    ) -> None:
        """A private element; the creator of its block is written before the first that stays."""
        out, block = here.out, element.reserves
        if block is not None:
            name = character_sets.decode(element.value, here.label)
            here.creators.pop((element.group, block), None)
            if safe := safe_elements(name, element.group, self._seen.declared):
                here.creators[element.group, block] = Creator(len(out), element.whole, safe)
                out.append(b"")
            return
        creator = here.creators.get((element.group, element.block))
        vr = creator and vr_of_safe(element, creator.safe[element.tag & 0xFF])
        if not creator or not vr:
            return
        kept: bytes | None = element.whole
        if vr == b"UI":
            kept = codec.element(element.tag, vr, self._uids.map_value(element.value))
        elif vr in CLEANED_VRS:
            value = self._cleaned(here, act.CLEAN, element.tag, vr, start, stop)
            kept = None if value is None else codec.element(element.tag, vr, value)
        if kept is not None:
            out[creator.at] = creator.whole
            out.append(kept)

    def _overlay(
        self, codec: Codec, here: _Dataset, element: Unlisted, start: int, stop: int
    ) -> None:
        """An element of an overlay plane, of which it is known at its end whether it stays."""
        if element.group not in here.overlays:
            here.overlays[element.group] = Overlay(len(here.out))
            here.out.append(b"")
        overlay = here.overlays[element.group]
        vr = OVERLAY_TEXTS.get(element.tag & 0xFFFF)
        if vr is None:
            overlay.take(element)
            return
        value = self._cleaned(here, act.CLEAN, element.tag, vr, start, stop)
        if value is not None:
            overlay.elements.append(codec.element(element.tag, vr, value))

    def _act_rarely(
        self, codec: Codec, here: _Dataset, action: int, tag: int, at: int, start: int, stop: int
    ) -> None:
        """The actions of single attributes, and the one for what nobody knows."""
        out = here.out
        if action == act.PATIENT_NAME and here.name_at < 0:
            here.name_at = len(out)
            out.append(b"")
        elif action == act.PATIENT_ID and here.patient_at < 0:
            here.patient_at = len(out)
            here.patient = self._data[start:stop]
            out.append(b"")
        elif action == act.CHARACTER_SET:
            out.append(self._character_set_of(codec, here, at, start, stop))
        elif action == act.DOCUMENT:
            out.append(codec.element(tag, b"OB", dummies.document(self._sop_class)))
        elif action == act.DOCUMENT_LENGTH:
            size = codec.long.pack(len(dummies.document(self._sop_class)))
            out.append(codec.element(tag, b"UL", size))
        elif action == act.CODE:
            here.code = True
            if tag == act.CODING_SCHEME:
                here.published = self._data[start:stop].strip(b" \0") in PUBLISHED_CODING_SCHEMES
            out.append(self._data[at:stop])
        elif action == act.PROBE and tag & 0xFFFF:  # element 0000: a group length, now wrong
            out.append(self._data[at:stop])
        elif action != act.PROBE:
            self._discard(here, tag, "it is there twice")

    def _character_set_of(
        self, codec: Codec, here: _Dataset, at: int, start: int, stop: int
    ) -> bytes:
        """Take over the character set of a dataset or item, under its right name."""
        label = self._data[start:stop].strip(b" \0")
        if not label or len(label) > _LONGEST_LABEL:
            return self._data[at:stop]
        here.label = character_sets.repair(label)
        if here.label == label:
            return self._data[at:stop]
        self.coerced.append(
            f"{_path(here)}{name(act.SPECIFIC_CHARACTER_SET)}: now {here.label.decode('latin-1')}"
        )
        return codec.element(act.SPECIFIC_CHARACTER_SET, b"CS", here.label)

    def _is_sequence(self, vr: bytes, start: int, length: int, limit: int) -> bool:
        """Whether an element that the dictionary does not know holds items."""
        if vr == b"SQ" or length == UNDEFINED:
            return True
        stop = min(start + 4, limit)
        return length >= 8 and vr in (b"", b"UN") and self._data[start:stop] == _FIRST_ITEM

    def _sequence(
        self,
        codec: Codec,
        here: _Dataset,
        action: int,
        tag: int,
        vr: bytes,
        start: int,
        length: int,
        limit: int,
    ) -> int:
        """Go through the items of a sequence; return the offset behind it.

        A sequence of VR UN is in Implicit VR Little Endian (PS3.5 Section 6.2.2 and CP-246).
        """
        delimited = length == UNDEFINED
        inner = IMPLICIT if vr == b"UN" else codec
        if here.depth >= DEEPEST or vr not in _SEQUENCE_VRS:
            deep = here.depth >= DEEPEST
            self._discard(here, tag, "nested too deep" if deep else "it has not the VR SQ")
            return self._skip(inner, start, limit) if delimited else start + length
        actions = here.actions
        if action == act.DUMMY_SEQUENCE:
            actions = self._rules.inside
        elif action == act.CLEAN_SEQUENCE:
            actions = self._rules.cleaning.actions
        end = limit if delimited else start + length
        content, stop = self._items(inner, here, tag, actions, start, end, delimited=delimited)
        here.out.append(codec.head(tag, vr or b"SQ", length if delimited else len(content)))
        here.out.append(content)
        if delimited:
            here.out.append(inner.sequence_end)
        return stop

    def _items(
        self,
        codec: Codec,
        above: _Dataset,
        tag: int,
        actions: Mapping[int, int],
        at: int,
        limit: int,
        *,
        delimited: bool,
    ) -> tuple[bytes, int]:
        """The items from `at` to `limit` or to the delimiter, and the offset behind them."""
        pieces: list[bytes] = []
        try:
            while delimited or at < limit:
                if at + 8 > limit:
                    raise self._short(at, limit)
                found, _vr, start, length = codec.delimiter(self._data, at, limit)
                if found == SEQUENCE_END:
                    if not delimited and start < limit:
                        self._report(f"{_path(above)}{name(tag)}: the sequence ended before")
                    return b"".join(pieces), start if delimited else limit
                if found != ITEM:
                    raise Broken(f"{name(found)} at offset {at} stands where an item should")
                item = _Dataset(above, tag, actions, above.label, above.depth + 1)
                if length == UNDEFINED:
                    at = self._walk(codec, item, start, limit, delimited=True)
                    content = self._finish(codec, item)
                    if content is not None:
                        pieces += codec.item_open, content, codec.item_end
                elif start + length > limit:
                    raise self._overrun(found, at, limit)
                else:
                    at = start + length
                    self._walk(codec, item, start, at, delimited=False)
                    content = self._finish(codec, item)
                    if content is not None:
                        pieces.append(codec.item(content))
        except Broken as why:
            if delimited:
                raise
            self._report(f"{_path(above)}{name(tag)}>{why}")
        return b"".join(pieces), limit

    def _finish(self, codec: Codec, here: _Dataset) -> bytes | None:
        """The elements of a dataset or item, once all of it has been seen."""
        if here.patient_at >= 0 or here.name_at >= 0:
            self._name(codec, here)
        if here.code and not here.published:
            return dummies.code(codec)
        for overlay in here.overlays.values():
            here.out[overlay.at] = overlay.kept()
        elements = b"".join(here.out)
        if here.disordered:
            elements = self._sort(codec, here, elements)
        if here.actions is self._rules.cleaning.actions:
            return self._finish_cleaned(codec, here, elements)
        return elements

    def _finish_cleaned(self, codec: Codec, here: _Dataset, elements: bytes) -> bytes | None:
        """An item of a cleaned sequence: None if all of it says what is to be removed."""
        if here.concept in self._rules.cleaning.concepts:
            return None
        if here.tag == _CONCEPT_NAME and here.above is not None:
            value = codec.find(elements, _CODE_VALUE).strip(b" \0")
            here.above.concept = (value, codec.find(elements, act.CODING_SCHEME).strip(b" \0"))
        elif here.tag == dummies.GRAPHIC_OBJECTS and not _is_plain(codec, elements):
            return dummies.point(codec)
        return elements

    def _name(self, codec: Codec, here: _Dataset) -> None:
        """Write the pseudonym for patient ID and patient's name."""
        patient_id = character_sets.decode(here.patient, here.label)
        value = b""
        pseudonym = ""
        if self._pseudonyms is not None and patient_id:
            pseudonym, value = self._pseudonyms.encoded(patient_id, here.label)
        if here.name_at >= 0:
            here.out[here.name_at] = codec.element(act.NAME, b"PN", value)
        if here.patient_at >= 0:
            here.out[here.patient_at] = codec.element(act.PATIENT, b"LO", value)
        if here.above is None:
            self.patient_id, self.pseudonym = patient_id, pseudonym

    def _sort(self, codec: Codec, here: _Dataset, elements: bytes) -> bytes:
        """The elements in the order of their tags (PS3.5 Section 7.1), the first one of each."""
        found: dict[int, bytes] = {}
        last = -1
        for tag, start, stop in codec.extents(elements, 0, len(elements)):
            if tag in found:
                self._discard(here, tag, "it is there twice")
                continue
            if tag < last and len(self.coerced) < _MOST_REPORTED:
                self.coerced.append(f"{_path(here)}{name(tag)}: moved to its place")
            found[tag] = elements[start:stop]
            last = max(last, tag)
        return b"".join(found[tag] for tag in sorted(found))

    def _skip(self, codec: Codec, at: int, limit: int) -> int:
        try:
            return skip(self._data, at, limit, codec)
        except Incomplete:
            raise self._short(at, limit) from None

    def _short(self, at: int, limit: int) -> Exception:
        if limit == len(self._data) and not self._complete:
            return Incomplete()
        return Broken(f"offset {at}: what starts there does not end before offset {limit}")

    def _overrun(self, tag: int, at: int, limit: int) -> Exception:
        if limit == len(self._data) and not self._complete:
            return Incomplete()
        return Broken(f"{name(tag)} at offset {at} is longer than what it stands in")

    def _discard(self, here: _Dataset, tag: int, why: str) -> None:
        self._report(f"{_path(here)}{name(tag)}: {why}")

    def _report(self, what: str) -> None:
        if len(self.discarded) < _MOST_REPORTED:
            self.discarded.append(what)


def _is_plain(codec: Codec, elements: bytes) -> bool:
    """Whether a graphic object is of a shape that cannot spell a name: round, or a straight line.

    PS3.3 Section C.10.5.
    """
    if codec.find(elements, _GRAPHIC_TYPE).strip(b" \0") in _ROUND:
        return True
    return codec.number(codec.find(elements, _GRAPHIC_POINTS)) <= 2


def _path(here: _Dataset) -> str:
    """The sequences around an element, outermost first, each followed by `>`."""
    tags = []
    dataset: _Dataset | None = here
    while dataset is not None and dataset.above is not None:
        tags.append(name(dataset.tag) + ">")
        dataset = dataset.above
    return "".join(reversed(tags))
