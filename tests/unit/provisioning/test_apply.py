"""Generations: tried, then current or gone; and what is refused before anything is written."""

import errno
import os
from pathlib import Path

import pytest

from appliance.provisioning.apply import CURRENT, Damaged, TrialFailed
from appliance.provisioning.disk import Disk
from appliance.provisioning.signing import new_key, sign
from appliance.provisioning.stick import Contents
from tests.unit.provisioning.boxes import ONE, PATIENTS, SERIAL, TWO, Box, Rehearsal


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def names(box: Box) -> list[str]:
    return sorted(each.name for each in box.settings.iterdir())


def test_the_first_settings_are_tried_and_hold(box: Box) -> None:
    outcome = box.applier.apply(Contents(ONE, PATIENTS))
    assert (outcome.outcome, outcome.sentence) == (
        "accepted",
        "The box works with revision 1.",
    )
    assert box.trial.seen == [("start", "one"), ("gate", "one")]
    current = box.generations.current()
    assert current is not None
    assert [entry.patient_id for entry in current.read().watch] == ["77"]
    assert (current.folder / "netty.toml").read_bytes() == ONE
    assert (current.folder / "patients.csv").read_bytes() == PATIENTS


def test_the_files_are_for_their_group_alone(box: Box) -> None:
    box.accept(ONE)
    current = box.generations.current()
    assert current is not None
    assert current.folder.stat().st_mode & 0o777 == 0o750
    assert {each.stat().st_mode & 0o777 for each in current.folder.iterdir()} == {0o640}


def test_newer_settings_take_the_place_of_the_older(box: Box) -> None:
    box.accept(ONE)
    box.accept(TWO)
    assert box.active() == "two"
    assert len(names(box)) == 2, "the older generation is gone"


def test_the_same_again_disturbs_nobody(box: Box) -> None:
    box.accept(ONE, PATIENTS)
    box.trial.seen.clear()
    outcome = box.applier.apply(Contents(ONE, PATIENTS))
    assert outcome.outcome == "already applied"
    assert box.trial.seen == []


@pytest.mark.parametrize("step", ["start", "gate"])
def test_settings_that_do_not_work_are_taken_back(box: Box, step: str) -> None:
    box.accept(ONE)
    box.trial = Rehearsal(fails=step)
    outcome = box.applier.apply(Contents(TWO))
    assert (outcome.outcome, outcome.sentence, outcome.remedy) == (
        "rejected",
        "It does not work.",
        "Mend it.",
    )
    assert box.trial.seen[-1] == ("revert", "one")
    assert box.active() == "one"
    assert len(names(box)) == 2, "nothing is left of them"


def test_the_first_settings_that_do_not_work_leave_a_box_without(box: Box) -> None:
    box.trial = Rehearsal(fails="gate")
    assert box.applier.apply(Contents(ONE)).outcome == "rejected"
    assert box.trial.seen[-1] == ("revert", "nothing")
    assert box.generations.current() is None


def test_what_failed_once_may_be_tried_again(box: Box) -> None:
    box.accept(ONE)
    box.trial = Rehearsal(fails="gate")
    box.applier.apply(Contents(TWO))
    box.trial = Rehearsal()
    box.accept(TWO)
    assert box.active() == "two"


def test_a_process_that_is_told_to_end_takes_the_trial_back(box: Box) -> None:
    box.accept(ONE)
    box.trial = Rehearsal(fails="gate", raises=SystemExit)
    with pytest.raises(SystemExit):
        box.applier.apply(Contents(TWO))
    assert box.trial.seen[-1] == ("revert", "one")
    assert box.active() == "one"


def test_earlier_settings_that_fail_as_well_are_those_that_hold(box: Box) -> None:
    box.accept(ONE)

    class Broken(Rehearsal):
        def revert(self, generation: Path | None, settings: object) -> None:
            raise TrialFailed("Nothing works.", "Repair it.")

    box.trial = Broken(fails="gate")
    assert box.applier.apply(Contents(TWO)).outcome == "rejected"
    assert box.active() == "one"


@pytest.mark.parametrize(
    ("settings", "patients", "sentence", "remedy"),
    [
        (b"revision = 2\n", None, "The settings are old: revision 2, the box has 3.", "= 4"),
        (b"revision = 3\n[box]\nname = 'x'\n", PATIENTS, "other settings of the same", "= 4"),
        (b"revision = 3\n", b"patient_id\n78\n", "patients.csv has changed", "must grow"),
        (b"revision = 3\n", None, "patients.csv has changed", "must grow"),
        (b"revision = 4\n[box]\nserials = ['A']\n", None, f"serial number {SERIAL}", "serials"),
        (b"revision = 0\n", None, "The settings have a mistake.", "named below"),
        (b"revision = 0\n[ae]\nport = 0\n", b"x", "have 3 mistakes.", "named below"),
        (b"", None, "The settings have a mistake.", "named below"),
    ],
)
def test_what_is_refused_before_anything_is_written(
    box: Box, settings: bytes, patients: bytes | None, sentence: str, remedy: str
) -> None:
    box.accept(b"revision = 3\n", PATIENTS)
    before, _ = names(box), box.trial.seen.clear()
    outcome = box.applier.apply(Contents(settings, patients))
    assert outcome.outcome == "rejected"
    assert sentence in outcome.sentence
    assert remedy in outcome.remedy
    assert box.trial.seen == []
    assert names(box) == before


