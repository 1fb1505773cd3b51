"""Our systemd units: right as systemd reads them, and no door open that need not be."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance import cli

OVERLAY = Path(__file__).parents[2] / "overlay"
FOLDER = OVERLAY / "usr/lib/systemd/system"
UNITS = sorted(FOLDER.glob("netty-*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
PRESET = OVERLAY / "usr/lib/systemd/system-preset/80-netty.preset"

EXPOSED = 25
"""Tenths of systemd-analyze's points that a service may have: 0 is a closed box, 100 is open."""

OPEN = ("netty-state.service",)
"""What mounts for the whole machine can have no view of its own; it reads nobody's input."""

LESS = {"netty-rauc.service": 31}
"""It writes disks, mounts what it is given, and fetches it over the network; it believes nothing
that is not signed."""

LATER = ("RestartSteps", "RestartMaxDelaySec")
"""Settings that systemd has known since 254; the image has them, this machine may not."""

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def test_there_are_units() -> None:
    assert len(SERVICES) >= 5


@pytest.mark.parametrize(
    "unit", [unit for unit in SERVICES if unit.name not in OPEN], ids=lambda unit: unit.name
)
def test_a_service_is_closed(unit: Path) -> None:
    command = ("systemd-analyze", "security", "--offline=true", "--no-pager")
    judged = subprocess.run(
        (*command, f"--threshold={LESS.get(unit.name, EXPOSED)}", unit),
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay with the programs that its units start, as far as systemd looks at them."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(OVERLAY, root, dirs_exist_ok=True)
    for unit in UNITS:
        for program in re.findall(r"^Exec\w+=[-+!@:]*(/\S+)", unit.read_text(), re.MULTILINE):
            file = root / program.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.touch()
            file.chmod(0o755)
    system = Path("/usr/lib/systemd/system")
    for unit in system.iterdir():
        if not (root / unit.relative_to("/")).exists():
            target = root / unit.relative_to("/")
            shutil.copytree(unit, target) if unit.is_dir() else shutil.copy(unit, target)
    return root


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_understood(root: Path, unit: Path) -> None:
    command = ("systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", f"--root={root}")
    judged = subprocess.run((*command, unit.name), capture_output=True, text=True, check=False)
    said = [line for line in judged.stderr.splitlines() if not _is_later(line)]
    assert [line for line in said if "netty" in line] == []


def _is_later(line: str) -> bool:
    return any(f"Unknown key '{name}'" in line for name in LATER)


def test_what_starts_is_in_the_preset_and_there() -> None:
    enabled = set(re.findall(r"^enable (netty-\S+)", PRESET.read_text(), re.MULTILINE))
    wanted = {unit.name for unit in UNITS if "[Install]" in unit.read_text()}
    assert enabled == wanted


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_starts_with_the_box_does_not_stop_another_of_ours(unit: Path) -> None:
    """A start of both is contradictory, and systemd solves it in silence: one is left out."""
    conflicts = re.findall(r"^Conflicts=(.*)$", unit.read_text(), re.MULTILINE)
    stopped = {name for line in conflicts for name in line.split() if name.startswith("netty-")}
    assert not ("[Install]" in unit.read_text() and stopped)


COMMANDS = sorted(
    {
        command
        for unit in SERVICES
        for command in re.findall(r"^Exec\w+=/usr/bin/appliance (.+)$", unit.read_text(), re.M)
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_ours_is_one(command: str) -> None:
    assert cli.parser().parse_args(shlex.split(command)).command


@pytest.mark.parametrize(
    ("file", "setting"), [("timesyncd", "FallbackNTP"), ("resolved", "FallbackDNS")]
)
def test_nobody_is_asked_whom_the_site_did_not_name(file: str, setting: str) -> None:
    written = (OVERLAY / f"usr/lib/systemd/{file}.conf.d/netty.conf").read_text()
    assert re.findall(rf"^{setting}=(.*)$", written, re.MULTILINE) == [""]
