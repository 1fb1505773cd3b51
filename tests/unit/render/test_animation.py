"""The moving picture of several frames: what a player that nobody here wrote sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from appliance.archive.files import PendingFile
from appliance.images.animation import SIDE, Animation, Reel
from appliance.images.render import render
from tests.unit.render import made

Array = np.ndarray[Any, np.dtype[Any]]

pytestmark = pytest.mark.skipif(not features.check("webp"), reason="Pillow without WebP")


def smooth(frames: int, rows: int = 40, columns: int = 60) -> Array:
    y, x = np.mgrid[:rows, :columns]
    return np.stack([(x * 2 + y + 20 * n) % 256 for n in range(frames)]).astype(np.uint8) // 2


def played(path: Path) -> list[tuple[Array, int]]:
    """Each frame as RGB, and the milliseconds for which it is shown."""
    shown = []
    with Image.open(path) as image:
        assert image.format == "WEBP" and image.is_animated  # type: ignore[attr-defined]
        assert image.info["loop"] == 0
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            shown.append((np.asarray(image.convert("RGB")), int(image.info["duration"])))
    return shown


def film(path: Path, frames: Array, milliseconds: float = 40.0) -> Animation:
    animation = Animation(PendingFile.create(path))
    for frame in frames:
        animation.add(frame, milliseconds)
    animation.finish()
    animation.file.settle()
    return animation


@pytest.mark.parametrize("size", [(40, 60), (41, 61), (1, 1)])
def test_every_frame_is_there_in_its_turn(size: tuple[int, int], tmp_path: Path) -> None:
    frames = smooth(5, *size)
    animation = film(tmp_path / "a.webp", frames)
    shown = played(tmp_path / "a.webp")
    assert animation.size == (size[1], size[0])
    assert [time for _, time in shown] == [40] * 5
    for (pixels, _), frame in zip(shown, frames, strict=True):
        assert np.abs(pixels.astype(int) - frame[..., None]).mean() < 4


def test_colour(tmp_path: Path) -> None:
    frames = np.zeros((3, 20, 20, 3), np.uint8)
    for n in range(3):
        frames[n, :, :, n] = 200
    film(tmp_path / "a.webp", frames)
    for n, (pixels, _) in enumerate(played(tmp_path / "a.webp")):
        assert pixels[10, 10].argmax() == n


def test_fractions_of_milliseconds_add_up(tmp_path: Path) -> None:
    film(tmp_path / "a.webp", smooth(60), 1000 / 30)
    assert sum(time for _, time in played(tmp_path / "a.webp")) == 2000


@pytest.mark.parametrize(("rows", "columns"), [(100, 2 * SIDE), (3 * SIDE, 60)])
def test_a_large_one_is_reduced(rows: int, columns: int, tmp_path: Path) -> None:
    animation = film(tmp_path / "a.webp", smooth(2, rows, columns))
    assert max(animation.size) == SIDE
    assert played(tmp_path / "a.webp")[0][0].shape[:2] == animation.size[::-1]


def test_a_single_frame_is_no_animation(tmp_path: Path) -> None:
    with Reel(tmp_path / "a.webp") as reel:
        for picture in render(made.grey(smooth(1)[0])):
            reel.add(picture)
        assert reel.film() is None
    assert list(tmp_path.iterdir()) == []


def test_what_was_begun_and_not_ended_is_removed(tmp_path: Path) -> None:
    with Reel(tmp_path / "a.webp") as reel:
        for picture in render(made.grey(smooth(3))):
            reel.add(picture)
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_the_format_cannot_hold_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.images.animation._LARGEST", 500)
    with Reel(tmp_path / "a.webp") as reel:
        for picture in render(made.grey(smooth(9))):
            reel.add(picture)
        assert reel.film() is None
        assert "too large" in reel.remark
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, [100, 100, 100]),
        ({"FrameTime": 40}, [40, 40, 40]),
        ({"CineRate": 25}, [40, 40, 40]),
        ({"RecommendedDisplayFrameRate": 20}, [50, 50, 50]),
        ({"FrameTime": 40, "RecommendedDisplayFrameRate": 20, "CineRate": 5}, [50, 50, 50]),
        ({"FrameTime": 40, "CineRate": 5}, [40, 40, 40]),
        ({"FrameTimeVector": [0, 20, 30]}, [20, 30, 30]),
        ({"FrameTimeVector": [0, 20, 30], "FrameTime": 7}, [20, 30, 30]),
        ({"FrameTimeVector": [0, 20], "FrameTime": 70}, [70, 70, 70]),
        ({"FrameTimeVector": [0, 0, 0], "CineRate": 10}, [100, 100, 100]),
        ({"FrameTime": 0.01}, [10, 10, 10]),
        ({"FrameTime": 10**9}, [60_000, 60_000, 60_000]),
        ({"FrameTime": 0, "CineRate": -3}, [100, 100, 100]),
    ],
)
def test_frames_are_shown_at_the_rate_that_is_recorded(
    attributes: dict[str, Any], expected: list[float]
) -> None:
    pictures = list(render(made.grey(smooth(3), **attributes)))
    assert [picture.milliseconds for picture in pictures] == expected
