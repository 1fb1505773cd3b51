"""Patients whose numbers are not ASCII: queried, matched, given a pseudonym, and forgotten."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from appliance.archive.files import Folders
from appliance.settings.model import Watch
from tests.interop.boxes import TITLE, box, settings
from tests.interop.hospitals import Hospital, complete
from tools.hospital import volume
from tools.hospital.peers import PACS, free_port
from tools.hospital.sender import Node

TONGUES = {
    "\\ISO 2022 IR 87": volume.Patient("山田-0001", "Yamada^T=山田^太郎", ("", "ISO 2022 IR 87")),
    "GB18030": volume.Patient("王小东-7", "Wang^XiaoDong=王^小东", ("GB18030",)),
    "ISO_IR 192": volume.Patient("山田-김-Ж", "Ж^김=山田", ("ISO_IR 192",)),
}


@pytest.fixture(scope="module", params=["dcmtk", "orthanc"])
def babel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hospital]:
    """A PACS with patients of three tongues; qrscp makes question marks of them all."""
    folder = tmp_path_factory.mktemp("babel")
    files = [
        file
        for number, patient in enumerate(TONGUES.values())
        for file in volume.write(volume.Study(patient, 2, f"2.25.7{number}"), folder / str(number))
    ]
    port = free_port()
    unicode = {"DefaultEncoding": "Utf8"} if request.param == "orthanc" else {}
    with PACS[request.param](folder / "pacs", [Node(TITLE, port)], files, **unicode) as pacs:
        yield Hospital(request.param, pacs, files, port)


@pytest.mark.parametrize("character_set", TONGUES)
def test_patients_of_every_tongue(babel: Hospital, character_set: str, tmp_path: Path) -> None:
    """Queried in the remote's own character set, matched, given their pseudonyms, and forgotten."""
    patient = TONGUES[character_set]
    watch = (Watch(patient.identifier, "SUBJECT-7"),)
    remote = babel.remote(character_set=character_set)
    with box(tmp_path, settings(babel.port, remote, watch=watch)) as running:
        complete(running, 2)
        assert {pydicom.dcmread(file).PatientID for file in running.files} == {"SUBJECT-7"}
        assert pseudonyms(running.place.folders) == {"SUBJECT-7"}
    assert traces(tmp_path, patient) == []


def pseudonyms(folders: Folders) -> set[str]:
    """Whose studies they are, as the catalogue says."""
    with sqlite3.connect(f"file:{folders.catalogue}?mode=ro", uri=True) as catalogue:
        return {patient for (patient,) in catalogue.execute("SELECT patient FROM studies")}


def traces(folder: Path, patient: volume.Patient) -> list[str]:
    """Files in which the patient's ID or names stand, in whatever encoding."""
    texts = [patient.identifier, *patient.name.replace("=", "^").split("^")]
    codecs = ("utf-8", "gb18030", "iso2022_jp", "shift_jis", "euc_jp", "utf-16-le")
    forms = {
        text.encode(codec, "ignore") for text in texts if len(text) > 1 for codec in codecs
    } - {b""}
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        f"{path.name}: {form!r}"
        for path in files
        for form in forms
        if len(form) > 3 and form in path.read_bytes()
    ]


def test_what_would_be_a_trace_is_seen(tmp_path: Path) -> None:
    patient = TONGUES["\\ISO 2022 IR 87"]
    (tmp_path / "log").write_bytes(b"0" + "山田-0001".encode("iso2022_jp"))
    assert traces(tmp_path, patient)
    (tmp_path / "log").write_bytes(b"SUBJECT-7")
    assert not traces(tmp_path, patient)
