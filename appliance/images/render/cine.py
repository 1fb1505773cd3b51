"""How long each frame of a multi-frame image is shown (PS3.3 Sections C.7.6.5 and C.7.6.6)."""

from __future__ import annotations

from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes

UNKNOWN = 100.0
"""Milliseconds a frame is shown where nothing is recorded, as in a stack of slices."""

# Players take less than a hundredth of a second for a mistake, and show such frames slowly.
_SHORTEST, _LONGEST = 10.0, 60_000.0


def durations(held: Attributes, frames: int) -> tuple[float, ...]:
    """Milliseconds that each frame is shown.

    The rate that the device recommends for display comes first, then the times at which the frames
    were taken, then the rate of the acquisition.
    """
    each = _of_rate(held.decimal(a.DISPLAY_FRAME_RATE))
    if each is None:
        vector = _of_vector(held.decimals(a.FRAME_TIME_VECTOR), frames)
        if vector:
            return vector
        each = _sane(held.decimal(a.FRAME_TIME)) or _of_rate(held.decimal(a.CINE_RATE))
    return (each or UNKNOWN,) * frames


def _of_rate(rate: float | None) -> float | None:
    return _sane(1000 / rate) if rate and rate > 0 else None


def _of_vector(increments: tuple[float, ...], frames: int) -> tuple[float, ...]:
    """Each value is the time from the frame before; the last frame is shown like that before it."""
    if len(increments) != frames or frames < 2:
        return ()
    shown = [_sane(increment) for increment in increments[1:]]
    known = [one for one in shown if one is not None]
    return (*known, known[-1]) if len(known) == frames - 1 else ()


def _sane(milliseconds: float | None) -> float | None:
    if milliseconds is None or milliseconds <= 0:
        return None
    return min(max(milliseconds, _SHORTEST), _LONGEST)
