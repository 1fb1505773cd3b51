"""The command line: every command with good and with bad input, its words and its exit status."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image, features
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from appliance import asking, cli, terminal
from appliance.archive.catalogue import Catalogue, CatalogueFailed
from appliance.archive.place import Place
from appliance.archive.records import RemoteState, Status
from appliance.archive.requests import Requests
from appliance.health.reports import ServiceReport, read_report
from appliance.provisioning.apply import Generations
from appliance.provisioning.stick import Contents
from appliance.service import Service
from appliance.settings.model import Settings
from appliance.settings.reader import read, read_file
from tests.instances import study
from tests.interop.strange_pacs import Call, StrangePacs
from tests.unit.render import made
from tests.unit.test_masking import COLUMNS, ROWS, inside, ultrasound
from tools.hospital import corpus
from tools.hospital.box import appliance
from tools.hospital.peers import free_port

HERE = Path(cli.__file__).parents[2]
COMMANDS = (
    "run",
    "status",
    "suspend",
    "resume",
    "check",
    "settings",
    "conformance",
    "echo",
    "find",
    "fetch",
    "render",
    "deidentify",
    "settle",
    "provision",
    "recover",
    "led",
    "health",
    "budget",
    "clock",
    "panel",
)
SETTINGS = """\
revision = 1
[ae]
port = {port}
address = "127.0.0.1"
profile = "strict"
[query]
settle = "1 s"
retry_first = "1 s"
timeouts = {{ association = "3 s", response = "3 s", total = "10 s" }}
[storage]
reserve = "1 MiB"
[[remote]]
name = "main"
title = "PACS"
host = "127.0.0.1"
port = {pacs}
retrieve = "move"
[[remote]]
name = "down"
title = "DOWN"
host = "127.0.0.1"
port = {down}
[[remote]]
name = "mute"
title = "MUTE"
host = "127.0.0.1"
query = false
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: its exit status, and what it printed to both streams."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def pacs() -> Iterator[StrangePacs]:
    with StrangePacs("PACS", study("P1", "2.25.71", series=2, slices=2)).listening() as listening:
        yield listening


@pytest.fixture
def settings(tmp_path: Path, pacs: StrangePacs) -> Path:
    file = tmp_path / "netty.toml"
    port = free_port()
    file.write_text(SETTINGS.format(port=port, pacs=pacs.port, down=free_port()))
    pacs.box = ("HAPPY_netty", port)
    return file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def archive(data: Path) -> Path:
    """A data folder in which a box has run."""
    Catalogue.open(data / "catalogue.sqlite").close()
    return data


def started(*arguments: str, settings: Path, data: Path) -> subprocess.Popen[bytes]:
    """A command in a process of its own."""
    return subprocess.Popen(
        appliance(*arguments, "--settings", settings, "--data", data),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=HERE,
    )


# -- help


def test_without_a_command_it_says_which_there_are(run: Run) -> None:
    status, out, err = run()
    assert (status, out) == (2, "")
    assert "COMMAND" in err


