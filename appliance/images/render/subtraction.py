"""Subtraction of a mask: what has changed since is left of a frame, as the contrast agent's way.

PS3.3 Sections C.7.6.10 and C.11.13, PS3.4 Section N.2.1.2: between the modality and the VOI stage.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.decode import Frame
from appliance.images.render.groups import NONE
from appliance.images.render.modality import modality
from appliance.images.render.pixels import real
from appliance.images.render.refusal import Undecodable

Array = np.ndarray[Any, np.dtype[Any]]
Numbers = tuple[int, ...]
"""Of frames, from 1."""


@dataclass(frozen=True, slots=True)
class Subtraction:
    """What is subtracted from which frames of an image with `frames` of them.

    operation: AVG_SUB, TID or REV_TID; ranges: first and last frame of each; averaged: how many
    frames, from each on, are averaged before; offset: frames from a mask to what it is for
    """

    operation: str
    frames: int
    ranges: tuple[tuple[int, int], ...]
    masks: Numbers
    averaged: int
    offset: int

    def contrast(self, frame: int) -> Numbers:
        """The frames whose average takes the place of `frame`."""
        return tuple(range(frame, frame + self.averaged))

    def mask(self, frame: int) -> Numbers:
        """The frames whose average is subtracted from `frame`; empty if it stays as it is."""
        found = self._mask(frame) if any(low <= frame <= high for low, high in self.ranges) else ()
        needed = (*found, *self.contrast(frame))
        return found if all(1 <= one <= self.frames for one in needed) else ()

    def _mask(self, frame: int) -> Numbers:
        if self.operation == "AVG_SUB":
            return self.masks
        back = 2 * (frame - self.ranges[0][0]) if self.operation == "REV_TID" else 0
        return (frame - self.offset - back,)


NOTHING: Final = Subtraction("NONE", 0, (), (), 1, 0)


def subtraction(state: Attributes, image: Attributes, frames: int) -> Subtraction:
    """How a presentation state subtracts a mask from an image of so many frames, or NOTHING.

    Raises Undecodable where it asks for what is not defined, or not rendered.
    """
    items = state.items(a.MASK_SUBTRACTION)
    operation = items[0].text(a.MASK_OPERATION).upper() if items else "NONE"
    if operation == "NONE" or state.text(a.VIEWING_MODE).upper() == "NAT":
        return NOTHING
    item = items[0]
    edges, masks = item.integers(a.APPLICABLE_FRAMES), item.integers(a.MASK_FRAMES)
    said = {"AVG_SUB": bool(masks), "TID": True, "REV_TID": len(edges) == 2}
    if len(items) > 1 or not said.get(operation):
        raise Undecodable("The presentation state does not say which mask it subtracts.")
    if any(item.decimals(a.MASK_SHIFT)):
        raise Undecodable("The presentation state shifts the mask it subtracts: not rendered.")
    if image.text(a.PIXEL_INTENSITY).upper() == "LIN":
        raise Undecodable(
            "The presentation state subtracts a mask where pixels are linear to X-ray intensity, "
            "which is not rendered."
        )
    offset = item.integer(a.TID_OFFSET)
    return Subtraction(
        operation,
        frames,
        tuple(zip(edges[::2], edges[1::2], strict=False)) or ((1, frames),),
        masks,
        averaged=max(item.integer(a.CONTRAST_AVERAGING) or 1, 1),
        offset=1 if offset is None else offset,
    )


def subtracted(
    frames: Iterable[Frame], wanted: Iterable[int], by: Subtraction, state: Attributes
) -> Iterator[tuple[int, Frame, Array | None]]:
    """Of each frame in `wanted`, which rise: its number, itself, and its difference from the mask.

    The difference is of modality values (floating point); None where nothing is subtracted. A frame
    is held no longer than another needs it.
    """
    needs = {one: {*by.contrast(one), *by.mask(one)} if by.mask(one) else {one} for one in wanted}
    last = {needed: one for one, together in needs.items() for needed in together}
    waiting = deque(needs)
    held: dict[int, Frame] = {}
    for number, frame in enumerate(frames, 1):
        if number in last:
            held[number] = frame
        while waiting and needs[waiting[0]] <= held.keys():
            one = waiting.popleft()
            yield one, held[one], _difference(one, held, by, state)
            held = {each: kept for each, kept in held.items() if last[each] > one}
        if not waiting:
            return


def _difference(
    one: int, held: Mapping[int, Frame], by: Subtraction, state: Attributes
) -> Array | None:
    if not by.mask(one):
        return None
    contrast, mask = (
        _average([held[each] for each in numbers], state)
        for numbers in (by.contrast(one), by.mask(one))
    )
    return contrast - mask


def _average(frames: Sequence[Frame], state: Attributes) -> Array:
    """The mean of the modality values of frames."""
    total: Any = 0.0
    for frame in frames:
        transform = modality(state, NONE, 0, frame.format)
        total = total + transform.of(real(frame.samples, frame.format))
    mean: Array = total / len(frames)
    return mean
