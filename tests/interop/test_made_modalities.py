"""The modalities of no sample set: valid as made and de-identified, and seen as DCMTK does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from appliance.images.deidentify import Deidentifier, deidentify_file
from tests.interop.test_deidentified_conforms import faults
from tests.interop.test_render_against_dcmtk import dcmtk, ours
from tests.unit.deidentify.datasets import KEY
from tools.hospital import modalities

validated = pytest.mark.skipif(
    which("dciodvfy") is None, reason="dciodvfy is not installed (Debian package dicom3tools)"
)

WINDOWS = {"MG": ("+Wi", "1", "+Wfs"), "XA": ("+Wi", "1"), "PT": ("+Wi", "1"), "RF": ("+Wi", "1")}
"""How dcmj2pnm is told to use the first window, and the function, of a grey image."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.stem: path for path in modalities.write(tmp_path_factory.mktemp("made"))}


@validated
@pytest.mark.parametrize("modality", modalities.MADE)
def test_valid_as_made(made: dict[str, Path], modality: str) -> None:
    assert faults(made[modality]) == Counter()


@validated
@pytest.mark.parametrize("modality", modalities.MADE)
def test_valid_and_nobodys_when_deidentified(
    made: dict[str, Path], modality: str, tmp_path: Path
) -> None:
    target = tmp_path / "deidentified.dcm"
    after = deidentify_file(
        made[modality],
        deidentifier=Deidentifier("basic", KEY),
        implementation_class_uid="1.2.3.4",
        implementation_version_name="NETTY_TEST",
    )
    target.write_bytes(after)
    assert faults(target) == Counter()
    for trace in (b"Suzuki", b"NETTY-0002", b"NOWHERE", b"Referrer", b"ACC-3141", b"SERIAL-1"):
        assert trace in made[modality].read_bytes()
        assert trace not in after
    assert dcmread(target).PixelData == dcmread(made[modality]).PixelData


@pytest.mark.parametrize("modality", WINDOWS)
def test_as_dcmtk_shows_it(made: dict[str, Path], modality: str) -> None:
    options = WINDOWS[modality]
    for frame in range(1, int(dcmread(made[modality]).get("NumberOfFrames", 1)) + 1, 3):
        theirs, mine = dcmtk(made[modality], *options, frame=frame), ours(made[modality], frame)
        # dcmj2pnm draws no shutter of an image.
        seen = unshuttered(dcmread(made[modality]))
        assert theirs.max() - theirs.min() > 100
        assert abs(mine.astype(int) - theirs)[seen].max() <= 1
        assert not mine[~seen].any()


def unshuttered(dataset: Dataset) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where a circular shutter, if there is one, lets an image be seen (PS3.3 C.7.6.11)."""
    row, column = np.ogrid[1 : dataset.Rows + 1, 1 : dataset.Columns + 1]
    if "ShutterShape" not in dataset:
        return np.ones((dataset.Rows, dataset.Columns), np.bool_)
    middle, radius = dataset.CenterOfCircularShutter, dataset.RadiusOfCircularShutter
    return np.hypot(row - middle[0], column - middle[1]) <= radius


def test_a_photograph_as_dcmtk_decodes_it(made: dict[str, Path]) -> None:
    apart = abs(ours(made["XC"]).astype(int) - dcmtk(made["XC"]))
    assert apart.mean() < 1
    assert apart.max() <= 16, "libjpeg-turbo interpolates chroma, DCMTK repeats it"
