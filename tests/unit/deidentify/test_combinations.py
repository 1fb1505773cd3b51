"""Every combination of the ten options: what Section E.3 says of each row is what is done with it.

PS3.15 Section E.1.1: "A requirement for an Option, when implemented, overrides any requirement for
the underlying Profile." Section E.3: an option either asks for removal of more or for retention of
what would be removed. So a row is cleaned if any chosen option cleans it, is retained if none does
and one retains it, and is treated as in the Basic Profile otherwise. Said here anew, and compared
with what the engine resolved, for every row, and with what its walk does, for a row of every kind.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain, combinations
from typing import Any

import pytest
from pydicom._dicom_dict import DicomDictionary

from appliance.images.deidentify import Deidentifier, Options, basic, deidentifier
from appliance.images.deidentify import actions as act
from appliance.images.deidentify.actions import Rules

from . import oracle
from .datasets import EXPLICIT, KEY
from .structure import parse
from .test_options import is_cleaned, is_kept
from .test_table import honoured, planted

TEN = (
    "retain_safe_private",
    "retain_uids",
    "retain_device_identity",
    "retain_institution_identity",
    "retain_patient_characteristics",
    "retain_long_full_dates",
    "retain_long_modified_dates",
    "clean_descriptors",
    "clean_structured_content",
    "clean_graphics",
)
BOTH_DATES = {"retain_long_full_dates", "retain_long_modified_dates"}
"""Section E.3.6: dates are retained as they are, or modified."""
CONTRADICTION = "^retain_long_full_dates and retain_long_modified_dates contradict each other: "

COMBINATIONS = tuple(chain.from_iterable(combinations(TEN, n) for n in range(len(TEN) + 1)))
POSSIBLE = tuple(chosen for chosen in COMBINATIONS if not set(chosen) >= BOTH_DATES)

DATES, TIMES = {"DA", "DT"}, {"TM", "SH"}
TEXTS = {"AE", "AS", "CS", "DS", "IS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"}
TEXTS |= DATES | TIMES
OF_ITS_OWN = oracle.PATIENT | oracle.MARKERS | {act.ENCAPSULATED_DOCUMENT, 0x00420015}
"""Treated beyond the table: pseudonyms, what says what was done, documents."""
OF_MANY = {
    "(50XX,XXXX)": {0x50003000, 0x501E0005},
    "(60XX,3000)": {0x60003000, 0x601E3000},
    "(60XX,4000)": {0x60004000, 0x601E4000},
    "(GGGG,EEEE) WHERE GGGG IS ODD": {0x00990010, 0x00991001},
}
"""Elements of the rows that name many. No option knows that these are safe: all of them go."""


@cache
def rows() -> dict[int, dict[str, str]]:
    """The rows that name an attribute of the dictionary, each by its columns."""
    source = files("appliance.images.deidentify") / "data" / "ps3.15_table_e.1-1.csv"
    named = {
        int(row["tag"][1:5] + row["tag"][6:10], 16): row
        for row in csv.DictReader(source.read_text("utf-8").splitlines())
        if "X" not in row["tag"] and "GGGG" not in row["tag"]
    }
    return {tag: row for tag, row in sorted(named.items()) if tag in DicomDictionary}


@cache
def others() -> tuple[int, ...]:
    """Tags of the other rows: what the dictionary does not know, curves, overlays, private ones."""
    source = files("appliance.images.deidentify") / "data" / "ps3.15_table_e.1-1.csv"
    tags: set[int] = set()
    for row in csv.DictReader(source.read_text("utf-8").splitlines()):
        if row["tag"] in OF_MANY:
            tags |= OF_MANY[row["tag"]]
        else:
            tags.add(int(row["tag"][1:5] + row["tag"][6:10], 16))
    return tuple(sorted(tags - set(rows())))


def vr(tag: int) -> str:
    return str(DicomDictionary[tag][0]).split(" ")[0]


def resolution(tag: int, chosen: tuple[str, ...]) -> str:
    """retained, moved, cleaned, or the letters of the Basic Profile."""
    row = rows()[tag]
    letters = {row[name] for name in chosen} - {""}
    if tag >> 16 in (0, 2):  # of commands and files, never of a dataset
        return "X"
    if "C" not in letters:
        return "retained" if letters else row["basic_profile"].rstrip("*")
    if row["retain_long_modified_dates"]:
        # Days move. A time of day and its zone stay, for what is computed from them (note 4).
        moved = {**dict.fromkeys(DATES, "moved"), **dict.fromkeys(TIMES, "retained")}
        return moved.get(vr(tag), row["basic_profile"].rstrip("*"))
    cleanable = vr(tag) == "SQ" or vr(tag) in TEXTS
    return "cleaned" if cleanable else row["basic_profile"].rstrip("*")


def resolved(tag: int, action: int) -> str:
    """What an action of the engine is, in the same words."""
    if action < act.REMOVE or action in (act.NOTE, act.SEQUENCE):
        return "retained"
    return {
        act.SHIFT: "moved",
        act.CLEAN: "cleaned",
        act.CLEAN_SEQUENCE: "cleaned",
        act.REMOVE: "X",
        act.EMPTY: "Z",
        act.DUMMY: "D",
        act.DUMMY_SEQUENCE: "D",
        act.UID: "D" if rows()[tag]["basic_profile"] == "D" else "U",
        act.RESOLVE: rows()[tag]["basic_profile"].rstrip("*"),
    }[action]


KINDS = {
    (row["basic_profile"], vr(tag), tuple(row[name] for name in TEN)): tag
    for tag, row in reversed(rows().items())
    if tag >> 16 not in (0, 2)
}
SAMPLE = tuple(sorted({*KINDS.values()} - oracle.MARKERS))
"""For each kind of row, by its action, its VR and its options, the first one."""


def agrees(tag: int, chosen: tuple[str, ...], out: Any) -> bool:
    """Whether a row became what its resolution says."""
    before, wanted = planted(EXPLICIT, tag), resolution(tag, chosen)
    if tag in oracle.PATIENT:
        return honoured(rows()[tag]["basic_profile"], out, before, tag)
    if wanted == "retained" and vr(tag) == "SQ":
        return out is not None and len(out.items) == 1
    if wanted == "retained":
        return is_kept(out, before)
    if wanted == "moved":
        return out is not None and is_cleaned(out, tag, before)
    if wanted == "cleaned":
        return is_cleaned(out, tag, before)
    return honoured(wanted, out, before, tag)


@pytest.fixture
def rules_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Options], Rules]:
    """The rules that a de-identifier with these options has; what is known is not read again."""
    for name in ("read_table", "read_supplement", "read_attribute_types"):
        reader: Callable[[], Any] = getattr(basic, name)
        monkeypatch.setattr(basic, name, cache(reader))
    monkeypatch.setattr(act, "vr_of", cache(act.vr_of))
    monkeypatch.setattr(act, "kept", act.kept().copy)
    compiled = lru_cache(1)(basic.basic)
    monkeypatch.setattr(deidentifier, "basic", compiled)
    return compiled


def test_there_are_as_many_combinations_as_there_should_be():
    assert len(COMBINATIONS) == 1024
    assert len(POSSIBLE) == 768
    assert set(TEN) == set(next(iter(rows().values()))) - {
        *("tag", "name", "basic_profile", "edition")
    }


def test_combinations_that_contradict_themselves_are_refused_by_name():
    for chosen in set(COMBINATIONS) - set(POSSIBLE):
        with pytest.raises(ValueError, match=CONTRADICTION):
            Options(chosen)
        with pytest.raises(ValueError, match=CONTRADICTION):
            Deidentifier("basic", KEY, options=chosen)


def test_no_row_is_passed_over():
    many = {tag for tags in OF_MANY.values() for tag in tags}
    assert len(rows()) + len(set(others()) - many) + len(OF_MANY) == 656


def test_the_sample_meets_every_kind_of_action():
    met = {resolution(tag, chosen) for tag in SAMPLE for chosen in (*combinations(TEN, 1), ())}
    assert met >= {"retained", "moved", "cleaned", "X", "Z", "D", "U"}
    assert met >= {row["basic_profile"].rstrip("*") for row in rows().values()}


def test_every_row_and_a_walk_under_every_combination(rules_of):
    before = b"".join(planted(EXPLICIT, tag) for tag in sorted({*SAMPLE, *others()}))
    wrong: dict[tuple[str, ...], list[str]] = {}
    for chosen in POSSIBLE:
        actions = rules_of(Options(chosen)).actions
        amiss = [
            f"{tag:08X} is {resolved(tag, actions[tag])}, not {resolution(tag, chosen)}"
            for tag in rows()
            if tag not in OF_ITS_OWN and resolved(tag, actions[tag]) != resolution(tag, chosen)
        ]
        header = Deidentifier("basic", KEY, options=chosen).header(before, EXPLICIT, complete=True)
        assert header is not None
        left = {one.tag: one for one in parse(header.data, EXPLICIT, oracle.SEQUENCES)}
        amiss += [
            f"{tag:08X} became {left.get(tag)}, not {resolution(tag, chosen)}"
            for tag in SAMPLE
            if not agrees(tag, chosen, left.get(tag))
        ]
        if amiss or not set(left) <= {*SAMPLE} | oracle.MARKERS or header.discarded:
            wrong[chosen] = amiss
    assert not wrong
