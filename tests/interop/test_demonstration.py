"""`tools/demo`: one run fetches everything, the next one nothing, and a failure is told."""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def demonstrate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.demonstration", "--once", "--pacs", "dcmtk"]
    command += ["--slices", "12", "--folder", str(folder), *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_second_run_fetches_nothing(tmp_path: Path) -> None:
    first = demonstrate(tmp_path)
    assert first.returncode == 0, first.stderr
    instances = len(list((tmp_path / "data/dicom").rglob("*.dcm")))
    assert f"Fetched {instances} instances; all {instances} are held" in first.stdout
    pictures = {file.name for file in (tmp_path / "data/images").rglob("*.jpg")}
    assert len(pictures) > instances
    page = (tmp_path / "index.html").read_text()
    assert all(name in page for name in pictures)
    assert re.search(r"The page: +http://127\.0\.0\.1:\d+/ .*\n +https://", first.stdout)
    second = demonstrate(tmp_path)
    assert second.returncode == 0, second.stderr
    assert f"Nothing was missing, nothing was fetched: all {instances}" in second.stdout


def test_what_is_not_complete_in_time_is_a_failure(tmp_path: Path) -> None:
    hasty = demonstrate(tmp_path, "--timeout", "0")
    assert hasty.returncode == 1
    assert "are missing" in hasty.stderr
    assert "started, listening on port" in hasty.stderr
