"""De-identification of a file (PS3.10 Section 7), for the command line: the same engine.

Everything is read into memory: this is for one file at a time, by hand.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final

from appliance.images.deidentify.codestream import Codestream
from appliance.images.deidentify.deidentifier import Deidentifier, Header
from appliance.images.deidentify.elements import (
    CODECS,
    EXPLICIT_LITTLE,
    ITEM,
    UNDEFINED,
    VRS,
    Broken,
    Codec,
    Encoding,
    Incomplete,
    Malformed,
    skip,
)

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_MEDIA_STORAGE_SOP_CLASS: Final = 0x00020002
_MEDIA_STORAGE_SOP_INSTANCE: Final = 0x00020003
_TRANSFER_SYNTAX: Final = 0x00020010
_LATEST_FIRST_GROUP: Final = 0x0028


def encoding_of(transfer_syntax: str) -> Encoding:
    """The encoding of the elements in a transfer syntax (PS3.5 Section 10 and Annex A)."""
    return Encoding(
        implicit=transfer_syntax == IMPLICIT_LITTLE_ENDIAN,
        little_endian=transfer_syntax != EXPLICIT_BIG_ENDIAN,
    )


def deidentify_file(
    source: Path,
    *,
    deidentifier: Deidentifier,
    implementation_class_uid: str,
    implementation_version_name: str,
    character_set: str | None = None,
) -> bytes:
    """Read a DICOM file, or a bare dataset, and return it as a DICOM file without identity.

    The transfer syntax stays, the pixels stay as they are; what compressed ones
    say beside them becomes zeros, what follows them goes. The file meta
    information is new: the two given values name who wrote it, and no AE title is in it.

    Raises Malformed if the file is not DICOM, is cut short, or is a DICOMDIR; OSError if it cannot
    be read.
    """
    dataset, syntax = read_dataset_of(source.read_bytes())
    encoding = encoding_of(syntax)
    header = deidentifier.header(dataset, encoding, complete=True, character_set=character_set)
    if header is None:
        raise AssertionError("a complete dataset needs no more bytes")
    content = header.data + _pixels(
        dataset, header, CODECS[encoding], deidentifier.codestream(syntax)
    )
    if syntax == DEFLATED:
        content = _deflate(content)
    meta = _meta(header, syntax, implementation_class_uid, implementation_version_name)
    return meta + content


def read_dataset_of(data: bytes) -> tuple[bytes, str]:
    """The dataset of a file, inflated, and its transfer syntax. Raises Malformed."""
    if data[128:132] != b"DICM":
        return data, _guess(data)
    at, syntax = 132, ""
    try:
        while at < len(data) and data[at : at + 2] == b"\2\0":
            tag, _vr, start, length = EXPLICIT_LITTLE.measure(data, at, len(data))
            value = data[start : start + length].decode("latin-1").strip(" \0")
            if tag == _TRANSFER_SYNTAX:
                syntax = value
            elif tag == _MEDIA_STORAGE_SOP_CLASS and value == _DIRECTORY:
                raise Malformed("this is a DICOMDIR; give one of the files that it names")
            at = start + length
    except (Broken, Incomplete):
        raise Malformed(f"the file meta information breaks off at offset {at}") from None
    dataset = _inflate(data[at:]) if syntax == DEFLATED else data[at:]
    return dataset, syntax or _guess(dataset)


def _guess(data: bytes) -> str:
    """The transfer syntax of a dataset that nothing names it for, by its first element."""
    group = min(int.from_bytes(data[:2], order) for order in ("little", "big"))
    # Groups rise, and an instance without any of the first ones says nothing.
    if len(data) < 8 or data[:4] == bytes(4) or group > _LATEST_FIRST_GROUP:
        raise Malformed("this is not a DICOM file, nor a dataset")
    if data[4:6] not in VRS:
        return IMPLICIT_LITTLE_ENDIAN
    return EXPLICIT_BIG_ENDIAN if data[0] == 0 and data[1] else EXPLICIT_LITTLE_ENDIAN


def _inflate(data: bytes) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(data)
    except zlib.error as error:
        raise Malformed(f"the deflated dataset cannot be inflated: {error}") from None
    if not stream.eof:
        raise Malformed("the deflated dataset is cut short")
    return inflated


def _deflate(data: bytes) -> bytes:
    """A raw deflate stream of even length (PS3.5 Section A.5)."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = compressor.compress(data) + compressor.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def _pixels(dataset: bytes, header: Header, codec: Codec, codestream: Codestream | None) -> bytes:
    """The pixel data element without what follows it, and comments in its fragments."""
    at = header.pixels_at
    if at is None:
        return b""
    try:
        _tag, _vr, start, length = codec.measure(dataset, at, len(dataset))
        stop = start + length
        if length == UNDEFINED:
            stop = skip(dataset, start, len(dataset), codec)
    except (Broken, Incomplete):
        stop = len(dataset) + 1
    if stop > len(dataset):
        raise Malformed(f"the pixel data at offset {at} of the dataset are cut short")
    if length != UNDEFINED:
        return dataset[at:stop]
    return dataset[at:start] + _fragments(dataset[start:stop], codec, codestream)


def _fragments(encapsulated: bytes, codec: Codec, codestream: Codestream | None) -> bytes:
    """The items of encapsulated pixel data, without what codestreams say beside their pixels."""
    blanked = bytearray(encapsulated)
    view, at, is_table = memoryview(blanked), 0, True
    while codestream is not None:
        tag, _vr, start, length = codec.delimiter(encapsulated, at, len(encapsulated))
        if tag != ITEM:
            break
        at = start + length
        if not is_table:
            codestream.begin()
            codestream.blank(view[start:at])
        is_table = False
    return bytes(blanked)


def _meta(header: Header, syntax: str, class_uid: str, version_name: str) -> bytes:
    """Preamble, prefix and file meta information (PS3.10 Section 7.1)."""
    mapped = header.mapped
    element = EXPLICIT_LITTLE.element
    texts = (
        (_MEDIA_STORAGE_SOP_CLASS, b"UI", mapped.sop_class),
        (_MEDIA_STORAGE_SOP_INSTANCE, b"UI", mapped.sop_instance),
        (_TRANSFER_SYNTAX, b"UI", syntax),
        (0x00020012, b"UI", class_uid),
        (0x00020013, b"SH", version_name),
    )
    elements = element(0x00020001, b"OB", b"\0\1") + b"".join(
        element(tag, vr, text.encode("latin-1")) for tag, vr, text in texts if text
    )
    length = len(elements).to_bytes(4, "little")
    return bytes(128) + b"DICM" + element(0x00020000, b"UL", length) + elements
