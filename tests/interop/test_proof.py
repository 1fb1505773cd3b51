"""The proof that a version does its work, as an update's trial asks for it."""

from pathlib import Path

import pytest

from appliance import proof, service


def test_this_version_does_its_work_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".proof-left" / "deep").mkdir(parents=True)
    proof.prove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_that_renders_nothing_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.Rendering, "start", lambda _: None)
    with pytest.raises(proof.NotProved, match="no picture is made"):
        proof.prove(tmp_path, within=2)
    assert list(tmp_path.iterdir()) == []
