"""Text that is burned into pixels is blacked out, in the DICOM file itself, before its pictures.

So are bits of pixel cells beside the stored ones: overlays were kept there (retired, PS3.5 Section
8.1.1), which the basic profile removes from where they are kept now. No picture shows them.

Native pixels come here without text in them (`passing`); compressed ones are decoded for it, and
the file is written anew, frame by frame, uncompressed in Explicit VR Little Endian: whatever else
then is made of it, pictures included, has no text in it. A frame at a time is in memory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import Dataset, FileDataset, dcmread, dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from appliance.archive.files import PendingFile, sync_directories
from appliance.images.blackout import beside, black, masked
from appliance.images.deidentify import regions
from appliance.images.deidentify.elements import EXPLICIT_LITTLE
from appliance.images.deidentify.regions import Blank
from appliance.images.render import attributes as a
from appliance.images.render.attributes import Attributes
from appliance.images.render.decode import RLE, Frame, Frames
from appliance.images.render.limits import Limits
from appliance.images.render.pipeline import frames_of
from appliance.images.render.refusal import NoPicture, Undecodable
from appliance.images.render.source import opened
from appliance.settings.model import Mask

Array = np.ndarray[Any, np.dtype[Any]]

HELD: Final = (
    "Held back: the image says that text is burned into its pixels, and no mask rule covers it."
)
_KEPT: Final = 64 << 20
"""Bytes of decoded frames that are kept for the pictures of what was looked at."""
_PIXELS: Final = 0x7FE00010
_LONGEST: Final = 0xFFFFFFFE
_UNREADABLE: Final = (
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    EOFError,
    RecursionError,
)
"""What pydicom raises over broken bytes; InvalidDicomError is not among it, as force is given."""
_BEHIND: Final = 0x7FE00000


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of a DICOM file.

    masked: transfer syntax and bytes of one that was masked, now or before; frames: those of the
    image in it, if it is as it was when they were looked at
    """

    masked: tuple[str, int] | None = None
    frames: Frames | None = None


@dataclass(frozen=True, slots=True)
class Masking:
    """What is done about text in pixels.

    rules: those of the settings; hold: whether an image that says it has text, and that no rule
    covers, is held back; bits: whether bits beside the stored ones are cleared
    """

    rules: tuple[Mask, ...] = ()
    hold: bool = True
    bits: bool = False
    leave: int = 0
    """Bytes of the disk that a masked copy leaves free."""

    def file(self, path: Path, limits: Limits) -> tuple[str, int] | None:
        """Mask the image in a DICOM file, if there is anything to mask that has not been yet.

        Returns transfer syntax and bytes of a file that was masked, now or before, and None for
        one that is as it was. Raises NoPicture for an image that is held back, Undecodable if its
        pixels cannot be decoded, OSError if the file cannot be read or written.
        """
        return self.looked(path, limits).masked

    def looked(
        self,
        path: Path,
        limits: Limits,
        progress: Callable[[], None] = lambda: None,
        *,
        folder: Path | None = None,
    ) -> Looked:
        """As `file`; what had to be opened and decoded for it need not be so again.

        Until the masked file is whole, it lies in `folder`, or beside the one it replaces.
        """
        before = _identity(path)
        source = opened(path, limits)
        if source.pixels is None or a.ROWS not in source.attributes:
            return Looked()
        if _cleaned(source.attributes):
            masked = source.transfer_syntax, path.stat().st_size
            return Looked(masked, frames_of(source, limits, progress))
        blank = self._blank(path) if self._concerns(source.attributes) else Blank()
        if not blank and not self.bits:
            return Looked()
        frames = frames_of(source, limits, progress)
        padding = source.attributes.integer(a.PADDING_VALUE)
        if not blank and _may_hide(frames):
            frames = replace(frames, room=_KEPT)
        if not blank and not _hides(frames, padding):
            return Looked(None, frames)
        with PendingFile.create(path, folder) as pending:
            _write(pending, _read(path), frames, blank, padding, partial(self._room, path.parent))
            if _identity(path) != before:
                # Its new content waits for its turn, and must not be written over by this one.
                raise Undecodable("The instance came again while it was being masked.")
            sync_directories(pending.settle())
            return Looked((str(ExplicitVRLittleEndian), pending.size))

    def _room(self, folder: Path, size: int) -> None:
        """Raises OSError where a file of `size` bytes would leave less than is to be left.

        A compressed image grows many times over: nobody else is to meet a full disk for it.
        """
        figures = os.statvfs(folder)
        if size + self.leave > figures.f_bavail * figures.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _concerns(self, attributes: Attributes) -> bool:
        """Whether a closer look is worth its time: most images are of no rule."""
        if attributes.text(a.BURNED_IN_ANNOTATION) not in ("", "NO"):
            return True
        rows, columns = attributes.integer(a.ROWS), attributes.integer(a.COLUMNS)
        return regions.may_cover(self.rules, attributes.text(a.MODALITY), rows, columns)

    def _blank(self, path: Path) -> Blank:
        """What is blacked out. Raises NoPicture for an image that is held back, or Undecodable."""
        dataset = _read(path)
        try:
            blank, declared = regions.blank(dataset, self.rules), regions.declared(dataset)
        except _UNREADABLE as error:
            raise _unknown(error) from None
        if blank is None and declared and self.hold:
            raise NoPicture(HELD)
        return blank or Blank()


