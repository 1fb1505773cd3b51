"""The statuses: their codes, and which profile answers which."""

import pytest

from appliance.dicom.sop_classes import Profile
from appliance.dicom.statuses import (
    MEANINGS,
    StoreStatus,
    class_not_supported,
    statuses,
    unsolicited_refused,
)

DESIGN = {0x0000, 0xA700, 0xA900, 0xC000, 0xB000, 0xB006, 0xB007}
"""Those that both profiles answer."""


def test_strict_answers_what_the_statement_says() -> None:
    assert {code for code, _, _ in statuses("strict")} == DESIGN | {0xA800, 0xFF00}


def test_broad_answers_what_the_standard_says() -> None:
    assert {code for code, _, _ in statuses("broad")} == DESIGN | {0x0122, 0x0124}


def test_each_has_one_row() -> None:
    codes = [code for code, _, _ in MEANINGS]
    assert len(codes) == len(set(codes))
    assert {code for each in ("strict", "broad") for code, _, _ in statuses(each)} == set(codes)


@pytest.mark.parametrize(("profile", "code"), [("strict", 0xA800), ("broad", 0x0122)])
def test_class_not_supported(profile: Profile, code: int) -> None:
    assert class_not_supported(profile) == code


@pytest.mark.parametrize(("profile", "code"), [("strict", 0xA700), ("broad", 0x0124)])
def test_unsolicited_refused(profile: Profile, code: int) -> None:
    assert unsolicited_refused(profile) == code


@pytest.mark.parametrize(("code", "kind", "_meaning"), MEANINGS)
def test_success_and_warnings_mean_stored(code: int, kind: str, _meaning: str) -> None:
    assert StoreStatus(code).stored == (kind in {"Success", "Warning"})