def test_help_teaches_the_way_of_a_new_box(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert all(re.search(rf"^    {name}\b", out, re.MULTILINE) for name in COMMANDS)
    assert "appliance settings > netty.toml" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    status, out, err = run(name, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: appliance {name}")
    assert len(out.splitlines()) > 5 or name == "settings"


@pytest.mark.parametrize("arguments", [["nonsense"], ["echo"], ["check"], ["status", "--colour"]])
def test_a_command_that_is_not_understood(run: Run, arguments: list[str]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert "usage: appliance" in err


def test_it_tells_its_version(run: Run) -> None:
    assert run("--version")[1].startswith("appliance ")


def test_it_is_a_module_and_a_program(tmp_path: Path) -> None:
    for command in (
        [sys.executable, "-m", "appliance"],
        [Path(sys.executable).parent / "appliance"],
    ):
        said = subprocess.run([*command, "settings"], capture_output=True, text=True, check=True)
        assert "[[remote]]" in said.stdout


# -- settings


def test_the_annotated_example_is_right(run: Run, tmp_path: Path) -> None:
    status, out, err = run("settings")
    assert (status, err) == (0, "")
    file = tmp_path / "netty.toml"
    file.write_text(out)
    assert run("check", file) == (0, "", "")
    assert read(out).ae.title == "HAPPY_netty"


def test_every_mistake_has_its_place_and_a_remedy(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "netty.toml"
    file.write_text('revision = 0\n[ae]\nprot = 104\n\nmax_pdu = "1 GiB"\n')
    status, out, err = run("check", file)
    assert (status, out) == (1, "")
    lines = err.splitlines()
    assert len(lines) == 3
    for line, place in zip(
        lines, ("1:12: revision", "3:1: ae.prot", "5:11: ae.max_pdu"), strict=True
    ):
        pattern = rf"{re.escape(str(file))}:{re.escape(place)}: expected .+, found .+; .+"
        assert re.fullmatch(pattern, line), line
    assert "port" in lines[1]


def test_a_stick_with_a_mistake_is_answered_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "netty.toml").write_text("revision = 0\n")
    places = ("--generations", tmp_path / "state", "--run", tmp_path / "run")
    assert run("provision", stick, *places)[0] == 0
    (answer,) = stick.glob("netty-result-*.txt")
    assert "netty.toml:1:12: revision: expected a whole number" in answer.read_text("utf-8-sig")
    report = json.loads((tmp_path / "run/netty-provision/report.json").read_text())
    assert (report["outcome"], report["plugged"]) == ("rejected", True)
    assert run("provision", stick, "--unplugged", *places)[0] == 0
    report = json.loads((tmp_path / "run/netty-provision/report.json").read_text())
    assert report["plugged"] is False
    assert run("settle", *places)[0] == 0
    assert not (tmp_path / "run/netty/settings").is_symlink()


def test_settings_that_hold_are_settled_and_damaged_ones_named(run: Run, tmp_path: Path) -> None:
    places = ("--generations", tmp_path / "state", "--run", tmp_path / "run")
    generations = Generations(tmp_path / "state")
    settings = b"revision = 3\n"
    generations.make_current(generations.write(Contents(settings), 3, frozenset()))
    assert run("settle", *places)[0] == 0
    active = tmp_path / "run/netty/settings"
    assert (active / "netty.toml").read_bytes() == settings
    (active / "netty.toml").write_text("revision = 0\n")
    status, _, err = run("settle", *places)
    assert status == 1
    assert "a stick with netty.toml brings new settings" in err
    assert not active.is_symlink()


def test_a_list_of_patients_is_checked_with_the_settings(run: Run, tmp_path: Path) -> None:
    file, patients = tmp_path / "netty.toml", tmp_path / "list.csv"
    file.write_text("revision = 1\n")
    patients.write_text("patient_id,since\n77,2025-04-01\n")
    assert run("check", file, "--patients", patients) == (0, "", "")
    file.write_text("revision = 0\n")
    patients.write_text("patient_id,since\n77,yesterday\n")
    status, out, err = run("check", file, "--patients", patients)
    assert (status, out) == (1, "")
    first, second = err.splitlines()
    assert first.startswith(f"{file}:1:12: revision: ")
    assert second.startswith(f"{patients}:2:4: since: ")


def test_the_service_watches_the_patients_of_a_list(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, patients = tmp_path / "netty.toml", tmp_path / "list.csv"
    file.write_text("revision = 1\n")
    patients.write_text("patient_id\n77\n")
    watched: list[str] = []

    def serve(settings: Settings, place: Place, **_: object) -> Service:
        watched.extend(entry.patient_id for entry in settings.watch)
        raise cli.Failed("enough seen")

    monkeypatch.setattr("appliance.service.Service", serve)
    run("run", "--settings", file, "--patients", patients, "--data", tmp_path)
    assert watched == ["77"]


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "binary", "utf-16"])
def test_a_file_that_is_no_settings_file(run: Run, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "netty.toml"
    if kind == "folder":
        file.mkdir()
    elif kind != "missing":
        file.write_bytes(
            {"empty": b"", "binary": bytes(range(256)), "utf-16": "revision = 1".encode("utf-16")}[
                kind
            ]
        )
    status, out, err = run("check", file)
    assert (status, out) == (1, "")
    assert err.startswith(f"{file}:1:1: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "conformance", "echo main", "find main", "fetch main"])
def test_a_command_names_the_mistakes_of_its_settings(
    run: Run, tmp_path: Path, command: str
) -> None:
    file = tmp_path / "netty.toml"
    file.write_text("revision = 1\n[ae]\nport = 0\n")
    status, out, err = run(*command.split(), "--settings", file)
    assert (status, out) == (1, "")
    assert err.startswith(f"{file}:3:8: ae.port: expected ")


@pytest.mark.parametrize("profile", ["strict", "broad"])
def test_the_conformance_statement_is_that_of_the_settings(
    run: Run, settings: Path, profile: str
) -> None:
    settings.write_text(settings.read_text().replace('"strict"', f'"{profile}"'))
    status, out, err = run("conformance", "--settings", settings)
    assert (status, err) == (0, "")
    assert "HAPPY_netty" in out
    assert ("1.2.840.10008.1.2.4.50" in out) is (profile == "broad")


# -- remotes


def test_echo(run: Run, settings: Path) -> None:
    status, out, err = run("echo", "main", "--settings", settings)
    assert (status, err) == (0, "")
    assert re.fullmatch(r"main \(PACS at 127\.0\.0\.1:\d+\) answers a C-ECHO in \d+ ms\n", out)
    status, out, _ = run("echo", "main", "--json", "--settings", settings)
    assert status == 0
    assert json.loads(out)["remote"] == "main"


def test_echo_to_nobody(run: Run, settings: Path) -> None:
    status, out, err = run("echo", "down", "--settings", settings)
    assert (status, out) == (1, "")
    assert err.startswith("appliance: down (127.0.0.1:")
    assert "nothing answers on that port" in err


@pytest.mark.parametrize("command", [["echo"], ["find", "--study", "1"], ["fetch", "--study", "1"]])
def test_a_remote_that_the_settings_do_not_know(
    run: Run, settings: Path, command: list[str]
) -> None:
    status, _, err = run(command[0], "mian", *command[1:], "--settings", settings)
    assert status == 1
    assert err == "appliance: no remote is named 'mian'; the settings know: main, down, mute\n"


def test_find_studies_series_and_images(run: Run, settings: Path) -> None:
    status, out, err = run("find", "main", "--patient-id", "P1", "--settings", settings)
    assert (status, err) == (0, "")
    assert re.match(r"Patient ID +Accession +Date", out)
    assert "P1" in out
    assert "2.25.71" in out
    assert out.endswith("1 found\n")
    out = run("find", "main", "--study", "2.25.71", "--settings", settings)[1]
    assert "2.25.71.1" in out
    assert out.endswith("2 found\n")
    out = run(
        "find", "main", "--study", "2.25.71", "--series", "2.25.71.1", "--settings", settings
    )[1]
    assert "2.25.71.1.2" in out
    assert out.endswith("2 found\n")


def test_find_by_accession(run: Run, settings: Path, pacs: StrangePacs) -> None:
    for instance in pacs.instances:
        instance.AccessionNumber = "A1"
    for accession, found in (("A1", "1 found"), ("A2", "0 found")):
        out = run("find", "main", "--accession", accession, "--settings", settings)[1]
        assert out.endswith(f"{found}\n")


def test_find_for_programs_has_an_object_a_line(run: Run, settings: Path) -> None:
    status, out, _ = run("find", "main", "--study", "2.25.71", "--json", "--settings", settings)
    assert status == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert [one["series"] for one in found] == ["2.25.71.1", "2.25.71.2"]
    assert found[0]["level"] == "SERIES"


def test_find_nothing(run: Run, settings: Path) -> None:
    assert run("find", "main", "--patient-id", "P9", "--settings", settings) == (0, "0 found\n", "")
    arguments = ("find", "main", "--patient-id", "P9", "--json", "--settings", settings)
    assert run(*arguments) == (0, "", "")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([], "say what to look for: --patient-id, --accession or --study"),
        (["--level", "series", "--patient-id", "P1"], "at series level, --study is needed"),
        (["--series", "1.2"], "at image level, --study is needed"),
        (["--study", "1.2", "--patient-id", "P1"], "only --study and --series are keys"),
        (["--level", "image", "--study", "1.2"], "at image level, --series is needed"),
    ],
)
def test_find_with_keys_that_do_not_fit(
    run: Run, settings: Path, keys: list[str], says: str
) -> None:
    status, out, err = run("find", "main", *keys, "--settings", settings)
    assert (status, out) == (1, "")
    assert says in err
    assert "None" not in err


def test_find_of_a_remote_that_fails_repeats_its_comment(
    run: Run, settings: Path, pacs: StrangePacs
) -> None:
    def fail(call: Call) -> None:
        call.answer(0xC001, comment="the index is being rebuilt")

    pacs.find = fail
    status, _, err = run("find", "main", "--patient-id", "P1", "--settings", settings)
    assert status == 1
    assert "status 0xC001" in err
    assert "the index is being rebuilt" in err


# -- test


def test_a_connection_hop_by_hop(run: Run, settings: Path, data: Path) -> None:
    text = settings.read_text().replace("[ae]", '[[watch]]\npatient_id = "P1"\n[ae]')
    settings.write_text(text)
    arguments = ("test", "main", "--settings", settings, "--data", data)
    status, out, _ = run(*arguments)
    assert status == 0
    assert [line.split()[:2] for line in out.splitlines()] == [
        [step, "passed"] for step in ("name", "port", "association", "echo", "find", "move")
    ]
    service = Service(read_file(settings), Place(data, data / "state"), scheduled=False)
    service.start()
    try:
        status, out, _ = run(*arguments, "--json")
    finally:
        service.stop()
    told = json.loads(out)
    assert (status, told["works"], len(told["hops"])) == (0, True, 6)
    assert "HAPPY_netty" in told["letter"]["ja"]


def test_a_connection_that_fails_comes_with_a_letter(run: Run, settings: Path, data: Path) -> None:
    status, out, _ = run("test", "down", "--settings", settings, "--data", data)
    assert status == 1
    assert "port          failed   127.0.0.1:" in out
    assert "refuses the connection. The PACS administrator: see" in out
    assert "To the administrator of down (DOWN, 127.0.0.1:" in out


# -- fetch


def test_fetch_without_an_ae_runs_one_for_the_occasion(
    run: Run, settings: Path, data: Path
) -> None:
    arguments = ("fetch", "main", "--patient-id", "P1", "--settings", settings, "--data", data)
    status, out, _ = run(*arguments)
    assert (status, out) == (0, "complete: 4 instances fetched, 1 studies complete\n")
    assert len(list(data.rglob("*.jpg"))) == 4
    status, out, _ = run(*arguments, "--json")
    assert status == 0
    assert json.loads(out) == {
        "outcome": "complete",
        "sentence": "0 instances fetched, 1 studies complete",
    }


def test_fetch_through_the_ae_that_runs(run: Run, settings: Path, data: Path) -> None:
    service = Service(read_file(settings), Place(data, data / "state"))
    service.start()
    try:
        status, out, _ = run(
            "fetch", "main", "--study", "2.25.71", "--settings", settings, "--data", data
        )
        assert (status, out) == (0, "complete: 4 instances fetched, 1 studies complete\n")
        assert service.catalogue.status().instances == 4
        assert service.requests.pending() == ()
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["main", "--patient-id", "P9"], "failed: main has no such study, or no images of it"),
        (["main", "--accession", "A9"], "failed: main has no such study, or no images of it"),
        (["down", "--patient-id", "P1"], "nothing answers on that port"),
        (["mute", "--patient-id", "P1"], "set query = true for it in the settings"),
    ],
)
def test_fetch_that_fails_says_why(
    run: Run, settings: Path, data: Path, arguments: list[str], says: str
) -> None:
    status, out, _ = run("fetch", *arguments, "--settings", settings, "--data", data)
    assert status == 1
    assert says in out


