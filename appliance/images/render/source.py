"""What is rendered: the attributes of an instance and the bytes of its pixel data.

A durable file is mapped, not read: a frame is touched when its turn comes, so a cine of 500 MB
needs no more memory than one of its frames.
"""

from __future__ import annotations

import mmap
import os
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from appliance.images.render.attributes import (
    DOUBLE_PIXELS,
    FLOAT_PIXELS,
    PIXELS,
    Attribute,
    Attributes,
    DatasetAttributes,
    Encoding,
    NotPlain,
    scan,
)
from appliance.images.render.limits import Limits
from appliance.images.render.refusal import Undecodable

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = {IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED}

_GROUP_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
_TRANSFER_SYNTAX = b"\x02\x00\x10\x00UI"
_META_AT = 132


@dataclass(frozen=True, slots=True)
class Source:
    """An instance ready to be rendered.

    `pixels` is the value of the element `pixel_tag`: the whole encapsulation where the transfer
    syntax is an encapsulated one, without the element's own header; None if there is no such
    element. `little_endian` is the byte order of native pixels.
    """

    attributes: Attributes
    transfer_syntax: str
    pixel_tag: int
    pixels: memoryview | None
    little_endian: bool
    words: bool = True
    """Whether native pixels are encoded as words (VR OW)."""

    @property
    def swapped(self) -> bool:
        """Whether the bytes of each pair change places (PS3.5 Section A.3 on OW)."""
        return self.words and not self.little_endian

    @property
    def encapsulated(self) -> bool:
        """Whether the pixels are a sequence of fragments (PS3.5 Section A.4)."""
        return self.transfer_syntax not in NATIVE


def opened(path: Path, limits: Limits) -> Source:
    """The instance in a DICOM file (PS3.10), of the plain form that the archive writes or not.

    Raises Undecodable if the file cannot be read as DICOM, and OSError if it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_size == 0:
            raise Undecodable("The file is empty.")
        mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
    # The map is not closed by hand: arrays may still look into it; it goes with the last of them.
    return of_file(memoryview(mapped), limits)


def of_file(data: memoryview, limits: Limits) -> Source:
    """The instance in the bytes of a DICOM file; Undecodable if they cannot be read as DICOM."""
    try:
        return _plain(data, limits)
    except NotPlain:
        return _lenient(data, limits)


def of_dataset(dataset: Dataset) -> Source:
    """The instance in a dataset in memory, with or without file meta information."""
    meta = getattr(dataset, "file_meta", None)
    syntax = str(meta.get("TransferSyntaxUID", "")) if meta is not None else ""
    if not syntax:
        implicit, little = dataset.original_encoding
        native = EXPLICIT if implicit is False else IMPLICIT
        syntax = BIG_ENDIAN if little is False else native
    for tag in (PIXELS, FLOAT_PIXELS, DOUBLE_PIXELS):
        vr, value = DatasetAttributes(dataset).element(Attribute(tag, "OW"))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Source(
                DatasetAttributes(dataset),
                syntax,
                tag,
                memoryview(value),
                little_endian=syntax != BIG_ENDIAN,
                words=vr != "OB",
            )
    return Source(DatasetAttributes(dataset), syntax, 0, None, True)


def _plain(data: memoryview, limits: Limits) -> Source:
    """The source in a file of exactly the form PS3.10 Section 7.1 gives."""
    syntax, at = _meta(data)
    if syntax == DEFLATED:
        data, at = _inflated(data[at:], limits), 0
    encoding = Encoding(implicit=syntax == IMPLICIT, little_endian=syntax != BIG_ENDIAN)
    body = data[at:]
    attributes, found = scan(body, encoding)
    if found is None:
        return Source(attributes, syntax, 0, None, encoding.little_endian)
    if (found.length is None) == (syntax in NATIVE):
        raise NotPlain("pixel data of the other kind than the transfer syntax says")
    end = len(body) if found.length is None else min(found.offset + found.length, len(body))
    return Source(
        attributes,
        syntax,
        found.tag,
        body[found.offset : end],
        little_endian=encoding.little_endian,
        words=found.vr != "OB",
    )


def _meta(data: memoryview) -> tuple[str, int]:
    """Transfer syntax and where the dataset starts, from file meta information as written."""
    if bytes(data[128:132]) != b"DICM" or bytes(data[132:140]) != _GROUP_LENGTH:
        raise NotPlain("no preamble or no group length")
    end = _META_AT + 12 + int.from_bytes(data[140:144], "little")
    meta = bytes(data[_META_AT + 12 : end])
    at = meta.find(_TRANSFER_SYNTAX)
    if at < 0 or end > len(data):
        raise NotPlain("no transfer syntax in the file meta information")
    length = int.from_bytes(meta[at + 6 : at + 8], "little")
    return meta[at + 8 : at + 8 + length].decode("ascii", "replace").strip(" \0"), end


def _inflated(data: memoryview, limits: Limits) -> memoryview:
    """The dataset inside a deflated one (PS3.5 Section A.5)."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflate.decompress(data, limits.inflated_bytes)
    except zlib.error:
        raise Undecodable("The deflated dataset is damaged.") from None
    if inflate.unconsumed_tail:
        raise Undecodable(
            f"The deflated dataset inflates to more than {limits.inflated_bytes} bytes."
        )
    return memoryview(plain)


def _lenient(data: memoryview, limits: Limits) -> Source:
    """The source in a file that departs from the standard in ways pydicom forgives."""
    try:
        if _meta(data)[0] == DEFLATED:
            _inflated(data[_meta(data)[1] :], limits)
    except NotPlain:
        pass
    try:
        dataset = dcmread(BytesIO(data), force=True)
        source = of_dataset(dataset)
    except Undecodable:
        raise
    except (InvalidDicomError, Exception) as error:  # pydicom raises what broken bytes cause
        raise Undecodable(f"The file cannot be read as DICOM ({type(error).__name__}).") from None
    if source.pixels is None and "SOPClassUID" not in dataset and bytes(data[128:132]) != b"DICM":
        raise Undecodable("The file is not a DICOM file.")
    return source
