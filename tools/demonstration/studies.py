"""The patients of the demonstration: what the PACS is filled with and the box watches."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom

from tools.hospital import corpus, volume


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient of the PACS: the number there, what there is to see, the instances."""

    identifier: str
    shows: str
    files: tuple[Path, ...]


REAL = (
    ("1CT1", "CT, explicit VR", ("CT_small.dcm",)),
    ("CQ500-CT-310", "CT of a head in lossless JPEG 2000", ("693_J2KR.dcm",)),
    ("0010", "Enhanced CT, a frame per picture", ("eCT_Supplemental.dcm",)),
    ("4MR1", "MR in RLE", ("MR_small_RLE.dcm",)),
    ("5MR2", "MR in lossless JPEG 2000", ("MR2_J2KR.dcm",)),
    ("021234567", "MR with overlays", ("MR-SIEMENS-DICOM-WithOverlays.dcm",)),
    ("9RG1", "CR of 3.8 megapixels", ("RG1_J2KR.dcm",)),
    ("11RG3", "CR, MONOCHROME1", ("RG3_J2KR.dcm",)),
    ("16550", "DX of 8 megapixels (the patient is a cat)", ("cat.dcm",)),
    ("13US1", "Ultrasound in colour", ("US1_J2KR.dcm",)),
    ("98279", "Ultrasound with a colour palette", ("gdcm-US-ALOKA-16.dcm",)),
    ("11-05-25-142825", "Ultrasound, two frames in RLE", ("OBXXXX1A_rle_2frame.dcm",)),
    ("204", "Ultrasound, 120 frames", ("color3d_jpeg_baseline.dcm",)),
    ("8NM1", "Nuclear medicine in lossless JPEG", ("JPEG-LL.dcm",)),
    ("VLUT_nn", "A VOI LUT sequence", ("vlut_04.dcm",)),
    ("MLUT_nn", "A modality LUT sequence", ("mlut_18.dcm",)),
    ("H31EXAMPLE", "A name in ISO 2022 IR 87", ("chrH31.dcm",)),
    ("X1EXAMPLE", "A name in UTF-8", ("chrX1.dcm",)),
    ("X2EXAMPLE", "A name in GB18030", ("chrX2.dcm",)),
    ("cookie-47", "Colour photographs", tuple(f"dicom-cookies/image{n}.dcm" for n in range(1, 8))),
)
"""(Patient ID, what it shows, files of the corpus)."""

MEDIA = (("77654033", "A CD: CR and CT"), ("98890234", "A CD: CT and MR in several series"))
"""Patients of the media that pydicom tests DICOMDIR with: (Patient ID, what it shows)."""


def _media() -> dict[str, list[Path]]:
    by_patient: dict[str, list[Path]] = {}
    for file in corpus.instances():
        if "dicomdirtests" in file.parts:
            patient = str(pydicom.dcmread(file, stop_before_pixels=True).PatientID)
            by_patient.setdefault(patient, []).append(file)
    return by_patient


def patients(folder: Path, slices: int) -> Iterator[Patient]:
    """All of them; the CT volume of `slices` slices is generated into `folder`."""
    study = volume.Study(slices=slices)
    files = volume.write(study, folder / f"ct-{slices}")
    yield Patient(study.patient.identifier, f"CT, {slices} slices of a phantom", tuple(files))
    for identifier, shows, names in REAL:
        yield Patient(identifier, shows, tuple(map(corpus.file, names)))
    media = _media()
    for identifier, shows in MEDIA:
        yield Patient(identifier, shows, tuple(media[identifier]))
