"""Presentation states against DCMTK's `dcmp2pgm`: at most one level apart."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from appliance.images.render import Limits, Renderer
from appliance.images.render.source import of_dataset
from tests.interop.test_render_against_dcmtk import ramp
from tests.unit.render import made, states
from tests.unit.render.test_overlays import put
from tools.hospital.peers import program

Array = np.ndarray[Any, np.dtype[Any]]


def dcmtk(state: Dataset, image: Dataset, folder: Path, frame: int = 1) -> Array:
    """What dcmp2pgm makes of an image as the state wants it."""
    made.saved(state, folder / "state.dcm")
    made.saved(image, folder / "image.dcm")
    command = [program("dcmp2pgm"), "-p", "state.dcm", "-f", str(frame), "image.dcm", "out.pgm"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    with Image.open(folder / "out.pgm") as picture:
        return np.asarray(picture)


def ours(state: Dataset, image: Dataset) -> list[Array]:
    shown = Renderer(Limits()).state(of_dataset(state), lambda uid: of_dataset(image))
    pictures = [one.picture for one in shown]
    assert pictures and all(pictures)
    return [picture.pixels for picture in pictures if picture]


def apart(state: Dataset, image: Dataset, folder: Path) -> int:
    theirs, (mine,) = dcmtk(state, image, folder), ours(state, image)
    assert mine.shape == theirs.shape
    assert theirs.max() > theirs.min()
    return int(np.abs(mine.astype(int) - theirs).max())


IMAGES = [(np.uint8, 8), (np.uint16, 12), (np.int16, 12), (np.uint16, 16), (np.int16, 16)]


@pytest.fixture(params=IMAGES, ids=lambda c: f"{np.dtype(c[0]).name}-{c[1]}")
def image(request: pytest.FixtureRequest) -> Dataset:
    """With a window and a rescale that a state is to override."""
    dtype, stored = request.param
    dataset = made.grey(ramp(dtype, stored), stored, WindowCenter=20, WindowWidth=40)
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 3, -7, "US"
    return dataset


def voi(image: Dataset, share: float = 0.5, function: str = "") -> list[Dataset]:
    middle = 0 if image.PixelRepresentation else 1 << (image.BitsStored - 1)
    return [states.window(middle, max(2, int((1 << image.BitsStored) * share)), function)]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
def test_what_is_absent_leaves_values_as_they_are(
    image: Dataset, photometric: str, shape: str, tmp_path: Path
) -> None:
    image.PhotometricInterpretation = photometric
    assert apart(states.state(image, PresentationLUTShape=shape), image, tmp_path) <= 1


@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
def test_window(image: Dataset, shape: str, tmp_path: Path) -> None:
    state = states.state(image, PresentationLUTShape=shape, SoftcopyVOILUTSequence=voi(image))
    assert apart(state, image, tmp_path) <= 1


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1000), (2.5, 10)])
def test_rescale_and_window(image: Dataset, slope: float, intercept: float, tmp_path: Path) -> None:
    middle = 0 if image.PixelRepresentation else 1 << (image.BitsStored - 1)
    window = states.window(middle * slope + intercept, slope * (1 << image.BitsStored) * 0.4)
    state = states.state(
        image,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        RescaleType="US",
        SoftcopyVOILUTSequence=[window],
    )
    assert apart(state, image, tmp_path) <= 1


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_luts_of_all_stages(image: Dataset, bits: int, tmp_path: Path) -> None:
    count = min(1 << image.BitsStored, 4096)
    first = -(count // 2) if image.PixelRepresentation else 0
    x = np.linspace(0, 1, count)
    top = (1 << bits) - 1
    second = np.linspace(0, 1, min(top + 1, 4096))
    third = np.linspace(0, 1, 1024)
    state = states.state(image, PresentationLUTShape=None)
    state.ModalityLUTSequence = [made.lut(first, (x**1.5 * top).astype(np.uint16), bits)]
    item = Dataset()
    item.VOILUTSequence = [made.lut(0, (second**0.7 * 4095).astype(np.uint16), 12)]
    state.SoftcopyVOILUTSequence = [item]
    state.PresentationLUTSequence = [made.lut(0, (third**1.3 * 65535).astype(np.uint16), 16)]
    assert apart(state, image, tmp_path) <= 1


@pytest.mark.parametrize("entries", [256, 1024, 4096])
def test_presentation_lut(image: Dataset, entries: int, tmp_path: Path) -> None:
    state = states.state(image, PresentationLUTShape=None, SoftcopyVOILUTSequence=voi(image, 0.8))
    curve = (np.linspace(1, 0, entries) ** 2 * 4095).astype(np.uint16)
    state.PresentationLUTSequence = [made.lut(0, curve, 12)]
    assert apart(state, image, tmp_path) <= 1


def test_bitmap_shutter(image: Dataset, tmp_path: Path) -> None:
    side = image.Rows
    state = states.state(image, SoftcopyVOILUTSequence=voi(image))
    put(state, np.random.default_rng(2).random((side, side)) < 0.4)
    state.ShutterShape, state.ShutterOverlayGroup = "BITMAP", 0x6000
    state.ShutterPresentationValue = 0x8000
    assert apart(state, image, tmp_path) <= 1


def _shape(name: str, side: int) -> tuple[dict[str, Any], Array]:
    """What describes a shutter, and where it hides a square image, by hand."""
    row, column = np.mgrid[1 : side + 1, 1 : side + 1]
    middle, radius = side // 2, side // 3
    if name == "RECTANGULAR":
        edges = {"LeftVertical": 3, "RightVertical": side - 4}
        edges |= {"UpperHorizontal": 2, "LowerHorizontal": middle}
        seen = (column >= 3) & (column <= side - 4) & (row >= 2) & (row <= middle)
        return {f"Shutter{edge}Edge": at for edge, at in edges.items()}, ~seen
    if name == "CIRCULAR":
        seen = (row - middle) ** 2 + (column - middle) ** 2 <= radius**2
        return {"CenterOfCircularShutter": [middle] * 2, "RadiusOfCircularShutter": radius}, ~seen
    low, high = middle - radius, middle + radius
    corners = [low, middle, middle, high, high, middle, middle, low]
    seen = abs(row - middle) + abs(column - middle) <= radius
    return {"VerticesOfThePolygonalShutter": corners}, ~seen


@pytest.mark.parametrize("name", ["RECTANGULAR", "CIRCULAR", "POLYGONAL"])
def test_shutter_of_the_image_itself(name: str, image: Dataset, tmp_path: Path) -> None:
    """dcmp2pgm knows bitmap shutters alone: it is given the same one as a bitmap."""
    given, hidden = _shape(name, image.Rows)
    (item,) = voi(image)
    state = states.state(image, SoftcopyVOILUTSequence=[item], ShutterPresentationValue=0x6000)
    put(state, hidden)
    state.ShutterShape, state.ShutterOverlayGroup = "BITMAP", 0x6000
    theirs = dcmtk(state, image, tmp_path)
    del image.RescaleSlope, image.RescaleIntercept, image.RescaleType
    image.WindowCenter, image.WindowWidth = item.WindowCenter, item.WindowWidth
    image.ShutterShape, image.ShutterPresentationValue = name, 0x6000
    for keyword, value in given.items():
        setattr(image, keyword, value)
    (picture,) = Renderer(Limits()).dataset(image)
    assert np.abs(picture.pixels.astype(int) - theirs).max() <= 1
    assert 0 < (picture.pixels == 0x60).sum() < picture.pixels.size


def test_frames(tmp_path: Path) -> None:
    cells = np.stack([ramp(np.uint16, 12), ramp(np.uint16, 12)[::-1], ramp(np.uint16, 12) // 2])
    image = made.grey(cells, 12)
    state = states.state(image, frames=[1, 3], SoftcopyVOILUTSequence=voi(image))
    first, third = ours(state, image)
    for frame, mine in ((1, first), (3, third)):
        assert np.abs(mine.astype(int) - dcmtk(state, image, tmp_path, frame)).max() <= 1
