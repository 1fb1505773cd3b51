"""A CT of a body that never lived: a phantom of ellipsoids, as a valid CT Image series.

The same arguments give the same bytes. Half a megabyte a slice, as a scanner's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

SIDE = 512
"""Rows and columns."""

FIELD = 400.0
"""Edge of the square that a slice shows, in mm."""

AIR = -1000
"""Hounsfield units of air."""

INTERCEPT = -1024
"""Rescale Intercept: the Hounsfield units of the stored value 0."""

HEIGHT = 420.0
"""How much of the body a volume covers, in mm, however many slices it is cut into."""

Slice = NDArray[np.uint16]
Grid = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Patient:
    """Who the phantom claims to be. The character set is that of the name (PS3.3 C.12.1.1.2)."""

    identifier: str = "NETTY-0001"
    name: str = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    character_set: tuple[str, ...] = ("", "ISO 2022 IR 87")
    birth_date: str = "19560123"
    sex: str = "M"


@dataclass(frozen=True, slots=True)
class Study:
    """One examination: what tells it from another, and how many slices it has."""

    patient: Patient = Patient()
    slices: int = 300
    root: str = "2.25.271828182845904523536"
    accession: str = "ACC-27182"
    date: str = "20260401"

    def uid(self, *parts: int) -> str:
        """A UID below the root of this study, e.g. `uid(1)` of the first series."""
        return ".".join((self.root, *map(str, parts)))

    @property
    def study_instance_uid(self) -> str:
        """Of the one study (0020,000D)."""
        return self.uid(1)

    @property
    def series_instance_uid(self) -> str:
        """Of its one series (0020,000E)."""
        return self.uid(1, 1)

    def sop_instance_uid(self, number: int) -> str:
        """Of the slice with that Instance Number, from 1."""
        return self.uid(1, 1, number)


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """A piece of tissue: centre and semi-axes in mm (x right to left, y front to back, z up)."""

    hounsfield: float
    centre: tuple[float, float, float]
    axes: tuple[float, float, float]


def _ribs() -> tuple[Ellipsoid, ...]:
    around = ((128, -46, -22), (146, -4, 0), (134, 40, 12), (104, 74, 18), (92, -84, -34))
    return tuple(
        Ellipsoid(620, (side * x, y, z + drop), (8, 14, 6))
        for z in range(-130, 210, 26)
        for side in (-1, 1)
        for x, y, drop in around
    )


def _spine() -> tuple[Ellipsoid, ...]:
    return tuple(
        part
        for z in range(-240, 221, 28)
        for part in (
            Ellipsoid(280, (0, 62, z), (22, 18, 13)),
            Ellipsoid(20, (0, 86, z), (9, 8, 15)),
            Ellipsoid(420, (0, 100, z), (5, 8, 10)),
        )
    )


def _vessels() -> tuple[Ellipsoid, ...]:
    return tuple(
        Ellipsoid(30, (side * (74 + 34 * np.cos(turn)), -8 + 48 * np.sin(turn), z), (4, 4, 26))
        for z in range(-60, 190, 30)
        for side in (-1, 1)
        for turn in np.linspace(z / 20, z / 20 + 5, 6)
    )


BODY = (
    Ellipsoid(-90, (0, 0, 0), (172, 124, 600)),  # skin and fat
    Ellipsoid(45, (0, 0, 0), (160, 112, 600)),  # muscle
    Ellipsoid(-860, (-74, -8, 60), (58, 78, 150)),  # lungs
    Ellipsoid(-860, (74, -8, 60), (58, 78, 150)),
    *_vessels(),
    Ellipsoid(40, (20, -30, 20), (58, 50, 56)),  # heart
    Ellipsoid(150, (30, -36, 16), (26, 24, 34)),  # ventricle with contrast medium
    Ellipsoid(180, (14, 40, 0), (12, 12, 600)),  # aorta
    Ellipsoid(75, (-58, -10, -130), (88, 72, 70)),  # liver
    Ellipsoid(60, (102, 26, -130), (34, 36, 46)),  # spleen
    Ellipsoid(-700, (52, -52, -140), (40, 24, 30)),  # gas in the stomach
    Ellipsoid(140, (-58, 50, -210), (26, 22, 50)),  # kidneys
    Ellipsoid(140, (58, 50, -210), (26, 22, 50)),
    Ellipsoid(90, (-66, -30, 90), (9, 9, 9)),  # a nodule, for who looks
    *_ribs(),
    *_spine(),
)
"""Drawn in this order, the later over the earlier; the patient's left is at the right."""


def _plane() -> tuple[Grid, Grid]:
    at = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) * np.float32(FIELD / SIDE)
    return at[np.newaxis, :], at[:, np.newaxis]


