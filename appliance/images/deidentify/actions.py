"""What the engine does with an element, and the rules that say so for every tag.

An action is a small number, because one is looked up for every element of every dataset. Those
below `REMOVE` keep the value, and say how it is proved to be what its VR promises: a value that is
not is dropped, for a wrong length may have swallowed its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydicom._dicom_dict import DicomDictionary

from appliance.images.deidentify.elements import TEXT_VRS, WORDS
from appliance.images.deidentify.options import Code
from appliance.images.deidentify.table import AttributeTypes

KEEP_TEXT: Final = 0
KEEP_ANY: Final = 1
"""2, 4 and 8 keep values of so many bytes each; -2, -4 and -8 keep one such value."""
REMOVE: Final = 16
EMPTY: Final = 17
DUMMY: Final = 18
UID: Final = 19
NOTE: Final = 20
"""Keep, and remember the value of the dataset itself: the caller asks for it."""
SEQUENCE: Final = 21
DUMMY_SEQUENCE: Final = 22
"""Keep the items, but no text, code, number or stroke in them that could tell who it is."""
RESOLVE: Final = 23
"""An action of several letters: the attribute's type decides."""
CHARACTER_SET: Final = 24
PATIENT_NAME: Final = 25
PATIENT_ID: Final = 26
DOCUMENT: Final = 27
DOCUMENT_LENGTH: Final = 28
CODE: Final = 29
"""Keep a code if its item names a published coding scheme; make any other code Unknown."""
DISCARD: Final = 30
"""Remove, and say so: the value cannot be what its VR promises."""
PROBE: Final = 31
"""Keep what is not in the dictionary, and go through it if it is a sequence."""
CLEAN: Final = 32
"""Keep what of a text cannot tell who it is; `Rules.fallback` if nothing of it can stay."""
SHIFT: Final = 33
"""Move a date by the patient's own number of days; `Rules.fallback` if it cannot be moved."""
CLEAN_SEQUENCE: Final = 34
"""Keep the items, their codes, numbers and simple shapes, and clean the texts in them."""
UNLISTED: Final = 35
"""What no row names: a private element that is known to be safe stays, and a drawn region."""

LENGTH_TO_END: Final = 0x00080001
MODALITY: Final = 0x00080060
SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E
INSTANCE_NUMBER: Final = 0x00200013
FRAMES: Final = 0x00280008
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
BITS_ALLOCATED: Final = 0x00280100
SPECIFIC_CHARACTER_SET: Final = 0x00080005
NAME: Final = 0x00100010
PATIENT: Final = 0x00100020
ENCAPSULATED_DOCUMENT: Final = 0x00420011
ENCAPSULATED_DOCUMENT_LENGTH: Final = 0x00420015
CODING_SCHEME: Final = 0x00080102
IDENTITY_REMOVED: Final = 0x00120062
METHOD: Final = 0x00120063
METHOD_CODES: Final = 0x00120064
LONGITUDINAL: Final = 0x00280303

NOTED: Final = (SOP_CLASS, MODALITY, INSTANCE_NUMBER, FRAMES, ROWS, COLUMNS, BITS_ALLOCATED)
IDENTITY: Final = (SOP_INSTANCE, STUDY, SERIES)


