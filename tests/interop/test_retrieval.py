"""Retrieval end to end from PACS that nobody here wrote: found, moved or got, kept, nameless."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom
import pytest

from appliance.dicom.scu import OneInstance
from appliance.settings.model import Watch
from tests.interop.boxes import Box, box, settings
from tests.interop.hospitals import (
    UNREACHABLE,
    Hospital,
    complete,
    events,
    inodes,
    rounds,
    talkative,
)
from tools.hospital import corpus, volume
from tools.hospital.peers import PACS, free_port

UNREGISTERED = "UNKNOWN_BOX"
"""An AE title of the box that no PACS here knows as a destination."""

REAL = ("MR_small_RLE.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "RG3_J2KR.dcm")
CT = volume.Study(slices=6)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    slices = volume.write(CT, tmp_path_factory.mktemp("ct"))
    return [*slices, *map(corpus.file, REAL)]


@pytest.fixture(scope="module", params=PACS)
def hospital(
    request: pytest.FixtureRequest, files: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("pacs")
    with talkative(request.param, folder, free_port(), files) as hospital:
        yield hospital


def patients(files: Sequence[Path]) -> list[str]:
    found = [pydicom.dcmread(file, stop_before_pixels=True).PatientID for file in files]
    return sorted(set(found))


def watched(files: Sequence[Path]) -> tuple[Watch, ...]:
    """A watch list of everybody in `files`, under pseudonyms that say nothing."""
    return tuple(Watch(each, f"SUBJECT-{n}") for n, each in enumerate(patients(files), start=1))


def given(hospital: Hospital, method: str) -> Sequence[Path]:
    """What the PACS can send that way.

    For a C-GET, dcmqrscp takes the first context of a class that was accepted, in whatever syntax
    the file is; qrscp needs a fifth of a second for every association.
    """
    few = hospital.name == "qrscp" or (hospital.name, method) == ("dcmtk", "get")
    return hospital.files[: CT.slices] if few else hospital.files


@pytest.mark.parametrize("method", ["move", "get"])
def test_everything_of_the_watched_patients_comes_once(
    hospital: Hospital, method: str, tmp_path: Path
) -> None:
    files = given(hospital, method)
    watch = watched(files)
    wanted = settings(hospital.port, hospital.remote(retrieve=method), watch=watch)
    with box(tmp_path, wanted) as running:
        complete(running, len(files))
        for file in files:
            original = pydicom.dcmread(file)
            kept = running.dataset(original.SOPInstanceUID)
            (subject,) = [each.pseudonym for each in watch if each.patient_id == original.PatientID]
            assert (kept.PatientID, kept.PatientName) == (subject, subject)
            assert kept.SOPInstanceUID == running.deidentifier.uid(original.SOPInstanceUID)
            assert (kept.pixel_array == original.pixel_array).all()
        moves, there = hospital.moves, inodes(running)
        rounds(running)
        assert inodes(running) == there
        assert hospital.moves == moves
        assert events(running).count("\n") == 0, "there was something to complain of"
    with box(tmp_path, wanted) as again:
        rounds(again, 1)
        assert inodes(again) == there
        assert hospital.moves == moves
    if hospital.name != "qrscp":
        assert moves >= len(patients(files))


@pytest.mark.parametrize("title", [UNREGISTERED, UNREACHABLE])
def test_get_where_a_move_cannot_reach_us(hospital: Hospital, title: str, tmp_path: Path) -> None:
    watch = (Watch(CT.patient.identifier, "SUBJECT"),)
    remote = hospital.remote()
    assert remote.retrieve == "auto"
    with box(
        tmp_path, settings(hospital.port, remote, ae={"title": title}, watch=watch)
    ) as running:
        complete(running, CT.slices)
        moves, there = hospital.moves, inodes(running)
        rounds(running)
        assert (inodes(running), hospital.moves) == (there, moves)


@pytest.mark.parametrize("title", [UNREGISTERED, UNREACHABLE])
def test_a_move_that_cannot_reach_us_says_what_to_do(
    hospital: Hospital, title: str, tmp_path: Path
) -> None:
    """Whether the PACS says that it does not know us (A801), or that it failed (C000)."""
    watch = (Watch(CT.patient.identifier, "SUBJECT"),)
    remote = hospital.remote(retrieve="move")
    with box(
        tmp_path, settings(hospital.port, remote, ae={"title": title}, watch=watch)
    ) as running:
        running.until(lambda: bool(unfinished(running)), "the box does not say what to do")
        (sentence,) = unfinished(running)
        assert "administrator must" in sentence
        assert title in sentence
        assert str(hospital.port) in sentence
        assert running.held == 0


def unfinished(running: Box) -> set[str]:
    """What the box says about retrievals that failed."""
    found = running.service.catalogue.status().events
    return {event.text for event in found if event.severity == "warning"}


def test_a_study_that_grows(hospital: Hospital, tmp_path: Path) -> None:
    patient = volume.Patient(f"GROWS-{hospital.name}", "Growing^Study", ("ISO_IR 100",))
    study = volume.Study(patient, 5, f"2.25.31{len(hospital.name)}", accession="ACC-GROWS")
    slices = volume.write(study, tmp_path / "ct")
    hospital.pacs.store(slices[:2])
    watch = (Watch(patient.identifier, "SUBJECT"),)
    wanted = settings(hospital.port, hospital.remote(), watch=watch)
    with box(tmp_path / "box", wanted) as running:
        complete(running, 2)
        moves = hospital.moves
        rounds(running)
        assert hospital.moves == moves
        hospital.pacs.store(slices[2:])
        complete(running, 5)
        rounds(running)
        assert len(running.files) == 5
        if hospital.name != "qrscp":
            assert hospital.moves == moves + 1


def test_what_this_box_does_not_take_keeps_nothing_else(hospital: Hospital, tmp_path: Path) -> None:
    """Orthanc sends nothing after it, and tells its class; qrscp goes on, and does not tell."""
    if hospital.name == "dcmtk":
        pytest.skip("dcmqrscp takes no RT Plan")
    patient = volume.Patient(f"PLANNED-{hospital.name}", "Planned^Study", ("ISO_IR 100",))
    study = volume.Study(patient, 2, f"2.25.37{len(hospital.name)}", accession="ACC-PLAN")
    slices = volume.write(study, tmp_path / "ct")
    plan = pydicom.dcmread(corpus.file("rtplan.dcm"))
    plan.PatientID, plan.StudyInstanceUID = patient.identifier, study.study_instance_uid
    plan.save_as(tmp_path / "plan.dcm")
    hospital.pacs.store([*slices, tmp_path / "plan.dcm"])
    watch = (Watch(patient.identifier, "SUBJECT"),)
    wanted = settings(hospital.port, hospital.remote(), watch=watch)
    with box(tmp_path / "box", wanted) as running:
        running.until(lambda: running.held == 2, "the slices did not come")
        rounds(running)
        tells = hospital.name == "orthanc"
        assert running.service.catalogue.status().outstanding == (0 if tells else 1)
        assert ("instances of RT Plan Storage are left there" in events(running)) == tells


@pytest.mark.parametrize("method", ["move", "get"])
def test_instances_by_themselves(hospital: Hospital, method: str, tmp_path: Path) -> None:
    """A list of SOP Instance UIDs (PS3.4 Section C.4.2.2.1)."""
    if hospital.name == "qrscp":
        pytest.skip("qrscp takes a list of UIDs for one long UID")
    some = [
        OneInstance(CT.series_instance_uid, CT.sop_instance_uid(number)) for number in (2, 3, 5)
    ]
    wanted = settings(hospital.port, hospital.remote(), ae={"unsolicited": "store"})
    with box(tmp_path, wanted) as running:
        requestor, (remote,) = running.service._requestor(), wanted.remotes
        ask = requestor.move if method == "move" else requestor.get
        ask(remote, CT.study_instance_uid, lambda: 0.0, some=some)
        running.until(lambda: running.held == len(some), "they did not come")
        assert {path.stem for path in running.files} == {
            running.deidentifier.uid(one.instance) for one in some
        }


def test_a_request_by_hand(hospital: Hospital, tmp_path: Path) -> None:
    """By accession number; nobody is on the watch list."""
    wanted = settings(hospital.port, hospital.remote())
    with box(tmp_path, wanted) as running:
        requests = running.service.requests
        number = requests.ask_fetch("pacs", accession=CT.accession)
        running.until(lambda: requests.find(number).state == "finished", "it was not served")
        found = requests.find(number)
        assert (found.outcome, found.arrived, running.held) == ("complete", 6, 6)
        assert found.accession is None
        assert "1 studies complete" in found.sentence, "qrscp names a study once for each instance"
