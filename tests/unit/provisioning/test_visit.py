"""A stick's whole visit: what it is told, what the box reports, and nothing that fails either."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.provisioning.result import REPORT, Report, read_report
from appliance.provisioning.visit import FolderStick, Visit, unplugged
from appliance.settings.chains import fingerprint
from tests.fault.power import Quick
from tests.unit.provisioning.boxes import ONE, PATIENTS, SERIAL, TWO, Box, Rehearsal
from tests.unit.settings.files import CERTIFICATE

ANSWER = f"netty-result-{SERIAL}"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "box")


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "netty.toml").write_bytes(ONE)
    return folder


def answer(stick: Path) -> str:
    data = (stick / f"{ANSWER}.txt").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\n") == data.count(b"\r\n")
    return data.decode("utf-8-sig").replace("\r\n", "\n")


def for_programs(stick: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((stick / f"{ANSWER}.json").read_text())
    return found


def test_accepted(box: Box, stick: Path) -> None:
    (stick / "patients.csv").write_bytes(PATIENTS)
    report = box.visit().of(stick)
    assert report == read_report(box.run)
    assert report == Report(
        "accepted", "The box works with revision 1.", True, 1.8e9, 1, str(stick)
    )
    text = answer(stick)
    assert text.startswith("ACCEPTED. The box works with these settings. Please remove the stick.")
    for line in (
        f"  serial number: {SERIAL}",
        "  software: 1.2",
        "  name: one",
        "  revision: 1",
        "  network: DHCP",
        "  AE title: HAPPY_netty",
        "  patients watched: 1",
    ):
        assert line in text.splitlines()
    told = for_programs(stick)
    assert (told["outcome"], told["serial"]) == ("accepted", SERIAL)
    assert sorted(os.listdir(stick)) == [
        "netty-result-NB-0001.json",
        "netty-result-NB-0001.txt",
        "netty.toml",
        "patients.csv",
    ]


def test_the_same_stick_again(box: Box, stick: Path) -> None:
    box.visit().of(stick)
    report = box.visit().of(stick)
    assert report is not None
    assert (report.outcome, report.revision) == ("already applied", 1)
    assert answer(stick).startswith("ALREADY APPLIED.")
    assert box.trial.seen == [("start", "one"), ("gate", "one")]


def test_every_mistake_is_on_the_stick_with_its_place(box: Box, stick: Path) -> None:
    box.accept(ONE)
    (stick / "netty.toml").write_bytes(b"revision = 2\n[ae]\nprot = 104\n")
    (stick / "patients.csv").write_bytes(b"patient_id,since\n7,soon\n")
    report = box.visit().of(stick)
    assert report is not None
    assert (report.outcome, report.revision) == ("rejected", 1)
    text = answer(stick)
    assert text.startswith("REJECTED. Nothing was changed.\n\nThe settings have 2 mistakes.\n")
    assert "  netty.toml:3:1: ae.prot: expected a key of [ae], found one that is not" in text
    assert "  patients.csv:2:3: since: expected a date" in text
    assert "  name: one" in text, "what is active now"
    problems = for_programs(stick)["problems"]
    assert isinstance(problems, list)
    assert [(each["file"], each["line"], each["column"]) for each in problems] == [
        ("netty.toml", 3, 1),
        ("patients.csv", 2, 3),
    ]


def test_while_it_is_tried_the_report_says_so(box: Box, stick: Path) -> None:
    seen: list[str] = []

    class Watching(Rehearsal):
        def gate(self, settings: object) -> None:
            report = read_report(box.run)
            assert report is not None
            seen.append(f"{report.outcome}: {report.sentence}")

    box.trial = Watching()
    box.visit().of(stick)
    assert seen == ["applying: Revision 1 is being tried."]


def test_a_trial_that_fails_is_told_with_what_holds_now(box: Box, stick: Path) -> None:
    box.accept(ONE)
    (stick / "netty.toml").write_bytes(TWO)
    box.trial = Rehearsal(fails="gate")
    report = box.visit().of(stick)
    assert report is not None
    assert (report.outcome, report.sentence, report.revision) == (
        "rejected",
        "It does not work.",
        1,
    )
    assert "Mend it." in answer(stick)
    assert "  revision: 1" in answer(stick)


def test_a_misnamed_file_is_told(box: Box, stick: Path) -> None:
    (stick / "netty.toml").rename(stick / "netty.toml.txt")
    box.visit().of(stick)
    assert "There is no netty.toml, but netty.toml.txt." in answer(stick)
    assert "  settings: none; it waits for a stick with netty.toml" in answer(stick)


def test_what_lies_beside_is_told(box: Box, stick: Path) -> None:
    (stick / "netty (1).toml").write_bytes(TWO)
    box.visit().of(stick)
    assert "Not read: netty (1).toml" in answer(stick)


def test_a_stick_with_other_things_is_left_alone(box: Box, stick: Path) -> None:
    box.visit().of(stick)
    before = (box.run / REPORT).read_bytes()
    other = stick.with_name("other")
    other.mkdir()
    (other / "holiday.jpg").write_bytes(b"x")
    assert box.visit().of(other) is None
    assert os.listdir(other) == ["holiday.jpg"]
    assert (box.run / REPORT).read_bytes() == before


def test_a_stick_that_cannot_be_written_fails_nothing(box: Box, stick: Path) -> None:
    (stick / f"{ANSWER}.tmp").mkdir()
    report = box.visit().of(stick)
    assert report is not None and report.outcome == "accepted"
    assert box.active() == "one"


def test_an_answer_in_the_place_of_a_link_goes_nowhere_else(box: Box, stick: Path) -> None:
    victim = stick.with_name("victim")
    victim.write_text("precious")
    for suffix in ("tmp", "txt"):
        (stick / f"{ANSWER}.{suffix}").symlink_to(victim)
    box.visit().of(stick)
    assert victim.read_text() == "precious"


@dataclass(frozen=True)
class Pulled(FolderStick):
    """A stick that is pulled while it is read, or while it is answered to."""

    when: str = "reading"

    @contextmanager
    def reading(self) -> Iterator[Path]:
        if self.when == "reading":
            raise OSError(5, "Input/output error")
        yield self.folder
        shutil.rmtree(self.folder)

    @contextmanager
    def writing(self) -> Iterator[Path]:
        raise OSError(5, "Input/output error")
        yield self.folder


@pytest.mark.parametrize(("when", "outcome"), [("reading", "rejected"), ("answering", "accepted")])
def test_a_stick_that_is_pulled(
    box: Box, stick: Path, monkeypatch: pytest.MonkeyPatch, when: str, outcome: str
) -> None:
    monkeypatch.setattr(Visit, "_stick", lambda self, device: Pulled(device, when))
    report = box.visit().of(stick)
    assert report is not None
    assert report.outcome == outcome
    assert report.plugged is (when == "reading")
    assert box.active() == ("one" if outcome == "accepted" else "")


def test_a_stick_that_is_gone_before_it_is_looked_at(box: Box, stick: Path) -> None:
    assert box.visit().of(stick / "sda1") is None
    assert read_report(box.run) is None


def test_pulling_it_is_noted_for_this_stick_alone(box: Box, stick: Path) -> None:
    unplugged(stick, box.run)
    assert read_report(box.run) is None
    box.visit().of(stick)
    unplugged(Path("/dev/sdz1"), box.run)
    assert (report := read_report(box.run)) is not None and report.plugged
    unplugged(stick, box.run)
    assert (report := read_report(box.run)) is not None and not report.plugged
    assert report.outcome == "accepted"


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\xeb\x52\x90NTFS    ", "NTFS"),
        (b"\xeb\x58\x90-FVE-FS-", "BitLocker"),
        (bytes(0x438) + b"\x53\xef", "ext4"),
    ],
)
def test_another_file_system_is_named(box: Box, tmp_path: Path, start: bytes, words: str) -> None:
    image = tmp_path / "image"
    image.write_bytes(start.ljust(1 << 20, b"\0"))
    report = box.visit().of(image)
    assert report is not None
    assert report.outcome == "rejected"
    assert words in report.sentence
    assert report.sentence.endswith("Format it with FAT32 or exFAT.")


def test_a_disk_without_a_file_system_is_left_alone(box: Box, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    assert box.visit().of(image) is None


def test_certificates_are_told_by_their_fingerprints(box: Box, stick: Path, tmp_path: Path) -> None:
    page = tmp_path / "certificate.pem"
    page.write_text(CERTIFICATE)
    visit = Visit(
        box.generations,
        box.trial,
        SERIAL,
        "1.2",
        box.run,
        {"status page": page, "other": tmp_path / "none.pem"},
    )
    visit.of(stick)
    assert f"  status page: {fingerprint(CERTIFICATE)}" in answer(stick)
    assert "other" not in answer(stick)
    assert len(fingerprint(CERTIFICATE)) == 95
    assert fingerprint("no certificate") == ""


def test_no_patient_and_no_key_is_in_the_answer(box: Box, stick: Path) -> None:
    (stick / "patients.csv").write_bytes(b"patient_id,since\n4711,2025-04-01\n4712*,\n")
    box.visit().of(stick)
    (stick / "patients.csv").write_bytes(b"patient_id,since\n4711,2025-04-01\n")
    box.visit().of(stick)
    for text in (answer(stick), str(for_programs(stick)), (box.run / REPORT).read_text()):
        assert "471" not in text


def test_a_stick_that_fails_at_its_first_bytes_is_told(
    box: Box, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Visit, device: Path) -> FolderStick:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Visit, "_stick", broken)
    report = box.visit().of(stick)
    assert report is not None
    assert report.sentence == "The stick could not be read: Input/output error."


FILES = st.none() | st.binary(max_size=200) | st.text(max_size=100).map(str.encode)


@given(FILES.map(lambda data: data and b"revision = 9\n" + data) | FILES, FILES, FILES)
@settings(deadline=None, max_examples=60)
def test_hostile_sticks_are_answered_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    toml: bytes | None,
    patients: bytes | None,
    signature: bytes | None,
) -> None:
    box = Box(tmp_path_factory.mktemp("box"), disk=Quick())
    box.accept(ONE)
    folder = tmp_path_factory.mktemp("stick")
    brought = {"netty.toml": toml, "patients.csv": patients, "netty.toml.sig": signature}
    for name, data in brought.items():
        if data is not None:
            (folder / name).write_bytes(data)
    report = box.visit().of(folder)
    assert (report is None) is (toml is None)
    if report is not None:
        assert report.outcome in ("accepted", "already applied", "rejected")
        assert report.sentence.isprintable()
        assert (folder / f"{ANSWER}.txt").exists()
        assert (box.active() == "one") is (report.outcome != "accepted")