def test_settings_for_this_box_among_others_are_taken(box: Box) -> None:
    box.accept(f"revision = 1\n[box]\nserials = ['X', '{SERIAL.lower()}']\n".encode())


def test_signed_settings_bind_the_box_to_their_key(box: Box) -> None:
    key, other = new_key(), new_key()
    signed = Contents(ONE, PATIENTS, sign(ONE, PATIENTS, [key]))
    assert box.applier.apply(signed).outcome == "accepted"
    for contents, words in (
        (Contents(TWO), "not signed"),
        (Contents(TWO, None, sign(TWO, None, [other])), "does not trust"),
        (Contents(TWO, None, sign(ONE, None, [key])), "does not belong"),
        (Contents(TWO, PATIENTS, sign(TWO, None, [key])), "does not belong"),
    ):
        outcome = box.applier.apply(contents)
        assert outcome.outcome == "rejected"
        assert words in outcome.sentence
    assert box.applier.apply(Contents(TWO, None, sign(TWO, None, [key]))).outcome == "accepted"
    assert box.active() == "two"


def test_a_new_key_comes_with_the_old_one(box: Box) -> None:
    old, new = new_key(), new_key()
    for revision, keys, outcome in (
        (1, [old], "accepted"),
        (2, [new], "rejected"),
        (2, [old, new], "accepted"),
        (3, [new], "accepted"),
        (4, [old], "rejected"),
    ):
        settings = f"revision = {revision}\n".encode()
        contents = Contents(settings, None, sign(settings, None, keys))
        assert box.applier.apply(contents).outcome == outcome, revision


def test_a_signature_alone_is_no_change_unless_revision_grows(box: Box) -> None:
    box.accept(ONE)
    outcome = box.applier.apply(Contents(ONE, None, sign(ONE, None, [new_key()])))
    assert "signed anew" in outcome.sentence


@pytest.mark.parametrize("what", ["link", "file", "signers"])
def test_damaged_settings_are_named_and_replaced_by_a_stick(box: Box, what: str) -> None:
    box.accept(ONE)
    current = box.generations.current()
    assert current is not None
    if what == "link":
        (box.settings / CURRENT).unlink()
        (box.settings / CURRENT).symlink_to("../elsewhere")
    elif what == "file":
        (current.folder / "netty.toml").unlink()
    else:
        (current.folder / "signers").write_text("no key\n")
    with pytest.raises(Damaged):
        box.generations.current()
    box.accept(ONE)
    assert box.active() == "one"


class FailingDisk(Disk):
    def __init__(self, step: str, number: int) -> None:
        self.step, self.number = step, number

    def write(self, path: Path, data: bytes, mode: int) -> None:
        if self.step == "write":
            raise OSError(self.number, os.strerror(self.number))
        super().write(path, data, mode)

    def rename(self, old: Path, new: Path) -> None:
        if self.step == "rename" and new.name == CURRENT:
            raise OSError(self.number, os.strerror(self.number))
        super().rename(old, new)

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        if self.step == "sync" and (path / CURRENT).is_symlink():
            raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("step", "number", "words"),
    [
        ("write", errno.ENOSPC, "its own disk is full"),
        ("write", errno.EROFS, "its own disk fails: Read-only file system"),
        ("rename", errno.EIO, "its own disk fails: Input/output error"),
    ],
)
def test_a_disk_that_fails_leaves_the_box_as_it_was(
    tmp_path: Path, step: str, number: int, words: str
) -> None:
    box = Box(tmp_path, disk=FailingDisk(step, number))
    outcome = box.applier.apply(Contents(ONE))
    assert outcome.outcome == "rejected"
    assert words in outcome.sentence
    assert box.generations.current() is None
    assert ("revert", "nothing") in box.trial.seen or step == "write"


def test_a_pointer_that_has_moved_holds_even_if_its_folder_cannot_be_synced(box: Box) -> None:
    box.disk = FailingDisk("sync", errno.EIO)
    assert box.applier.apply(Contents(ONE)).outcome == "accepted"
    assert box.active() == "one"
