"""Softcopy Presentation States, grey and of colour: how somebody wants an image to be seen.

PS3.3 Sections A.33.1 and A.33.2, PS3.4 Annex N. What a state says, or leaves out, is said instead
of the image: a stage that it does not mention leaves values as they are (PS3.4 Section N.2.1.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from appliance.archive.records import COLOUR_STATE, PRESENTATION_STATES
from appliance.images.render import attributes as a
from appliance.images.render.annotations import Layer, annotated, layers
from appliance.images.render.attributes import Attribute, Attributes
from appliance.images.render.decode import Frame, Frames
from appliance.images.render.geometry import aspect
from appliance.images.render.grey import negative, whole
from appliance.images.render.groups import NONE, groups
from appliance.images.render.limits import Limits
from appliance.images.render.lut import Lut, grey_lut
from appliance.images.render.modality import IDENTITY, modality
from appliance.images.render.overlays import activated, drawn, overlays
from appliance.images.render.palette import in_colour
from appliance.images.render.pixels import GREY, StoredFormat
from appliance.images.render.profiles import Profiles, profile
from appliance.images.render.refusal import Undecodable
from appliance.images.render.shutter import shuttered
from appliance.images.render.source import Source
from appliance.images.render.subtraction import subtracted, subtraction
from appliance.images.render.table import Stages, Tables
from appliance.images.render.view import view
from appliance.images.render.voi import Identity, VoiLut, voi

Array = np.ndarray[Any, np.dtype[Any]]

_MOST_IMAGES = 10_000
_DIFFERENCES = StoredFormat(64, 64, 63, True)
"""Of floating point."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image that a state is for: its SOP Instance UID, and frames from 1; none: all of them."""

    image: str
    frames: tuple[int, ...]

    def __contains__(self, frame: int) -> bool:
        return not self.frames or frame in self.frames


def is_state(source: Source) -> bool:
    """Whether an instance is a presentation state that is rendered."""
    return source.attributes.text(a.SOP_CLASS) in PRESENTATION_STATES


def references(state: Attributes) -> tuple[Reference, ...]:
    """The images that a state is for, in its order (PS3.3 Section C.11.11)."""
    found = (
        image
        for series in state.items(a.REFERENCED_SERIES)
        for image in series.items(a.REFERENCED_IMAGES)
    )
    referred = [_reference(item) for item in islice(found, _MOST_IMAGES)]
    return tuple({one.image: one for one in referred if one.image}.values())


@dataclass(frozen=True, slots=True)
class Means:
    """What pictures are made with."""

    tables: Tables
    profiles: Profiles
    limits: Limits


def presented(
    state: Attributes, reference: Reference, frames: Frames, means: Means
) -> Iterator[tuple[int, Array, str, str]]:
    """Number from 1, picture, name of the VOI transform and remark of each frame of a state.

    Undecodable where the state asks for what is not rendered, or is not for such an image.
    """
    grey = frames.layout.photometric in GREY
    if grey and state.text(a.SOP_CLASS) == COLOUR_STATE:
        raise Undecodable("The presentation state is for colour images, and refers to a grey one.")
    if not grey and state.text(a.SOP_CLASS) != COLOUR_STATE:
        raise Undecodable(
            "The presentation state is for grey images, and refers to a coloured one."
        )
    count = frames.layout.frames
    by = subtraction(state, frames.source.attributes, count)
    wanted = (one for one in range(1, count + 1) if one in reference)
    for number, frame, difference in subtracted(frames, wanted, by, state):
        shown = _Shown(number - 1, frame, difference)
        yield number, *_shown(state, reference, frames, shown, means)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A frame and its index (from 0); `difference` from a mask, if one is subtracted."""

    index: int
    frame: Frame
    difference: Array | None


def _shown(
    state: Attributes,
    reference: Reference,
    frames: Frames,
    shown: _Shown,
    means: Means,
) -> tuple[Array, str, str]:
    held, index, frame = frames.source.attributes, shown.index, shown.frame

    def own(sequence: Attribute) -> list[Attributes]:
        return [item for item in state.items(sequence) if _is_for(item, reference.image, index + 1)]

    if frames.layout.photometric in GREY:
        pixels, name = _shades(state, own(a.SOFTCOPY_VOI_SEQUENCE), shown, means.tables)
        unusable = ""
    else:
        colours = in_colour(held, frames.layout.photometric)(frame)
        # The state's profile takes the place of the image's (PS3.4 Section N.2.2).
        pixels, unusable = means.profiles.shown(colours, profile(state) or profile(held))
        name = ""
    planes = overlays(state)
    pixels = shuttered(pixels, state, planes)
    known = layers(state)
    for group, layer in activated(state).items():
        ink = known.get(layer, Layer(layer, 0)).ink(pixels)
        over = [plane for plane in planes if plane.group == group]
        over = over or [plane for plane in overlays(held) if plane.group == group]
        pixels = drawn(pixels, over, index, frame, ink)
    area = next(iter(own(a.DISPLAYED_AREAS)), None)
    shape = frames.layout.rows, frames.layout.columns
    seen = view(state, area, shape, aspect(held, groups(held)))
    picture = seen.of(pixels, means.limits)
    picture, remark = annotated(picture, state, own(a.GRAPHIC_ANNOTATIONS), seen)
    return picture, name, " ".join(filter(None, (unusable, remark)))


def _shades(
    state: Attributes, windows: Sequence[Attributes], shown: _Shown, tables: Tables
) -> tuple[Array, str]:
    """The shades of a grey frame, and the name of the VOI transform."""
    frame, difference = shown.frame, shown.difference
    steps = stages(state, windows, frame.format, differences=difference is not None)
    cells = frame.samples if difference is None else difference
    return tables.apply(cells, steps), steps.voi.name


def stages(
    state: Attributes,
    windows: Sequence[Attributes],
    stored: StoredFormat,
    *,
    differences: bool = False,
) -> Stages:
    """The grey stages of a state. `windows`: items of its VOI sequence that are for the image.

    differences: what goes in are differences of modality values, one bit longer than these.
    """
    transform = modality(state, NONE, 0, stored)
    low, high = whole(transform, stored)
    below_zero = negative(transform, stored)
    if differences:
        low, high, below_zero = low - high - 1, high - low, True
        stored, transform = _DIFFERENCES, IDENTITY
    given = (voi(item, NONE, 0, below_zero) for item in windows)
    found = next((one for one in given if one is not None), None)
    presentation = _presentation(state)
    levels = 256 if presentation is None else max(presentation.length, 2)
    if isinstance(found, VoiLut):
        found = VoiLut(found.lut, levels)
    return Stages(
        stored,
        transform,
        found or Identity(low, high, levels),
        # The photometric interpretation of the image has no say (PS3.4 Section N.2.1.3).
        inverted=state.text(a.PRESENTATION_SHAPE).upper() == "INVERSE",
        presentation=presentation,
    )


def _presentation(state: Attributes) -> Lut | None:
    for item in state.items(a.PRESENTATION_LUT_SEQUENCE)[:1]:
        return grey_lut(item, a.LUT_DESCRIPTOR, a.LUT_DATA, signed=False)
    return None


def _reference(item: Attributes) -> Reference:
    return Reference(item.text(a.REFERENCED_INSTANCE), item.integers(a.REFERENCED_FRAMES))


def _is_for(item: Attributes, image: str, frame: int) -> bool:
    """Whether an item of a sequence is for a frame: those that name no image are for all."""
    named = [_reference(one) for one in item.items(a.REFERENCED_IMAGES)]
    return not named or any(one.image == image and frame in one for one in named)
