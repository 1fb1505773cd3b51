"""On what was measured: the machine, the programs, the commit."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tools.hospital.peers import PeerAbsent, program

REPOSITORY = Path(__file__).parents[2]


def facts() -> dict[str, str | int]:
    """What somebody needs to judge the figures; nothing that tells whose machine it is."""
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"),
        "changed": _changed(),
        "processor": _field(Path("/proc/cpuinfo"), "model name"),
        "processors": os.cpu_count() or 0,
        "memory": _field(Path("/proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "file system": _said("findmnt", "-n", "-o", "FSTYPE", "-T", str(REPOSITORY)),
        "load at the start": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "pynetdicom": version("pynetdicom"),
        "dcmtk": _version("storescp"),
        "orthanc": _version("Orthanc"),
    }


def _changed() -> bool:
    command = ["git", "-C", str(REPOSITORY), "diff", "--quiet", "HEAD", "--", "appliance"]
    return subprocess.run(command, check=False).returncode != 0


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _field(file: Path, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.+)$", file.read_text(), re.MULTILINE)
    return found[1].strip() if found else "unknown"


def _version(name: str) -> str:
    try:
        said = _said(program(name), "--version")
    except PeerAbsent:
        return "not installed"
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found[0] if found else "unknown"
