"""What the Basic Profile asks for, read from the table anew and said as plainly as possible."""

from __future__ import annotations

import csv
from importlib.resources import files

from pydicom._dicom_dict import DicomDictionary

MARKERS = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280303})
PATIENT = frozenset({0x00100010, 0x00100020})
SEQUENCES = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")
RECOMPUTED = frozenset({0x00420015})


def _rows(name: str, column: str) -> dict[int, str]:
    source = files("appliance.images.deidentify") / "data" / name
    rows = csv.DictReader(source.read_text("utf-8").splitlines())
    return {
        int(row["tag"][1:5] + row["tag"][6:10], 16): row[column]
        for row in rows
        if "X" not in row["tag"] and "GGGG" not in row["tag"]
    }


TABLE = _rows("ps3.15_table_e.1-1.csv", "basic_profile")
SUPPLEMENT = _rows("supplement.csv", "action")
NAMED = SUPPLEMENT | TABLE


def letters(tag: int) -> str:
    """The action for a tag: the table's letters, or K for what the profile keeps."""
    group = tag >> 16
    if group % 2 or tag & 0xFFFF == 0 or group < 0x0004 or tag == 0x00080001:
        return "X"
    if tag in NAMED:
        return NAMED[tag].removesuffix("*")
    return "K" if tag in DicomDictionary else "X"
