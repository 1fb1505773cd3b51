"""An installation: what RAUC says becomes a sentence, and health is told meanwhile."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.health.reports import UPDATE, UpdateReport, read_report, write_report
from appliance.updates.installation import REFUSAL, RESULT, TOLD, Installation, Refusal
from appliance.updates.requests import UpdateRequest, ask, taken


def phase(run: Path) -> str:
    return read_report(run / UPDATE, UpdateReport).phase


def test_health_is_told_while_it_is_written_and_not_after(tmp_path: Path) -> None:
    seen: list[object] = []

    def rauc(words: Sequence[str]) -> tuple[int, str]:
        seen.extend((list(words), phase(tmp_path), (tmp_path / TOLD).exists()))
        return 0, "Installing `/x.raucb` succeeded\n"

    result = Installation(tmp_path, rauc).of("/x.raucb", told=True)
    assert seen == [["rauc", "install", "/x.raucb"], "writing", True]
    assert result.outcome == "installed"
    assert phase(tmp_path) == ""
    assert not (tmp_path / TOLD).exists()
    assert json.loads((tmp_path / RESULT).read_text())["outcome"] == "installed"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("signature verification failed: Verify error: certificate has expired", "has expired"),
        ("signature verification failed: Verify error: self-signed certificate", "not signed by"),
        ("Compatible mismatch: Expected 'netty-x86_64' but", "another kind of box"),
        ("LastError: something new went wrong", "something new went wrong"),
    ],
)
def test_what_rauc_says_becomes_a_sentence(tmp_path: Path, said: str, sentence: str) -> None:
    result = Installation(tmp_path, lambda _: (1, f"installing\n{said}\n")).of("/x.raucb")
    assert result.outcome == "rejected"
    assert sentence in result.sentence
    assert result.remedy


def test_what_went_before_is_told_again(tmp_path: Path) -> None:
    (tmp_path / UPDATE).parent.mkdir()
    write_report(tmp_path / UPDATE, UpdateReport("rolled back", "Version 2: It did not start."))
    Installation(tmp_path, lambda _: (1, "LastError: no")).of("/x.raucb")
    assert phase(tmp_path) == "rolled back"


@pytest.mark.parametrize(("already", "outcome"), [(True, "already installed"), (False, "rejected")])
def test_our_own_refusal_comes_first(tmp_path: Path, already: bool, outcome: str) -> None:
    def rauc(_: Sequence[str]) -> tuple[int, str]:
        write_report(tmp_path / REFUSAL, Refusal("No.", "Do otherwise.", already))
        return 1, "LastError: Pre-install handler error"

    result = Installation(tmp_path, rauc).of("/x.raucb")
    assert (result.outcome, result.sentence, result.remedy) == (outcome, "No.", "Do otherwise.")


def test_the_page_asks_and_is_heard_once(tmp_path: Path) -> None:
    (tmp_path / "netty-requests").mkdir()
    assert taken(tmp_path) is None
    ask(UpdateRequest("https://updates.example/x.raucb", while_receiving=True), tmp_path)
    assert taken(tmp_path) == ("https://updates.example/x.raucb", True)
    assert taken(tmp_path) is None
    ask(UpdateRequest("x.raucb"), tmp_path)
    assert taken(tmp_path, Path("/data/uploads")) == ("/data/uploads/x.raucb", False)


@pytest.mark.parametrize("source", ["/etc/shadow", "../x", "http://updates.example/x", "a/b", ""])
def test_the_page_cannot_ask_for_anything(tmp_path: Path, source: str) -> None:
    (tmp_path / "netty-requests").mkdir()
    ask(UpdateRequest(source), tmp_path)
    assert taken(tmp_path) is None
    assert list((tmp_path / "netty-requests").iterdir()) == []