def test_fetch_without_keys(run: Run, settings: Path, data: Path) -> None:
    status, out, err = run("fetch", "main", "--settings", settings, "--data", data)
    assert (status, out) == (1, "")
    assert err == "appliance: say what to fetch: --patient-id, --accession or --study\n"


def test_fetch_of_a_study_takes_no_other_key(run: Run, settings: Path, data: Path) -> None:
    """Nobody would look whether it is a study of that patient."""
    keys = ("--patient-id", "4711", "--study", "1.2.3")
    status, out, err = run("fetch", "main", *keys, "--settings", settings, "--data", data)
    assert (status, out) == (1, "")
    assert "--study is one study, whoever it is of" in err


def test_fetch_while_the_box_is_suspended(run: Run, settings: Path, data: Path) -> None:
    assert run("suspend", "--data", data)[0] == 0
    arguments = ("fetch", "main", "--patient-id", "P1", "--settings", settings, "--data", data)
    status, out, _ = run(*arguments)
    assert (status, out) == (1, "failed: the box is suspended: resume it, then ask again\n")
    assert run("resume", "--data", data)[0] == 0
    assert run(*arguments)[0] == 0


def test_fetch_when_the_ae_ends_meanwhile(
    run: Run, settings: Path, data: Path, pacs: StrangePacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.3)
    Catalogue.open(data / "catalogue.sqlite").close()
    lock = (data / "lock").open("r+")
    lock.write(f"{_ended_process()}\n".ljust(20))
    lock.close()

    def in_use(*_: Any, **__: Any) -> Service:
        raise asking.CatalogueInUse("somebody has it")

    monkeypatch.setattr(asking, "Service", in_use)
    status, out, err = run(
        "fetch", "main", "--patient-id", "P1", "--settings", settings, "--data", data
    )
    assert (status, out) == (1, "")
    assert "the AE that runs on this archive has ended; start it again" in err
    requests = Requests.open(data / "requests.sqlite")
    (request,) = requests.latest(1)
    assert (request.state, request.patient_id) == ("finished", None)
    requests.close()


