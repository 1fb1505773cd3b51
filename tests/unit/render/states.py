"""Presentation states made for tests, as plain as the standard lets them be."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from tests.unit.render import made


def referring(*images: Dataset, frames: list[int] | None = None) -> list[Dataset]:
    """Items of a Referenced Image Sequence."""
    items = []
    for image in images:
        item = Dataset()
        item.ReferencedSOPClassUID = image.SOPClassUID
        item.ReferencedSOPInstanceUID = image.SOPInstanceUID
        if frames:
            item.ReferencedFrameNumber = frames
        items.append(item)
    return items


def area(image: Dataset, **attributes: Any) -> Dataset:
    """A displayed area: the whole image, with square pixels, if nothing else is said."""
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner = [1, 1]
    item.DisplayedAreaBottomRightHandCorner = [image.Columns, image.Rows]
    item.PresentationSizeMode = "SCALE TO FIT"
    item.PresentationPixelAspectRatio = [1, 1]
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def window(centre: float, width: float, function: str = "") -> Dataset:
    """An item of a Softcopy VOI LUT Sequence."""
    item = Dataset()
    item.WindowCenter, item.WindowWidth = centre, width
    if function:
        item.VOILUTFunction = function
    return item


def state(*images: Dataset, frames: list[int] | None = None, **attributes: Any) -> Dataset:
    """A state for images, of one series, that changes nothing but what `attributes` say."""
    dataset = made.instance(
        Modality="PR",
        PresentationLUTShape="IDENTITY",
        ContentLabel="TEST",
        PresentationCreationDate="20260101",
        PresentationCreationTime="120000",
        SeriesInstanceUID="2.25.9",
        SOPInstanceUID="2.25.10",
        InstanceNumber=1,
    )
    dataset.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    series.ReferencedImageSequence = referring(*images, frames=frames)
    dataset.ReferencedSeriesSequence = [series]
    dataset.DisplayedAreaSelectionSequence = [area(images[0])]
    for name, value in attributes.items():
        given = Sequence(value) if name.endswith("Sequence") else value
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, given)
    return dataset
