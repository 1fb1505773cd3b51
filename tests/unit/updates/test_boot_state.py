"""The boot states of a box, made and read by EFI Boot Guard's own programs."""

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.updates.boot_state import BootState, BootStateFailed, BootStates, answer
from appliance.updates.slots import BOOT_STATE, LABEL, NO_LABEL, Slot, UnknownSlot
from tools.imaging.programs import ProgramAbsent, need

A, B = Slot("a"), Slot("b")


@dataclass(frozen=True)
class Folders:
    """Folders stand for the boot partitions."""

    root: Path

    @contextmanager
    def opened(self, slot: Slot, *, writable: bool = False) -> Iterator[Path]:
        if not (self.root / slot.boot).is_dir():
            raise OSError(f"{slot.boot}: no file system")
        yield self.root / slot.boot


def make_state(file: Path, *options: str) -> None:
    subprocess.run(["bg_setenv", f"--filepath={file}", *options], check=True, capture_output=True)


@pytest.fixture
def box(tmp_path: Path) -> BootStates:
    """Slot a runs and has proved itself; an update was just written into slot b."""
    try:
        programs = Path(need("bg_setenv", "efibootguard")).parent
    except ProgramAbsent as absent:
        pytest.skip(str(absent))
    for slot, label in ((A, A.label), (B, NO_LABEL)):
        (tmp_path / slot.boot).mkdir()
        (tmp_path / slot.boot / LABEL).write_bytes(label.encode("utf-16-le"))
    make_state(tmp_path / A.boot / BOOT_STATE, "-r", "2", "-k", A.payload, "-s", "OK", "-w", "90")
    make_state(tmp_path / B.boot / BOOT_STATE, "-r", "0", "-k", "", "-s", "FAILED", "-w", "60")
    return BootStates(Folders(tmp_path), A, programs)


def folder(box: BootStates, slot: Slot) -> Path:
    assert isinstance(box.partitions, Folders)
    return box.partitions.root / slot.boot