def _ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_fetch_that_is_interrupted_takes_its_request_back(
    settings: Path, data: Path, pacs: StrangePacs
) -> None:
    asked = threading.Event()

    def never(call: Call) -> None:
        asked.set()
        for _ in call.linger(20):
            pass

    pacs.move = never
    process = started("fetch", "main", "--patient-id", "P1", settings=settings, data=data)
    assert asked.wait(30)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stdout is not None
    assert b"Traceback" not in process.stdout.read()
    requests = Requests.open(data / "requests.sqlite")
    (request,) = requests.latest(1)
    assert (request.state, request.sentence) == ("finished", "whoever asked has given it up")
    assert request.patient_id is None
    requests.close()


def test_two_boxes_cannot_have_one_port(
    run: Run, settings: Path, data: Path, tmp_path: Path
) -> None:
    service = Service(read_file(settings), Place(data, data / "state"))
    try:
        other = tmp_path / "other"
        status, _, err = run("run", "--settings", settings, "--data", other)
        assert status == 1
        assert "cannot be listened on" in err
        assert "choose another ae.port" in err
    finally:
        service.start()
        service.stop()


# -- the archive


@pytest.mark.parametrize("exists", [True, False])
def test_status_where_nothing_has_run(run: Run, data: Path, exists: bool) -> None:
    folder = data if exists else data / "nowhere"
    status, out, err = run("status", "--data", folder)
    assert (status, out) == (1, "")
    assert err == f"appliance: {folder} holds no archive: nothing has run there yet\n"
    assert not list(data.iterdir())


