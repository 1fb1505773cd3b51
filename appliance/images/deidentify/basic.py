"""The Basic Application Level Confidentiality Profile without options (PS3.15 Section E.2).

What Table E.1-1 does not name, and the dictionary (PS3.6) knows, is kept as it is, text included:
that is the profile. Everything else goes: private elements and elements that the dictionary does
not know (Section E.1.1), the command and file meta groups, retired group lengths, and every curve
and overlay group whole, since without its data an overlay plane is not valid (PS3.3 Section C.9.2).

Sequences whose action is D keep their items, so that a structured report keeps the shape of its
tree, but nothing that a person or machine wrote into it: texts, names and times become dummies,
codes that are values become Unknown, codes of private coding schemes likewise, measured values
become empty (Measured Value Sequence is of type 2: a zero would be a false dose), strokes become
one point, UIDs are mapped. Keeping more is the Clean Structured Content option.
"""

from __future__ import annotations

from typing import Final

from appliance.images.deidentify import actions as act
from appliance.images.deidentify.actions import Marker, Rules
from appliance.images.deidentify.dummies import CODE_SEQUENCES, GRAPHIC_OBJECTS
from appliance.images.deidentify.elements import TEXT_VRS
from appliance.images.deidentify.table import (
    EDITION,
    read_attribute_types,
    read_supplement,
    read_table,
)

_CODED: Final = frozenset({0x00080100, 0x00080101, 0x00080102, 0x00080103, 0x00080104, 0x00080119})
_FREE_VRS: Final = TEXT_VRS - {b"CS", b"DS", b"IS", b"UI"} | {b"OB", b"UN"}
_NUMERIC_VALUE: Final = 0x0040A30A
_MEASURED_VALUES: Final = 0x0040A300
_COMPOUND_GRAPHICS: Final = 0x00700209
_LETTERS: Final = {"X": act.REMOVE, "Z": act.EMPTY, "D": act.DUMMY, "U": act.UID}

_CODING_SCHEMES: Final = b"""
ACR ARRT ASTM-sigpurpose BARI BI C4 CADSR CD2 CTV3 DC DCM DCMUID FMA GMDN HPC I10 I10P I11 I9 I9C
IBSI ICDO3 ISO3166_1 ISO639_1 ISO639_2 ISO_OID ISO5218_1 ITIS_TSN LN MA MAYOASRG MDC MDNS MSH MVX
NCDR NCIt NDC NEU NICIP NYUMCCG PATHLEX POS PUBCHEM_CID RADELEMENT RADLEX RFC3066 RFC4646 RFC5646
RO RXNORM SCPECG SCT SDM SNM3 SRT TNM UBERON UCUM UMLS UNS UPC VIM V3
"""
PUBLISHED_CODING_SCHEMES: Final = frozenset(_CODING_SCHEMES.split())
"""Coding Scheme Designators of PS3.16 Table 8-1: their codes are the same for everybody."""

MARKERS: Final = (
    Marker(act.IDENTITY_REMOVED, b"CS", b"YES"),
    Marker(act.METHOD, b"LO", f"PS3.15 {EDITION} Basic Profile, every nesting depth".encode()),
    Marker(
        act.METHOD_CODES,
        b"SQ",
        code=(b"113100", b"DCM", b"Basic Application Confidentiality Profile"),
    ),
    Marker(act.LONGITUDINAL, b"CS", b"REMOVED"),
)


def basic() -> Rules:
    """The rules of the profile."""
    rows = read_table() + read_supplement()
    actions = act.kept()
    letters = {row.tag: row.action for row in rows if "/" in row.action and row.tag in actions}
    strongest = {tag: _last(tag, action) for tag, action in letters.items()}
    filled = {tag: _last(tag, action, least="D") for tag, action in letters.items()}
    for row in rows:
        if row.tag in actions:  # what the table knows before the dictionary does is not kept
            actions[row.tag] = act.RESOLVE if row.tag in letters else _single(row.tag, row.action)
    actions.update({tag: act.REMOVE for tag in actions if tag >> 16 in (0x0000, 0x0002)})
    actions.update(dict.fromkeys(act.NOTED, act.NOTE))
    actions.update({marker.tag: act.REMOVE for marker in MARKERS})
    actions[act.LENGTH_TO_END] = act.REMOVE
    actions[act.SPECIFIC_CHARACTER_SET] = act.CHARACTER_SET
    actions[act.NAME] = act.PATIENT_NAME
    actions[act.PATIENT] = act.PATIENT_ID
    actions[act.ENCAPSULATED_DOCUMENT] = act.DOCUMENT
    actions[act.ENCAPSULATED_DOCUMENT_LENGTH] = act.DOCUMENT_LENGTH
    types = read_attribute_types()
    inside = _inside(actions)
    return Rules(actions, inside, act.REMOVE, MARKERS, strongest, filled, letters, types)


def _single(tag: int, letter: str) -> int:
    if letter == "D" and act.vr_of(tag) == b"SQ":
        return act.DUMMY if tag in CODE_SEQUENCES else act.DUMMY_SEQUENCE
    if letter == "D" and act.vr_of(tag) == b"UI":
        return act.UID
    return _LETTERS[letter]


def _last(tag: int, letters: str, least: str = "") -> int:
    if letters.endswith("U*"):
        return act.SEQUENCE
    return _single(tag, least or letters[-1])


def _inside(actions: dict[int, int]) -> dict[int, int]:
    """The rules within a sequence that only its shape is to be left of."""
    inside = dict(actions)
    for tag, action in actions.items():
        if action in (act.KEEP_TEXT, act.KEEP_ANY) and act.vr_of(tag) in _FREE_VRS:
            inside[tag] = act.DUMMY
    inside.update(dict.fromkeys(CODE_SEQUENCES, act.DUMMY))
    inside[_MEASURED_VALUES] = act.EMPTY
    inside[_NUMERIC_VALUE] = act.DUMMY
    inside[GRAPHIC_OBJECTS] = act.DUMMY
    inside[_COMPOUND_GRAPHICS] = act.REMOVE
    inside.update(dict.fromkeys(_CODED, act.CODE))
    return inside
