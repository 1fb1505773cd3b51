"""The decoders: Pillow for JPEG with 8 bits, OpenJPEG in Pillow for HTJ2K, GDCM for the rest.

They are called directly. pydicom's own plugins refuse JPEG with 12 bits, which GDCM decodes, and do
not recognise Pillow-SIMD's version as Pillow's.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import gdcm
import numpy as np
from PIL import Image

from appliance.images.render.codestream import Codestream
from appliance.images.render.pixels import Layout
from appliance.images.render.refusal import Undecodable

Array = np.ndarray[Any, np.dtype[Any]]

HTJ2K = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91))
_JPEG = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
_JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (80, 81))
_RLE = "1.2.840.10008.1.2.5"


@dataclass(frozen=True, slots=True)
class Decoded:
    """Samples as the decoder returns them, flat, interleaved by pixel, in unsigned cells.

    `photometric` is given where the decoder has changed it.
    """

    cells: Array
    photometric: str = ""


def decodable(transfer_syntax: str) -> bool:
    """Whether there is a decoder for an encapsulated transfer syntax."""
    return transfer_syntax in HTJ2K | JPEG_2000 | _JPEG | _JPEG_LS | {_RLE}


def decode(stream: memoryview, header: Codestream, transfer_syntax: str, layout: Layout) -> Decoded:
    """Decode one frame of a transfer syntax other than RLE; Undecodable if it is damaged."""
    if not decodable(transfer_syntax):
        raise Undecodable(f"No decoder for the transfer syntax {transfer_syntax} is built in.")
    if transfer_syntax in HTJ2K:
        return _openjpeg(stream, header)
    if header.process and not header.lossless_jpeg and not header.jpeg_ls and header.precision == 8:
        return _libjpeg(stream, header, layout)
    return Decoded(_gdcm(stream, header.precision, _syntax(header, transfer_syntax), layout))


def run_length(stream: memoryview, layout: Layout) -> Array:
    """Decode one frame of RLE Lossless (PS3.5 Annex G)."""
    return _gdcm(stream, layout.format.stored, _RLE, layout, layout.format.allocated)


def _syntax(header: Codestream, named: str) -> str:
    """The syntax whose decoder the codestream needs, which is not always the one it is sent as."""
    if header.jpeg_ls:
        return named if named in _JPEG_LS else "1.2.840.10008.1.2.4.80"
    if header.lossless_jpeg:
        return "1.2.840.10008.1.2.4.57"
    if header.process:
        return "1.2.840.10008.1.2.4.51"
    return named if named in JPEG_2000 else "1.2.840.10008.1.2.4.90"


def _libjpeg(stream: memoryview, header: Codestream, layout: Layout) -> Decoded:
    """JPEG with 8 bits, any DCT process; libjpeg does the colour transform where one is due."""
    try:
        with Image.open(BytesIO(stream), formats=("JPEG",)) as image:
            photometric = ""
            if header.components == 3:
                ybr = header.colour == "YBR" or (
                    not header.colour and layout.photometric.startswith("YBR")
                )
                if not ybr and header.colour != "RGB":
                    # libjpeg takes unmarked components for YCbCr; asked for YCbCr, it leaves them.
                    image.draft("YCbCr", image.size)
                photometric = "RGB"
            return Decoded(np.frombuffer(image.tobytes(), np.uint8), photometric)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise Undecodable("A JPEG frame is damaged or cut off.") from None


def _openjpeg(stream: memoryview, header: Codestream) -> Decoded:
    """HTJ2K, which the OpenJPEG in Pillow decodes since 2.5 and that in GDCM does not."""
    if header.precision > 16 or (header.precision > 8 and header.components > 1):
        raise Undecodable(
            f"HTJ2K with {header.components} component(s) of {header.precision} bits is not "
            "decoded."
        )
    try:
        with Image.open(BytesIO(stream), formats=("JPEG2000",)) as image:
            raw = image.tobytes()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise Undecodable("An HTJ2K frame is damaged or cut off.") from None
    cells: Array = np.frombuffer(raw, "u1" if header.precision <= 8 else "<u2")
    allocated = cells.dtype.itemsize * 8
    # Pillow moves samples to the top of their cells, and signed ones above zero.
    if header.signed:
        cells = np.bitwise_xor(cells, 1 << (allocated - 1))
    return Decoded(np.right_shift(cells, allocated - header.precision))


def _gdcm(
    stream: memoryview, precision: int, syntax: str, layout: Layout, allocated: int = 0
) -> Array:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(bytes(stream))
    sequence = gdcm.SequenceOfFragments.New()
    sequence.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(sequence.__ref__())
    allocated = allocated or (8 if precision <= 8 else 16 if precision <= 16 else 32)
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.columns, layout.rows, 1))
    image.SetDataElement(element)
    # RGB keeps GDCM from transforms of its own.
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2" if layout.samples == 1 else "RGB")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if layout.samples > 1:
        image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(layout.samples, allocated, precision, precision - 1, 0))
    decoded = image.GetBuffer()
    if decoded is None:
        raise Undecodable("A compressed frame is damaged, or of a kind that is not decoded.")
    # GDCM hands bytes out as text.
    raw = decoded.encode("utf-8", "surrogateescape")
    needed = layout.frame_samples * allocated // 8
    if len(raw) != needed:
        raise Undecodable(
            f"A compressed frame decodes to {len(raw)} bytes where {needed} are expected."
        )
    return np.frombuffer(raw, f"<u{allocated // 8}")
