"""The Basic Application Level Confidentiality Profile and its options (PS3.15 Sections E.2, E.3).

What Table E.1-1 does not name, and the dictionary (PS3.6) knows, is kept as it is, text included:
that is the profile. Everything else goes: private elements and elements that the dictionary does
not know (Section E.1.1), the command and file meta groups, retired group lengths, and every curve
and overlay group whole, since without its data an overlay plane is not valid (PS3.3 Section C.9.2).

Sequences whose action is D keep their items, so that a structured report keeps the shape of its
tree, but nothing that a person or machine wrote into it: texts, names and times become dummies,
codes that are values become Unknown, codes of private coding schemes likewise, measured values
become empty (Measured Value Sequence is of type 2: a zero would be a false dose), strokes become
one point, UIDs are mapped.

Sequences that an option cleans keep published codes, numbers, and the shapes that cannot spell a
name; texts in them are cleaned as descriptions are, dates follow the option for dates. Overlays
stay if they draw a region of interest; one of graphics may hold letters, and goes.
"""

from __future__ import annotations

from typing import Final

from appliance.images.deidentify import actions as act
from appliance.images.deidentify.actions import Cleaning, Marker, Rules
from appliance.images.deidentify.dummies import CODE_SEQUENCES, CONTENT_VALUE, GRAPHIC_OBJECTS
from appliance.images.deidentify.elements import TEXT_VRS
from appliance.images.deidentify.options import Options
from appliance.images.deidentify.table import (
    EDITION,
    Row,
    read_attribute_types,
    read_supplement,
    read_table,
)

_CODED: Final = frozenset({0x00080100, 0x00080101, 0x00080102, 0x00080103, 0x00080104, 0x00080119})
_FREE_VRS: Final = TEXT_VRS - {b"CS", b"DS", b"IS", b"UI"} | {b"OB", b"UN"}
_CLEAN_VRS: Final = frozenset({b"LO", b"LT", b"SH", b"ST", b"UC", b"UT"})
_NAMING_VRS: Final = _CLEAN_VRS | {b"AE", b"PN"}
_WITHOUT_CLEANING: Final = frozenset(
    {
        "retain_uids",
        "retain_device_identity",
        "retain_institution_identity",
        "retain_long_full_dates",
    }
)
_MODIFIED: Final = "retain_long_modified_dates"
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

_BASIC: Final = (b"113100", b"DCM", b"Basic Application Confidentiality Profile")
_METHOD: Final = f"PS3.15 {EDITION} Basic Profile, every nesting depth".encode()

_CHARACTERISTICS: Final = frozenset({(b"121032", b"DCM"), (b"121033", b"DCM")})
"""Subject Sex and Subject Age: codes and numbers that say what Patient's Sex and Age say."""
_DEVICE_IDENTIFIERS: Final = frozenset({(b"121000", b"DCM")})


def basic(options: Options) -> Rules:
    """The rules of the profile with these options."""
    rows = read_table() + read_supplement()
    letters = {row.tag: row.action for row in rows if "/" in row.action and act.is_known(row.tag)}
    strongest = {tag: _last(tag, action) for tag, action in letters.items()}
    filled = {tag: _last(tag, action, least="D") for tag, action in letters.items()}
    markers = _markers(options)
    actions, fallback = _actions(rows, options)
    # What is to be replaced whole keeps nothing but its references, where UIDs stay.
    inside = _inside(_actions(rows, Options(options.chosen & {"retain_uids"}))[0])
    cleaning = _cleaning(actions, fallback, rows, options)
    unlisted = act.UNLISTED if cleaning.private or cleaning.overlays else act.REMOVE
    types = read_attribute_types()
    return Rules(actions, inside, unlisted, markers, strongest, filled, letters, types, cleaning)


def _actions(rows: tuple[Row, ...], options: Options) -> tuple[dict[int, int], dict[int, int]]:
    """The action for each tag, and the one for what cannot be cleaned or moved."""
    actions = act.kept()
    fallback: dict[int, int] = {}
    for row in rows:
        if row.tag in actions:  # what the table knows before the dictionary does is not kept
            least = act.RESOLVE if "/" in row.action else _single(row.tag, row.action)
            actions[row.tag] = _chosen(row, options, least)
            if actions[row.tag] in (act.CLEAN, act.SHIFT):
                fallback[row.tag] = least
    actions.update({tag: act.REMOVE for tag in actions if tag >> 16 in (0x0000, 0x0002)})
    actions.update(dict.fromkeys(act.NOTED, act.NOTE))
    actions.update({tag: act.NOTE for tag in act.IDENTITY if actions[tag] == act.KEEP_TEXT})
    actions.update({marker.tag: act.REMOVE for marker in _markers(options)})
    actions[act.LENGTH_TO_END] = act.REMOVE
    actions[act.SPECIFIC_CHARACTER_SET] = act.CHARACTER_SET
    actions[act.NAME] = act.PATIENT_NAME
    actions[act.PATIENT] = act.PATIENT_ID
    actions[act.ENCAPSULATED_DOCUMENT] = act.DOCUMENT
    actions[act.ENCAPSULATED_DOCUMENT_LENGTH] = act.DOCUMENT_LENGTH
    return actions, fallback