def test_what_was_written_starts_next_on_trial(box: BootStates) -> None:
    assert answer(box, ["get-primary"]) == "a"
    untouched = {file: file.read_bytes() for file in folder(box, A).iterdir()}
    assert answer(box, ["set-primary", "b"]) == ""
    assert answer(box, ["get-primary"]) == "b"
    assert answer(box, ["get-state", "b"]) == "bad", "it has not proved itself"
    assert box.read(B) == BootState(3, "INSTALLED", "C:BOOT-B:linux-b.efi")
    assert (folder(box, B) / LABEL).read_bytes().decode("utf-16-le") == "BOOT-B"
    said = subprocess.run(
        ["bg_printenv", f"--filepath={folder(box, B) / BOOT_STATE}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "watchdog timeout: 60 seconds" in said, "the update's own watchdog"
    assert {file: file.read_bytes() for file in folder(box, A).iterdir()} == untouched


def test_a_trial_that_is_called_good_stays(box: BootStates) -> None:
    answer(box, ["set-primary", "b"])
    make_state(folder(box, B) / BOOT_STATE, "-P", "-s", "TESTING")  # As the boot loader does.
    after = BootStates(box.partitions, B, box.programs)
    assert answer(after, ["get-current"]) == "b"
    answer(after, ["set-state", "b", "good"])
    assert answer(after, ["get-state", "b"]) == "good"
    assert answer(after, ["get-primary"]) == "b"


def test_the_next_update_goes_the_other_way(box: BootStates) -> None:
    answer(box, ["set-primary", "b"])
    answer(box, ["set-state", "b", "good"])
    after = BootStates(box.partitions, B, box.programs)
    answer(after, ["set-state", "a", "bad"])
    assert after.read(A) == BootState(0, "FAILED", A.payload)
    answer(after, ["set-primary", "a"])
    assert after.read(A) == BootState(4, "INSTALLED", A.payload)
    assert answer(after, ["get-primary"]) == "a"


def test_the_running_slot_made_primary_again_is_on_no_trial(box: BootStates) -> None:
    answer(box, ["set-primary", "b"])
    answer(box, ["set-primary", "a"])
    assert box.read(A) == BootState(4, "OK", A.payload)


@pytest.mark.parametrize("damage", ["torn", "short", "gone", "no file system"])
def test_a_state_that_is_not_whole_does_not_count(box: BootStates, damage: str) -> None:
    answer(box, ["set-primary", "b"])
    file = folder(box, B) / BOOT_STATE
    content = file.read_bytes()
    match damage:
        case "torn":
            file.write_bytes(content[:600] + bytes(len(content) - 600))
        case "short":
            file.write_bytes(content[:4096])
        case "gone":
            file.unlink()
        case _:
            folder(box, B).rename(folder(box, B).with_name("elsewhere"))
    assert box.read(B) is None
    assert answer(box, ["get-primary"]) == "a"
    assert answer(box, ["get-state", "b"]) == "bad"
    answer(box, ["set-state", "b", "bad"])  # What RAUC does before it writes.
    with pytest.raises(BootStateFailed, match="boot-b"):
        answer(box, ["set-state", "b", "good"])
    if damage != "torn":
        with pytest.raises(BootStateFailed):
            answer(box, ["set-primary", "b"])


def test_nothing_is_written_where_nothing_changes(box: BootStates) -> None:
    before = {slot: (folder(box, slot) / BOOT_STATE).stat().st_mtime_ns for slot in (A, B)}
    answer(box, ["set-state", "a", "good"])
    answer(box, ["set-state", "b", "bad"])
    assert {s: (folder(box, s) / BOOT_STATE).stat().st_mtime_ns for s in (A, B)} == before


def test_a_box_without_a_slot_that_starts_says_so(box: BootStates) -> None:
    answer(box, ["set-state", "a", "bad"])
    with pytest.raises(BootStateFailed, match="no slot would start"):
        answer(box, ["get-primary"])


def test_calls_that_are_none_are_refused(box: BootStates) -> None:
    with pytest.raises(UnknownSlot, match="'c' is no slot; there are a and b"):
        answer(box, ["set-primary", "c"])
    for words in ([], ["get-state"], ["set-state", "a", "maybe"]):
        with pytest.raises(BootStateFailed, match="not a call that is known"):
            answer(box, words)


def test_which_slot_runs_is_what_the_kernel_was_told(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    line = tmp_path / "proc/cmdline"
    line.write_text("ro rauc.slot=b root=/dev/dm-0 quiet\n")
    assert Slot.running(tmp_path) == B
    line.write_text("ro root=/dev/dm-0\n")
    with pytest.raises(UnknownSlot, match="was not told"):
        Slot.running(tmp_path)


SECTOR = 512
"""Bytes that a disk writes whole or not at all."""


def torn(old: bytes, new: bytes, chance: random.Random) -> Iterator[bytes]:
    """What a power cut may leave of a file that was written over: from the front, or anyhow."""
    places = range(0, len(old), SECTOR)
    changed = [at for at in places if old[at : at + SECTOR] != new[at : at + SECTOR]]
    for count in range(len(changed) + 1):
        for written in (changed[:count], chance.sample(changed, count)):
            left = bytearray(old)
            for at in written:
                left[at : at + SECTOR] = new[at : at + SECTOR]
            yield bytes(left)


@pytest.mark.parametrize(
    ("call", "runs", "after"),
    [
        (["set-primary", "b"], A, {"a", "b"}),
        (["set-state", "b", "good"], B, {"a", "b"}),
        (["set-state", "a", "bad"], B, {"b"}),
    ],
    ids=["an update is written", "it is kept", "the next one begins"],
)
def test_a_power_cut_in_any_write_of_a_state_leaves_a_slot_that_starts(
    box: BootStates, call: list[str], runs: Slot, after: set[str]
) -> None:
    """With RAUC's calls in their order; what the disk had not written yet is the old bytes."""
    if runs == B:
        answer(box, ["set-primary", "b"])
        make_state(folder(box, B) / BOOT_STATE, "-P", "-s", "TESTING")
    if call[1] == "a":
        answer(BootStates(box.partitions, B, box.programs), ["set-state", "b", "good"])
    box = BootStates(box.partitions, runs, box.programs)
    file = folder(box, Slot.of(call[1])) / BOOT_STATE
    before = file.read_bytes()
    answer(box, call)
    whole = file.read_bytes()
    seen = set()
    for left in torn(before, whole, random.Random(6)):
        file.write_bytes(left)
        primary = answer(box, ["get-primary"])
        seen.add(primary)
        state = box.read(Slot.of(primary))
        assert state is not None
        assert state.payload == Slot.of(primary).payload
        assert (left == whole) <= (primary == call[1] or call[2:] == ["bad"])
    assert seen == after
    assert {each.name for each in folder(box, A).iterdir()} == {BOOT_STATE, LABEL}
