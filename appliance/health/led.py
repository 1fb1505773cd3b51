"""Shows a light on the LEDs under /sys/class/leds (Documentation/leds/leds-class.rst of Linux).

The kernel's triggers do the blinking: `timer` for even blinks, `pattern` for the others. Where the
kernel has not got them, this process blinks by itself, as `Lamps.step` is called.
"""

import fnmatch
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.health.board import Board
from appliance.health.state import Colour, Light, Rhythm

LOGGER = logging.getLogger(__name__)

STEP: Final = 0.1
"""Seconds between two calls of `Lamps.step` that are enough for every rhythm."""

BEATS: Final[Mapping[Rhythm, tuple[float, ...]]] = {
    "steady": (),
    "slow": (1.0, 1.0),
    "fast": (0.1, 0.1),
    "two": (0.2, 0.2, 0.2, 1.4),
    "three": (0.1, 0.1, 0.1, 0.1, 0.1, 0.9),
}
"""Seconds on, off, on, off …, over and over; none: always on."""

_MIXED: Final[Mapping[Colour, Mapping[str, float]]] = {
    "green": {"green": 1.0},
    "amber": {"red": 1.0, "green": 0.5},
    "red": {"red": 1.0},
}
"""Shares of the channels of a multicolour LED."""


def is_on(rhythm: Rhythm, moment: float) -> bool:
    """Whether a light of this rhythm is on, `moment` seconds after it began."""
    beats = BEATS[rhythm]
    if not beats:
        return True
    moment = math.fmod(moment, sum(beats))
    for number, beat in enumerate(beats):
        moment -= beat
        if moment < -1e-6:
            return number % 2 == 0
    return True


@dataclass(slots=True)
class Lamps:
    """The LEDs of the board. They may come and go: each look finds them anew."""

    folder: Path
    board: Board
    _light: Light = field(default_factory=lambda: Light("red"))
    _blinking: list["_Lamp"] = field(default_factory=list)
    _missing: bool = False

    def show(self, light: Light) -> int:
        """Show `light`; how many LEDs shine in it. To be called again and again.

        What is right already is left alone, so that no blinking begins anew.
        """
        self._light = light
        lamps = [(lamp, self._role(lamp.path.name)) for lamp in self._lamps()]
        has_amber = any(role == "amber" for _, role in lamps)
        self._blinking = []
        shining = sum(self._set(lamp, role, has_amber) for lamp, role in lamps)
        if self._missing != (shining == 0):
            self._missing = shining == 0
            told = "no LED shines: see led in board.toml" if self._missing else "the LED shines"
            LOGGER.warning("%s", told)
        return shining

    def step(self, moment: float) -> None:
        """Blink what the kernel cannot; `moment` is any clock, in seconds."""
        for lamp in self._blinking:
            try:
                lamp.shine(is_on(self._light.rhythm, moment))
            except OSError as error:
                LOGGER.debug("%s: %s", lamp.path, error)

    @property
    def needs_steps(self) -> bool:
        """Whether something blinks that the kernel cannot."""
        return bool(self._blinking)

    def _set(self, lamp: "_Lamp", role: str, has_amber: bool) -> bool:
        """Whether the LED shines now; one that is gone, or not ours yet, does not."""
        colours = {"amber"} if has_amber else {"green", "red"}
        wanted = colours if self._light.colour == "amber" else {self._light.colour}
        shines = role == "multicolour" or role in wanted
        try:
            if role == "multicolour":
                lamp.mix(_MIXED[self._light.colour])
            if not shines:
                lamp.put_out()
            elif not lamp.leave_to_kernel(self._light.rhythm):
                self._blinking.append(lamp)
        except (OSError, ValueError) as error:
            LOGGER.debug("%s: %s", lamp.path, error)
            return False
        return shines

    def _lamps(self) -> list["_Lamp"]:
        try:
            return [_Lamp(path) for path in sorted(self.folder.iterdir()) if self._role(path.name)]
        except OSError:
            return []

    def _role(self, name: str) -> str:
        """What an LED is for; empty if it is not ours."""
        board = self.board
        roles = {
            "green": board.green,
            "amber": board.amber,
            "red": board.red,
            "multicolour": board.multicolour,
        }
        for role, patterns in roles.items():
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                return role
        return ""


@dataclass(frozen=True, slots=True)
class _Lamp:
    """One LED, as the files of its folder. Every method raises OSError when it is gone."""

    path: Path

    def put_out(self) -> None:
        self._choose("none")
        self._write("brightness", "0")

    def shine(self, on: bool) -> None:
        self._write("brightness", str(self._brightest()) if on else "0")

    def leave_to_kernel(self, rhythm: Rhythm) -> bool:
        """Let the kernel show `rhythm`; False if it cannot, and then nothing blinks yet."""
        beats, triggers = BEATS[rhythm], self._triggers()
        if not beats:
            if "default-on" in triggers:
                self._choose("default-on")
            else:
                self._choose("none")
            self.shine(True)
            return True
        if len(beats) == 2 and "timer" in triggers:
            self._choose("timer")
            self._write("delay_on", str(round(beats[0] * 1000)))
            self._write("delay_off", str(round(beats[1] * 1000)))
            return True
        if "pattern" in triggers:
            self._choose("pattern")
            self._write_pattern(beats)
            return True
        self._choose("none")
        return False

    def mix(self, shares: Mapping[str, float]) -> None:
        """Set the channels of a multicolour LED (leds-class-multicolor.rst)."""
        channels = self._read("multi_index").split()
        brightest = self._brightest()
        levels = (str(round(shares.get(channel, 0.0) * brightest)) for channel in channels)
        self._write("multi_intensity", " ".join(levels))

    def _write_pattern(self, beats: tuple[float, ...]) -> None:
        """Each brightness twice, the second for no time: else the kernel would fade."""
        brightest = self._brightest()
        levels = ((brightest if number % 2 == 0 else 0) for number in range(len(beats)))
        steps = zip(levels, beats, strict=True)
        pattern = " ".join(f"{level} {round(beat * 1000)} {level} 0" for level, beat in steps)
        self._write("pattern", pattern)

    def _triggers(self) -> set[str]:
        return set(self._read("trigger").replace("[", "").replace("]", "").split())

    def _choose(self, trigger: str) -> None:
        """Choosing a trigger again would begin its blinking anew."""
        if f"[{trigger}]" not in self._read("trigger").split():
            (self.path / "trigger").write_text(trigger)

    def _brightest(self) -> int:
        return max(1, int(self._read("max_brightness")))

    def _read(self, name: str) -> str:
        return (self.path / name).read_text("ascii").strip()

    def _write(self, name: str, value: str) -> None:
        if self._read(name) != value:
            (self.path / name).write_text(value)
