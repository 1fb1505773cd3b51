"""Small CT instances for tests that are about something else than pixels."""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

SIDE = 8
"""Rows and columns."""


def instance(patient: str, study: str, series: str, number: int) -> Dataset:
    """One slice in Implicit VR Little Endian; its UID is made of its series and its number."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{series}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20260401", "101500", "A1"
    dataset.Modality, dataset.InstanceNumber = "CT", number
    dataset.PatientID, dataset.PatientName = patient, "Anyone^At All"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
    dataset.PixelData = bytes((number + place) % 251 for place in range(2 * SIDE * SIDE))
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def study(patient: str, uid: str, series: int = 1, slices: int = 3) -> list[Dataset]:
    """The instances of a study with `series` series of `slices` slices each."""
    return [
        instance(patient, uid, f"{uid}.{place}", number)
        for place in range(1, series + 1)
        for number in range(1, slices + 1)
    ]