def _identity(path: Path) -> tuple[int, int]:
    """What tells a file from the one that takes its name: a new one has another inode."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _read(path: Path) -> FileDataset:
    """The dataset before its pixels. Raises Undecodable."""
    try:
        return dcmread(path, stop_before_pixels=True, force=True)
    except _UNREADABLE as error:
        raise _unknown(error) from None


def _unknown(error: Exception) -> Undecodable:
    return Undecodable(
        f"It cannot be told whether there is text in the pixels ({type(error).__name__})."
    )


def _cleaned(attributes: Attributes) -> bool:
    """Whether the pixels were masked already."""
    codes = attributes.items(a.DEIDENTIFICATION_CODES)
    return any(item.text(a.CODE_VALUE) == regions.CLEAN_PIXELS[0] for item in codes)


def _may_hide(frames: Frames) -> bool:
    """Whether there are bits beside the stored ones; a decoder of other syntaxes leaves none."""
    form = frames.layout.format
    if form.stored == form.allocated or frames.layout.floating:
        return False
    return not frames.source.encapsulated or frames.source.transfer_syntax == RLE


def _hides(frames: Frames, padding: int | None) -> bool:
    """Whether bits are set beside the stored ones."""
    form = frames.layout.format
    return _may_hide(frames) and any(beside(frame.samples, form, padding).any() for frame in frames)


def _write(
    pending: PendingFile,
    dataset: FileDataset,
    frames: Frames,
    blank: Blank,
    padding: int | None,
    room: Callable[[int], None],
) -> None:
    """Write a dataset, its pixels masked, no bits set beside the stored ones.

    `room` is asked for its size before the first byte.
    """
    layout = frames.layout
    hidden = masked(blank, np.arange(layout.rows), layout.columns)
    shown = iter(frames)
    first = next(shown)
    bits = 1 if first.format.allocated == 1 else 8 * first.samples.itemsize
    size = (first.samples.size * layout.frames * bits + 7) // 8
    if size > _LONGEST:
        raise Undecodable("The image is too large to be masked: 4 GiB uncompressed.")
    room(size)
    _describe(dataset, first)
    if blank:
        _declare(dataset)
    vr = b"OF" if layout.floating else b"OW"
    tag = frames.source.pixel_tag or _PIXELS
    head = EXPLICIT_LITTLE.head(tag, vr, size + size % 2)
    pending.write([_encoded(dataset), head])
    for content in _content(chain((first,), shown), hidden, padding):
        pending.write([content])
    pending.write([bytes(size % 2)])


def _content(frames: Iterable[Frame], hidden: Array, padding: int | None) -> Iterator[bytes]:
    """The masked pixels in the form in which they are stored, frame by frame."""
    rest = np.empty(0, np.uint8)
    for frame in frames:
        samples = _blanked(frame, hidden, padding)
        if frame.format.allocated > 1:
            yield samples.tobytes()
            continue
        # Single bits of a frame follow those of the one before within a byte (PS3.5 8.1.1).
        bits = np.concatenate([rest, samples.reshape(-1)])
        whole = len(bits) // 8 * 8
        yield np.packbits(bits[:whole], bitorder="little").tobytes()
        rest = bits[whole:]
    yield np.packbits(rest, bitorder="little").tobytes()


def _blanked(frame: Frame, hidden: Array, padding: int | None) -> Array:
    """The samples of a frame, little endian and pixel by pixel, black where they are masked."""
    samples = np.array(frame.samples, dtype=frame.samples.dtype.newbyteorder("<"))
    floating = samples.dtype.kind == "f"
    if not floating and frame.format.allocated > 1:
        samples ^= beside(samples, frame.format, padding)
    samples[hidden] = black(frame.format, frame.photometric, floating)
    return samples


def _describe(dataset: Dataset, frame: Frame) -> None:
    """Say how the pixels are stored now."""
    stored = frame.format
    dataset.PhotometricInterpretation = frame.photometric
    if frame.samples.dtype.kind != "f":
        dataset.BitsAllocated, dataset.BitsStored = stored.allocated, stored.stored
        dataset.HighBit = stored.high
    if frame.samples.ndim > 2:
        dataset.PlanarConfiguration = 0
    for tag in [element.tag for element in dataset if element.tag >= _BEHIND]:
        del dataset[tag]


def _declare(dataset: Dataset) -> None:
    """Say that nothing is burned into the pixels any more."""
    dataset.BurnedInAnnotation = "NO"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = regions.CLEAN_PIXELS
    said = list(dataset.get("DeidentificationMethodCodeSequence") or ())
    dataset.DeidentificationMethodCodeSequence = [*said, code]


def _encoded(dataset: FileDataset) -> bytes:
    """The file up to its pixels, in Explicit VR Little Endian."""
    dataset.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    target = BytesIO()
    try:
        dcmwrite(target, dataset, enforce_file_format=True, little_endian=True, implicit_vr=False)
    except (*_UNREADABLE, NotImplementedError) as error:
        raise Undecodable(
            f"The header cannot be written for the masked image ({type(error).__name__})."
        ) from None
    return target.getvalue()
