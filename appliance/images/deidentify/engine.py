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
from appliance.images.deidentify.uids import SameUIDs, UIDMap

DEEPEST: Final = 32
"""Sequences nested deeper than this are dropped."""

_NESTED: Final = 0xFFFE0000
_FIRST_PIXELS: Final = 0x7FE00008
_FIRST_ITEM: Final = b"\xfe\xff\x00\xe0"
_LONGEST_NOTED: Final = 1024
_LONGEST_LABEL: Final = 256
_MOST_REPORTED: Final = 100
_MOST_DISORDERED: Final = 1000
_SEQUENCES: Final = frozenset({act.SEQUENCE, act.DUMMY_SEQUENCE, act.PROBE})
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
    actions: dict[int, int]
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
        if marker.code is None:
            return self._codec.element(marker.tag, marker.vr, marker.value)
        code, scheme, meaning = marker.code
        content = self._codec.element(0x00080100, b"SH", code)
        content += self._codec.element(0x00080102, b"SH", scheme)
        content += self._codec.element(0x00080104, b"LO", meaning)
        return self._codec.element(marker.tag, b"SQ", self._codec.item(content))

    def _make(self, tag: int) -> bytes:
        items = dummies.items(tag, self._codec)
        if items is not None:
            return self._codec.element(tag, b"SQ", items)
        vr = act.vr_of(tag)
        return self._codec.element(tag, vr, dummies.value(vr))


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
        rules: Rules,
        replacements: Mapping[Codec, Replacements],
        uids: UIDMap | SameUIDs,
        pseudonyms: Pseudonyms | None,
        *,
        complete: bool,
        character_set: bytes,
    ) -> None:
        self._data = data
        self._codec = CODECS[encoding]
        self._rules = rules
        self._replacements = replacements
        self._uids = uids
        self._pseudonyms = pseudonyms
        self._complete = complete
        self._character_set = character_set
        self._markers = list(rules.markers)
        self._sop_class = ""
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
        top = _Dataset(None, 0, self._rules.actions, self._character_set)
        try:
            self._walk(self._codec, top, 0, len(self._data), delimited=False)
        except Broken as why:
            raise Malformed(str(why)) from None
        return self._finish(self._codec, top)

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

        if action == act.REMOVE:
            pass
        elif action == act.EMPTY:
            out.append(self._replacements[codec].empty(tag))
        elif action == act.DUMMY:
            out.append(self._replacements[codec].dummy(tag))
        elif action == act.DISCARD:
            self._discard(here, tag, "its value is not of its VR")
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
        actions = self._rules.inside if action == act.DUMMY_SEQUENCE else here.actions
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
        actions: dict[int, int],
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
                    pieces += codec.item_open, self._finish(codec, item), codec.item_end
                elif start + length > limit:
                    raise self._overrun(found, at, limit)
                else:
                    at = start + length
                    self._walk(codec, item, start, at, delimited=False)
                    pieces.append(codec.item(self._finish(codec, item)))
        except Broken as why:
            if delimited:
                raise
            self._report(f"{_path(above)}{name(tag)}>{why}")
        return b"".join(pieces), limit

    def _finish(self, codec: Codec, here: _Dataset) -> bytes:
        """The elements of a dataset or item, once all of it has been seen."""
        if here.patient_at >= 0 or here.name_at >= 0:
            self._name(codec, here)
        if here.code and not here.published:
            return dummies.code(codec)
        elements = b"".join(here.out)
        return self._sort(codec, here, elements) if here.disordered else elements

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


def _path(here: _Dataset) -> str:
    """The sequences around an element, outermost first, each followed by `>`."""
    tags = []
    dataset: _Dataset | None = here
    while dataset is not None and dataset.above is not None:
        tags.append(name(dataset.tag) + ">")
        dataset = dataset.above
    return "".join(reversed(tags))