@dataclass(frozen=True, slots=True)
class Marker:
    """An element that says what was done; it replaces one that is there already.

    `codes` holds (code value, coding scheme, meaning) of each item of a code sequence.
    """

    tag: int
    vr: bytes
    value: bytes = b""
    codes: tuple[Code, ...] = ()


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is needed to clean and to move: empty where no option asks for it.

    actions: the action for each tag within the items of a cleaned sequence
    fallback: the action for each tag whose value cannot be cleaned or moved; DUMMY for others
    identifying, sequences: see `survey.survey`
    concepts: (code value, coding scheme) of content items that are removed with what is in them
    private: whether private elements that are known to be safe stay
    overlays: whether overlays that draw regions, not letters, stay
    """

    actions: Mapping[int, int] = field(default_factory=dict)
    fallback: Mapping[int, int] = field(default_factory=dict)
    identifying: frozenset[int] = frozenset()
    sequences: frozenset[int] = frozenset()
    concepts: frozenset[tuple[bytes, bytes]] = frozenset()
    private: bool = False
    overlays: bool = False

    @property
    def looks_ahead(self) -> bool:
        """Whether a dataset must be surveyed before it is walked over."""
        return bool(self.fallback) or self.private or self.overlays


@dataclass(frozen=True, slots=True)
class Rules:
    """A profile, compiled: the action for each tag.

    `actions` holds for every dataset and item, `inside` for the items of a sequence whose action
    is D, `cleaning` for those that an option cleans; `unlisted` is the action for tags that none
    of them names. Markers are in the order of their
    tags. The actions of several letters (`letters`) are resolved by `types`: `strongest` is what
    suits each type that the letters foresee, `filled` what leaves a value for type 1.
    """

    actions: dict[int, int]
    inside: dict[int, int]
    unlisted: int
    markers: tuple[Marker, ...]
    strongest: Mapping[int, int] = field(default_factory=dict)
    filled: Mapping[int, int] = field(default_factory=dict)
    letters: Mapping[int, str] = field(default_factory=dict)
    types: AttributeTypes = field(default_factory=lambda: AttributeTypes({}, {}, {}))
    cleaning: Cleaning = field(default_factory=Cleaning)
    _resolved: dict[tuple[int, int | None, str | None], int] = field(default_factory=dict)

    def resolve(self, tag: int, parent: int | None, sop_class: str) -> int:
        """The action that an action of several letters comes to (PS3.15 Table E.1-1a).

        Type 1 takes D, type 2 takes Z, type 3 takes X; an action that lacks Z or X takes its next
        stronger letter. Where the type is unknown (another SOP class, or a sequence in which
        PS3.3 does not expect the attribute) the strongest letter is right for each type.

        Sequences of references (X/Z/U*) take U for type 2 as well: Z allows a value, and what
        they refer to must be referred to (PS3.3 Section C.12.2, Common Instance Reference).
        """
        iod = self.types.iods.get(sop_class) if parent is None else None
        where = (tag, parent, iod)
        action = self._resolved.get(where)
        if action is None:
            action = self._resolved[where] = self._resolve(tag, self._type(tag, parent, iod))
        return action

    def _type(self, tag: int, parent: int | None, iod: str | None) -> int | None:
        if parent is not None:
            return self.types.nested.get((tag, parent))
        return None if iod is None else self.types.root.get(iod, {}).get(tag, 3)

    def _resolve(self, tag: int, kind: int | None) -> int:
        letters = self.letters[tag]
        if kind == 1:
            return self.filled[tag]
        if kind == 3 and letters.startswith("X"):
            return REMOVE
        if kind in (2, 3) and "Z" in letters and "U" not in letters:
            return EMPTY
        return self.strongest[tag]


def kept() -> dict[int, int]:
    """The actions that keep every attribute of the dictionary (PS3.6) and go into its sequences.

    Attributes that the dictionary knows only as patterns (50XX, 60XX, 7FXX, 0028,04X0 and the
    like, all retired but the overlays) are not in it.
    """
    return {tag: keep(vr, vm) for tag, (vr, vm, *_) in DicomDictionary.items() if is_known(tag)}


def keep(vr: str, vm: str) -> int:
    """The action that keeps an attribute of this VR, one of several if it is ambiguous."""
    if vr == "SQ":
        return SEQUENCE
    first = vr.split(" ")[0].encode("ascii")
    if first in TEXT_VRS:
        return KEEP_TEXT
    size = WORDS[first]
    return -size if vm == "1" and size > 1 and " " not in vr and first[:1] != b"O" else size


def is_known(tag: int) -> bool:
    """Whether the dictionary has an attribute, and says what it holds."""
    return tag in DicomDictionary and DicomDictionary[tag][0] != "NONE"


def kept_as(tag: int) -> int:
    """The action that keeps an attribute of the dictionary."""
    vr, vm, *_ = DicomDictionary[tag]
    return keep(vr, vm)


def vr_of(tag: int) -> bytes:
    """The VR that the dictionary gives a tag, the first one if it gives several."""
    return DicomDictionary[tag][0].split(" ")[0].encode("ascii")
