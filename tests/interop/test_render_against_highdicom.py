"""Pictures against highdicom, which computes in floating point: not one level apart."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from appliance.images.render import render_file
from tests.unit.render import made
from tests.unit.render.test_stages import group

highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed")

Array = np.ndarray[Any, np.dtype[Any]]

CELLS = np.arange(65536, dtype=np.int64).reshape(256, 256)


def theirs(path: Path, frames: int) -> list[Array]:
    """What highdicom makes of the frames, floored; an exact level may come out just below it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = highdicom.imread(path)
        shown = [
            image.get_frame(
                number,
                apply_voi_transform=True,
                voi_output_range=(0.0, 255.0),
                apply_presentation_lut=True,
            )
            for number in range(1, frames + 1)
        ]
    return [np.floor(one + 1e-9) for one in shown]


def same(dataset: Dataset, path: Path, frames: int = 1) -> None:
    made.saved(dataset, path)
    ours = [picture.pixels for picture in render_file(path)]
    assert len(ours) == frames
    for mine, other in zip(ours, theirs(path, frames), strict=True):
        assert np.ptp(mine) > 100
        assert np.array_equal(mine, other)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_windows(function: str, photometric: str, dtype: type, tmp_path: Path) -> None:
    dataset = made.grey(
        CELLS.astype(dtype),
        PhotometricInterpretation=photometric,
        # highdicom divides a window by the slope before it takes 1 from the width of LINEAR, which
        # is right for a slope of 1 only.
        RescaleSlope=1 if function == "LINEAR" else 0.5,
        RescaleIntercept=-1024,
        WindowCenter=2000,
        WindowWidth=5001,
        VOILUTFunction=function,
    )
    same(dataset, tmp_path / "window.dcm")


def test_functional_groups(tmp_path: Path) -> None:
    cells = np.stack([CELLS % 4096] * 3).astype(np.uint16)
    dataset = made.grey(cells, 12)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    shared = group(WindowCenter=600, WindowWidth=1200, VOILUTFunction="LINEAR_EXACT")
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [
        group(RescaleSlope=slope, RescaleIntercept=intercept)
        for slope, intercept in ((1, -1000), (0.25, 0), (2, -3000))
    ]
    same(dataset, tmp_path / "groups.dcm", frames=3)
