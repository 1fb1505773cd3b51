"""The real storage service in a folder of its own, and datasets to give it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID
from pynetdicom.dsutils import encode

from appliance.archive.catalogue import Catalogue
from appliance.archive.files import Folders
from appliance.archive.space import Space
from appliance.dicom.solicitation import Solicitation
from appliance.dicom.storage import Intake, Storage
from appliance.images.deidentify import Deidentifier
from appliance.settings.model import LocalAE
from tests.unit.dicom.listening import OURS, SENDER
from tests.unit.dicom.wire import CT

STUDY = "1.2.392.1"
SERIES = "1.2.392.1.1"
RESERVE = 1 << 20


@dataclass(slots=True)
class Disk:
    """A file system of which a test says how much is free, in bytes above the reserve."""

    free: int = 1 << 30

    def statvfs(self, folder: Path) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=self.free + RESERVE, f_frsize=1)


@dataclass(frozen=True, slots=True)
class Keeping:
    """The storage, what it writes to, and what a test asks of it."""

    storage: Storage
    disk: Disk
    clock: list[float]

    @property
    def files(self) -> list[Path]:
        """Every file below the DICOM folder, temporary ones too."""
        return sorted(path for path in self.storage.folders.dicom.rglob("*") if path.is_file())

    @property
    def counters(self) -> dict[str, int]:
        return dict(self.storage.catalogue.status().counters)

    @property
    def held(self) -> int:
        """Instances with a row in the catalogue."""
        return self.storage.catalogue.status().instances

    @property
    def nothing_kept(self) -> bool:
        return not self.files and not self.held

    def solicit(self, study: str = STUDY, remote: str = SENDER.name) -> None:
        """Make `study` outstanding, so that the remote may send it."""
        self.storage.solicitation.ask(remote, study, frozenset())

    def look_again(self) -> None:
        """Let the storage see how much of the disk is free now."""
        self.clock[0] += 1


@contextmanager
def keeping(
    folder: Path,
    ae: LocalAE = OURS,
    *,
    suspended: Callable[[], bool] = lambda: False,
    profile: str = "basic",
) -> Iterator[Keeping]:
    folder.mkdir(parents=True, exist_ok=True)
    folders = Folders(folder)
    folders.prepare()
    disk, clock = Disk(), [0.0]
    catalogue = Catalogue.open(folders.catalogue)
    space = Space(folder, RESERVE, disk.statvfs, lambda: clock[0])
    storage = Storage(
        folders,
        catalogue,
        space,
        Deidentifier(profile, bytes(range(32))),
        Solicitation(),
        ae,
        Intake(suspended),
    )
    try:
        yield Keeping(storage, disk, clock)
    finally:
        catalogue.close()


def storing(ae: LocalAE = OURS, **changes: Any) -> LocalAE:
    """`ae` with a policy that stores what nobody asked for, unless `changes` say otherwise."""
    return replace(ae, **{"unsolicited": "store", **changes})


def image(instance: str = "1.2.3", **changes: Any) -> Dataset:
    """A CT of 8 by 8 pixels, or as `changes` say by keyword; None removes an element."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = CT
    dataset.SOPInstanceUID = instance
    dataset.Modality = "CT"
    dataset.PatientName = "Müller^Käthe"
    dataset.PatientID = "4711"
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = SERIES
    dataset.InstanceNumber = 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = bytes(range(128))
    dataset["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def encapsulated(instance: str = "1.2.3", frames: int = 1) -> Dataset:
    """A CT whose pixels are fragments of what is said to be JPEG 2000."""
    dataset = image(instance, NumberOfFrames=str(frames))
    dataset.PixelData = encapsulate([bytes((number,)) * 31 for number in range(frames)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def encoded(dataset: Dataset, syntax: str = "1.2.840.10008.1.2") -> bytes:
    """The bytes of `dataset` in a transfer syntax."""
    uid = UID(syntax)
    data = encode(dataset, uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)
    assert data is not None
    return data
