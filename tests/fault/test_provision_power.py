"""The power goes while settings are applied: the old or the new ones hold, and they are whole."""

import random
import shutil
from pathlib import Path

import pytest

from appliance.provisioning.apply import Applier, Damaged, Generations, TrialFailed
from appliance.provisioning.signing import sign
from appliance.provisioning.stick import Contents
from tests.fault.power import Call, Node, Quick, Recorder, after, put, taken
from tests.unit.provisioning.boxes import ONE, PATIENTS, SERIAL, TWO, Box, Rehearsal

KEY = bytes(32)
OTHERS = b"patient_id\n1\n"
OLD = Contents(ONE, OTHERS, sign(ONE, OTHERS, [KEY]))
NEW = Contents(TWO, PATIENTS, sign(TWO, PATIENTS, [KEY]))
FIRST = Contents(ONE, PATIENTS)


def recorded(folder: Path, contents: Contents, disk: Recorder, trial: Rehearsal) -> list[Call]:
    Applier(Generations(folder, disk), trial, SERIAL).apply(contents)
    return disk.calls


def held(folder: Path) -> Contents | None:
    """What holds after a start with this folder; raises Damaged."""
    current = Generations(folder).current()
    if current is None:
        return None
    current.read()
    same = [each for each in (OLD, NEW, FIRST) if current.is_from(each, current.signers)]
    if not same or len(current.signers) != (same[0] != FIRST):
        return Contents(b"nobody's")
    return same[0]


def found(
    folder: Path, before: Node, calls: list[Call], again: Contents | None
) -> list[tuple[int, Contents | None]]:
    """What holds after each possible loss of power; each time the same stick is plugged in again.

    A Damaged state counts as one of empty contents.
    """
    chance = random.Random(3)
    states: list[tuple[int, Contents | None]] = []
    for count in range(len(calls) + 1):
        for tree in after(calls[:count], before, folder, chance):
            disk = folder.with_name("rebuilt")
            shutil.rmtree(disk, ignore_errors=True)
            put(tree, disk)
            try:
                states.append((count, held(disk)))
            except Damaged:
                states.append((count, Contents(b"")))
            if again is not None:
                outcome = Applier(Generations(disk, Quick()), Rehearsal(), SERIAL).apply(again)
                assert outcome.outcome in ("accepted", "already applied")
                assert held(disk) == again
    return states


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path)
    box.settings.mkdir(parents=True)
    return box


def test_the_first_settings_hold_whole_or_not_at_all(box: Box) -> None:
    before = taken(box.settings)
    calls = recorded(box.settings, FIRST, Recorder(), Rehearsal())
    states = found(box.settings, before, calls, FIRST)
    assert len(states) > 200
    assert {None, FIRST} == {contents for _, contents in states}
    assert all(contents == FIRST for count, contents in states if count == len(calls))


def test_an_update_leaves_the_old_or_the_new_settings_whole(box: Box) -> None:
    assert box.applier.apply(OLD).outcome == "accepted"
    before = taken(box.settings)
    calls = recorded(box.settings, NEW, Recorder(), Rehearsal())
    states = found(box.settings, before, calls, NEW)
    assert len(states) > 200
    assert {OLD, NEW} == {contents for _, contents in states}
    assert all(contents == NEW for count, contents in states if count == len(calls))


def test_during_a_trial_the_old_settings_hold(box: Box) -> None:
    assert box.applier.apply(OLD).outcome == "accepted"
    before = taken(box.settings)

    class PowerCut(Rehearsal):
        def gate(self, settings: object) -> None:
            assert held(box.settings) == OLD
            raise TrialFailed("No.", "None.")

    calls = recorded(box.settings, NEW, Recorder(), PowerCut())
    states = found(box.settings, before, calls, None)
    assert {contents for _, contents in states} == {OLD}


def test_after_an_interrupted_update_another_one_is_as_safe(box: Box) -> None:
    assert box.applier.apply(OLD).outcome == "accepted"
    box.trial = Rehearsal(fails="gate", raises=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        box.applier.apply(NEW)
    before = taken(box.settings)
    calls = recorded(box.settings, NEW, Recorder(), Rehearsal())
    assert any(call.name == "unlink" for call in calls), "what was left over goes first"
    states = found(box.settings, before, calls, NEW)
    assert {contents for _, contents in states} == {OLD, NEW}


def test_without_syncs_the_settings_are_torn(box: Box) -> None:
    """The negative control: these states do find what a missing fsync breaks."""
    assert box.applier.apply(OLD).outcome == "accepted"
    before = taken(box.settings)
    calls = recorded(box.settings, NEW, Recorder(syncs=False), Rehearsal())
    states = found(box.settings, before, calls, None)
    assert {contents for _, contents in states} - {OLD, NEW}


@pytest.mark.parametrize("missing", range(6))
def test_every_single_sync_is_needed(box: Box, missing: int) -> None:
    """With any one of them left out, some state is torn or an accepted update is forgotten."""
    assert box.applier.apply(OLD).outcome == "accepted"
    before = taken(box.settings)
    calls = recorded(box.settings, NEW, Recorder(), Rehearsal())
    syncs = [index for index, call in enumerate(calls) if call.name == "sync"]
    assert len(syncs) == 6
    del calls[syncs[missing]]
    states = found(box.settings, before, calls, None)
    torn = {contents for _, contents in states} - {OLD, NEW}
    forgotten = [contents for count, contents in states if count == len(calls) and contents != NEW]
    assert torn or forgotten
