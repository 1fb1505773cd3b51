"""Quantities: whole numbers in the model, a number and its unit in the text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from appliance.settings.kinds import Kind, describe, halfwidth

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(\D*)")


@dataclass(frozen=True, slots=True)
class Quantity(Kind[int]):
    """A number with a unit, within limits that are given in the base unit."""

    lowest: int
    highest: int

    what: ClassVar[str]
    units: ClassVar[Mapping[str, int]]
    others: ClassVar[Mapping[str, str]]

    @property
    def expected(self) -> str:
        """What may be written."""
        limits = f"{self.text(self.lowest)} to {self.text(self.highest)}"
        return f"{self.what} with its unit ({', '.join(self.units)}) in quotes, {limits}"

    def read(self, written: object) -> int:
        """Return the quantity in the base unit."""
        if not isinstance(written, str):
            raise self.mistake(written, self._with_unit(describe(written)))
        match = _QUANTITY.fullmatch(written)
        factor = self._factor(match[2]) if match else None
        if match is None or factor is None:
            raise self.mistake(written, self._remedy(written))
        value = Fraction(match[1]) * factor
        if not self.lowest <= value <= self.highest:
            bound = "less" if value > self.highest else "more"
            raise self.mistake(written, f"write {bound}: {self._limits()}")
        if value.denominator != 1:
            raise self.mistake(written, "write it in a smaller unit, without a fraction")
        return int(value)

    def write(self, value: int) -> str:
        """Return the TOML text."""
        return f'"{self.text(value)}"'

    def text(self, value: int) -> str:
        """Return the quantity in the largest unit that leaves no fraction."""
        unit, factor = next(
            (unit, factor)
            for unit, factor in reversed(list(self.units.items()))
            if value % factor == 0 and (value or factor == 1)
        )
        number = value // factor
        return f"{number} {'day' if (number, unit) == (1, 'days') else unit}"

    def _factor(self, unit: str) -> int | None:
        return self.units.get("days" if unit == "day" else unit)

    def _limits(self) -> str:
        return f"from {self.text(self.lowest)} to {self.text(self.highest)}"

    def _remedy(self, written: str) -> str:
        match = _QUANTITY.fullmatch(halfwidth(written).strip())
        if match is None:
            return f"write a number and its unit, {self._limits()}"
        number, unit = match[1], match[2].strip().casefold()
        meant = self.others.get(unit) or next((u for u in self.units if u.casefold() == unit), "")
        if meant:
            return f'did you mean "{number} {meant}"?'
        return (
            self._with_unit(number) if not unit else f"its unit is one of {', '.join(self.units)}"
        )

    def _with_unit(self, number: str) -> str:
        possible = [
            f'"{number} {unit}"'
            for unit, factor in self.units.items()
            if re.fullmatch(r"[0-9]{1,18}", number)
            and self.lowest <= int(number) * factor <= self.highest
        ]
        if not possible:
            return f"write a number and its unit in quotes, {self._limits()}"
        return f"write the unit, too, in quotes: {' or '.join(possible)}"


class Size(Quantity):
    """A number of bytes."""

    __slots__ = ()
    what = "a size"
    units: ClassVar = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": TIB}
    others: ClassVar = {
        other: unit
        for unit, names in {
            "B": "byte bytes",
            "KiB": "k kb ki",
            "MiB": "m mb mi",
            "GiB": "g gb gi",
            "TiB": "t tb ti",
        }.items()
        for other in names.split()
    }


class Duration(Quantity):
    """A number of seconds."""

    __slots__ = ()
    what = "a time"
    units: ClassVar = {"s": 1, "min": MINUTE, "h": HOUR, "days": DAY}
    others: ClassVar = {
        other: unit
        for unit, names in {
            "s": "sec secs second seconds 秒",
            "min": "m mins minute minutes 分 分間",
            "h": "hr hrs hour hours 時間",
            "days": "d 日 日間",
        }.items()
        for other in names.split()
    }
