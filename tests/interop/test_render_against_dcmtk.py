"""Pictures against DCMTK's `dcmj2pnm`: at most one level apart for grey, two for colour."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ImplicitVRLittleEndian,
    XRayAngiographicImageStorage,
)

from appliance.images.render import render_file
from tests.unit.render import made
from tests.unit.render.test_overlays import put
from tools.hospital.peers import program

Array = np.ndarray[Any, np.dtype[Any]]


def dcmtk(path: Path, *options: str, frame: int = 1, overlays: bool = False) -> Array:
    """What dcmj2pnm makes of a frame."""
    out = path.with_suffix(".pnm")
    choice = ["+O", "0"] if overlays else ["-O"]
    command = [program("dcmj2pnm"), *choice, "+F", str(frame), *options, "+op", str(path), str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with Image.open(out) as image:
        return np.asarray(image)


def ours(path: Path, frame: int = 1) -> Array:
    return list(render_file(path))[frame - 1].pixels


def apart(path: Path, *options: str, frame: int = 1, overlays: bool = False) -> int:
    """The largest difference of two pictures of a file, in levels."""
    mine = ours(path, frame)
    theirs = dcmtk(path, *options, frame=frame, overlays=overlays)
    assert mine.shape == theirs.shape
    # Black against black would prove nothing.
    assert theirs.max() > theirs.min()
    return int(np.abs(mine.astype(int) - theirs.astype(int)).max())


def ramp(dtype: type, stored: int) -> Array:
    """All values of `stored` bits, or 65,536 of them."""
    low = -(1 << (stored - 1)) if np.dtype(dtype).kind == "i" else 0
    values = np.linspace(low, low + (1 << stored) - 1, 65536 if stored > 8 else 256)
    side = 256 if stored > 8 else 16
    return values.astype(np.int64).astype(dtype).reshape(side, side)


CELLS = [
    (np.uint8, 8),
    (np.int8, 8),
    (np.uint16, 10),
    (np.uint16, 12),
    (np.int16, 12),
    (np.uint16, 15),
    (np.int16, 15),
    (np.uint16, 16),
    (np.int16, 16),
]


@pytest.fixture(params=CELLS, ids=lambda c: f"{np.dtype(c[0]).name}-{c[1]}")
def plain(request: pytest.FixtureRequest) -> Dataset:
    dtype, stored = request.param
    return made.grey(ramp(dtype, stored), stored)


def window(dataset: Dataset, share: float = 0.6) -> Dataset:
    """With a window over the middle of the values it can hold."""
    stored = dataset.BitsStored
    middle = 0 if dataset.PixelRepresentation else 1 << (stored - 1)
    dataset.WindowCenter = middle
    dataset.WindowWidth = max(2, int((1 << stored) * share))
    return dataset


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_linear_window(plain: Dataset, photometric: str, tmp_path: Path) -> None:
    plain.PhotometricInterpretation = photometric
    path = made.saved(window(plain), tmp_path / "window.dcm")
    assert apart(path, "+Wi", "1") <= 1


@pytest.mark.parametrize("dtype", [np.uint32, np.int32])
@pytest.mark.parametrize("stored", [20, 32])
def test_linear_window_of_more_than_16_bits(dtype: type, stored: int, tmp_path: Path) -> None:
    path = made.saved(window(made.grey(ramp(dtype, stored), stored)), tmp_path / "wide.dcm")
    assert apart(path, "+Wi", "1") <= 1


def test_sigmoid_window(plain: Dataset, tmp_path: Path) -> None:
    window(plain, 0.3).VOILUTFunction = "SIGMOID"
    path = made.saved(plain, tmp_path / "sigmoid.dcm")
    assert apart(path, "+Wi", "1", "+Wfs") <= 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_min_max(plain: Dataset, photometric: str, tmp_path: Path) -> None:
    cells = np.frombuffer(
        plain.PixelData, f"<{'i' if plain.PixelRepresentation else 'u'}{plain.BitsAllocated // 8}"
    )
    plain.PixelData = (cells // 3).tobytes()
    plain.PhotometricInterpretation = photometric
    path = made.saved(plain, tmp_path / "extent.dcm")
    assert apart(path, "+Wm") <= 1


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (0.5, 100), (-2, 300), (3.7, -0.25)])
def test_rescale_and_window(slope: float, intercept: float, tmp_path: Path) -> None:
    dataset = made.grey(
        ramp(np.uint16, 12),
        12,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=slope * 2000 + intercept,
        WindowWidth=max(2, abs(slope) * 2500),
    )
    assert apart(made.saved(dataset, tmp_path / "rescale.dcm"), "+Wi", "1") <= 1


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_voi_lut(plain: Dataset, bits: int, photometric: str, tmp_path: Path) -> None:
    count = min(1 << plain.BitsStored, 3000)
    first = -(count // 2) if plain.PixelRepresentation else 5
    curve = (np.linspace(0, 1, count) ** 0.45 * ((1 << bits) - 1)).astype(np.uint16)
    plain.PhotometricInterpretation = photometric
    plain.VOILUTSequence = [made.lut(first, curve, bits)]
    path = made.saved(plain, tmp_path / "voi.dcm")
    assert apart(path, "+Wl", "1") <= 1


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_modality_lut_and_window(plain: Dataset, bits: int, tmp_path: Path) -> None:
    count = min(1 << plain.BitsStored, 4096)
    first = -(count // 2) if plain.PixelRepresentation else 0
    curve = (np.linspace(1, 0, count) ** 2 * ((1 << bits) - 1)).astype(np.uint16)
    plain.ModalityLUTSequence = [made.lut(first, curve, bits)]
    plain.WindowCenter, plain.WindowWidth = 1 << (bits - 1), (1 << bits) * 0.8
    path = made.saved(plain, tmp_path / "modality.dcm")
    assert apart(path, "+Wi", "1") <= 1


def test_luts_in_implicit_vr(tmp_path: Path) -> None:
    """Where the encoding does not say whether the first value mapped has a sign."""
    dataset = made.grey(ramp(np.int16, 12), 12)
    dataset.VOILUTSequence = [made.lut(-1500, np.arange(3000, dtype=np.uint16), 12)]
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    path = made.saved(dataset, tmp_path / "implicit.dcm")
    assert apart(path, "+Wl", "1") <= 1


@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_presentation_lut_shape(shape: str, photometric: str, tmp_path: Path) -> None:
    dataset = window(made.grey(ramp(np.uint16, 12), 12))
    dataset.PhotometricInterpretation = photometric
    dataset.PresentationLUTShape = shape
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    path = made.saved(dataset, tmp_path / "shape.dcm")
    assert apart(path, "+Wi", "1") <= 1


def test_modality_transforms_of_angiography_are_not_for_display(tmp_path: Path) -> None:
    dataset = window(made.grey(ramp(np.uint16, 12), 12, RescaleSlope=5, RescaleIntercept=-3000))
    dataset.SOPClassUID = XRayAngiographicImageStorage
    path = made.saved(dataset, tmp_path / "angiography.dcm")
    assert apart(path, "+Wi", "1") <= 1


@pytest.mark.parametrize("origin", [(1, 1), (30, -20), (200, 200)])
def test_overlays(origin: tuple[int, int], tmp_path: Path) -> None:
    dataset = window(made.grey(ramp(np.uint16, 12), 12))
    put(dataset, np.random.default_rng(7).random((90, 70)) < 0.5, origin)
    assert apart(made.saved(dataset, tmp_path / "overlay.dcm"), "+Wi", "1", overlays=True) <= 1


def test_overlays_in_unused_bits(tmp_path: Path) -> None:
    dataset = window(made.grey(ramp(np.uint16, 12), 12))
    cells = np.frombuffer(dataset.PixelData, "<u2")
    marks = (np.random.default_rng(7).random(cells.shape) < 0.3).astype("<u2")
    dataset.PixelData = (cells | marks << 14).astype("<u2").tobytes()
    put(dataset, np.zeros((256, 256), bool))
    del dataset[0x60003000]
    dataset[0x60000100].value, dataset[0x60000102].value = 16, 14
    path = made.saved(dataset, tmp_path / "embedded.dcm")
    assert apart(path, "+Wi", "1", overlays=True) <= 1


def noise(*shape: int) -> Array:
    return np.random.default_rng(7).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("planar", [0, 1])
def test_colour(photometric: str, planar: int, tmp_path: Path) -> None:
    cells = noise(40, 52, 3)
    dataset = made.colour(cells, photometric, PlanarConfiguration=planar)
    if planar:
        dataset.PixelData = cells.transpose(2, 0, 1).tobytes()
    assert apart(made.saved(dataset, tmp_path / "colour.dcm")) <= 2


def test_ybr_full_422(tmp_path: Path) -> None:
    dataset = made.colour(noise(40, 52, 3), "YBR_FULL_422")
    dataset.PixelData = noise(40, 52, 2).tobytes()
    assert apart(made.saved(dataset, tmp_path / "422.dcm")) <= 2


def test_colour_of_16_bits(tmp_path: Path) -> None:
    cells = np.random.default_rng(7).integers(0, 65536, (40, 52, 3)).astype(np.uint16)
    assert apart(made.saved(made.colour(cells), tmp_path / "16.dcm")) <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("first", [0, 20])
def test_palette(dtype: type, first: int, tmp_path: Path) -> None:
    top = np.iinfo(dtype).max
    x = np.linspace(0, 1, 200)
    channels = [(x**power * top).astype(dtype) for power in (1, 2, 0.5)]
    cells = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = made.saved(made.palette(cells, *channels, first=first), tmp_path / "palette.dcm")
    assert apart(path) <= 1


def compressed(dataset: Dataset, path: Path, tool: str, options: Sequence[str]) -> Path:
    plain = made.saved(dataset, path.with_name("plain.dcm"))
    command = [program(tool), *options, str(plain), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


SMOOTH = (np.add.outer(np.arange(48) * 40, np.arange(64) * 30)).astype(np.uint16)


@pytest.mark.parametrize(
    ("tool", "options", "undo"),
    [
        ("dcmcrle", (), "dcmdrle"),
        ("dcmcjpeg", ("+e1",), "dcmdjpeg"),
        ("dcmcjpeg", ("+el", "+sv", "2"), "dcmdjpeg"),
        ("dcmcjpeg", ("+ee", "+bt"), "dcmdjpeg"),
        ("dcmcjpls", ("+el",), "dcmdjpls"),
        ("dcmcjpls", ("+en", "+md", "3"), "dcmdjpls"),
    ],
)
def test_compressed_grey(tool: str, options: Sequence[str], undo: str, tmp_path: Path) -> None:
    dataset = made.grey(SMOOTH, 12, WindowCenter=1500, WindowWidth=3000)
    path = compressed(dataset, tmp_path / "grey.dcm", tool, options)
    plain = tmp_path / "undone.dcm"
    subprocess.run([program(undo), str(path), str(plain)], check=True, timeout=60)
    theirs = dcmtk(plain, "+Wi", "1")
    assert np.abs(ours(path).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        ("+eb", "+cr"),
        ("+eb", "+cy", "+s4"),
        ("+eb", "+cy", "+s2"),
        ("+eb", "+cy", "+n1"),
        ("+e1",),
    ],
    ids=" ".join,
)
def test_compressed_colour(options: Sequence[str], tmp_path: Path) -> None:
    y, x = np.mgrid[:48, :64]
    cells = np.stack([x * 4, y * 5, 255 - x * 2 - y * 2], axis=2).astype(np.uint8)
    path = compressed(made.colour(cells), tmp_path / "colour.dcm", "dcmcjpeg", options)
    mine = ours(path).astype(int)
    assert np.abs(mine - dcmtk(path)).max() <= 2
    assert np.abs(mine - cells).mean() < 4


def test_frames(tmp_path: Path) -> None:
    cells = np.stack([SMOOTH, SMOOTH[::-1], SMOOTH // 2])
    dataset = made.grey(cells, 12, WindowCenter=1500, WindowWidth=3000)
    path = made.saved(dataset, tmp_path / "frames.dcm")
    for frame in (1, 2, 3):
        assert apart(path, "+Wi", "1", frame=frame) <= 1
