"""ICC profiles: colours become those of sRGB, or are left and said to be."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from appliance.images.render import Picture, Renderer, render
from appliance.images.render.profiles import UNUSABLE
from tests.unit.render import made

CELLS = np.random.default_rng(4).integers(0, 256, (16, 16, 3), np.uint8)


def swapped() -> bytes:
    """A profile of ours: sRGB whose red and blue primaries have changed places."""
    raw = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = {}
    for index in range(int.from_bytes(raw[128:132], "big")):
        entry = 132 + 12 * index
        at[bytes(raw[entry : entry + 4])] = entry + 4
    red, blue = at[b"rXYZ"], at[b"bXYZ"]
    raw[red : red + 8], raw[blue : blue + 8] = raw[blue : blue + 8], raw[red : red + 8]
    # Its description is not that of sRGB any more.
    place = int.from_bytes(raw[at[b"desc"] : at[b"desc"] + 4], "big")
    size = int.from_bytes(raw[at[b"desc"] + 4 : at[b"desc"] + 8], "big")
    raw[place : place + size] = raw[place : place + size].replace(b"s\0R", b"t\0R")
    return bytes(raw)


def shown(profile: bytes, **attributes: Any) -> Picture:
    (picture,) = render(made.colour(CELLS, ICCProfile=profile, **attributes))
    return picture


def test_colours_are_converted_to_srgb() -> None:
    picture = shown(swapped())
    assert picture.remark == ""
    assert np.abs(picture.pixels.astype(int) - CELLS[..., ::-1]).max() <= 2


def test_it_is_what_littlecms_makes_of_the_profile() -> None:
    profile = ImageCms.ImageCmsProfile(BytesIO(swapped()))
    expected = ImageCms.profileToProfile(
        Image.fromarray(CELLS), profile, ImageCms.createProfile("sRGB")
    )
    assert expected is not None
    assert np.array_equal(shown(swapped()).pixels, np.asarray(expected))


def test_srgb_is_left_as_it_is() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(shown(srgb).pixels, CELLS)


@pytest.mark.parametrize(
    "profile",
    [
        b"no profile at all",
        swapped()[:200],
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
    ],
    ids=["nonsense", "cut off", "of another colour space"],
)
def test_a_profile_that_cannot_be_used_is_said_to_be(profile: bytes) -> None:
    picture = shown(profile)
    assert picture.remark == UNUSABLE
    assert np.array_equal(picture.pixels, CELLS)


def test_no_more_transforms_are_kept_than_said() -> None:
    renderer = Renderer()
    for number in range(10):
        profile = bytearray(swapped())
        profile[24:36] = number.to_bytes(12, "big")
        list(renderer.dataset(made.colour(CELLS, ICCProfile=bytes(profile))))
    assert len(renderer.profiles._made) == renderer.profiles.capacity
