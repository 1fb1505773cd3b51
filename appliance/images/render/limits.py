"""How large an image may be before it is refused instead of rendered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that no honest image meets, and that keep a hostile one from taking the memory."""

    frame_pixels: int = 256 * 2**20
    """Rows times columns of one frame."""
    frames: int = 100_000
    """Frames of one instance."""
    inflated_bytes: int = 2 * 2**30
    """Size of a deflated dataset once inflated."""