def test_status_of_an_empty_archive(run: Run, archive: Path) -> None:
    status, out, err = run("status", "--data", archive)
    assert (status, err) == (0, "")
    assert re.search(r"^held +0 instances, 0 series, 0 studies$", out, re.MULTILINE)
    assert re.search(r"^space left +[\d.]+ [KMGT]iB$", out, re.MULTILINE)
    assert "suspended" not in out
    status, out, _ = run("status", "--json", "--data", archive)
    figures = json.loads(out)
    assert (figures["instances"], figures["suspended"], figures["events"]) == (0, False, [])
    assert figures["free"] > 0


def test_status_of_what_is_no_catalogue(run: Run, data: Path) -> None:
    (data / "catalogue.sqlite").write_bytes(b"nonsense" * 200)
    status, out, err = run("status", "--data", data)
    assert (status, out) == (1, "")
    assert err.startswith("appliance: ")
    assert "catalogue.sqlite" in err


def test_suspend_and_resume(run: Run, archive: Path) -> None:
    assert run("suspend", "--data", archive) == (0, "", "")
    assert json.loads(run("status", "--json", "--data", archive)[1])["suspended"] is True
    assert re.search(r"^suspended +nothing is taken", run("status", "--data", archive)[1], re.M)
    assert run("suspend", "--data", archive)[0] == 0
    assert run("resume", "--data", archive) == (0, "", "")
    assert json.loads(run("status", "--json", "--data", archive)[1])["suspended"] is False


@pytest.mark.parametrize("name", ["suspend", "resume"])
def test_suspend_where_there_is_no_folder(run: Run, tmp_path: Path, name: str) -> None:
    status, out, err = run(name, "--data", tmp_path / "nowhere")
    assert (status, out) == (1, "")
    assert "nothing has run there yet" in err


def test_what_a_pacs_says_is_no_command_for_the_terminal() -> None:
    said = terminal.table(("what",), [("A\x1b]0;owned\x07\x1b[2J\nfake",)])
    assert said.splitlines()[-1] == "A?]0;owned??[2J?fake"


def test_the_status_table_tells_of_remotes_events_and_counters() -> None:
    status = Status(
        studies=1, series=2, instances=3, bytes=5 << 20, pictures=4, picture_bytes=2048,
        outstanding=7, incomplete=1, missing=0, expired=0, rendered=3, queued=9,
        without_picture=8, failed=6, counters={"discarded": 12, "refused": 11},
        remotes=(
            RemoteState("main", last_reached=1_800_000_000.0),
            RemoteState("ward", failure="it is off", next_attempt=1_800_000_060.0),
            RemoteState("new"),
        ),
        events=(),
    )  # fmt: skip
    table = terminal.status_table(status, 3 << 30, suspended=False)
    for line in (
        "held +3 instances, 2 series, 1 studies",
        "on disk +5.0 MiB DICOM, 2.0 KiB pictures",
        "outstanding +7 instances of 1 studies",
        "to be rendered +9",
        "without picture +8",
        "failed to render +6",
        "discarded +12",
        "refused +11",
        "space left +3.0 GiB",
        "main +last reached 2027-01-15 .*",
        "ward +it is off; again at 2027-01-15 .*",
        "new +last reached never",
    ):
        assert re.search(rf"^{line}$", table, re.MULTILINE), line


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 52, "4096.0 TiB"),
    ],
)
def test_sizes_have_a_unit_that_suits_them(count: int, text: str) -> None:
    assert terminal.size(count) == text


