"""tools/stick: makes what a box takes, and says on a PC what a box would say."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.provisioning.signature import read_key, signers
from appliance.provisioning.stick import read_stick
from tests.unit.provisioning.boxes import ONE, PATIENTS
from tools.provisioning.__main__ import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "netty.toml").write_bytes(ONE)
    (tmp_path / "list.csv").write_bytes(PATIENTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(desk: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(line: str) -> tuple[int, str, str]:
        try:
            status = main(line.split())
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_folder_is_made_signed_and_checked(run: Run, desk: Path) -> None:
    assert run("keys clinic")[0] == 0
    assert (desk / "clinic.key").stat().st_mode & 0o777 == 0o600
    assert run("make stick --patients list.csv --key clinic.key") == (0, "stick is ready.\n", "")
    contents = read_stick(desk / "stick")
    assert contents is not None
    assert (contents.settings, contents.patients) == (ONE, PATIENTS)
    key = read_key((desk / "clinic.pub").read_text())
    assert signers(contents, (key,)) == {key}
    status, out, err = run("check stick --trust clinic.pub")
    assert (status, err) == (0, "")
    assert out.startswith("netty.toml is right: revision 1, 1 patient watched.\nSigned by the key")


def test_an_earlier_stick_leaves_nothing_beside_a_later_one(run: Run, desk: Path) -> None:
    run("keys clinic")
    run("make stick --patients list.csv --key clinic.key")
    run("make stick")
    assert os.listdir(desk / "stick") == ["netty.toml"]


def test_a_stick_may_be_signed_later_and_again(run: Run, desk: Path) -> None:
    run("keys one")
    run("keys two")
    run("make stick")
    assert "Not signed" in run("check stick")[1]
    for keys in ("--key one.key", "--key one.key --key two.key"):
        assert run(f"sign stick {keys}")[0] == 0
        out = run("check stick")[1]
        assert out.count("Signed by the key") == keys.count("--key")


@pytest.mark.skipif(
    shutil.which("mcopy") is None or not Path("/usr/sbin/mkfs.vfat").exists(),
    reason="mtools or dosfstools are not installed",
)
def test_an_image_holds_the_same(run: Run, desk: Path) -> None:
    run("keys clinic")
    assert run("make stick.img --patients list.csv")[0] == 0
    assert "1 patient watched.\nNot signed" in run("check stick.img")[1]
    assert run("sign stick.img --key clinic.key")[0] == 0
    assert "Signed by the key" in run("check stick.img --trust clinic.pub")[1]


def test_mistakes_are_those_that_a_box_would_name(run: Run, desk: Path) -> None:
    (desk / "netty.toml").write_text("revision = 1\n[ae]\nprot = 1\n")
    (desk / "list.csv").write_text("patient_id\n7*\n")
    status, out, err = run("make stick --patients list.csv")
    assert (status, out) == (1, "")
    assert "  netty.toml:3:1: ae.prot: expected a key of [ae]" in err
    assert "  patients.csv:2:1: patient_id: expected" in err
    assert not (desk / "stick").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("check .", "netty.toml is right"),
        ("check . --serial NB-1", "the serial number NB-1"),
        ("check . --trust clinic.pub", "takes signed ones only"),
        ("check empty", "There is no netty.toml here."),
        ("check netty.toml", "no file system that is known here"),
        ("check nothing", "No such file"),
        ("make stick --settings nothing.toml", "No such file"),
        ("make stick --key clinic.toml", "clinic.toml"),
        ("make stick --key netty.toml", "netty.toml is no key"),
        ("sign stick", "--key"),
        ("keys clinic", "clinic.key is there already"),
    ],
)
def test_what_is_wrong_is_said(run: Run, desk: Path, line: str, words: str) -> None:
    run("keys clinic")
    (desk / "empty").mkdir()
    (desk / "netty.toml").write_bytes(ONE + b'serials = ["A"]\n')
    status, out, err = run(line)
    assert (status == 0) is ("right" in words)
    assert words in out + err


def test_help_teaches_the_way(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for word in ("appliance settings > netty.toml", "make stick", "keys clinic", "patients.csv"):
        assert word in out
