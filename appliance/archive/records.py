"""Values that the catalogue takes and gives. Every UID in them is a mapped one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from appliance.settings.problems import Obstacle

FileState = Literal["held", "dropped", "expired", "missing"]
"""`held`: the DICOM file is here. `dropped`: it went after its pictures were durable, as set.
`expired`: retention removed file and pictures. `missing`: it was lost, and is to be fetched again.
"""
PictureState = Literal["queued", "rendered", "none", "failed"]
"""`none`: there is nothing to show. `failed`: the pixels could not be decoded."""
RenderState = Literal["rendered", "none", "failed"]
Severity = Literal["info", "warning", "error"]


GREY_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
COLOUR_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.2"
PRESENTATION_STATES: Final = (GREY_STATE, COLOUR_STATE)
"""The SOP classes of presentation states that are rendered: Grayscale and Color Softcopy."""


_LARGEST_WHOLE: Final = 2**31 - 1


def whole_number(value: object) -> int | None:
    """The value of an integer string (VR IS), as bytes, text or a number; None if it is none.

    What goes beyond 32 bits is none (PS3.5 Table 6.2-1): the database could not hold any number.
    """
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= _LARGEST_WHOLE else None


class CatalogueFailed(Obstacle):
    """A write that is not durable and never will be, or a read that the catalogue cannot answer."""


class CatalogueCorrupt(CatalogueFailed):
    """The file is not a sound SQLite database: set it aside and rebuild it from the files."""


class CatalogueTooNew(CatalogueFailed):
    """The catalogue was written by a later version, and says that this one cannot work on it."""


class CatalogueInUse(CatalogueFailed):
    """Another process is the writer of this catalogue."""


@dataclass(frozen=True, slots=True)
class PixelForm:
    """Of what form the pixels of an instance are; None where its header does not say."""

    rows: int | None = None
    columns: int | None = None
    bits_allocated: int | None = None


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """A SOP instance whose file is durable under its final name."""

    instance: str
    """SOP Instance UID."""
    series: str
    study: str
    sop_class: str
    transfer_syntax: str
    """Of the file."""
    modality: str
    instance_number: int | None
    frames: int
    has_pixels: bool
    bytes: int
    """Size of the DICOM file."""
    remote: str | None
    """Name of the remote AE it came from, as in the settings; None if not known."""
    warning: str | None
    """What the sender should mend, if anything."""
    patient: str | None = None
    """The pseudonym that de-identification wrote; never a patient's real number."""
    pixels: PixelForm = PixelForm()


@dataclass(frozen=True, slots=True)
class RenderJob:
    """An instance whose pictures are to be made. `key` and `generation` name one content of it."""

    key: int
    generation: int
    instance: str
    series: str
    study: str
    sop_class: str
    transfer_syntax: str
    frames: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PictureRow:
    """A picture that is durable under its final name, but for its directory's fsync."""

    frame: int | None
    """From 1; None if it is of the whole instance: its only frame, or the animation of several."""
    width: int
    height: int
    bytes: int
    suffix: str = ".jpg"


@dataclass(frozen=True, slots=True)
class Presented:
    """A frame of an image to which a presentation state refers, and the state's picture of it."""

    image: str
    """SOP Instance UID; the image is in the study of the state."""
    frame: int
    """Of the image, from 1; 0: the whole, where it has one frame only or is not here."""
    picture: int | None
    """The frame number of the state's picture; None if there is none, or not yet."""


@dataclass(frozen=True, slots=True)
class RenderOutcome:
    """What became of a render job."""

    job: RenderJob
    state: RenderState
    reason: str = ""
    """Why there is no picture, in a sentence; for `rendered`, a remark or nothing."""
    pictures: tuple[PictureRow, ...] = ()
    rewritten: tuple[str, int] | None = None
    """Transfer syntax and bytes of the DICOM file, if it was written anew."""
    drop_dicom: bool = False
    """Remove the DICOM file once the pictures are registered.

    Only ever done if `rendered`, and no presentation state that may want the image waits. The file
    of a presentation state stays: it is small, and images may still come to which it refers.
    """
    presented: tuple[Presented, ...] = ()
    """Of a presentation state: all that it refers to, also where there is no picture of it."""


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """How far one study is. Counts are of instances."""

    listed: int
    """Distinct instances that the remotes listed last."""
    held: int
    """Durable, whether still on disk or not (expired)."""
    rendered: int
    failed: int
    outstanding: int
    """Listed and not held."""
    queued: int
    without_picture: int

    @property
    def complete(self) -> bool:
        """Whether all that was listed is held, and something was listed."""
        return self.listed > 0 and self.outstanding == 0


@dataclass(frozen=True, slots=True)
class ExpirableStudy:
    """A study that retention may take: complete, and nothing of it waits to be rendered."""

    study: str
    last_stored: float
    """When its last instance arrived, in seconds since 1970."""
    bytes: int
    """On disk, DICOM files and pictures together."""


@dataclass(frozen=True, slots=True)
class RemoteState:
    """How a remote AE answered lately. Times are seconds since 1970."""

    name: str
    last_reached: float | None = None
    last_failed: float | None = None
    failure: str = ""
    """A sentence; empty if it was reached since."""
    failures: int = 0
    """In a row."""
    next_attempt: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a person may want to know."""

    at: float
    severity: Severity
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """The whole catalogue in figures, all of one moment."""

    studies: int
    """Studies of which at least one instance is held."""
    series: int
    instances: int
    """Held: durable, whether still on disk or expired."""
    bytes: int
    """DICOM files on disk."""
    pictures: int
    picture_bytes: int
    outstanding: int
    """Instances that a remote lists and that are not held."""
    incomplete: int
    """Studies of which something is outstanding."""
    missing: int
    """Instances whose file was lost."""
    expired: int
    rendered: int
    queued: int
    without_picture: int
    failed: int
    counters: Mapping[str, int]
    remotes: tuple[RemoteState, ...]
    events: tuple[Event, ...]
    """The latest first."""


@dataclass(frozen=True, slots=True)
class HeldInstance:
    """A row as recovery compares it with the files."""

    key: int
    instance: str
    series: str
    file: FileState
    picture: PictureState
    bytes: int
    pictures: tuple[PictureRow, ...]


@dataclass(frozen=True, slots=True)
class Adoption:
    """An instance that recovery found on disk and that had no row."""

    instance: StoredInstance
    stored_at: float
    file: Literal["held", "dropped"]
    pictures: tuple[PictureRow, ...]
    """Empty: to be rendered."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One attempt to fetch a study. Times are seconds since 1970."""

    number: int
    study: str
    remote: str
    method: str
    begun_at: float
    ended_at: float | None
    """None while it runs."""
    missing: int
    """Instances that were to come."""
    arrived: int | None
    outcome: str | None
    sentence: str | None
    next_attempt: float | None
