"""The support bundle: patients and secrets are planted everywhere, and looked for in it."""

import io
import json
import re
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from appliance import cli
from appliance.archive.catalogue import Catalogue
from appliance.archive.hops import Hop, Said
from appliance.archive.requests import Found, Requests
from appliance.panel.support import Subject, name_of, write_bundle
from appliance.settings.model import Watch
from appliance.settings.shown import shown
from tests.panel.houses import HASHED, PATIENT, TOKEN, House, settings
from tests.panel.verdicts import verdict

NAME = "YAMADA^TAROU"
ACCESSION = "ACC-7788"
TYPED = "TYPED-991"
LISTED = "LISTED-992"
ORIGINAL = "1.2.392.200036.9116.2.5.1.48"
"""The UID of a study as the PACS knows it."""
PLANTED = (PATIENT, "00067890", "NET-0001", NAME, ACCESSION, TYPED, LISTED, ORIGINAL)
SECRETS = (HASHED, HASHED.rpartition("$")[2], TOKEN, "BEGIN")


def journal(*messages: str, by: str = "appliance") -> str:
    """What journalctl prints of `messages`."""
    return "".join(
        json.dumps(
            {
                "__REALTIME_TIMESTAMP": "1790000000000000",
                "SYSLOG_IDENTIFIER": by,
                "MESSAGE": message,
            }
        )
        + "\n"
        for message in messages
    )


JOURNAL = "".join(
    (
        journal(
            "INFO appliance.service: listening on port 104",
            f"WARNING appliance.dicom.scu: {PATIENT} of {ORIGINAL} and {TYPED} did not come",
            f"WARNING pydicom: Invalid value for VR PN: {NAME!r}",
            f"ValueError: {NAME}",
            f"ERROR appliance.cli: a fault\nTraceback: {NAME}",
            f"{NAME} ERROR appliance.cli: at the wrong place",
        ),
        journal("netty-ae.service: Started.", by="systemd"),
        '{"MESSAGE": [1, 2], "__REALTIME_TIMESTAMP": "1"}\n{"MESSAGE": "x"}\nno json\n[]\n',
    )
)


def commands(command: Sequence[str]) -> str:
    """The operating system of a box."""
    return JOURNAL if command[0] == "journalctl" else "Id=netty-ae.service\nActiveState=active\n"


def planted(house: House) -> Subject:
    """A box that has patients wherever it may have them, and some where it must not."""
    house.fill(2, 2)
    house.ask()
    catalogue = Catalogue.open(house.folders.catalogue)
    catalogue.event("warning", "main", f"{ORIGINAL} of {PATIENT} ({ACCESSION}): it failed")
    number = catalogue.begin_retrieval("2.25.1", "main", "move", 3)
    catalogue.end_retrieval(number, "failed", f"{TYPED} did not come", 0, None)
    catalogue.remote_failed("main", f"asked for {PATIENT}: nothing answers on that port", None)
    catalogue.close()
    requests = Requests.open(house.folders.requests)
    requests.ask_fetch("main", patient_id=TYPED, accession=ACCESSION)
    requests.ask_fetch("main", study=ORIGINAL)
    search = requests.ask_search("main", patient_id=TYPED)
    requests.answer_search(search, [Found(ORIGINAL, LISTED, ACCESSION, "20260401", "0930")])
    test = requests.ask_test("main")
    requests.note_hop(test, Hop("find", "failed", 1.0, Said("失敗", "C-FIND fails"), TYPED))
    requests.close()
    (house.folders.data / "dicom" / NAME).write_text(NAME)
    running = house.root / "run/systemd/system"
    running.mkdir(parents=True)
    sentence = f"{PATIENT}: line 3 of {ORIGINAL}"
    state = replace(
        verdict("degraded"), problems=(replace(verdict("degraded").problems[0], detail=sentence),)
    )
    return Subject("0.1.0", state, shown(settings()), house.folders, house.root / "run", commands)


def unpacked(subject: Subject) -> dict[str, str]:
    """The files of a bundle."""
    file = io.BytesIO()
    write_bundle(file, subject, 1.79e9)
    with zipfile.ZipFile(file) as bundle:
        assert bundle.testzip() is None
        return {
            name.removeprefix("netty-support/"): bundle.read(name).decode()
            for name in bundle.namelist()
        }


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return planted(House(tmp_path))


