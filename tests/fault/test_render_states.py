"""Presentation states by the whole way: catalogue, pool and worker, in either order of arrival."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from appliance.archive.files import Folders
from appliance.archive.recovery import open_recovered
from appliance.images import rendering as module
from appliance.images.rendering import Rendering
from appliance.settings.model import Images
from tests.unit.archive.material import arrive, instance
from tests.unit.render import made, states

PATIENCE = 120.0
STUDY, SERIES = "2.25.2", "2.25.3"
IMAGE = made.grey(
    np.full((20, 30), 100, np.uint8), WindowCenter=10, WindowWidth=10, SOPInstanceUID="2.25.1"
)
STATE = states.state(IMAGE, PresentationLUTShape="INVERSE")


class Box:
    """The archive and the rendering of a box."""

    def __init__(self, data: Path, images: Images) -> None:
        self.folders = Folders(data)
        self.folders.prepare()
        self.catalogue = open_recovered(self.folders)
        self.rendering = Rendering.of(self.catalogue, self.folders, images)
        self.rendering.start()

    def take(self, dataset: Dataset, folder: Path) -> None:
        described = instance(
            1,
            instance=dataset.SOPInstanceUID,
            series=dataset.SeriesInstanceUID,
            study=STUDY,
            sop_class=dataset.SOPClassUID,
            transfer_syntax=dataset.file_meta.TransferSyntaxUID,
            has_pixels="PixelData" in dataset,
        )
        content = made.saved(dataset, folder / f"{dataset.SOPInstanceUID}.dcm").read_bytes()
        arrive(self.catalogue, self.folders, described, content)
        self.rendering.wake()

    def states(self) -> dict[str, tuple[str, str]]:
        return {row.instance: (row.file, row.picture) for row in self.catalogue.instances(STUDY)}

    def close(self) -> None:
        self.rendering.stop(10)
        self.catalogue.close()

    def picture(self) -> Any:
        path = self.folders.picture(STUDY, "2.25.9", "2.25.10", 1, ".png")
        with Image.open(path) as picture:
            return np.asarray(picture)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Box]]:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.2)
    monkeypatch.setattr("appliance.archive.reading.QUIET", 0.5)
    opened: list[Box] = []

    def make(**images: Any) -> Box:
        if opened:
            opened.pop().close()
        opened.append(Box(tmp_path / "data", Images(format="png", workers=1, **images)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def until(look: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def rendered(one: Box, file: str = "held") -> None:
    expected = {"2.25.1": (file, "rendered"), "2.25.10": ("held", "rendered")}
    until(lambda: one.states() == expected)
    assert (one.picture() == 155).all(), "inverted, and without the window of the image"
    query = "SELECT image, frame, picture FROM presented"
    rows = one.catalogue.write(lambda connection: connection.execute(query).fetchall())
    assert rows == [("2.25.1", 0, 1)]


@pytest.mark.parametrize("keep", [True, False], ids=["DICOM kept", "DICOM dropped"])
def test_the_state_comes_before_the_image(
    box: Callable[..., Box], tmp_path: Path, keep: bool
) -> None:
    one = box(keep_dicom=keep)
    one.take(STATE, tmp_path)
    until(lambda: one.states() == {"2.25.10": ("held", "none")})
    one.take(IMAGE, tmp_path)
    rendered(one, "held" if keep else "dropped")


def test_the_image_comes_before_the_state(box: Callable[..., Box], tmp_path: Path) -> None:
    one = box()
    one.take(IMAGE, tmp_path)
    until(lambda: one.states() == {"2.25.1": ("held", "rendered")})
    one.take(STATE, tmp_path)
    rendered(one)


def test_the_image_comes_after_a_restart(box: Callable[..., Box], tmp_path: Path) -> None:
    one = box()
    one.take(STATE, tmp_path)
    until(lambda: one.states() == {"2.25.10": ("held", "none")})
    again = box()
    again.take(IMAGE, tmp_path)
    rendered(again)


def test_a_lost_catalogue_learns_it_again(box: Callable[..., Box], tmp_path: Path) -> None:
    one = box()
    one.take(STATE, tmp_path)
    one.take(IMAGE, tmp_path)
    rendered(one)
    one.rendering.stop(10)
    one.catalogue.close()
    one.folders.catalogue.unlink()
    rendered(box())


def test_a_state_shows_nothing_of_an_image_that_is_held_back(
    box: Callable[..., Box], tmp_path: Path
) -> None:
    image = made.grey(np.full((20, 30), 100, np.uint8), SOPInstanceUID="2.25.1")
    image.BurnedInAnnotation = "YES"
    one = box()
    one.take(STATE, tmp_path)
    one.take(image, tmp_path)
    until(lambda: one.states() == {"2.25.1": ("held", "none"), "2.25.10": ("held", "none")})
    assert not list(one.folders.images.rglob("2.25.10*"))
