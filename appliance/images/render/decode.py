"""Pixel data becomes arrays of stored values, one frame at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from appliance.images.render import attributes as a
from appliance.images.render import codecs, codestream, fragments
from appliance.images.render.codestream import Codestream
from appliance.images.render.limits import Limits
from appliance.images.render.pixels import Layout, StoredFormat, real
from appliance.images.render.pixels import layout as layout_of
from appliance.images.render.refusal import Undecodable
from appliance.images.render.source import Source, of_file

Array = np.ndarray[Any, np.dtype[Any]]

RLE = "1.2.840.10008.1.2.5"


@dataclass(frozen=True, slots=True)
class Frame:
    """The stored values of one frame.

    `samples`: (rows, columns) or (rows, columns, 3), in cells of `format.allocated` bits, unsigned
    as encoded (native floating-point pixels as such). `photometric` is what the samples are, which
    for compressed colour need not be what the dataset says.
    """

    samples: Array
    format: StoredFormat
    photometric: str


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of an instance, each decoded when it is asked for; a single one is kept.

    `room`: bytes of decoded frames that are kept, from the first on, for another round.
    """

    source: Source
    layout: Layout
    progress: Callable[[], None] = lambda: None
    room: int = 0
    _kept: list[Frame] = field(default_factory=list, repr=False, compare=False)

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame; Undecodable if one of them, or their number, does not fit."""
        kept = tuple(self._kept)
        yield from kept
        if len(kept) < self.layout.frames:
            for index, frame in enumerate(self._decoded(len(kept)), len(kept)):
                self.progress()
                if index == len(self._kept) and self._has_room(frame):
                    self._kept.append(frame)
                yield frame

    def _has_room(self, frame: Frame) -> bool:
        """Whether one more frame like those that are kept may be."""
        needed = frame.samples.nbytes * (len(self._kept) + 1)
        return self.layout.frames == 1 or needed <= self.room

    def _decoded(self, first: int) -> Iterator[Frame]:
        """The frames from one on, counted from 0."""
        if self.source.encapsulated:
            return self._encapsulated(first)
        return islice(self._native(), first, None)

    def _native(self) -> Iterator[Frame]:
        layout, data = self.layout, self._pixels()
        if layout.format.allocated <= 8 and self.source.swapped:
            words = np.frombuffer(data[: len(data) // 2 * 2], np.uint16)
            data = memoryview(words.byteswap().tobytes())
        if layout.format.allocated == 1:
            yield from self._bits(data)
            return
        photometric = layout.photometric
        size = layout.frame_samples * layout.format.allocated // 8
        if photometric.endswith("_422") and len(data) < size * layout.frames:
            size = size * 2 // 3
            if layout.columns % 2:
                raise Undecodable("4:2:2 pixels need an even number of columns.")
        elif photometric.endswith("_422"):
            # Written at full resolution in spite of the name.
            photometric = photometric.removesuffix("_422")
        elif photometric == "YBR_PARTIAL_420":
            raise Undecodable("Native pixels cannot be YBR_PARTIAL_420.")
        self._fits(len(data), size * layout.frames)
        for index in range(layout.frames):
            yield self._native_frame(data[index * size : (index + 1) * size], photometric)

    def _native_frame(self, data: memoryview, photometric: str) -> Frame:
        layout = self.layout
        kind = "f" if layout.floating else "u"
        order = "<" if self.source.little_endian else ">"
        cells = np.frombuffer(data, f"{order}{kind}{layout.format.allocated // 8}")
        if photometric.endswith("_422"):
            return Frame(_full_chroma(cells, layout), layout.format, photometric[:-4])
        return Frame(_shaped(cells, layout, layout.planar), layout.format, photometric)

    def _bits(self, data: memoryview) -> Iterator[Frame]:
        """Frames of 1-bit pixels, which follow each other without filling up the last byte."""
        layout = self.layout
        size = layout.frame_samples
        self._fits(len(data), (size * layout.frames + 7) // 8)
        for index in range(layout.frames):
            first, last = index * size, (index + 1) * size
            packed = np.frombuffer(data[first // 8 : (last + 7) // 8], np.uint8)
            cells = np.unpackbits(packed, bitorder="little")[first % 8 : first % 8 + size]
            yield Frame(_shaped(cells, layout, layout.planar), layout.format, layout.photometric)

    def _fits(self, held: int, needed: int) -> None:
        if held < needed:
            layout = self.layout
            raise Undecodable(
                f"{layout.frames} frame(s) of {layout.columns} × {layout.rows} pixels need "
                f"{needed} bytes, but the pixel data holds {held}."
            )

    def _encapsulated(self, first: int) -> Iterator[Frame]:
        raw = self.source.attributes.encoded(a.EXTENDED_OFFSETS)
        offsets = [int.from_bytes(raw[i : i + 8], "little") for i in range(0, len(raw), 8)]
        streams = fragments.frames_of(self._pixels(), self.layout.frames, offsets)
        for index in range(first, self.layout.frames):
            stream = streams.frame(index)
            if self.source.transfer_syntax == RLE:
                cells = codecs.run_length(stream, self.layout)
                yield Frame(
                    _shaped(cells, self.layout, self.layout.samples > 1),
                    self.layout.format,
                    self.layout.photometric,
                )
            else:
                yield self._compressed(stream)

    def _compressed(self, stream: memoryview) -> Frame:
        header = codestream.read(stream)
        layout = self.layout
        if (header.rows, header.columns) != (layout.rows, layout.columns):
            raise Undecodable(
                f"A compressed frame has {header.columns} × {header.rows} pixels where the dataset "
                f"says {layout.columns} × {layout.rows}."
            )
        if header.components != layout.samples:
            raise Undecodable(
                f"A compressed frame has {header.components} component(s) where the dataset says "
                f"{layout.samples} sample(s) per pixel."
            )
        decoded = codecs.decode(stream, header, self.source.transfer_syntax, layout)
        allocated = decoded.cells.dtype.itemsize * 8
        bits = min(header.precision, allocated)
        form = StoredFormat(allocated, bits, bits - 1, layout.format.signed)
        return Frame(
            _shaped(decoded.cells, layout, False),
            form,
            decoded.photometric or _photometric(header, layout.photometric),
        )

    def _pixels(self) -> memoryview:
        if self.source.pixels is None:
            raise Undecodable("The dataset has no pixel data.")
        return self.source.pixels


def stored_values(file: bytes) -> list[Array]:
    """The stored values of each frame of a DICOM file in memory, as numbers."""
    source = of_file(memoryview(file), Limits())
    frames = Frames(source, layout_of(source, Limits()))
    return [real(frame.samples, frame.format) for frame in frames]


def _photometric(header: Codestream, named: str) -> str:
    """What decoded colour is: what the codestream says, else what the dataset says."""
    if header.components != 3:
        return named
    if header.colour:
        return "RGB" if header.colour == "RGB" else "YBR_FULL"
    if named in ("YBR_RCT", "YBR_ICT"):
        return "RGB"
    return "YBR_FULL" if named.startswith("YBR") else named


def _shaped(cells: Array, layout: Layout, planar: bool) -> Array:
    if layout.samples == 1:
        return cells.reshape(layout.rows, layout.columns)
    if planar:
        planes = cells.reshape(layout.samples, layout.rows, layout.columns)
        return planes.transpose(1, 2, 0)
    return cells.reshape(layout.rows, layout.columns, layout.samples)


def _full_chroma(cells: Array, layout: Layout) -> Array:
    """Two pixels share their chroma: Y1 Y2 Cb Cr (PS3.3 Section C.7.6.3.1.2)."""
    pairs = cells.reshape(layout.rows, layout.columns // 2, 4)
    full = np.empty((layout.rows, layout.columns // 2, 2, 3), cells.dtype)
    full[..., 0] = pairs[..., :2]
    full[..., 1] = pairs[..., 2:3]
    full[..., 2] = pairs[..., 3:4]
    return full.reshape(layout.rows, layout.columns, 3)
