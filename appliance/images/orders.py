"""What the pool tells a worker when it starts it. Loads no image library."""

from __future__ import annotations

import json
from dataclasses import dataclass

from appliance.images.encode import Encoding


@dataclass(frozen=True, slots=True)
class Orders:
    """The data folder, how pictures are encoded, and what the worker may use (bytes, pixels)."""

    data: str
    encoding: Encoding
    memory: int
    frame_pixels: int
    frames: int
    overlays: bool

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
        )
