"""What the header of a compressed frame says of itself.

Where it contradicts the dataset, the codestream is right: it is what the decoder decodes.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.images.render.refusal import Undecodable

_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
# PS3.5 Section 8.2.1 and ISO/IEC 10918-1 Table B.1: the frame headers, arithmetic coding included.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}
_SCAN, _END = 0xDA, 0xD9
_SOF3_LOSSLESS, _SOF55_JPEG_LS = 0xC3, 0xF7


@dataclass(frozen=True, slots=True)
class Codestream:
    """Size, precision in bits, and what is known about colour.

    `colour` is "RGB" or "YBR" where the codestream itself says so, else "". `subsampled`: chroma
    has fewer samples than luma. `process` is the JPEG frame header's number (0xC0 … 0xCF, 0xF7), 0
    for JPEG 2000. `signed` is that of JPEG 2000.
    """

    rows: int
    columns: int
    components: int
    precision: int
    process: int
    colour: str
    subsampled: bool
    signed: bool

    @property
    def lossless_jpeg(self) -> bool:
        """JPEG process 14."""
        return self.process == _SOF3_LOSSLESS

    @property
    def jpeg_ls(self) -> bool:
        """JPEG-LS, ISO/IEC 14495-1."""
        return self.process == _SOF55_JPEG_LS


def read(data: memoryview) -> Codestream:
    """The header of a JPEG, JPEG-LS, JPEG 2000 or HTJ2K frame; Undecodable if it is none."""
    head = bytes(data[:12])
    try:
        if head[:2] == b"\xff\xd8":
            return _jpeg(data)
        if head[:4] == b"\xff\x4f\xff\x51":
            return _jpeg2000(data, 0)
        if head[4:8] == b"jP  ":
            return _jpeg2000(data, _codestream_in_jp2(data))
    except IndexError:
        raise Undecodable("A compressed frame is cut off inside its header.") from None
    raise Undecodable("A compressed frame does not start as its transfer syntax requires.")


def _number(data: memoryview, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError(at)
    return int.from_bytes(data[at : at + size], "big")


def _jpeg(data: memoryview) -> Codestream:
    """Walk the marker segments up to the frame header (ISO/IEC 10918-1 Annex B)."""
    at, jfif, adobe = 2, False, -1
    while True:
        if data[at] != 0xFF:
            raise Undecodable("A JPEG frame has no marker where one must be.")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _STANDALONE:
            at += 2
            continue
        if marker in (_SCAN, _END):
            raise Undecodable("A JPEG frame has no frame header.")
        length = _number(data, at + 2, 2)
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE0 and bytes(body[:4]) == b"JFIF":
            jfif = True
        elif marker == 0xEE and bytes(body[:5]) == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker in _FRAMES:
            return _jpeg_frame(body, marker, jfif, adobe)
        at += 2 + max(length, 2)


def _jpeg_frame(body: memoryview, marker: int, jfif: bool, adobe: int) -> Codestream:
    components = body[5]
    identifiers = bytes(body[6 + 3 * i] for i in range(components))
    sampling = {body[7 + 3 * i] for i in range(components)}
    colour = ""
    if components == 3:
        if identifiers in (b"RGB", b"rgb"):
            colour = "RGB"
        elif marker in (_SOF3_LOSSLESS, _SOF55_JPEG_LS):
            # A colour transform would not be lossless; encoders add JFIF markers out of habit.
            colour = ""
        elif adobe >= 0:
            colour = "YBR" if adobe == 1 else "RGB"
        elif jfif or len(sampling) > 1:
            # RGB is never subsampled, whatever the dataset calls it.
            colour = "YBR"
    return Codestream(
        rows=_number(body, 1, 2),
        columns=_number(body, 3, 2),
        components=components,
        precision=body[0],
        process=marker,
        colour=colour,
        subsampled=len(sampling) > 1,
        signed=False,
    )


def _codestream_in_jp2(data: memoryview) -> int:
    """Where the codestream starts in a JP2 container, which DICOM forbids and some write."""
    at = 0
    while True:
        length, kind = _number(data, at, 4), bytes(data[at + 4 : at + 8])
        header = 8
        if length == 1:
            length, header = _number(data, at + 8, 8), 16
        if kind == b"jp2c":
            return at + header
        if length < header:
            raise Undecodable("A JP2 container holds no codestream.")
        at += length


def _jpeg2000(data: memoryview, at: int) -> Codestream:
    """The SIZ and COD segments (ISO/IEC 15444-1 Annex A)."""
    siz = at + 6
    right, bottom = _number(data, siz + 2, 4), _number(data, siz + 6, 4)
    left, top = _number(data, siz + 10, 4), _number(data, siz + 14, 4)
    components = _number(data, siz + 34, 2)
    depth = data[siz + 36]
    sampling = {bytes(data[siz + 37 + 3 * i : siz + 39 + 3 * i]) for i in range(components)}
    transformed = _component_transform(data, at + 4 + _number(data, at + 4, 2))
    return Codestream(
        rows=bottom - top,
        columns=right - left,
        components=components,
        precision=(depth & 0x7F) + 1,
        process=0,
        # The decoder has undone the transform, so what comes out is RGB, whatever the tag says.
        colour="RGB" if transformed and components == 3 else "",
        subsampled=len(sampling) > 1,
        signed=bool(depth & 0x80),
    )


def _component_transform(data: memoryview, at: int) -> bool:
    while data[at] == 0xFF and data[at + 1] != 0x90:
        if data[at + 1] == 0x52:
            return data[at + 8] == 1
        at += 2 + max(_number(data, at + 2, 2), 2)
    return False