def test_progress_is_one_line_on_a_terminal_and_none_elsewhere(archive: Path) -> None:
    reader = Catalogue.open_read_only(archive / "catalogue.sqlite")
    status = reader.status()
    reader.close()
    for enabled in (True, False):
        stream = StringIO()
        progress = terminal.Progress(stream, enabled)
        progress.update(status)
        progress.update(status)
        progress.end()
        written = stream.getvalue()
        assert (written.count("\r"), written.count("\n")) == ((2, 1) if enabled else (0, 0))


# -- one file


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "JPEG"])
def test_render_one_file(run: Run, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out.{suffix}"
    if suffix == "webp" and not features.check("webp"):
        pytest.skip("this Pillow was built without WebP")
    status, out, err = run("render", corpus.file("CT_small.dcm"), target)
    assert (status, out, err) == (0, f"{target}\n", "")
    with Image.open(target) as picture:
        assert picture.size == (128, 128)


def test_render_several_frames(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("render", corpus.file("color3d_jpeg_baseline.dcm"), tmp_path / "out.jpg")
    assert status == 0
    names = [Path(line).name for line in out.splitlines()]
    assert names == [*(f"out.{number:04d}.jpg" for number in range(1, 121)), "out.webp"]
    assert {path.name for path in tmp_path.iterdir()} == set(names)


@pytest.mark.parametrize(
    ("source", "target", "more", "says"),
    [
        ("CT_small.dcm", "out.gif", [], "expected a name that ends in .jpg"),
        ("CT_small.dcm", "out.jpg", ["--quality", "101"], "quality 101: expected 1 to 100"),
        ("nowhere.dcm", "out.jpg", [], "nowhere.dcm"),
        ("text.dcm", "out.jpg", [], "text.dcm"),
        ("reportsi.dcm", "out.jpg", [], "reportsi.dcm"),
        ("CT_small.dcm", "no/where/out.jpg", [], "no/where"),
    ],
)
def test_render_what_cannot_be_rendered(
    run: Run, tmp_path: Path, source: str, target: str, more: list[str], says: str
) -> None:
    (tmp_path / "text.dcm").write_text("not DICOM at all")
    try:
        file = corpus.file(source)
    except LookupError:
        file = tmp_path / source
    (tmp_path / "no").touch()  # a file where a folder is asked for
    status, out, err = run("render", file, tmp_path / target, *more)
    assert (status, out) == (1, "")
    assert err.startswith("appliance: ")
    assert says in err
    assert "Traceback" not in err
    assert not (tmp_path / target).is_file()


def test_quality_must_be_a_number(run: Run, tmp_path: Path) -> None:
    status, _, err = run("render", "a.dcm", "b.jpg", "--quality", "best")
    assert status == 2
    assert "--quality" in err


@pytest.mark.parametrize("profile", ["basic", "clear"])
def test_deidentify_one_file(run: Run, tmp_path: Path, profile: str) -> None:
    source, target = corpus.file("CT_small.dcm"), tmp_path / "out.dcm"
    arguments = ("deidentify", source, target, "--profile", profile, "--data", tmp_path / "data")
    assert run(*arguments) == (0, "", "")
    before, after = pydicom.dcmread(source), pydicom.dcmread(target)
    assert after.PatientName != before.PatientName
    assert after.PatientID != before.PatientID
    assert (after.StudyInstanceUID == before.StudyInstanceUID) is (profile == "clear")
    assert after.PixelData == before.PixelData
    first = target.read_bytes()
    assert run(*arguments)[0] == 0
    assert target.read_bytes() == first, "the same key gives the same file"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_deidentify_text_in_pixels(run: Run, tmp_path: Path, syntax: str) -> None:
    cells = np.random.default_rng(1).integers(1, 255, (ROWS, COLUMNS), np.uint8)
    dataset = ultrasound(made.grey(cells))
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    source, target = made.saved(dataset, tmp_path / "us.dcm"), tmp_path / "out.dcm"
    arguments = ("deidentify", source, target, "--data", tmp_path / "data", "--explain")
    status, _, err = run(*arguments)
    assert (status, err) == (0, "")
    after = pydicom.dcmread(target)
    assert np.array_equal(after.pixel_array, np.where(inside(), cells, 0))
    assert after.BurnedInAnnotation == "NO"


def test_deidentify_says_that_text_may_be_left(run: Run, tmp_path: Path) -> None:
    dataset = made.grey(np.ones((8, 8), np.uint8), BurnedInAnnotation="YES")
    source, target = made.saved(dataset, tmp_path / "sc.dcm"), tmp_path / "out.dcm"
    status, out, err = run("deidentify", source, target, "--data", tmp_path / "data")
    assert (status, out) == (0, "")
    assert "look for text in its pixels" in err
    assert "no mask rule covers it" in err
    assert target.exists()


@pytest.mark.parametrize(("profile", "hidden"), [("basic", 0), ("clear", 0xF)])
def test_deidentify_bits_that_nobody_sees(
    run: Run, tmp_path: Path, profile: str, hidden: int
) -> None:
    cells = np.arange(64, dtype=np.uint16).reshape(8, 8) | 0xF000
    source = made.saved(made.grey(cells, 12, Modality="CT"), tmp_path / "ct.dcm")
    target = tmp_path / "out.dcm"
    arguments = ("--profile", profile, "--data", tmp_path / "data")
    assert run("deidentify", source, target, *arguments) == (0, "", "")
    words = np.frombuffer(pydicom.dcmread(target).PixelData, "<u2")
    assert set(words >> 12) == {hidden}
    assert np.array_equal(words & 0xFFF, cells.ravel() & 0xFFF)


@pytest.mark.parametrize("source", ["nowhere.dcm", "text.dcm", "empty.dcm", "DICOMDIR"])
def test_deidentify_what_is_no_instance(run: Run, tmp_path: Path, source: str) -> None:
    (tmp_path / "text.dcm").write_text("not DICOM at all")
    (tmp_path / "empty.dcm").touch()
    file = tmp_path / source
    if source == "DICOMDIR":
        file = next(one for one in corpus.files() if one.name == "DICOMDIR")
    target = tmp_path / "out.dcm"
    status, out, err = run("deidentify", file, target, "--data", tmp_path / "data")
    assert (status, out) == (1, "")
    assert err.startswith("appliance: ")
    assert str(file) in err
    assert not target.exists()


def test_a_key_that_is_damaged_is_not_replaced(run: Run, tmp_path: Path) -> None:
    key = tmp_path / "state/pseudonym.key"
    key.parent.mkdir()
    key.write_bytes(b"too short")
    status, _, err = run(
        "deidentify",
        corpus.file("CT_small.dcm"),
        tmp_path / "out.dcm",
        "--state",
        tmp_path / "state",
    )
    assert status == 1
    assert "expected a key of 32 bytes, found 9" in err
    assert key.read_bytes() == b"too short"


# -- run


def test_run_until_it_is_told_to_stop(settings: Path, data: Path) -> None:
    process = started("run", settings=settings, data=data)
    end = time.monotonic() + 30
    while not _started(data):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 0
    assert process.stdout is not None
    assert b"Traceback" not in process.stdout.read()


def _started(data: Path) -> bool:
    try:
        reader = Catalogue.open_read_only(data / "catalogue.sqlite")
        try:
            return any("started" in event.text for event in reader.status().events)
        finally:
            reader.close()
    except CatalogueFailed:
        return False


@pytest.fixture
def report(tmp_path: Path) -> Path:
    folder = tmp_path / "report"
    folder.mkdir()
    return folder / "report.json"


def test_run_tells_others_how_it_is(settings: Path, data: Path, report: Path) -> None:
    generation = settings.parent
    (generation / "patients.csv").write_text("patient_id\nP7\n")
    process = subprocess.Popen(
        appliance(
            *("run", "--generation", generation, "--data", data),
            *("--state", generation / "keys", "--report", report.parent),
        ),
        stderr=subprocess.DEVNULL,
        cwd=HERE,
    )
    end = time.monotonic() + 30
    while not report.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    told = read_report(report, ServiceReport)
    process.terminate()
    assert process.wait(30) == 0
    assert (told.title, told.revision, told.failure) == ("HAPPY_netty", 1, "")
    assert [remote.name for remote in told.remotes] == ["main", "down", "mute"]
    assert told.space is not None
    assert 0 < told.space.free < told.space.total
    assert told.counts["instances"] == 0
    assert [file.name for file in (generation / "keys").iterdir()] == ["pseudonym.key"]
    assert not (data / "state").exists(), "the key lies where it was told, and nowhere else"


@pytest.mark.parametrize("what", ["settings", "key"])
def test_run_tells_others_why_it_cannot(
    run: Run, settings: Path, data: Path, report: Path, what: str
) -> None:
    keys = settings.parent / "keys"
    keys.mkdir()
    if what == "settings":
        settings.write_text("revision = 0\n")
    else:
        (keys / "pseudonym.key").write_bytes(b"short")
    status, _, err = run(
        *("run", "--settings", settings, "--data", data),
        *("--state", keys, "--report", report.parent),
    )
    told = read_report(report, ServiceReport)
    assert status == 1
    assert told.started is None
    assert told.failure
    assert told.failure.splitlines()[-1] in err


def test_a_fault_of_the_program_has_a_status_of_its_own(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path, patients: Path | None) -> Settings:
        raise AssertionError("this cannot be")

    monkeypatch.setattr("appliance.settings.patients.read_files", fail)
    assert run("check", "netty.toml")[0] == 70
    assert "this cannot be" in caplog.text


def test_recover(run: Run, archive: Path) -> None:
    half = archive / "dicom/1.2/1.2.3/.1.2.3.4.dcm.abc.part"
    half.parent.mkdir(parents=True)
    half.touch()
    assert run("recover", "--data", archive) == (0, "", "")
    assert not half.exists()
    with_lock = Catalogue.open(archive / "catalogue.sqlite")
    try:
        status, _, err = run("recover", "--data", archive)
    finally:
        with_lock.close()
    assert status == 1
    assert "is writing to this archive" in err


# -- the box


def test_health_where_nobody_says_how_the_box_is(run: Run, tmp_path: Path) -> None:
    status, out, err = run("health", "--root", tmp_path)
    assert (status, err) == (1, "")
    assert "UNKNOWN" in out
    assert json.loads(run("health", "--json", "--root", tmp_path)[1])["name"] == "unknown"


def test_the_budget_decides_whether_the_ae_starts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_RESULT", "watchdog")
    for _ in range(3):
        assert run("budget", "--root", tmp_path) == (0, "", "")
        assert run("budget", "--count", "--root", tmp_path) == (0, "", "")
    status, out, err = run("budget", "--root", tmp_path)
    assert (status, out) == (1, "")
    assert "switch the box off and on" in err


def test_a_budget_that_cannot_be_kept_stops_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    assert run("budget", "--root", tmp_path)[0] == 0


def test_a_clock_that_is_right_is_left_alone(run: Run, tmp_path: Path) -> None:
    assert run("clock", "--root", tmp_path) == (0, "", "")


@pytest.mark.parametrize(("result", "shines"), [("watchdog", True), ("success", False)])
def test_a_daemon_that_died_leaves_a_red_light(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: str, shines: bool
) -> None:
    led = tmp_path / "sys/class/leds/red"
    led.mkdir(parents=True)
    for name, content in (("trigger", "[none]"), ("brightness", "0"), ("max_brightness", "1")):
        (led / name).write_text(content)
    board = tmp_path / "usr/lib/netty/board.toml"
    board.parent.mkdir(parents=True)
    board.write_text('[led]\nred = ["red"]\n')
    monkeypatch.setenv("SERVICE_RESULT", result)
    assert run("led", "--lost", "--root", tmp_path)[0] == 0
    assert (led / "brightness").read_text() == ("1" if shines else "0")


def test_run_where_it_may_not_write(run: Run, settings: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    status, out, err = run("run", "--settings", settings, "--data", file / "data")
    assert (status, out) == (1, "")
    assert err.startswith("appliance: ")
    assert str(file) in err


def test_a_reader_that_goes_away_is_no_error_with_a_traceback(settings: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "appliance", "settings"],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=HERE,
        check=False,
    )
    os.close(writing)
    assert b"Traceback" not in done.stderr


def modules_after(statements: str) -> str:
    """The names of what a process has loaded that ran `statements`, as a list is printed."""
    asked = f"{statements}; import sys; print(sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "needs"),
    [("settings", "appliance.settings.example"), ("boot-state", "appliance.updates.boot_state")],
)
def test_a_command_loads_only_what_it_needs(command: str, needs: str) -> None:
    """The AE's decoders prove themselves while its parts are loaded: they must not be before.

    RAUC calls its boot-loader backend many times, and D-Bus does not wait for it long.
    """
    loaded = modules_after(f"import appliance.cli as cli; cli.main(['{command}'])")
    assert f"'{needs}'" in loaded
    assert not [name for name in ("pydicom", "numpy", "pynetdicom") if f"'{name}'" in loaded]


@pytest.mark.parametrize(
    ("service", "without"),
    [
        ("appliance.panel.serving", ("pydicom", "numpy", "PIL", "nacl")),
        ("appliance.provisioning.activation", ("pydicom", "numpy", "nacl", "starlette")),
        ("appliance.archive.recovery", ("pydicom", "numpy", "nacl", "starlette")),
        ("appliance.health.daemon", ("pydicom", "numpy", "nacl", "starlette")),
    ],
)
def test_what_starts_early_waits_for_no_library_of_pictures(
    service: str, without: tuple[str, ...]
) -> None:
    """A box is ready when its page is, and these parsers take longer to load than all the rest."""
    loaded = modules_after(f"import {service}")
    assert f"'{service}'" in loaded
    assert not [name for name in without if f"'{name}'" in loaded]
