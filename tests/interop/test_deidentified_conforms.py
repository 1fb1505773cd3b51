"""De-identified real files hold against dciodvfy (dicom3tools) as well as they did before."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from shutil import which

import pytest

from appliance.images.deidentify import Deidentifier, Encoding, deidentify_file
from tests.unit.deidentify.datasets import KEY, RealFile, real_files

pytestmark = pytest.mark.skipif(
    which("dciodvfy") is None, reason="dciodvfy is not installed (Debian package dicom3tools)"
)

_LARGEST = 3_000_000
_TRUNCATED = {"MR_truncated.dcm"}
_UNKNOWN = {"nested_priv_SQ.dcm"}
"""Before, dciodvfy stops at an element that de-identification removes, and checks no further."""

_OF_A_KIND = 4


def selected() -> list[RealFile]:
    """A few files of each SOP class and encoding."""
    kinds: dict[tuple[bytes, Encoding], list[RealFile]] = {}
    for real in real_files():
        if len(real.data) < _LARGEST and real.name not in _TRUNCATED | _UNKNOWN:
            at = real.data.find(b"\x08\0\x16\0")
            sop_class = real.data[at + 8 : at + 36].split(b"\x08\0")[0]
            kinds.setdefault((sop_class, real.encoding), []).append(real)
    return [real for alike in kinds.values() for real in alike[:_OF_A_KIND]]


REAL = selected()


def faults(path: Path) -> Counter[str]:
    """What dciodvfy calls errors, with the UIDs made equal."""
    run = subprocess.run(
        ["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", timeout=60
    )
    lines = (run.stdout + run.stderr).splitlines()
    return Counter(masked(line) for line in lines if line.startswith("Error"))


def masked(line: str) -> str:
    line = re.sub(r"ReferencedSOPInstanceUID \S+", "ReferencedSOPInstanceUID", line)
    return re.sub(r"[0-9.]{9,}", "UID", line)


@pytest.mark.parametrize("real", REAL, ids=lambda real: real.name)
def test_basic_profile_adds_no_fault(real: RealFile, tmp_path: Path):
    target = tmp_path / "deidentified.dcm"
    target.write_bytes(
        deidentify_file(
            real.path,
            deidentifier=Deidentifier("basic", KEY),
            implementation_class_uid="1.2.3.4",
            implementation_version_name="NETTY_TEST",
        )
    )
    assert faults(target) - faults(real.path) == Counter()


def test_the_modalities_that_matter_are_among_the_files():
    modalities = {modality(real) for real in REAL}
    assert {"CT", "MR", "CR", "US"} <= modalities


def modality(real: RealFile) -> str:
    at = real.data.find(b"\x08\0\x60\0")
    return real.data[at + 8 : at + 10].decode("latin-1") if at >= 0 else ""


def test_a_fault_would_be_seen(tmp_path: Path):
    """dciodvfy itself is tried: a CT without its Image Type has one fault more."""
    (ct,) = (real for real in REAL if real.name == "CT_small.dcm")
    whole = ct.path.read_bytes()
    at = whole.index(b"\x08\0\x08\0CS")
    length = 8 + int.from_bytes(whole[at + 6 : at + 8], "little")
    target = tmp_path / "faulty.dcm"
    target.write_bytes(whole[:at] + whole[at + length :])
    assert faults(target) - faults(ct.path)