def _markers(options: Options) -> tuple[Marker, ...]:
    return (
        Marker(act.IDENTITY_REMOVED, b"CS", b"YES"),
        Marker(act.METHOD, b"LO", _METHOD),
        Marker(act.METHOD_CODES, b"SQ", codes=(_BASIC, *options.codes)),
        Marker(act.LONGITUDINAL, b"CS", options.temporal),
    )


def _chosen(row: Row, options: Options, basic: int) -> int:
    """The action for a row under the options; `basic` is the one without any."""
    letter = options.action(row.options)
    if letter == "K" and row.tag not in (act.NAME, act.PATIENT):
        return act.kept_as(row.tag)
    if letter != "C":
        return basic
    vr = act.vr_of(row.tag)
    if vr == b"SQ":
        return act.CLEAN_SEQUENCE
    if row.options.get("retain_long_modified_dates"):
        return _moved(row.tag, vr, basic)
    return act.CLEAN if vr in TEXT_VRS else basic


def _moved(tag: int, vr: bytes, basic: int) -> int:
    """How a date or time is modified: days move, times of day and their zone stay.

    What a time stamp in other forms holds cannot be moved.
    """
    if vr in (b"DA", b"DT"):
        return act.SHIFT
    return act.kept_as(tag) if vr in (b"TM", b"SH") else basic


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


def _cleaning(
    actions: dict[int, int], fallback: dict[int, int], rows: tuple[Row, ...], options: Options
) -> Cleaning:
    if not options.chosen - _WITHOUT_CLEANING:
        return Cleaning()
    people = {tag for tag in actions if act.vr_of(tag) == b"PN"}
    removed = {row.tag for row in rows if actions.get(row.tag, act.KEEP_TEXT) >= act.REMOVE}
    told = {tag for tag in removed | people if act.vr_of(tag) in _NAMING_VRS}
    return Cleaning(
        actions=_within_cleaned(actions, options),
        fallback=fallback,
        identifying=frozenset(tag for tag in told if actions[tag] != act.CLEAN),
        sequences=frozenset(tag for tag in actions if act.vr_of(tag) == b"SQ"),
        concepts=_removed_concepts(options),
        private="retain_safe_private" in options,
        overlays="clean_graphics" in options,
    )


def _removed_concepts(options: Options) -> frozenset[tuple[bytes, bytes]]:
    concepts = frozenset[tuple[bytes, bytes]]()
    if "retain_patient_characteristics" not in options:
        concepts |= _CHARACTERISTICS
    return concepts if "retain_device_identity" in options else concepts | _DEVICE_IDENTIFIERS


def _within_cleaned(actions: dict[int, int], options: Options) -> dict[int, int]:
    """The rules within a sequence that an option cleans."""
    cleaned = dict(actions)
    for tag, action in actions.items():
        if action in (act.KEEP_TEXT, act.KEEP_ANY) and act.vr_of(tag) in _FREE_VRS:
            cleaned[tag] = _cleaned_as(tag, options)
        elif action == act.DUMMY_SEQUENCE:
            cleaned[tag] = act.CLEAN_SEQUENCE
    cleaned[CONTENT_VALUE] = act.SEQUENCE
    cleaned[_COMPOUND_GRAPHICS] = act.REMOVE
    cleaned.update(dict.fromkeys(_CODED, act.CODE))
    return cleaned


def _cleaned_as(tag: int, options: Options) -> int:
    vr = act.vr_of(tag)
    if vr in (b"DA", b"DT", b"TM"):
        if "retain_long_full_dates" in options:
            return act.KEEP_TEXT
        return _moved(tag, vr, act.DUMMY) if _MODIFIED in options else act.DUMMY
    return act.CLEAN if vr in _CLEAN_VRS else act.DUMMY