def test_no_patient_and_no_secret_is_in_it(subject: Subject) -> None:
    files = unpacked(subject)
    for name, text in files.items():
        for value in (*PLANTED, *SECRETS):
            assert value not in text, f"{value} in {name}"
            assert json.dumps(value)[1:-1] not in text, f"{value} in {name}"
        assert not re.search(r"2\.25\.\d", text), f"a UID in {name}"


def test_what_helps_is_in_it(subject: Subject) -> None:
    files = unpacked(subject)
    assert set(files) == {
        *("README.txt", "software.json", "state.json", "settings.json", "catalogue.json"),
        *("events.json", "retrievals.json", "requests.json", "connections.json"),
        *("units.txt", "journal.txt"),
    }
    events = [event["text"] for event in json.loads(files["events.json"])]
    assert events[0] == "[removed] of [removed] ([removed]): it failed"
    assert "ward (192.0.2.7:104): nothing answers on that port" in events
    assert "<b>1.2.840.10008.1.2.4.80</b> is not accepted" in events
    retrieval = json.loads(files["retrievals.json"])[0]
    assert (retrieval["outcome"], retrieval["sentence"]) == ("failed", "[removed] did not come")
    assert json.loads(files["catalogue.json"])["instances"] == 4
    assert json.loads(files["software.json"])["version"] == "0.1.0"
    told = json.loads(files["settings.json"])
    assert (told["revision"], told["watched"], told["password"]) == (3, 2, True)
    secret = {one["key"] for one in told["keys"] if one["secret"]}
    assert secret == {"password", "token"}
    fetches = json.loads(files["requests.json"])["fetches"]
    assert {one["state"] for one in fetches} == {"asked", "running", "finished"}
    assert json.loads(files["connections.json"])[0]["hops"][0]["says"]["ja"] == "失敗"


def test_of_the_journal_only_what_we_and_systemd_wrote(subject: Subject) -> None:
    lines = unpacked(subject)["journal.txt"].splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "INFO appliance.service: listening on port 104",
        "WARNING appliance.dicom.scu: [removed] of [removed] and [removed] did not come",
        "ERROR appliance.cli: a fault",
        "netty-ae.service: Started.",
    ]


def test_what_cannot_be_had_is_said(tmp_path: Path, subject: Subject) -> None:
    def broken(command: Sequence[str]) -> str:
        raise subprocess.CalledProcessError(1, command, NAME, NAME)

    files = unpacked(replace(subject, run=broken))
    assert files["units.txt"] == "systemctl: CalledProcessError\n"
    assert files["journal.txt"] == "no line of the journal can be shown\n"
    empty = House(tmp_path / "empty")
    bare = replace(subject, folders=empty.folders, run_folder=tmp_path / "nothing")
    files = unpacked(bare)
    assert "problem" in json.loads(files["catalogue.json"])
    assert "journal.txt" not in files
    subject.folders.requests.write_bytes(b"damaged" * 1000)
    assert "problem" in json.loads(unpacked(subject)["requests.json"])


def test_short_numbers_of_patients_leave_figures_alone(subject: Subject) -> None:
    patients = (Watch("7"), Watch("104"), Watch("00012345"))
    told = shown(replace(settings(), watch=patients))
    files = unpacked(replace(subject, told=told))
    assert json.loads(files["catalogue.json"])["instances"] == 4
    assert "listening on port [removed]" in files["journal.txt"]


def test_the_command_writes_it_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "netty.toml", tmp_path / "bundle.zip"
    file.write_text('revision = 1\n[[watch]]\npatient_id = "00012345"\n')
    arguments = ["support", "--settings", str(file), "--data", str(tmp_path), "--out", str(out)]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == f"{out}\n"
    with zipfile.ZipFile(out) as bundle:
        names = bundle.namelist()
    assert "netty-support/state.json" in names
    assert cli.main(arguments) == 1, "nothing is written over"
    assert name_of(0.0) == "netty-support-19700101-000000.zip"
