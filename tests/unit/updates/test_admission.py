"""Which bundles a box takes."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.updates.admission import AlreadyInstalled, Refused, Situation, admit
from appliance.updates.record import TRIES, Record, Trial
from appliance.updates.release import Bundle, NoRelease, Release, Schema
from appliance.updates.slots import Slot

OURS = Release("1.2.0", "abc", Schema(3, 1), Schema(2, 1))
ROOT, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def now(tmp_path: Path) -> Situation:
    return Situation(Slot("a"), OURS, ROOT, Record(tmp_path / "update"))


def bundle(**changes: object) -> Bundle:
    return Bundle(replace(OURS, **{"version": "1.3.0", **changes}), OTHER)  # type: ignore[arg-type]


def test_a_newer_version_is_taken(now: Situation) -> None:
    admit(bundle(), now)
    admit(bundle(version="1.2"), now)


def test_what_a_bundle_says_comes_back_out_of_raucs_variables() -> None:
    told = {
        f"RAUC_META_NETTY_{name.upper().replace('-', '_')}": value
        for name, value in bundle().release.meta(OTHER).items()
    }
    assert Bundle.of(told) == bundle()
    told.pop("RAUC_META_NETTY_ROOT")
    with pytest.raises(NoRelease, match="does not say its root"):
        Bundle.of(told)


def test_what_runs_already_is_named(now: Situation) -> None:
    with pytest.raises(AlreadyInstalled, match=r"runs version 1\.2\.0 of this bundle already"):
        admit(replace(bundle(), root_hash=ROOT), now)


@pytest.mark.parametrize("version", ["1.1.9", "1.1", "0.9.9.9"])
def test_what_is_older_than_what_proved_itself_is_refused(now: Situation, version: str) -> None:
    now.record.folder.mkdir()
    now.record.confirm(now.slot, OURS)
    with pytest.raises(Refused, match=rf"{version} is older than 1\.2\.0"):
        admit(bundle(version=version), now)


def test_the_floor_never_sinks(now: Situation) -> None:
    now.record.folder.mkdir()
    now.record.confirm(now.slot, replace(OURS, version="2.0"))
    now.record.confirm(now.slot, OURS)
    assert now.record.floor == "2.0"
    with pytest.raises(Refused, match=r"older than 2\.0"):
        admit(bundle(), now)


def test_a_version_that_is_none_is_refused(now: Situation) -> None:
    with pytest.raises(Refused, match="'latest' is no version"):
        admit(bundle(version="latest"), now)


def test_a_change_of_data_that_the_present_version_could_not_read_is_refused(
    now: Situation,
) -> None:
    admit(bundle(catalogue=Schema(9, 3)), now)
    with pytest.raises(Refused, match=r"changes the catalogue so that version 1\.2\.0 could not"):
        admit(bundle(catalogue=Schema(9, 4)), now)
    with pytest.raises(Refused, match="changes the requests"):
        admit(bundle(requests=Schema(3, 3)), now)


def test_data_that_the_new_version_cannot_read_is_no_use_to_it(now: Situation) -> None:
    ours = replace(OURS, catalogue=Schema(5, 4))
    with pytest.raises(Refused, match="cannot read the catalogue"):
        admit(bundle(catalogue=Schema(3, 1)), replace(now, release=ours))


def test_arriving_images_come_first_unless_somebody_says_otherwise(now: Situation) -> None:
    busy = replace(now, arriving=True)
    with pytest.raises(Refused, match="Images are being received"):
        admit(bundle(), busy)
    admit(bundle(), replace(busy, told=True))


def test_one_trial_at_a_time(now: Situation) -> None:
    now.record.begin(now.slot, bundle(), "1.1.0", network=True)
    with pytest.raises(Refused, match="still being tried"):
        admit(bundle(), now)


def test_what_does_not_work_is_tried_three_times(now: Situation) -> None:
    slot = now.slot.other
    for time in range(TRIES):
        admit(bundle(), now)
        now.record.begin(slot, bundle(), "1.2.0", network=False)
        now.record.installed(slot)
        trial = now.record.trial(slot)
        assert trial == Trial("1.3.0", OTHER, "1.2.0", stage="installed")
        now.record.give_up(slot, trial, "It did not start.")
        assert now.record.given_up is not None
        assert now.record.given_up.times == time + 1
    with pytest.raises(Refused, match=r"was tried 3 times and did not work: It did not start"):
        admit(bundle(), now)
    admit(replace(bundle(), root_hash="3" * 64), now)
