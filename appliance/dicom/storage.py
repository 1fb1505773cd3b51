"""One C-STORE from its first byte to its status: admitted, de-identified, durable, registered.

The order is the promise of the box: the header of the dataset is de-identified in memory before a
byte is written; the file is durable and the catalogue row committed before success is
answered (design, sections 5 and 6).
"""

import logging
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.archive.catalogue import Catalogue, CatalogueFailed, StoredInstance
from appliance.archive.files import Buffer, Folders, PendingFile, UnusableUID
from appliance.archive.records import PixelForm
from appliance.archive.requests import RequestsFailed
from appliance.archive.space import OutOfSpace, Space
from appliance.dicom import statuses
from appliance.dicom.file_meta import file_meta
from appliance.dicom.inline import Reception, StoreRequest
from appliance.dicom.pixels import BrokenPixelData, PixelElement
from appliance.dicom.remotes import Caller
from appliance.dicom.solicitation import Outstanding, Solicitation
from appliance.dicom.sop_classes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED,
    storage_classes,
)
from appliance.dicom.statuses import StoreStatus
from appliance.images.deidentify import Deidentifier, Encoding, Header, Malformed
from appliance.images.deidentify.regions import may_cover
from appliance.settings.model import LocalAE, Mask

if TYPE_CHECKING:
    from appliance.images.passing import Passing

LOGGER = logging.getLogger(__name__)

_FIRST_ATTEMPT = 4 << 10
_INFLATE_STEP = 1 << 20


class Refused(Exception):
    """The instance is not stored; `status` says why."""

    def __init__(self, status: StoreStatus) -> None:
        super().__init__(status.comment)
        self.status = status


@dataclass(slots=True)
class Intake:
    """How many C-STOREs are running, and whether new ones are taken."""

    suspended: Callable[[], bool] = field(default=lambda: False)
    _running: int = 0
    _stopping: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def stopping(self) -> bool:
        """Whether the service is stopping: running stores end, new ones are refused."""
        return self._stopping

    @property
    def running(self) -> int:
        """How many stores are running."""
        return self._running

    def enter(self) -> None:
        """Count a store that begins."""
        with self._changed:
            self._running += 1

    def leave(self) -> None:
        """Count a store that ended."""
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def stop(self, grace: float) -> bool:
        """Refuse new stores, wait `grace` seconds for the running ones; True if all ended."""
        with self._changed:
            self._stopping = True
            return self._changed.wait_for(lambda: self._running == 0, grace)


@dataclass(frozen=True, slots=True)
class Storage:
    """What the storage SCP needs to keep an instance; one for all associations."""

    folders: Folders
    catalogue: Catalogue
    space: Space
    deidentifier: Deidentifier
    solicitation: Solicitation
    ae: LocalAE
    intake: Intake = field(default_factory=Intake)
    stored: Callable[[], None] = field(default=lambda: None)
    masks: tuple[Mask, ...] = ()
    """The rules of the settings for text that is burned into pixels."""

    def for_caller(self, caller: Caller) -> "AssociationStorage":
        """Return the service for one association with `caller`."""
        images = {row.uid: row.is_image for row in storage_classes(self.ae.profile)}
        return AssociationStorage(self, caller, images)


@dataclass(frozen=True, slots=True)
class AssociationStorage:
    """The storage service on one association."""

    storage: Storage
    caller: Caller
    images: dict[str, bool]

    def begin(self, request: StoreRequest) -> Reception:
        """Start receiving one instance; refusals are answered after its dataset has passed."""
        reception = InstanceReception(self, request)
        self.storage.intake.enter()
        try:
            self._admit(request)
        except (OSError, RequestsFailed) as error:
            reception.note_refusal(_out_of_resources(error).status)
        except Refused as refusal:
            reception.note_refusal(refusal.status)
        return reception

    def _admit(self, request: StoreRequest) -> None:
        storage = self.storage
        if storage.intake.stopping:
            raise Refused(_status(statuses.OUT_OF_RESOURCES, "the box is stopping; send again"))
        if storage.ae.profile == "strict" and storage.intake.suspended():
            raise Refused(_status(statuses.SUSPENDED_STRICT, "suspended; send again later"))
        if request.sop_class != request.abstract_syntax or request.sop_class not in self.images:
            code = statuses.class_not_supported(storage.ae.profile)
            raise Refused(_status(code, "SOP class is not that of the presentation context"))
        if storage.space.low:
            raise Refused(_status(statuses.OUT_OF_RESOURCES, "no space left above the reserve"))


