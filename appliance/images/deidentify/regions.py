"""Which pixels of an image hold text, by the rules for what made it (PS3.15 Section E.3.1).

A rule is a `settings.model.Mask`; those that come with the package are in `data/masks.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydicom import Dataset

from appliance.settings.kinds import Rectangle as Written
from appliance.settings.model import Mask

CLEAN_PIXELS: Final = ("113101", "DCM", "Clean Pixel Data Option")

Rectangle = tuple[int, int, int, int]
"""Left, top, width, height."""


@dataclass(frozen=True, slots=True)
class Blank:
    """What is blacked out: each rectangle of `blank`, and all outside of `keep` unless empty."""

    blank: tuple[Rectangle, ...] = ()
    keep: tuple[Rectangle, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to black out."""
        return bool(self.blank or self.keep)


def declared(dataset: Dataset) -> bool | None:
    """Whether an image says that text is burned into its pixels; None if it does not say."""
    said = str(dataset.get("BurnedInAnnotation") or "").strip().upper()
    return {"YES": True, "NO": False}.get(said)


def may_cover(own: Iterable[Mask], modality: str, rows: int | None, columns: int | None) -> bool:
    """Whether a rule may cover an image, as far as these three tell; `blank` knows."""
    return any(
        _matches(rule.modality, modality)
        and rule.rows in (None, rows)
        and rule.columns in (None, columns)
        for rule in (*own, *shipped_rules())
    )


def blank(dataset: Dataset, own: Iterable[Mask]) -> Blank | None:
    """What of an image is blacked out; None if no rule covers it.

    `own` are the rules of the settings; those of the package come after them, for images that do
    not say that nothing is burned into them.
    """
    shipped = () if declared(dataset) is False else shipped_rules()
    for rule in (*own, *shipped):
        if not _is_for(rule, dataset):
            continue
        regions = _regions(dataset) if rule.regions else ()
        if regions or not rule.regions:
            return Blank(rule.blank, rule.keep + regions)
    return None


@cache
def shipped_rules() -> tuple[Mask, ...]:
    """The rules of the package."""
    text = (files(__package__) / "data" / "masks.toml").read_text("utf-8")
    return tuple(_rule(entry) for entry in tomllib.loads(text)["mask"])


def _rule(entry: dict[str, Any]) -> Mask:
    for key in ("blank", "keep"):
        entry[key] = tuple(Written().read(each) for each in entry.get(key, ()))
    return Mask(**entry)


def _is_for(rule: Mask, dataset: Dataset) -> bool:
    texts = (
        (rule.manufacturer, "Manufacturer"),
        (rule.model, "ManufacturerModelName"),
        (rule.modality, "Modality"),
    )
    numbers = ((rule.rows, "Rows"), (rule.columns, "Columns"))
    return all(
        _matches(pattern, str(dataset.get(keyword) or "")) for pattern, keyword in texts
    ) and all(number is None or dataset.get(keyword) == number for number, keyword in numbers)


def _matches(pattern: str | None, text: str) -> bool:
    """Whether a text is what a rule wants; `*` in it stands for anything."""
    if pattern is None:
        return True
    plain = pattern.strip().casefold().replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(text.strip().casefold(), plain)


def _regions(dataset: Dataset) -> tuple[Rectangle, ...]:
    """The rectangles of Sequence of Ultrasound Regions; Region Location Max is inside of them."""
    found = []
    for item in dataset.get("SequenceOfUltrasoundRegions") or ():
        edges = [item.get(f"RegionLocation{edge}") for edge in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
        if all(isinstance(edge, int) and edge >= 0 for edge in edges):
            left, top, right, bottom = edges
            if right > left and bottom > top:
                found.append((left, top, right - left + 1, bottom - top + 1))
    return tuple(found)
