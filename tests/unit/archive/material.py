"""Instances to archive: rows, and DICOM files that say the same."""

import io
from dataclasses import replace
from pathlib import Path

from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from appliance.archive.catalogue import (
    Catalogue,
    PictureRow,
    RenderJob,
    RenderOutcome,
    StoredInstance,
)
from appliance.archive.files import Folders, PendingFile
from appliance.archive.records import PixelForm

STUDY = "2.25.1"
SERIES = "2.25.1.1"
REMOTE = "pacs"


def instance(number: int, **changes: object) -> StoredInstance:
    """A CT slice of one study and series, unless `changes` say otherwise."""
    slice_ = StoredInstance(
        instance=f"2.25.1.1.{number}",
        series=SERIES,
        study=STUDY,
        sop_class=CTImageStorage,
        transfer_syntax=ImplicitVRLittleEndian,
        modality="CT",
        instance_number=number,
        frames=1,
        has_pixels=True,
        bytes=1000,
        remote=REMOTE,
        warning=None,
        patient="subject-7",
    )
    described = replace(slice_, **changes)
    form = PixelForm(rows=2, columns=3, bits_allocated=8) if described.has_pixels else PixelForm()
    return replace(described, pixels=form)


def dicom_file(described: StoredInstance, **attributes: object) -> bytes:
    """A DICOM file that says what the row does (but for its size, its remote and its warning).

    And it has these attributes, by their keywords.
    """
    dataset = Dataset()
    dataset.SOPClassUID = described.sop_class
    dataset.SOPInstanceUID = described.instance
    dataset.SeriesInstanceUID = described.series
    dataset.StudyInstanceUID = described.study
    dataset.Modality = described.modality
    dataset.PatientID = described.patient or ""
    if described.instance_number is not None:
        dataset.InstanceNumber = described.instance_number
    if described.frames > 1:
        dataset.NumberOfFrames = described.frames
    if described.has_pixels:
        dataset.Rows, dataset.Columns = described.pixels.rows, described.pixels.columns
        dataset.BitsAllocated = described.pixels.bits_allocated
        dataset.add_new("PixelData", "OW", b"\1\2\3\4\5\6" * described.frames)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = described.transfer_syntax
    out = io.BytesIO()
    implicit = described.transfer_syntax == ImplicitVRLittleEndian
    if implicit or described.transfer_syntax == ExplicitVRLittleEndian:
        dataset.save_as(out, enforce_file_format=True, implicit_vr=implicit, little_endian=True)
    else:
        dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def arrive(
    catalogue: Catalogue, folders: Folders, described: StoredInstance, content: bytes = b""
) -> StoredInstance:
    """Writes and stores an instance as the SCP does; the row as it was stored."""
    content = content or dicom_file(described)
    path = folders.dicom_file(described.study, described.series, described.instance)
    with PendingFile.create(path) as pending:
        pending.write([content])
        stored = replace(described, bytes=pending.size)
        catalogue.store(stored, pending.settle())
    return stored


def draw(
    folders: Folders,
    job: RenderJob,
    *,
    frames: int | None = None,
    suffix: str = ".jpg",
    drop_dicom: bool = False,
    animated: bool = False,
) -> RenderOutcome:
    """Makes the pictures of a job on disk, one of each of `frames` or a single one."""
    wanted = [(frame, suffix) for frame in ([None] if frames is None else range(1, frames + 1))]
    pictures = []
    for frame, ending in [*wanted, *[(None, ".webp")] * animated]:
        content = picture(ending, 5, 3)
        with PendingFile.create(
            folders.picture(job.study, job.series, job.instance, frame, ending)
        ) as pending:
            pending.write([content])
            pending.settle()
        pictures.append(PictureRow(frame, 5, 3, len(content), ending))
    return RenderOutcome(job, "rendered", pictures=tuple(pictures), drop_dicom=drop_dicom)


def render_all(catalogue: Catalogue, folders: Folders, **how: object) -> None:
    """Renders all that is queued."""
    jobs = catalogue.next_renders(1000)
    catalogue.finish_renders([draw(folders, job, **how) for job in jobs])


def picture(suffix: str, width: int, height: int) -> bytes:
    """A real picture of that format."""
    out = io.BytesIO()
    kind = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[suffix]
    Image.new("L", (width, height), 128).save(out, kind)
    return out.getvalue()


def files_below(folder: Path) -> set[str]:
    """Relative names of all files."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
