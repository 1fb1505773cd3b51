"""The peers themselves: each PACS holds what it is given, and moves it to where it is told."""

import os
import subprocess
import time
from pathlib import Path

import pydicom
import pytest

from tools.hospital import corpus, volume
from tools.hospital.peers import (
    ENVIRONMENT,
    PACS,
    Pacs,
    Peer,
    PeerAbsent,
    PeerFailed,
    dcmqrscp,
    program,
    running,
    storescp,
)
from tools.hospital.sender import Node, NotStored

REAL = ("CT_small.dcm", "MR_small_RLE.dcm", "color3d_jpeg_baseline.dcm", "RG3_J2KR.dcm")
STUDY = volume.Study(slices=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    slices = volume.write(STUDY, tmp_path_factory.mktemp("ct"))
    return [*slices, *map(corpus.file, REAL)]


def run(name: str, *arguments: str) -> None:
    subprocess.run([program(name), *arguments], env=ENVIRONMENT, check=True, timeout=60)


def move(pacs: Peer, destination: str, study: str) -> None:
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
    titles = ("-aem", destination, "-aec", pacs.node.title)
    run("movescu", "-S", *titles, *keys, pacs.node.host, str(pacs.node.port))


def studies(pacs: Peer, folder: Path, patient: str = STUDY.patient.identifier) -> list[str]:
    folder.mkdir()
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"PatientID={patient}")
    returned = ("-k", "StudyInstanceUID", "-k", "PatientName")
    answers = ("-X", "-od", str(folder), "-aec", pacs.node.title)
    run("findscu", "-S", *answers, *keys, *returned, pacs.node.host, str(pacs.node.port))
    # qrscp answers at STUDY level once for every instance.
    return sorted({pydicom.dcmread(file).StudyInstanceUID for file in folder.iterdir()})


@pytest.mark.parametrize("name", PACS)
def test_a_pacs_finds_and_moves_what_it_holds(name: str, files: list[Path], tmp_path: Path) -> None:
    started: Pacs = PACS[name]
    with (
        storescp(tmp_path / "box", options=["--fork", "+xa"]) as box,
        started(tmp_path / "pacs", [box.node], files) as pacs,
    ):
        for file in files:
            study = pydicom.dcmread(file, stop_before_pixels=True).StudyInstanceUID
            move(pacs, box.node.title, study)
        received = {
            pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID
            for file in (box.folder / "storage").iterdir()
        }
        sent = {pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in files}
        assert received == sent
        assert studies(pacs, tmp_path / "found") == [STUDY.study_instance_uid]
        assert pacs.running


@pytest.mark.parametrize("name", PACS)
def test_a_pacs_started_again_still_holds_it(name: str, files: list[Path], tmp_path: Path) -> None:
    for turn in ("first", "second"):
        with PACS[name](tmp_path / "pacs", [], files) as pacs:
            assert studies(pacs, tmp_path / turn) == [STUDY.study_instance_uid]


def test_dcmqrscp_can_be_filled_while_it_runs(files: list[Path], tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "pacs", []) as pacs:
        pacs.store(files[:1])
        assert studies(pacs, tmp_path / "found") == [STUDY.study_instance_uid]
        with pytest.raises(NotStored, match="DCMQRSCP"):
            pacs.store(files[-1:])


def test_a_peer_ends_with_its_block(tmp_path: Path) -> None:
    with storescp(tmp_path) as peer:
        assert peer.running
    assert not peer.running
    # Nor has it left a child behind; one that it had is gone when init has heard of its end.
    end = time.monotonic() + 30
    while is_group(peer.process.pid):
        assert time.monotonic() < end, "a child of the peer still runs"
        time.sleep(0.05)


def is_group(number: int) -> bool:
    """Whether there is a process in a process group."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_failure_comes_with_what_the_peer_said(tmp_path: Path) -> None:
    command = [program("storescp"), "--no-such-option"]
    with pytest.raises(PeerFailed) as failure, running(command, Node("X", 1), tmp_path):
        pass
    assert "Unknown option" in "".join(failure.value.__notes__)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(PeerAbsent, match="no-such-program"):
        program("no-such-program")
