"""Colour presentation states as highdicom writes them, rendered from what PS3.4 N.2.2 says."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydicom.dataset import Dataset

from appliance.images.render import Limits, Renderer
from appliance.images.render.colour import of_cielab
from appliance.images.render.pipeline import Presented
from appliance.images.render.source import of_dataset
from tests.unit.render import made

highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed")

Array = np.ndarray[Any, np.dtype[Any]]

ROWS, COLUMNS = 60, 90
RED = (35579, 53664, 50858)
"""As PCS-Values."""
CELLS = np.random.default_rng(6).integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)


def profile(*, odd: bool = False) -> bytes:
    """An ICC profile of a colour space: sRGB, or one with red and blue at each other's place."""
    plain = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    plain[12:16] = b"spac"
    if odd:
        red, blue = plain.index(b"rXYZ"), plain.index(b"bXYZ")
        plain[red : red + 4], plain[blue : blue + 4] = b"bXYZ", b"rXYZ"
    name = "sRGB".encode("utf-16-be")
    return bytes(plain).replace(name, "odd!".encode("utf-16-be") if odd else name)


def image(photometric: str = "RGB") -> Dataset:
    dataset = made.colour(CELLS, photometric, SOPInstanceUID="2.25.4711")
    for keyword in ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "PatientBirthDate"):
        setattr(dataset, keyword, "")
    dataset.PatientSex, dataset.ReferringPhysicianName = "", ""
    return dataset


def state(of: Dataset, icc: bytes | None = None, **more: Any) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made_by_them = highdicom.pr.ColorSoftcopyPresentationState(
            referenced_images=[of],
            series_instance_uid="2.25.5",
            series_number=2,
            sop_instance_uid="2.25.6",
            instance_number=1,
            manufacturer="Nobody",
            manufacturer_model_name="None",
            software_versions="1",
            device_serial_number="1",
            content_label="COLOUR",
            icc_profile=icc or profile(),
            **more,
        )
    assert isinstance(made_by_them, Dataset)
    return made_by_them


def presented(by: Dataset, of: Dataset) -> Presented:
    (one,) = Renderer(Limits()).state(of_dataset(by), lambda _: of_dataset(of))
    return one


def shown(by: Dataset, of: Dataset | None = None) -> Array:
    picture = presented(by, of or image()).picture
    assert picture is not None
    return picture.pixels


def test_colours_stay_what_they_are() -> None:
    assert np.array_equal(shown(state(image())), CELLS)


def test_profile_of_the_state_takes_the_place_of_the_images() -> None:
    odd = profile(odd=True)
    source, target = (ImageCms.ImageCmsProfile(BytesIO(each)) for each in (odd, profile()))
    way = ImageCms.buildTransform(source, target, "RGB", "RGB", ImageCms.Intent.PERCEPTUAL)
    theirs = np.asarray(ImageCms.applyTransform(Image.fromarray(CELLS), way))
    assert np.abs(theirs.astype(int) - CELLS).max() > 50
    assert np.abs(shown(state(image(), odd)).astype(int) - theirs).max() <= 1
    own = image()
    own.ICCProfile = odd
    assert np.array_equal(shown(state(own), own), CELLS)


def test_area_turn_and_flip() -> None:
    by = state(image())
    (area,) = by.DisplayedAreaSelectionSequence
    area.DisplayedAreaTopLeftHandCorner = [11, 6]
    area.DisplayedAreaBottomRightHandCorner = [50, 25]
    by.ImageRotation, by.ImageHorizontalFlip = 90, "Y"
    assert np.array_equal(shown(by), np.rot90(CELLS[5:25, 10:50], -1)[:, ::-1])


def test_annotations_are_of_their_layers_colour() -> None:
    layer = highdicom.pr.GraphicLayer("INK", order=1, display_color=None)
    layer.GraphicLayerRecommendedDisplayCIELabValue = list(RED)
    line = highdicom.pr.GraphicObject(
        highdicom.pr.GraphicTypeValues.POLYLINE,
        np.array([[10.0, 30.5], [80.0, 30.5]]),
        units="PIXEL",
    )
    annotation = highdicom.pr.GraphicAnnotation([image()], layer, graphic_objects=[line])
    by = state(image(), graphic_annotations=[annotation], graphic_layers=[layer])
    pixels = shown(by)
    assert np.array_equal(pixels[30, 20], of_cielab(RED))
    changed = (pixels != CELLS).any(axis=2)
    assert set(np.argwhere(changed)[:, 0]) <= {29, 30, 31}


def test_shutter_is_of_its_colour() -> None:
    by = state(image())
    by.ShutterShape = "CIRCULAR"
    by.CenterOfCircularShutter, by.RadiusOfCircularShutter = [30, 40], 20
    by.ShutterPresentationValue, by.ShutterPresentationColorCIELabValue = 0, list(RED)
    row, column = np.mgrid[1 : ROWS + 1, 1 : COLUMNS + 1]
    seen = ((row - 30) ** 2 + (column - 40) ** 2 <= 400)[..., np.newaxis]
    assert np.array_equal(shown(by), np.where(seen, CELLS, of_cielab(RED)))


def test_a_palette_is_coloured_first() -> None:
    ramp = np.arange(256, dtype=np.uint8)
    of = made.palette(CELLS[..., 0], ramp, ramp[::-1], ramp // 2)
    of.SOPInstanceUID = "2.25.4711"
    expected = np.stack([ramp, ramp[::-1], ramp // 2], axis=-1)[CELLS[..., 0]]
    assert np.array_equal(shown(state(image()), of), expected)


def test_a_grey_image_is_refused_by_name() -> None:
    grey = made.grey(CELLS[..., 0], SOPInstanceUID="2.25.4711")
    outcome = presented(state(image()), grey)
    assert outcome.picture is None
    assert "for colour images" in outcome.remark
