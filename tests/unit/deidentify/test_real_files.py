"""Real files: what the profile names is treated so, and every other byte is what it was."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydicom._dicom_dict import DicomDictionary

from appliance.images.deidentify import Header, Profile

from . import oracle
from .datasets import RealFile, header_of, read, real_files
from .structure import Element, parse

TWICE = {"winter.dcm"}
"""Has an element twice: see test_broken.py."""
REAL = [real for real in real_files() if real.name not in TWICE]
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


def deidentified(real: RealFile, profile: Profile = "basic") -> Header:
    header = header_of(real.data, real.encoding, profile)
    assert header.discarded == ()
    return header


def compare(before: Sequence[Element], after: Sequence[Element], wrong: list[str]) -> None:
    """Hold one dataset or item against what became of it."""
    left = {element.tag: element for element in after}
    for element in before:
        wrong += [f"{element.tag:08X} {why}" for why in judge(element, left.pop(element.tag, None))]
    wrong += [f"{tag:08X} was added" for tag in left if tag not in oracle.MARKERS]


def judge(before: Element, after: Element | None) -> list[str]:
    letters = oracle.letters(before.tag)
    if before.tag in oracle.MARKERS or before.tag in oracle.RECOMPUTED:
        return []
    if letters == "K":
        return judge_kept(before, after)
    if after is None:
        return [] if "X" in letters else ["is gone"]
    if not after.value:
        return [] if "Z" in letters or not before.value else ["is empty"]
    if before.tag in oracle.PATIENT:
        return [] if after.value != before.value else ["is the same"]
    if "U" in letters and before.items is None:
        return [] if standard(before.value) or after.value != before.value else ["is the same"]
    if not set(letters) & set("DU"):
        return ["has a value"]
    return [] if after.value != before.value or dummy(after) else ["is the same"]


def judge_kept(before: Element, after: Element | None) -> list[str]:
    if after is None:
        return ["is gone"]
    if before.items is None or after.items is None:
        return [] if (before.vr, before.value) == (after.vr, after.value) else ["differs"]
    if len(before.items) != len(after.items):
        return ["has other items"]
    wrong: list[str] = []
    for item, left in zip(before.items, after.items, strict=True):
        compare(item, left, wrong)
    return wrong


def standard(value: bytes) -> bool:
    return value.startswith(b"1.2.840.10008.")


def dummy(element: Element) -> bool:
    return element.value.strip(b" \0") in {b"REMOVED", b"19000101", b"000000", b"19000101000000"}


@pytest.mark.parametrize("real", REAL, ids=lambda real: real.name)
def test_named_elements_are_treated_and_the_rest_is_byte_equal(real):
    header = deidentified(real)
    end = len(real.data) if header.pixels_at is None else header.pixels_at
    before = parse(real.data[:end], real.encoding, oracle.SEQUENCES)
    after = parse(header.data, real.encoding, oracle.SEQUENCES)
    wrong: list[str] = []
    compare(before, after, wrong)
    assert not wrong
    assert {e.tag for e in after} >= oracle.MARKERS


@pytest.mark.parametrize("real", REAL, ids=lambda real: real.name)
def test_removed_values_are_nowhere_in_the_output(real):
    header = deidentified(real)
    end = len(real.data) if header.pixels_at is None else header.pixels_at
    removed, stays = set[bytes](), [b"REMOVED Unknown PS3.15 2026c Basic Profile"]
    sort_out(parse(real.data[:end], real.encoding, oracle.SEQUENCES), removed, stays)
    told = b"\n".join(stays)
    left = {value for value in removed if value in header.data and value not in told}
    assert not left


def sort_out(elements: Sequence[Element], removed: set[bytes], stays: list[bytes]) -> None:
    """Part the values into those that must go and those that may stay."""
    for element in elements:
        vr = DicomDictionary.get(element.tag, ("LO",))[0]
        if element.items is not None:
            gone = set[bytes]() if oracle.letters(element.tag) == "K" else removed
            for content in element.items:
                sort_out(content, removed if oracle.letters(element.tag) == "K" else gone, stays)
        elif oracle.letters(element.tag) == "K":
            stays.append(element.value)
        elif vr in {"PN", "LO", "SH", "LT", "ST", "UT", "UI", "DA", "DT", "UC"}:
            values = element.value.strip(b" \0").split(b"\\")
            removed |= {v for v in values if len(v) > 5 and not standard(v)}


@pytest.mark.parametrize("real", REAL, ids=lambda real: real.name)
def test_pixels_start_where_the_header_ends(real):
    header = deidentified(real)
    dataset = read(real.data, real.encoding)
    if header.pixels_at is None:
        assert not PIXELS & set(dataset.keys())
    else:
        tag = real.data[header.pixels_at :][:4]
        assert tag in {b"\xe0\x7f\x10\0", b"\xe0\x7f\x08\0", b"\xe0\x7f\x09\0", b"\x7f\xe0\0\x10"}
        assert PIXELS & set(dataset.keys())


UNREADABLE = {"badVR.dcm"}
"""Its Number of Frames is 1A, which pydicom refuses to hand out."""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "real", [r for r in REAL if r.name not in UNREADABLE], ids=lambda real: real.name
)
def test_identity_is_what_pydicom_reads(real):
    header = deidentified(real)
    dataset = read(real.data, real.encoding)
    original = header.original
    assert original.sop_class == str(dataset.get("SOPClassUID", "") or "")
    assert original.sop_instance == str(dataset.get("SOPInstanceUID", "") or "")
    assert original.study == str(dataset.get("StudyInstanceUID", "") or "")
    assert original.series == str(dataset.get("SeriesInstanceUID", "") or "")
    assert original.patient_id == str(dataset.get("PatientID", "") or "").strip()
    assert header.modality == str(dataset.get("Modality", "") or "")
    assert header.instance_number == dataset.get("InstanceNumber", None)
    assert header.frames == int(dataset.get("NumberOfFrames", 1) or 1)
    assert (header.rows, header.columns) == (dataset.get("Rows"), dataset.get("Columns"))
    assert header.bits_allocated == dataset.get("BitsAllocated")


@pytest.mark.parametrize("profile", ["basic", "clear"])
def test_second_pass_changes_only_what_is_mapped_again(profile):
    seen = 0
    for real in REAL:
        once = deidentified(real, profile)
        again = header_of(once.data, real.encoding, profile)
        if profile == "clear":
            assert again.data == once.data, real.name
            continue
        first = parse(once.data, real.encoding, oracle.SEQUENCES)
        second = parse(again.data, real.encoding, oracle.SEQUENCES)
        changed = {e.tag for e, f in zip(first, second, strict=True) if e.value != f.value}
        assert all(
            "U" in oracle.letters(t) or t in oracle.PATIENT or t in oracle.SEQUENCES
            for t in changed
        ), real.name
        seen += 1
    assert seen or profile == "clear"
