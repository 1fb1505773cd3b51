"""Engines that nobody here wrote agree: what they protect, ours protects.

gdcmanon implements Table E.1-1 of 2008, and does not go into sequences. idiscore implements a newer
one; it needs pydicom 2, so it has an environment of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from shutil import which

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from appliance.images.deidentify import Deidentifier, deidentify_file
from tests.unit.deidentify.datasets import KEY

needs_gdcmanon = pytest.mark.skipif(
    which("gdcmanon") is None, reason="gdcmanon is not installed (Debian package libgdcm-tools)"
)
needs_openssl = pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed")
IDISCORE = ("idiscore==1.2.0", "pydicom==2.4.5", "dicomgenerator==0.9.0", "numpy<2")

NO_HEADER = (0x7FE0, 0xFFFC)
"""Groups of pixels and padding."""
FILES = ("CT_small.dcm", "MR_small.dcm", "reportsi.dcm", "rtplan.dcm", "rtdose.dcm", "JPEG-LL.dcm",
         "examples_ybr_color.dcm", "waveform_ecg.dcm")  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=one"]
    make += ["-keyout", "one.key", "-out", "one.crt"]
    subprocess.run(make, cwd=folder, capture_output=True, check=True)
    return folder / "one.crt"


def theirs(source: Path, target: Path, certificate: Path) -> Dataset:
    command = ["gdcmanon", "-e", "-c", str(certificate), "-i", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("gdcmanon does not take this file")
    return dcmread(target)


def ours(source: Path, target: Path) -> Dataset:
    target.write_bytes(
        deidentify_file(
            source,
            deidentifier=Deidentifier("basic", KEY),
            implementation_class_uid="1.2.3.4",
            implementation_version_name="NETTY_TEST",
        )
    )
    return dcmread(target)


def protected(before: Dataset, after: Dataset) -> set[int]:
    """The tags whose values were taken away or replaced."""
    return {
        int(element.tag)
        for element in before
        if element.value not in (None, "", b"")
        and (element.tag not in after or after[element.tag].value != element.value)
        and element.tag.group not in NO_HEADER
    }


@needs_gdcmanon
@needs_openssl
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_what_gdcmanon_protects_is_protected(name: str, certificate: Path, tmp_path: Path) -> None:
    source = Path(str(get_testdata_file(name)))
    before = dcmread(source)
    by_them = protected(before, theirs(source, tmp_path / "theirs.dcm", certificate))
    by_us = protected(before, ours(source, tmp_path / "ours.dcm"))
    assert len(by_them) >= 4
    assert not {f"{tag:08X}" for tag in by_them - by_us}


@pytest.fixture(scope="module")
def idiscore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has it."""
    python = tmp_path_factory.mktemp("idiscore") / "bin" / "python"
    venv.create(python.parent.parent, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--only-binary", ":all:", *IDISCORE]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        pytest.skip(f"pip cannot have idiscore here: {said[-1]}")
    return python


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_idiscore_protects_is_protected(idiscore: Path, tmp_path: Path) -> None:
    sources = [str(get_testdata_file(name)) for name in FILES]
    command = [str(idiscore), str(Path(__file__).with_name("idiscore_engine.py")), *sources]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    by_them = json.loads(done.stdout)
    assert list(by_them) == sources
    for source in sources:
        before = dcmread(source)
        by_us = protected(before, ours(Path(source), tmp_path / "ours.dcm"))
        theirs_alone = set(by_them[source]) - by_us
        assert len(by_them[source]) >= 10
        assert not {f"{tag:08X}" for tag in theirs_alone if tag >> 16 not in NO_HEADER}, source
