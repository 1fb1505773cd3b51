"""What is negotiated, against the tables of the design (section 4)."""

import pytest
from pydicom._uid_dict import UID_dictionary

from appliance.dicom.sop_classes import (
    _BY_MODALITY,
    UNCOMPRESSED,
    VERIFICATION,
    Profile,
    compressed_contexts,
    storage_classes,
    transfer_syntaxes,
    verification_syntaxes,
)

ROOT = "1.2.840.10008.5.1.4.1.1."

STATEMENT = {
    "1": "Computed Radiography",
    "1.1": "Digital X-Ray",
    "1.2": "Digital Mammography X-Ray",
    "2": "CT",
    "3.1": "Ultrasound Multi-frame",
    "4": "MR",
    "6.1": "Ultrasound",
    "7": "Secondary Capture",
    "11.1": "Grayscale Softcopy Presentation State",
    "12.1": "X-Ray Angiographic",
    "12.2": "X-Ray Radiofluoroscopic",
    "77.1.4": "VL Photographic",
    "128": "Positron Emission Tomography",
}

ALSO = {
    "2.1": "Enhanced CT",
    "4.1": "Enhanced MR",
    "20": "Nuclear Medicine",
    "77.1.5.1": "Ophthalmic Photography 8 Bit",
    "77.1.5.4": "Ophthalmic Tomography",
    "13.1.3": "Breast Tomosynthesis",
    "77.1.1": "VL Endoscopic",
    "481.1": "RT Image",
    "88.67": "X-Ray Radiation Dose SR",
    "88.33": "Comprehensive SR",
    "104.1": "Encapsulated PDF",
}
"""Classes that the design names for the broad profile."""

JPEG = "1.2.840.10008.1.2.4.50"


def test_strict_is_exactly_the_statement() -> None:
    assert {row.uid for row in storage_classes("strict")} == {ROOT + each for each in STATEMENT}
    assert VERIFICATION == "1.2.840.10008.1.1"


def test_broad_adds_to_it() -> None:
    broad = {row.uid for row in storage_classes("broad")}
    assert broad >= {ROOT + each for each in (*STATEMENT, *ALSO)}
    assert len(broad) == len(storage_classes("broad"))


@pytest.mark.parametrize("uid", [*STATEMENT, *ALSO])
def test_the_names_are_those_of_the_standard(uid: str) -> None:
    (row,) = [row for row in storage_classes("broad") if row.uid == ROOT + uid]
    assert row.name.startswith({**STATEMENT, **ALSO}[uid])
    assert row.name.endswith("Storage") or " - For P" in row.name


@pytest.mark.parametrize("profile", ["strict", "broad"])
def test_every_class_is_a_storage_class_of_the_standard(profile: Profile) -> None:
    for row in storage_classes(profile):
        name, kind, *_ = UID_dictionary[row.uid]
        assert (kind, row.name) == ("SOP Class", name)
        assert "Storage" in name


@pytest.mark.parametrize("profile", ["strict", "broad"])
def test_they_are_sorted_by_number(profile: Profile) -> None:
    numbers = [[int(part) for part in row.uid.split(".")] for row in storage_classes(profile)]
    assert numbers == sorted(numbers)


def test_what_has_no_pixels_is_not_expected_to_have_any() -> None:
    kinds = {row.uid.removeprefix(ROOT): row.is_image for row in storage_classes("broad")}
    assert not any(kinds[uid] for uid in ("11.1", "88.67", "88.33", "104.1"))
    assert all(kinds[uid] for uid in STATEMENT if uid != "11.1")


def test_strict_takes_implicit_vr_little_endian_alone() -> None:
    assert transfer_syntaxes("strict", [*UNCOMPRESSED, JPEG]) == ("1.2.840.10008.1.2",)
    assert verification_syntaxes("strict") == ("1.2.840.10008.1.2",)


def test_broad_takes_what_was_proven_and_nothing_else() -> None:
    assert transfer_syntaxes("broad", [JPEG, *UNCOMPRESSED[:2]]) == (
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2",
        JPEG,
    )
    assert set(transfer_syntaxes("broad", [*UNCOMPRESSED, JPEG])) == {*UNCOMPRESSED, JPEG}
    assert "1.2.840.10008.1.2" in verification_syntaxes("broad")


PROVEN = [
    *UNCOMPRESSED,
    "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203)),
]
ROOM = 128 - 1 - len(storage_classes("broad"))
"""Contexts left beside the service itself and one uncompressed for each class."""


@pytest.mark.parametrize(
    ("modality", "classes"),
    [("CT", ("2", "2.1")), ("MR", ("4", "4.1")), ("US", ("6.1", "3.1")), ("MG", ("1.2", "13.1.3"))],
)
def test_what_a_modality_makes_may_come_in_every_syntax(
    modality: str, classes: tuple[str, ...]
) -> None:
    proposed = compressed_contexts("broad", PROVEN, {modality})[:ROOM]
    for each in classes:
        syntaxes = {syntax for uid, syntax in proposed if uid == ROOT + each}
        assert syntaxes == set(PROVEN) - set(UNCOMPRESSED)


@pytest.mark.parametrize("modalities", [(), ("",), ("XYZ",), ("SR",)])
def test_without_a_modality_the_common_pairs_have_room(modalities: tuple[str, ...]) -> None:
    proposed = compressed_contexts("broad", PROVEN, modalities)[:ROOM]
    for each in ("2", "4", "1", "1.1", "6.1", "3.1", "7"):
        for syntax in ("4.90", "4.70", "4.50", "4.91"):
            assert (ROOT + each, "1.2.840.10008.1.2." + syntax) in proposed


def test_no_pair_twice_and_none_that_is_not_accepted() -> None:
    proposed = compressed_contexts("broad", PROVEN[:7], {"CT", "NM"})
    assert len(set(proposed)) == len(proposed)
    images = {row.uid for row in storage_classes("broad") if row.is_image}
    assert {uid for uid, _ in proposed} <= images
    assert {syntax for _, syntax in proposed} == set(PROVEN[4:7])
    assert compressed_contexts("strict", PROVEN, {"CT"}) == ()


def test_every_modality_names_classes_of_the_table() -> None:
    images = {row.uid for row in storage_classes("broad") if row.is_image}
    named = {ROOT + each for classes in _BY_MODALITY.values() for each in classes}
    assert named <= images
