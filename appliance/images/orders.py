"""What the pool tells a worker when it starts it. Loads no image library."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from appliance.images.encode import Encoding
from appliance.settings.model import Mask

POSTPONED: Final = "postponed"
"""The state of a job, beside those of RenderState, that is to be done again later."""


@dataclass(frozen=True, slots=True)
class BurnedIn:
    """What is done about text in pixels: the settings' rules, and whether what no rule covers,
    although it says that it has text, is held back; and whether bits beside the stored ones go."""

    masks: tuple[Mask, ...] = ()
    hold: bool = True
    bits: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """The data folder, how pictures are encoded, and what the worker may use (bytes, pixels).

    leave: bytes of the disk that masked copies leave free
    """

    data: str
    encoding: Encoding
    memory: int
    frame_pixels: int
    frames: int
    overlays: bool
    burned_in: BurnedIn = field(default_factory=BurnedIn)
    leave: int = 0

    def line(self) -> str:
        """The orders as one argument of a command line."""
        return json.dumps(
            {
                "data": self.data,
                "format": self.encoding.format,
                "quality": self.encoding.quality,
                "animation": self.encoding.animation,
                "memory": self.memory,
                "frame_pixels": self.frame_pixels,
                "frames": self.frames,
                "overlays": self.overlays,
                "masks": [asdict(mask) for mask in self.burned_in.masks],
                "hold": self.burned_in.hold,
                "bits": self.burned_in.bits,
                "leave": self.leave,
            }
        )

    @classmethod
    def read(cls, line: str) -> Orders:
        """The orders that `line` wrote."""
        told = json.loads(line)
        return cls(
            data=told["data"],
            encoding=Encoding(told["format"], told["quality"], told["animation"]),
            memory=told["memory"],
            frame_pixels=told["frame_pixels"],
            frames=told["frames"],
            overlays=told["overlays"],
            burned_in=BurnedIn(tuple(map(_mask, told["masks"])), told["hold"], told["bits"]),
            leave=told["leave"],
        )


def _mask(told: dict[str, Any]) -> Mask:
    for key in ("blank", "keep"):
        told[key] = tuple(tuple(rectangle) for rectangle in told[key])
    return Mask(**told)
