"""Nothing that the profile takes out is left: marks planted in every text of a dataset."""

from __future__ import annotations

import re

import pytest
from pydicom import Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement

from appliance.images.deidentify import Encoding

from . import oracle
from .datasets import (
    BIG,
    ENCODINGS,
    EXPLICIT,
    element,
    header_of,
    item,
    read,
    real_files,
    sequence,
    write,
)

TEXT = {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC"}
TEXT |= {"UI", "UR", "UT"}
MARK = re.compile(rb"QZ\d{6}")
AROUND = 0x00189346


class Marks:
    """Marks that occur nowhere else, and what they were planted in."""

    def __init__(self) -> None:
        self.planted: dict[bytes, tuple[int, ...]] = {}

    def next(self, path: tuple[int, ...]) -> str:
        mark = f"QZ{len(self.planted):06d}"
        self.planted[mark.encode()] = path
        return mark

    def expected(self) -> set[bytes]:
        """The marks in elements that the profile keeps, below sequences that it keeps as well."""
        return {mark for mark, path in self.planted.items() if kept(path)}


def kept(path: tuple[int, ...]) -> bool:
    return all(oracle.letters(tag) == "K" and tag not in oracle.MARKERS for tag in path)


def in_references(path: tuple[int, ...]) -> bool:
    """Whether an element stands in a sequence that is removed, emptied or gone through by type."""
    return any("/" in oracle.letters(tag) for tag in path[:-1])


def check(header_data: bytes, marks: Marks) -> None:
    left = set(MARK.findall(header_data))
    lost = {m for m in marks.expected() - left if not in_references(marks.planted[m])}
    survived = {m for m in left - marks.expected() if not allowed(marks.planted[m])}
    assert not survived, [[f"{t:08X}" for t in marks.planted[m]] for m in sorted(survived)]
    assert not lost, [[f"{t:08X}" for t in marks.planted[m]] for m in sorted(lost)]


def allowed(path: tuple[int, ...]) -> bool:
    """Whether what keeps a mark is the shape of a sequence that is gone through.

    Below a sequence with the letters D or U only numbers and code strings may remain.
    """
    *around, tag = path
    through = [s for s in around if oracle.letters(s) != "K"]
    if not through or oracle.letters(tag) != "K":
        return False
    if all("U" in oracle.letters(s) for s in through):
        return True
    free = DicomDictionary[tag][0] in {"CS", "DS", "IS", "UI"} and tag != 0x0040A30A
    return free and all(set(oracle.letters(s)) & set("DU") for s in through)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("name", ENCODINGS)
def test_every_text_attribute_of_the_dictionary(name, depth):
    encoding = ENCODINGS[name]
    marks = Marks()
    around = (AROUND,) * depth
    body = b"".join(
        element(encoding, tag, entry[0].encode(), marks.next((*around, tag)).encode())
        for tag, entry in sorted(DicomDictionary.items())
        if entry[0] in TEXT and tag != 0x00080005
    )
    for _ in range(depth):
        body = sequence(encoding, AROUND, item(encoding, body))
    header = header_of(body, encoding)
    assert header.discarded == ()
    check(header.data, marks)
    assert len(marks.expected()) > 800, "the oracle keeps what the table does not name"


def plant(dataset: Dataset, marks: Marks, path: tuple[int, ...], encoding: Encoding) -> None:
    """Put a mark into every text element, private and nested ones included."""
    for tag in list(dataset.keys()):
        if tag in (0x00080005, 0x00080016):
            continue
        try:
            found = dataset[tag]
        except (ValueError, NotImplementedError, KeyError):
            del dataset[tag]
            continue
        here = (*path, int(tag))
        if found.VR == "SQ":
            for content in found.value:
                plant(content, marks, here, encoding)
        elif found.VR in TEXT:
            vr = "LO" if found.VR in {"DS", "IS", "DA", "TM", "DT", "AS", "UI"} else found.VR
            private = int(tag) >> 16 & 1 and int(tag) & 0xFFFF < 0x1000
            value = marks.next(here)
            dataset[tag] = (
                _raw(tag, found.VR, value) if not private else DataElement(tag, vr, value)
            )


def _raw(tag, vr: str, value: str) -> RawDataElement:
    """An element whose value pydicom writes without looking at it."""
    return RawDataElement(tag, vr, len(value), value.encode(), 0, False, True)


@pytest.mark.parametrize("real", real_files(), ids=lambda real: real.name)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_text_of_a_real_file(real):
    dataset = read(real.data, real.encoding)
    del dataset[0x7FE00008:]
    marks = Marks()
    plant(dataset, marks, (), real.encoding)
    for encoding in (EXPLICIT, BIG) if real.encoding == BIG else (real.encoding,):
        header = header_of(write(dataset, encoding), encoding)
        check(header.data, marks)
