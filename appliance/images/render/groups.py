"""Functional groups of multi-frame objects (PS3.3 Section C.7.6.16)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attribute, Attributes


@dataclass(frozen=True, slots=True)
class Groups:
    """The shared functional groups, and those of each frame."""

    shared: Sequence[Attributes]
    frames: Sequence[Attributes]

    def of(self, frame: int, macro: Attribute) -> tuple[Attributes, ...]:
        """The items of a macro that apply to a frame (from 0), the most particular one first."""
        own = self.frames[frame : frame + 1]
        return tuple(item for place in (*own, *self.shared[:1]) for item in place.items(macro)[:1])


NONE = Groups((), ())


def groups(held: Attributes) -> Groups:
    """The functional groups of a dataset, empty if it has none."""
    if a.SHARED_GROUPS not in held and a.FRAME_GROUPS not in held:
        return NONE
    return Groups(held.items(a.SHARED_GROUPS), held.items(a.FRAME_GROUPS))
