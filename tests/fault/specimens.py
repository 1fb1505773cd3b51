"""Instances of many sizes and kinds, in versions, each full of identifying values."""

import random
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from tests.fault.wire import PRESENTATION_STATE
from tests.instances import instance

ROOT = "2.25.31415926535897932384626"
"""Of every UID that is sent: digits that occur nowhere else."""
MARK = "QZPHI"
"""In every identifying value that is sent, but for the name in its second spelling."""
IDEOGRAMS = "山田^太郎"
SENT = (MARK.encode(), ROOT.encode(), IDEOGRAMS.encode("iso2022_jp"))
"""What identifies, as it is sent."""
IDENTITY = SENT + tuple(
    text.encode(encoding)
    for text in (MARK, ROOT, IDEOGRAMS)
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "shift_jis", "euc_jp")
)
"""The same in other dresses, too: none of it may ever be on the disk."""

_SIDES = (8, 8, 16, 64, 128, 256)


@dataclass(frozen=True, slots=True)
class Content:
    """An instance as it is sent. The same instance may come in several versions."""

    instance: str
    """SOP Instance UID, as sent."""
    version: int
    sop_class: str
    dataset: bytes


def content(study: int, number: int, version: int = 0) -> Content:
    """An instance of a study: a slice, now and then three frames, or something without pixels.

    Each version has another size.
    """
    chance = random.Random(1000 * study + number)
    uid = f"{ROOT}.{study}"
    made = instance(f"{MARK}-{study}", uid, f"{uid}.{number % 2 + 1}", number)
    _identify(made)
    if number % 10 == 9:
        made.SOPClassUID, made.Modality = PRESENTATION_STATE, "PR"
        made.PresentationLUTShape = ("IDENTITY", "INVERSE")[version]
        del made.PixelData
    else:
        frames = 3 if number % 10 == 8 else 1
        side = (16 if frames > 1 else chance.choice(_SIDES)) + 8 * version
        if frames > 1:
            made.NumberOfFrames = frames
        made.Rows = made.Columns = side
        made.PixelData = _noise(chance, side * side * frames)
    dataset = encode(made, True, True)
    assert dataset is not None
    return Content(made.SOPInstanceUID, version, made.SOPClassUID, dataset)


def study(number: int, slices: int, version: int = 0) -> list[Content]:
    """The first instances of a study."""
    return [content(number, place, version) for place in range(1, slices + 1)]


def _identify(dataset: Dataset) -> None:
    """Give a dataset identifying values in every kind of place."""
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.PatientName = f"{MARK}yamada^Tarou={IDEOGRAMS}"
    dataset.AccessionNumber = f"{MARK}-A"
    dataset.InstitutionName = f"{MARK} clinic"
    dataset.PatientComments = f"{MARK} comment"
    dataset.DeviceSerialNumber = f"{MARK}-D"
    request = Dataset()
    request.RequestedProcedureID = f"{MARK}-R"
    request.PatientName = dataset.PatientName
    dataset.RequestAttributesSequence = [request]
    block = dataset.private_block(0x0029, f"{MARK} private", create=True)
    block.add_new(1, "LT", f"{MARK} within")


def _noise(chance: random.Random, count: int) -> bytes:
    """12-bit pixels of which no two images have the same."""
    return b"".join(
        bytes((low, place // 97 % 16)) for place, low in enumerate(chance.randbytes(count))
    )
