"""The options of the Basic Profile that Table E.1-1 has a column for (PS3.15 Section E.3).

Not offered: Clean Recognizable Visual Features (Section E.3.2), for nothing here takes a face out
of a head CT. Clean Pixel Data (Section E.3.1) is no choice for all images: an image whose pixels
were masked says so itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, get_args

from appliance.settings.model import DeidentifyOption as OptionName

NAMES: Final[tuple[OptionName, ...]] = get_args(OptionName)

Code = tuple[bytes, bytes, bytes]
"""Code value, coding scheme and meaning."""

CODES: Final[dict[OptionName, Code]] = {
    "clean_graphics": (b"113103", b"DCM", b"Clean Graphics Option"),
    "clean_structured_content": (b"113104", b"DCM", b"Clean Structured Content Option"),
    "clean_descriptors": (b"113105", b"DCM", b"Clean Descriptors Option"),
    "retain_long_full_dates": (
        b"113106",
        b"DCM",
        b"Retain Longitudinal Temporal Information Full Dates Option",
    ),
    "retain_long_modified_dates": (
        b"113107",
        b"DCM",
        b"Retain Longitudinal Temporal Information Modified Dates Option",
    ),
    "retain_patient_characteristics": (b"113108", b"DCM", b"Retain Patient Characteristics Option"),
    "retain_device_identity": (b"113109", b"DCM", b"Retain Device Identity Option"),
    "retain_uids": (b"113110", b"DCM", b"Retain UIDs Option"),
    "retain_safe_private": (b"113111", b"DCM", b"Retain Safe Private Option"),
    "retain_institution_identity": (b"113112", b"DCM", b"Retain Institution Identity Option"),
}
"""How De-identification Method Code Sequence tells of an option (PS3.16 CID 7050)."""

_TEMPORAL: Final = {
    "retain_long_full_dates": b"UNMODIFIED",
    "retain_long_modified_dates": b"MODIFIED",
}


@dataclass(frozen=True, slots=True)
class Options:
    """A choice of options. Raises ValueError for one that the standard excludes."""

    chosen: frozenset[OptionName]

    def __init__(self, chosen: Collection[str] = ()) -> None:
        unknown = set(chosen) - set(NAMES)
        if unknown:
            raise ValueError(
                f"there is no option {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}"
            )
        if len(self._temporal(chosen)) > 1:
            raise ValueError(
                f"{' and '.join(_TEMPORAL)} contradict each other: "
                "dates are kept in full or modified, not both"
            )
        object.__setattr__(self, "chosen", frozenset(name for name in NAMES if name in chosen))

    def __contains__(self, name: OptionName) -> bool:
        return name in self.chosen

    @property
    def codes(self) -> tuple[Code, ...]:
        """The codes of the options, in the order of their values."""
        return tuple(code for name, code in CODES.items() if name in self.chosen)

    @property
    def temporal(self) -> bytes:
        """Longitudinal Temporal Information Modified (PS3.3 C.7.6.1.1.6, Section E.3.6)."""
        return next(iter(self._temporal(self.chosen)), b"REMOVED")

    @staticmethod
    def _temporal(chosen: Collection[str]) -> list[bytes]:
        return [value for name, value in _TEMPORAL.items() if name in chosen]

    def action(self, columns: dict[OptionName, str]) -> str:
        """What the options make of a row: K to keep, C to clean, empty for the basic action.

        Where one option keeps what another cleans, it is cleaned: what is left satisfies both.
        """
        letters = {letter for name, letter in columns.items() if name in self.chosen}
        return "C" if "C" in letters else "K" if "K" in letters else ""
