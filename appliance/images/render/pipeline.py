"""From an instance to its pictures, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from appliance.images.render import attributes as a
from appliance.images.render import codecs, grey, softcopy
from appliance.images.render.cine import durations
from appliance.images.render.decode import Frame, Frames
from appliance.images.render.geometry import aspect, squared
from appliance.images.render.groups import groups
from appliance.images.render.limits import Limits
from appliance.images.render.overlays import drawn, overlays
from appliance.images.render.palette import in_colour
from appliance.images.render.pixels import GREY, describes_pixels, layout
from appliance.images.render.profiles import Profiles, profile
from appliance.images.render.refusal import NoPicture, Refusal, Undecodable
from appliance.images.render.shutter import own_shutter, shuttered, shuttering
from appliance.images.render.source import Source, of_dataset, opened
from appliance.images.render.table import Tables

Array = np.ndarray[Any, np.dtype[Any]]


ABSENT = "An image to which the presentation state refers is not here."
NATIVE = "The image asks to be seen with a mask subtracted: it is shown as it is stored."
"""Its window is for stored values; that of differences, only a presentation state tells."""
STILL = 0.0
"""Milliseconds of a picture that is not one of several to be shown one after the other."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame, ready to be encoded.

    `frame` counts from 1, None if the instance has a single frame. `pixels`: uint8, (rows,
    columns) grey from black to white or (rows, columns, 3) RGB. `voi` names the transform that
    chose the shades, "" for colour. `milliseconds`: how long it is shown where the frames are shown
    one after the other. `remark`: what somebody who looks at it ought to know, in a
    sentence, or nothing.
    """

    frame: int | None
    pixels: Array
    voi: str
    milliseconds: float
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Presented:
    """What became of one frame of an image to which a presentation state refers.

    `image`: SOP Instance UID. `frame`: from 1; 0: the whole, where the image has one frame, or is
    not there. `picture` is None if there is none; `absent`: because the image is not there.
    """

    image: str
    frame: int
    picture: Picture | None
    remark: str = ""
    absent: bool = False


Find = Callable[[str], Source | None]
"""The image of a SOP Instance UID; None if it is not here. OSError if it cannot be read."""


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders instances, keeping the tables of earlier ones for those that can use them again."""

    limits: Limits = field(default_factory=Limits)
    tables: Tables = field(default_factory=Tables)
    profiles: Profiles = field(default_factory=Profiles)
    overlays: bool = True
    """Whether the overlays of an image are drawn into its pictures."""
    progress: Callable[[], None] = lambda: None
    """Called as each frame has been decoded."""

    def file(self, path: Path) -> Iterator[Picture]:
        """The pictures of a DICOM file; see `dataset`. OSError if it cannot be read."""
        yield from self.source(opened(path, self.limits))

    def dataset(self, dataset: Dataset) -> Iterator[Picture]:
        """The pictures of a dataset, in the order of its frames, each made when it is asked for.

        Raises NoPicture if there is nothing to show, and Undecodable if what there is cannot be
        shown; the latter possibly after some pictures.
        """
        yield from self.source(of_dataset(dataset))

    def source(self, source: Source) -> Iterator[Picture]:
        """The pictures of an instance that has been opened; see `dataset`."""
        yield from self.frames(frames_of(source, self.limits, self.progress))

    def frames(self, frames: Frames) -> Iterator[Picture]:
        """The pictures of an instance whose frames may have been decoded; see `dataset`."""
        held = frames.source.attributes
        planes, grouped = overlays(held), groups(held)
        stretch = aspect(held, grouped)
        single = frames.layout.frames == 1
        shown_for = durations(held, frames.layout.frames)
        advice = NATIVE if held.text(a.VIEWING_MODE).upper() == "SUB" else ""
        for index, (frame, pixels, voi, remark) in enumerate(self._shown(frames)):
            shutter = own_shutter(held, grouped, index)
            pixels = shuttered(pixels, shutter, planes, index, frame)
            if self.overlays:
                over = [plane for plane in planes if plane.group != shuttering(shutter)]
                pixels = drawn(pixels, over, index, frame)
            picture = squared(pixels, stretch, self.limits)
            number = None if single else index + 1
            said = " ".join(filter(None, (remark, advice)))
            yield Picture(number, picture, voi, shown_for[index], said)

    def state(self, state: Source, find: Find) -> Iterator[Presented]:
        """The images that a presentation state refers to, as it wants them to be seen.

        Pictures are numbered from 1. An image that is not here, or that cannot be shown, takes
        nothing from the others.
        """
        number = 0
        means = softcopy.Means(self.tables, self.profiles, self.limits)
        for reference in softcopy.references(state.attributes):
            try:
                image = find(reference.image)
                if image is None:
                    yield Presented(reference.image, 0, None, ABSENT, absent=True)
                    continue
                frames = frames_of(image, self.limits, self.progress)
                single = frames.layout.frames == 1
                for frame, pixels, name, remark in softcopy.presented(
                    state.attributes, reference, frames, means
                ):
                    number += 1
                    picture = Picture(number, pixels, name, STILL, remark)
                    yield Presented(reference.image, 0 if single else frame, picture)
            except Refusal as refusal:
                yield Presented(reference.image, 0, None, refusal.reason)

    def _shown(self, frames: Frames) -> Iterator[tuple[Frame, Array, str, str]]:
        """Each frame, its shades or colours, the name of its VOI transform, and a remark."""
        photometric = frames.layout.photometric
        if photometric in GREY:
            yield from grey.shown(frames, self.tables)
            return
        held = frames.source.attributes
        coloured, meant = in_colour(held, photometric), profile(held)
        for frame in frames:
            pixels, remark = self.profiles.shown(coloured(frame), meant)
            yield frame, pixels, "", remark


def frames_of(source: Source, limits: Limits, progress: Callable[[], None]) -> Frames:
    """The frames of an instance, not decoded yet. Raises NoPicture, Undecodable."""
    if source.pixels is None:
        if describes_pixels(source.attributes):
            raise Undecodable("The dataset describes an image, but has no pixel data.")
        raise NoPicture("The object has no pixel data.")
    if source.encapsulated and not codecs.decodable(source.transfer_syntax):
        raise Undecodable(f"There is no decoder for the transfer syntax {source.transfer_syntax}.")
    return Frames(source, layout(source, limits), progress)


def render(dataset: Dataset, limits: Limits | None = None) -> Iterator[Picture]:
    """The pictures of one dataset; see `Renderer.dataset`."""
    return Renderer(limits or Limits(), Tables()).dataset(dataset)


def render_file(path: Path, limits: Limits | None = None) -> Iterator[Picture]:
    """The pictures of one DICOM file; see `Renderer.file`."""
    return Renderer(limits or Limits(), Tables()).file(path)