class InstanceReception:
    """One instance while it arrives. Implements `Reception`."""

    def __init__(self, service: AssociationStorage, request: StoreRequest) -> None:
        self._service = service
        self._storage = service.storage
        self._request = request
        self._syntax = _stored_syntax(request.transfer_syntax)
        self._encoding = _encoding(self._syntax)
        self._inflater = (
            zlib.decompressobj(-zlib.MAX_WBITS)
            if request.transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            else None
        )
        self._head = bytearray()
        self._attempt_at = _FIRST_ATTEMPT
        self._header: Header | None = None
        self._outstanding: Outstanding | None = None
        self._pixels: PixelElement | None = None
        self._passing: Passing | None = None
        self._file: PendingFile | None = None
        self._outcome: StoreStatus | None = None

    def refuse(self, status: StoreStatus) -> None:
        """Answer `status` once the dataset has passed; nothing of it is kept."""
        self._outcome = status
        self._discard_file()
        self._head = bytearray()

    def feed(self, views: Sequence[memoryview]) -> None:
        """Take the next bytes of the dataset."""
        if self._outstanding is not None:
            self._outstanding.active()
        elif self._header is None:
            # A report is all header: where lines are slow, it may be known only after minutes.
            self._storage.solicitation.active(self._service.caller.name)
        if self._outcome is not None:
            return
        try:
            if self._inflater is None:
                self._take(views)
            else:
                self._inflate(views)
        except Refused as refusal:
            self.note_refusal(refusal.status)

    def finish(self) -> StoreStatus:
        """Return the outcome; success or a warning means durable and registered."""
        try:
            if self._outcome is None:
                self._outcome = self._complete()
        except Refused as refusal:
            self.note_refusal(refusal.status)
        assert self._outcome is not None
        self._storage.intake.leave()
        return self._outcome

    def abandon(self) -> None:
        """Forget the instance: its association ended first."""
        self._discard_file()
        self._storage.intake.leave()
        self._storage.catalogue.count("interrupted")

    def note_refusal(self, status: StoreStatus) -> None:
        """Refuse with `status`, and count it."""
        self.refuse(status)
        self._storage.catalogue.count("refused")
        if self._outstanding is not None:
            reason = f"0x{status.code:04X} {status.comment}"
            self._outstanding.instance_refused(reason, status.code == statuses.OUT_OF_RESOURCES)

    def _inflate(self, views: Sequence[memoryview]) -> None:
        assert self._inflater is not None
        for view in views:
            pending: bytes | memoryview = view
            # After the end, an inflater would hoard whatever else comes.
            while pending and self._outcome is None and not self._inflater.eof:
                try:
                    plain = self._inflater.decompress(pending, _INFLATE_STEP)
                except zlib.error:
                    raise _not_understood("the deflated dataset cannot be inflated") from None
                pending = self._inflater.unconsumed_tail
                if plain:
                    self._take([memoryview(plain)])

    def _take(self, views: Sequence[memoryview]) -> None:
        if self._header is not None:
            self._write_pixels(views)
            return
        for index, view in enumerate(views):
            self._head += view
            if len(self._head) >= self._attempt_at and self._read_header(complete=False):
                self._write_pixels([self._after_header(), *views[index + 1 :]])
                self._head = bytearray()
                return
            if len(self._head) > self._storage.ae.largest_header:
                raise _not_understood("the dataset before its pixels is larger than the limit")

    def _read_header(self, complete: bool) -> bool:
        """De-identify what came so far; True once the whole header is known."""
        remote = self._service.caller.remote
        try:
            header = self._storage.deidentifier.header(
                self._head,
                self._encoding,
                complete=complete,
                character_set=remote.character_set if remote else None,
            )
        except Malformed as error:
            raise _not_understood(str(error)) from None
        if header is None:
            self._attempt_at = 2 * len(self._head)
            return False
        self._header = header
        self._check_identity(header)
        self._solicited(header)
        if self._outcome is None:
            self._open_file(self._without_text(header))
        return True

    def _after_header(self) -> memoryview:
        assert self._header is not None
        at = self._header.pixels_at
        return memoryview(self._head[at:]) if at is not None else memoryview(b"")

    def _check_identity(self, header: Header) -> None:
        original = header.original
        if (original.sop_class, original.sop_instance) != (
            self._request.sop_class,
            self._request.sop_instance,
        ):
            raise Refused(
                _status(statuses.DOES_NOT_MATCH, "SOP class or instance UID differs from command")
            )
        if not original.study or not original.series:
            raise _not_understood("the dataset names no study or no series")

    def _solicited(self, header: Header) -> None:
        remote, policy = self._service.caller.name, self._storage.ae.unsolicited
        self._outstanding = self._storage.solicitation.find(remote, header.original.study)
        if self._outstanding is not None:
            self._outstanding.active()
        elif policy == "discard":
            self._storage.catalogue.count("discarded")
            self.refuse(StoreStatus(statuses.SUCCESS))
        elif policy == "refuse":
            code = statuses.unsolicited_refused(self._storage.ae.profile)
            raise Refused(_status(code, "the study was not asked for"))

    def _without_text(self, header: Header) -> Header:
        """The header that is written, if text in native pixels is blacked out before they are.

        Most images are of no rule: what finds it out of the others is loaded for them alone.
        """
        if header.pixels_at is None or self._syntax not in UNCOMPRESSED:
            return header
        masks = self._storage.masks
        if not may_cover(masks, header.modality, header.rows, header.columns):
            return header
        from appliance.images.passing import passing

        self._passing = passing(header, self._head, self._encoding, self._syntax, masks)
        return header if self._passing is None else self._passing.header

    def _open_file(self, header: Header) -> None:
        mapped = header.mapped
        meta = file_meta(mapped.sop_class, mapped.sop_instance, self._syntax)
        try:
            path = self._storage.folders.dicom_file(
                mapped.study, mapped.series, mapped.sop_instance
            )
            self._storage.space.take(len(meta) + len(header.data))
            self._file = PendingFile.create(path)
            self._file.write([meta, header.data])
        except UnusableUID:
            raise _not_understood("a UID of the dataset is malformed") from None
        except (OutOfSpace, OSError) as error:
            raise _out_of_resources(error) from None
        if header.pixels_at is not None:
            self._pixels = PixelElement(
                self._encoding, self._storage.deidentifier.codestream(self._syntax)
            )

    def _write_pixels(self, views: Sequence[memoryview]) -> None:
        if self._file is None or self._pixels is None:
            return
        try:
            kept = self._masked(self._pixels.feed_all(views))
            self._storage.space.take(sum(map(len, kept)))
            self._file.write(kept)
        except BrokenPixelData as error:
            raise _not_understood(str(error)) from None
        except (OutOfSpace, OSError) as error:
            raise _out_of_resources(error) from None

    def _masked(self, parts: Sequence[memoryview]) -> Sequence[Buffer]:
        """What is written of these parts of the pixel data, and of what waited for them."""
        if self._passing is None or self._pixels is None:
            return parts
        written = [piece for part in parts for piece in self._passing.feed(part)]
        if self._pixels.ended:
            written.append(self._passing.rest())
        return [piece for piece in written if piece]

    def _complete(self) -> StoreStatus:
        if self._inflater is not None and not self._inflater.eof:
            raise _not_understood("the deflated dataset is truncated")
        if self._header is None:
            self._read_header(complete=True)
            self._write_pixels([self._after_header()])
            if self._outcome is not None:
                return self._outcome
        if self._pixels is not None and not self._pixels.ended:
            raise _not_understood("the pixel data is truncated")
        assert self._header is not None
        status = self._verdict(self._header)
        self._register(self._header, status)
        return status

    def _register(self, header: Header, status: StoreStatus) -> None:
        assert self._file is not None
        pending = self._file
        try:
            directories = pending.settle()
            self._file = None
            self._storage.catalogue.store(self._row(header, pending.size, status), directories)
        except (OSError, CatalogueFailed) as error:
            raise _out_of_resources(error) from None
        if self._outstanding is not None:
            self._outstanding.instance_arrived(header.mapped.sop_instance)
        self._storage.stored()

    def _row(self, header: Header, size: int, status: StoreStatus) -> StoredInstance:
        mapped = header.mapped
        return StoredInstance(
            instance=mapped.sop_instance,
            series=mapped.series,
            study=mapped.study,
            sop_class=mapped.sop_class,
            transfer_syntax=self._syntax,
            modality=header.modality,
            instance_number=header.instance_number,
            frames=header.frames,
            has_pixels=header.pixels_at is not None,
            bytes=size,
            remote=self._service.caller.name,
            warning=status.comment or None,
            patient=mapped.patient_id or None,
            pixels=PixelForm(header.rows, header.columns, header.bits_allocated),
        )

    def _verdict(self, header: Header) -> StoreStatus:
        """Return success, or the warning for what the sender should mend."""
        if self._service.images[self._request.sop_class] and (
            header.pixels_at is None or not header.rows or not header.columns
        ):
            return _status(statuses.DOES_NOT_MATCH_STORED, "an image class without an image")
        if header.discarded or (self._pixels is not None and self._pixels.unexpected_trailer):
            named = ", ".join(header.discarded) or "after the pixel data"
            return _status(statuses.ELEMENTS_DISCARDED, f"discarded: {named}")
        if header.coerced:
            return _status(statuses.COERCION, f"repaired: {', '.join(header.coerced)}")
        return StoreStatus(statuses.SUCCESS)

    def _discard_file(self) -> None:
        if self._file is not None:
            self._file.discard()
            self._file = None


def _status(code: int, comment: str) -> StoreStatus:
    return StoreStatus(code, comment[:64])


def _out_of_resources(error: Exception) -> Refused:
    LOGGER.warning("an instance was refused with A700: %s", error)
    reason = "no space left above the reserve"
    if not isinstance(error, OutOfSpace):
        reason = "the box cannot write now; send again later"
    return Refused(_status(statuses.OUT_OF_RESOURCES, reason))


def _not_understood(reason: str) -> Refused:
    return Refused(_status(statuses.CANNOT_UNDERSTAND, reason))


def _stored_syntax(received: str) -> str:
    """A deflated dataset is kept inflated: its header is rewritten anyway."""
    if received == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        return EXPLICIT_VR_LITTLE_ENDIAN
    return received


def _encoding(transfer_syntax: str) -> Encoding:
    return Encoding(
        implicit=transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN,
        little_endian=transfer_syntax != EXPLICIT_VR_BIG_ENDIAN,
    )
