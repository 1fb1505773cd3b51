"""The decoders: Pillow (libjpeg-turbo, OpenJPEG) and GDCM (12-bit and lossless JPEG, JPEG-LS, RLE).

They are called directly. pydicom's own plugins refuse JPEG with 12 bits, which GDCM decodes, and do
not recognise Pillow-SIMD's version as Pillow's.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import gdcm
import numpy as np
from PIL import Image, features

from appliance.images.render.codestream import Codestream
from appliance.images.render.pixels import Layout
from appliance.images.render.refusal import Undecodable
from appliance.images.render.source import NATIVE

Array = np.ndarray[Any, np.dtype[Any]]

_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))
_JPEG = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
_JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (80, 81))
_BASELINE = "1.2.840.10008.1.2.4.50"
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
    return transfer_syntax in _JPEG | _JPEG_2000 | _JPEG_LS | {_RLE}


def decoder_of(transfer_syntax: str) -> str:
    """The name and version of the decoder of a transfer syntax; "" if there is none."""
    if transfer_syntax in _JPEG_2000:
        return f"OpenJPEG {features.version('jpg_2000')} (Pillow)"
    if transfer_syntax in {_BASELINE}:
        return f"libjpeg-turbo {features.version('libjpeg_turbo')} (Pillow)"
    if decodable(transfer_syntax):
        return f"GDCM {gdcm.Version.GetVersion()}"
    return "" if transfer_syntax not in NATIVE else "numpy"


def decode(stream: memoryview, header: Codestream, transfer_syntax: str, layout: Layout) -> Decoded:
    """Decode one frame of a transfer syntax other than RLE; Undecodable if it is damaged."""
    if not decodable(transfer_syntax):
        raise Undecodable(f"No decoder for the transfer syntax {transfer_syntax} is built in.")
    if not header.process:
        return Decoded(_jpeg2000(stream, header, layout))
    if header.precision == 8 and not (header.lossless_jpeg or header.jpeg_ls):
        return _libjpeg(stream, header, layout)
    return Decoded(_gdcm(stream, header.precision, _syntax(header), layout.samples, layout))


def run_length(stream: memoryview, layout: Layout) -> Array:
    """Decode one frame of RLE Lossless (PS3.5 Annex G) into the planes of its samples.

    Each segment, one byte of one sample of all pixels, is given to GDCM as a frame of its own: of
    samples of several bytes in colour GDCM makes the wrong order.
    """
    width = layout.format.allocated // 8
    count = layout.samples * width
    header = np.frombuffer(bytes(stream[:64]).ljust(64, b"\0"), "<u4")
    if width == 0 or header[0] != count:
        raise Undecodable(f"An RLE frame has {header[0]} segments where {count} are expected.")
    ends = [*(int(at) for at in header[2 : 1 + count]), len(stream)]
    planes = np.empty((layout.samples, width, layout.rows * layout.columns), np.uint8)
    for index in range(count):
        segment = stream[int(header[1 + index]) : ends[index]]
        sample, byte = divmod(index, width)
        # The most significant byte comes first.
        planes[sample, width - 1 - byte] = _segment(segment, layout)
    return np.ascontiguousarray(planes.transpose(0, 2, 1)).reshape(-1).view(f"<u{width}")


def _segment(segment: memoryview, layout: Layout) -> Array:
    alone = np.array([1, 64, *[0] * 14], "<u4").tobytes() + segment
    if len(alone) % 2:
        alone += b"\0"
    return _gdcm(memoryview(alone), 8, _RLE, 1, layout)


def _syntax(header: Codestream) -> str:
    """The syntax whose decoder the codestream needs, which is not always the one it is sent as."""
    if header.jpeg_ls:
        return "1.2.840.10008.1.2.4.80"
    if header.lossless_jpeg:
        return "1.2.840.10008.1.2.4.57"
    return "1.2.840.10008.1.2.4.51" if header.process else "1.2.840.10008.1.2.4.90"


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
    except Image.DecompressionBombError:
        raise Undecodable("A JPEG frame has more pixels than its decoder takes.") from None
    except (OSError, ValueError, SyntaxError):
        raise Undecodable("A JPEG frame is damaged or cut off.") from None


def _jpeg2000(stream: memoryview, header: Codestream, layout: Layout) -> Array:
    """JPEG 2000 and HTJ2K, which OpenJPEG decodes since 2.5.

    Both have OpenJPEG; Pillow's is half as fast again for grey, GDCM's knows colour above 8 bits
    and is asked too where Pillow's gives up.
    """
    if header.components == 1 and header.precision <= 16:
        try:
            return _openjpeg(stream, header)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            pass
    return _gdcm(stream, header.precision, _syntax(header), layout.samples, layout)


def _openjpeg(stream: memoryview, header: Codestream) -> Array:
    with Image.open(BytesIO(stream), formats=("JPEG2000",)) as image:
        cells: Array = np.frombuffer(image.tobytes(), "u1" if header.precision <= 8 else "<u2")
    allocated = cells.dtype.itemsize * 8
    # Pillow moves samples to the top of their cells, and signed ones above zero.
    if header.signed:
        cells = np.bitwise_xor(cells, 1 << (allocated - 1))
    return np.right_shift(cells, allocated - header.precision)


def _gdcm(stream: memoryview, precision: int, syntax: str, samples: int, layout: Layout) -> Array:
    """Decode a frame by GDCM, into cells as wide as the precision needs."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(bytes(stream))
    sequence = gdcm.SequenceOfFragments.New()
    sequence.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(sequence.__ref__())
    allocated = 8 if precision <= 8 else 16 if precision <= 16 else 32
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.columns, layout.rows, 1))
    image.SetDataElement(element)
    # Called RGB, colour is left as it is.
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2" if samples == 1 else "RGB")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if samples > 1:
        image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(samples, allocated, precision, precision - 1, 0))
    decoded = image.GetBuffer()
    if decoded is None:
        raise Undecodable("A compressed frame is damaged, or of a kind that is not decoded.")
    # GDCM hands bytes out as text.
    raw = decoded.encode("utf-8", "surrogateescape")
    needed = layout.rows * layout.columns * samples * allocated // 8
    if len(raw) != needed:
        raise Undecodable(
            f"A compressed frame decodes to {len(raw)} bytes where {needed} are expected."
        )
    return np.frombuffer(raw, f"<u{allocated // 8}")