def _draw(image: Grid, part: Ellipsoid, z: float) -> None:
    height = 1 - ((z - part.centre[2]) / part.axes[2]) ** 2
    if height <= 0:
        return
    x, y = _plane()
    inside = ((x - part.centre[0]) / part.axes[0]) ** 2 + ((y - part.centre[1]) / part.axes[1]) ** 2
    # Only the rows and columns that the ellipse can reach: most parts are small.
    rows = np.flatnonzero(np.abs(y[:, 0] - part.centre[1]) <= part.axes[1])
    columns = np.flatnonzero(np.abs(x[0] - part.centre[0]) <= part.axes[0])
    if len(rows) and len(columns):
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        image[window][inside[window] <= height] = part.hounsfield


def _noise(sigma: float = 12.0) -> Grid:
    generator = np.random.default_rng(271828)
    return generator.normal(0.0, sigma, (2 * SIDE, 2 * SIDE)).astype(np.float32)


def positions(count: int) -> list[float]:
    """The height of each of `count` slices, in mm, from the kidneys up."""
    return [-230 + HEIGHT * index / count for index in range(count)]


def slices(count: int) -> Iterator[Slice]:
    """The stored values of `count` slices, each (512, 512) with 12 of 16 bits used."""
    noise = _noise()
    for index, height in enumerate(positions(count)):
        image = np.full((SIDE, SIDE), AIR, np.float32)
        for part in BODY:
            _draw(image, part, height)
        row, column = (index * 37) % SIDE, (index * 101) % SIDE
        image += noise[row : row + SIDE, column : column + SIDE]
        yield np.clip(np.rint(image) - INTERCEPT, 0, 4095).astype(np.uint16)


def _header(study: Study) -> Dataset:
    """What all slices share (PS3.3 Section A.3)."""
    patient = study.patient
    header = Dataset()
    header.SpecificCharacterSet = list(patient.character_set)
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.SOPClassUID = CTImageStorage
    header.StudyDate = header.SeriesDate = header.AcquisitionDate = header.ContentDate = study.date
    header.StudyTime = header.SeriesTime = header.AcquisitionTime = header.ContentTime = "101500"
    header.AccessionNumber = study.accession
    header.Modality = "CT"
    header.Manufacturer = "netty"
    header.InstitutionName = "HOSPITAL OF NOWHERE"
    header.ReferringPhysicianName = "Referrer^Rei"
    header.StudyDescription = "CHEST AND ABDOMEN"
    header.SeriesDescription = "AXIAL"
    header.ManufacturerModelName = "phantom"
    header.PatientName = patient.name
    header.PatientID = patient.identifier
    header.PatientBirthDate = patient.birth_date
    header.PatientSex = patient.sex
    header.PatientAge = "070Y"
    header.SliceThickness = f"{HEIGHT / study.slices:.4f}"
    header.KVP = "120"
    header.DeviceSerialNumber = "SERIAL-0"
    header.SoftwareVersions = "1"
    header.BodyPartExamined = "CHEST"
    header.PatientPosition = "HFS"
    header.XRayTubeCurrent = "200"
    header.StudyInstanceUID = study.study_instance_uid
    header.SeriesInstanceUID = study.series_instance_uid
    header.StudyID = "1"
    header.SeriesNumber = "1"
    header.AcquisitionNumber = "1"
    header.FrameOfReferenceUID = study.uid(2)
    header.PositionReferenceIndicator = ""
    header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.Rows = header.Columns = SIDE
    header.PixelSpacing = [FIELD / SIDE] * 2
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelRepresentation = 0
    header.WindowCenter, header.WindowWidth = ["40", "-600"], ["400", "1500"]
    header.WindowCenterWidthExplanation = ["SOFT TISSUE", "LUNG"]
    header.RescaleIntercept, header.RescaleSlope, header.RescaleType = INTERCEPT, 1, "HU"
    return header


def datasets(study: Study) -> Iterator[Dataset]:
    """The slices of `study` in order, each complete, ready to be sent or saved."""
    header = _header(study)
    cuts = zip(positions(study.slices), slices(study.slices), strict=True)
    for number, (height, values) in enumerate(cuts, start=1):
        dataset = Dataset(header)
        dataset.SOPInstanceUID = study.sop_instance_uid(number)
        dataset.InstanceNumber = number
        dataset.ImagePositionPatient = [-FIELD / 2, -FIELD / 2, f"{height:.4f}"]
        dataset.SliceLocation = f"{height:.4f}"
        dataset.PixelData = values.astype("<u2", copy=False).tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        yield dataset


def write(study: Study, folder: Path) -> list[Path]:
    """Save the slices as DICOM files `00001.dcm` … in `folder`; what is there is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:05d}.dcm" for number in range(1, study.slices + 1)]
    if not all(file.exists() for file in files):
        for file, dataset in zip(files, datasets(study), strict=True):
            dataset.save_as(file, enforce_file_format=True)
    return files
