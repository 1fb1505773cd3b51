"""Instances made for tests: pixels and the attributes that say how to show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

Array = np.ndarray[Any, np.dtype[Any]]


def instance(**attributes: Any) -> Dataset:
    """A Secondary Capture instance without pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "2.25.1"
    dataset.StudyInstanceUID = "2.25.2"
    dataset.SeriesInstanceUID = "2.25.3"
    dataset.Modality = "OT"
    dataset.PatientName = "Nobody"
    dataset.PatientID = "0"
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def grey(cells: Array, stored: int | None = None, **attributes: Any) -> Dataset:
    """A grey instance of cells (rows, columns) or (frames, rows, columns) of 8, 16 or 32 bits."""
    allocated = cells.dtype.itemsize * 8
    stored = stored or allocated
    dataset = instance(
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=cells.shape[-2],
        Columns=cells.shape[-1],
        BitsAllocated=allocated,
        BitsStored=stored,
        HighBit=stored - 1,
        PixelRepresentation=int(cells.dtype.kind == "i"),
    )
    if cells.ndim == 3:
        dataset.NumberOfFrames = cells.shape[0]
    return _filled(dataset, cells, attributes)


def colour(cells: Array, photometric: str = "RGB", **attributes: Any) -> Dataset:
    """A colour instance of cells (rows, columns, 3) or (frames, rows, columns, 3)."""
    allocated = cells.dtype.itemsize * 8
    dataset = instance(
        SamplesPerPixel=3,
        PhotometricInterpretation=photometric,
        PlanarConfiguration=0,
        Rows=cells.shape[-3],
        Columns=cells.shape[-2],
        BitsAllocated=allocated,
        BitsStored=allocated,
        HighBit=allocated - 1,
        PixelRepresentation=0,
    )
    if cells.ndim == 4:
        dataset.NumberOfFrames = cells.shape[0]
    return _filled(dataset, cells, attributes)


def palette(cells: Array, red: Array, green: Array, blue: Array, first: int = 0) -> Dataset:
    """A palette instance; the channels are uint8 or uint16 arrays of the same length."""
    bits = red.dtype.itemsize * 8
    dataset = grey(cells, PhotometricInterpretation="PALETTE COLOR")
    for name, channel in (("Red", red), ("Green", green), ("Blue", blue)):
        setattr(
            dataset, f"{name}PaletteColorLookupTableDescriptor", [len(red) % 65536, first, bits]
        )
        data = channel.tobytes()
        setattr(dataset, f"{name}PaletteColorLookupTableData", data + b"\0" * (len(data) % 2))
    return dataset


def lut(first: int, entries: Array, bits: int) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", _descriptor(len(entries), first, bits))
    data = entries.tobytes()
    item.add_new(0x00283006, "OW", data + b"\0" * (len(data) % 2))
    item.ModalityLUTType = "US"
    return item


def encapsulated(dataset: Dataset, transfer_syntax: str, frames: list[bytes]) -> Dataset:
    """The instance with compressed frames in place of its pixels."""
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def saved(dataset: Dataset, path: Path) -> Path:
    """The instance as a DICOM file."""
    dataset.save_as(path, enforce_file_format=True)
    return path


def _descriptor(entries: int, first: int, bits: int) -> list[int]:
    count = entries % 65536
    if first < 0 and count >= 32768:
        count -= 65536
    return [count, first, bits]


def _filled(dataset: Dataset, cells: Array, attributes: dict[str, Any]) -> Dataset:
    data = cells.astype(cells.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if cells.dtype.itemsize == 1 else "OW"
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset
