"""Datasets for these tests, written byte by byte without the code under test."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from struct import pack

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from appliance.images.deidentify import Deidentifier, Encoding, Header, Profile

KEY = bytes(range(32))
IMPLICIT = Encoding(implicit=True, little_endian=True)
EXPLICIT = Encoding(implicit=False, little_endian=True)
BIG = Encoding(implicit=False, little_endian=False)
ENCODINGS = {"implicit": IMPLICIT, "explicit": EXPLICIT, "big endian": BIG}
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
UNDEFINED = 0xFFFFFFFF
CT = b"1.2.840.10008.5.1.4.1.1.2"


@cache
def deidentifier(profile: Profile = "basic") -> Deidentifier:
    """A de-identifier without named pseudonyms; it keeps nothing from one dataset to the next."""
    return Deidentifier(profile, KEY)


def header_of(data: bytes, encoding: Encoding, profile: Profile = "basic") -> Header:
    """The header of a complete dataset."""
    header = deidentifier(profile).header(data, encoding, complete=True)
    assert header is not None
    return header


def element(
    encoding: Encoding, tag: int, vr: bytes, value: bytes, length: int | None = None
) -> bytes:
    """One element; `length` may lie about its value."""
    order = "<" if encoding.little_endian else ">"
    length = len(value) if length is None else length
    group, number = tag >> 16, tag & 0xFFFF
    if encoding.implicit:
        return pack(order + "HHI", group, number, length) + value
    if vr in LONG:
        return pack(order + "HH2sHI", group, number, vr, 0, length) + value
    return pack(order + "HH2sH", group, number, vr, length) + value


def item(encoding: Encoding, content: bytes, *, delimited: bool = False) -> bytes:
    """One item of a sequence."""
    order = "<" if encoding.little_endian else ">"
    length = UNDEFINED if delimited else len(content)
    end = pack(order + "HHI", 0xFFFE, 0xE00D, 0) if delimited else b""
    return pack(order + "HHI", 0xFFFE, 0xE000, length) + content + end


def sequence(
    encoding: Encoding, tag: int, *items: bytes, delimited: bool = False, vr: bytes = b"SQ"
) -> bytes:
    """A sequence around its items."""
    order = "<" if encoding.little_endian else ">"
    content = b"".join(items)
    if not delimited:
        return element(encoding, tag, vr, content)
    end = pack(order + "HHI", 0xFFFE, 0xE0DD, 0)
    return element(encoding, tag, vr, content + end, length=UNDEFINED)


def text(value: str | bytes, vr: bytes = b"LO") -> bytes:
    """A text value, padded."""
    value = value.encode("ascii") if isinstance(value, str) else value
    return value + (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)


def read(data: bytes, encoding: Encoding) -> Dataset:
    """A dataset as pydicom reads it."""
    return read_dataset(BytesIO(data), encoding.implicit, encoding.little_endian)


def write(dataset: Dataset, encoding: Encoding) -> bytes:
    """A dataset as pydicom writes it."""
    out = DicomBytesIO()
    out.is_implicit_VR = encoding.implicit
    out.is_little_endian = encoding.little_endian
    write_dataset(out, dataset)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class RealFile:
    """A DICOM file that others made: its dataset as bytes, and how they are laid out."""

    path: Path
    data: bytes
    encoding: Encoding

    @property
    def name(self) -> str:
        return self.path.name


_NOT_DATASETS = {
    "SC_rgb_jpeg.dcm",  # implicit VR under an explicit syntax
    "rtplan_truncated.dcm",  # ends within its header
    "emri_small_jpeg_2k_lossless_too_short.dcm",  # pydicom itself reads nothing
}


@cache
def real_files() -> tuple[RealFile, ...]:
    """Every DICOM instance inside the wheels pydicom, pydicom-data and deid-data."""
    return tuple(_real_files())


def _real_files() -> Iterator[RealFile]:
    for package in ("pydicom", "data_store", "deid_data"):  # data_store: pydicom-data
        spec = find_spec(package)
        assert spec is not None, f"{package} is not installed; see pyproject.toml"
        assert spec.submodule_search_locations is not None
        for folder, _, names in os.walk(spec.submodule_search_locations[0]):
            for name in sorted(names):
                found = _real_file(Path(folder, name))
                if found is not None and name not in _NOT_DATASETS:
                    yield found


def _real_file(path: Path) -> RealFile | None:
    data = path.read_bytes()
    if data[128:132] != b"DICM":
        return None
    at, syntax = 132, b""
    while data[at : at + 2] == b"\2\0":
        vr = data[at + 4 : at + 6]
        start = at + (12 if vr in LONG else 8)
        size = data[at + 8 : at + 12] if vr in LONG else data[at + 6 : at + 8]
        length = int.from_bytes(size, "little")
        if data[at + 2 : at + 4] == b"\x10\0":
            syntax = data[start : start + length].strip(b" \0")
        at = start + length
    if not syntax or path.name.startswith("DICOMDIR"):
        return None
    dataset = data[at:]
    if syntax == b"1.2.840.10008.1.2.1.99":
        dataset = zlib.decompressobj(-zlib.MAX_WBITS).decompress(dataset)
    encoding = Encoding(syntax == b"1.2.840.10008.1.2", syntax != b"1.2.840.10008.1.2.2")
    return RealFile(path, dataset, encoding)
