"""Native pixels pass from the wire to their file, and text in them is blacked out on the way.

So that nobody's name touches the disk. Compressed pixels must be decoded for that, which is for
`masking` and a process apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, Final

import numpy as np
from pydicom.filereader import read_dataset

from appliance.images.blackout import beside, black, masked
from appliance.images.deidentify import Header, Malformed, regions
from appliance.images.deidentify import actions as act
from appliance.images.deidentify.dummies import coded
from appliance.images.deidentify.elements import CODECS, UNDEFINED, Codec, Encoding
from appliance.images.deidentify.regions import Blank
from appliance.images.render import attributes as a
from appliance.images.render.attributes import NotPlain, scan
from appliance.images.render.limits import Limits
from appliance.images.render.pixels import Layout, layout
from appliance.images.render.refusal import Undecodable
from appliance.images.render.source import Source
from appliance.settings.model import Mask

Array = np.ndarray[Any, np.dtype[Any]]
Buffer = bytes | bytearray | memoryview

_ROWS_AT_ONCE: Final = 16
"""So many rows are whole words, whatever the bits of a pixel."""
_MOST_RECTANGLES: Final = 1000
_UNREADABLE: Final = (ValueError, KeyError, AttributeError, TypeError, EOFError, RecursionError)
"""What pydicom raises over broken bytes."""


@dataclass(slots=True)
class Passing:
    """The pixel data element of one image, in its own encoding, without the text in its pixels.

    header: the header of the image, which says that nothing is burned into it
    blank: what is blacked out; order: "<" or ">"; swapped: whether the bytes of each pair change
    places (8 bits in big endian words); head: bytes of the element before its value
    """

    header: Header
    blank: Blank
    layout: Layout
    padding: int | None
    order: str
    swapped: bool
    head: int
    _row: int = 0
    _waiting: bytearray = field(default_factory=bytearray)

    def feed(self, part: Buffer) -> list[Buffer]:
        """Take the next bytes of the element; return what can be written of it by now."""
        head, rest = part[: self.head], part[self.head :]
        self.head -= len(head)
        self._waiting += rest
        whole = len(self._waiting) // self._block * self._block
        ready = bytes(memoryview(self._waiting)[:whole])
        self._waiting = self._waiting[whole:]
        return [head, self._blanked(ready)] if ready else [head]

    def rest(self) -> bytes:
        """The last bytes of the element, once all of it was taken."""
        size = len(self._waiting)
        filled = bytes(self._waiting.ljust(self._block, b"\0"))
        self._waiting = bytearray()
        return self._blanked(filled)[:size] if size else b""

    @property
    def _shared(self) -> bool:
        """Whether two pixels share their chroma: Y1 Y2 Cb Cr (PS3.3 Section C.7.6.3.1.2)."""
        return self.layout.photometric.endswith("_422")

    @property
    def _cells(self) -> int:
        """Cells of a row; where colours are apart, of that of one of them."""
        layout = self.layout
        if self._shared:
            return 2 * layout.columns
        return layout.columns * (1 if layout.planar else layout.samples)

    @property
    def _block(self) -> int:
        """Bytes that are blacked out at a time."""
        return _ROWS_AT_ONCE * self._cells * self.layout.format.allocated // 8

    def _blanked(self, data: bytes) -> bytes:
        form, layout = self.layout.format, self.layout
        if self.swapped:
            data = _swapped(data)
        if form.allocated == 1:
            cells = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        else:
            kind = "f" if layout.floating else "u"
            cells = np.frombuffer(data, f"{self.order}{kind}{form.allocated // 8}").copy()
            if not layout.floating:
                cells ^= beside(cells, form, self.padding)
        self._black_out(cells.reshape(-1, self._cells))
        if form.allocated == 1:
            cells = np.packbits(cells, bitorder="little")
        return _swapped(cells.tobytes()) if self.swapped else cells.tobytes()

    def _black_out(self, rows: Array) -> None:
        """Black out the next rows (rows, cells), in place."""
        layout = self.layout
        numbers = np.arange(self._row, self._row + len(rows))
        self._row += len(rows)
        hidden = masked(self.blank, numbers % layout.rows, layout.columns)
        dark = np.array(black(layout.format, layout.photometric, layout.floating))
        if self._shared:
            hidden, dark = hidden[:, ::2] | hidden[:, 1::2], dark[[0, 0, 1, 2]]
        elif layout.planar:
            plane = numbers // layout.rows % layout.samples
            dark = dark[plane % len(dark)].reshape(-1, 1, 1)
        pixels = rows.reshape(*hidden.shape, -1)
        np.copyto(pixels, dark, where=hidden[..., np.newaxis], casting="unsafe")


def _swapped(data: bytes) -> bytes:
    return np.frombuffer(data, np.uint16).byteswap().tobytes()


def passing(
    header: Header, data: Buffer, encoding: Encoding, transfer_syntax: str, rules: Iterable[Mask]
) -> Passing | None:
    """How the native pixels of an image pass; None if no rule for text in them covers it.

    header: the de-identified one of `data`, the dataset as far as it was received. None as well for
    an image that cannot be understood: it will have no picture.
    """
    codec, at = CODECS[encoding], header.pixels_at or 0
    start = bytes(data[at : at + 12])
    tag, vr, head, length = codec.measure(start, 0, len(start))
    try:
        blank = _blank(header.data, encoding, tuple(rules))
        if not blank or length == UNDEFINED:
            return None
        held, _ = scan(
            memoryview(header.data), a.Encoding(encoding.implicit, encoding.little_endian)
        )
        words = vr != b"OB"
        source = Source(held, transfer_syntax, tag, memoryview(b""), encoding.little_endian, words)
        laid_out = _as_written(layout(source, Limits()), length)
        cleaned = replace(header, data=_declared(header.data, codec))
    except (*_UNREADABLE, NotPlain, Undecodable, Malformed):
        return None
    return Passing(
        cleaned,
        blank,
        laid_out,
        held.integer(a.PADDING_VALUE),
        order="<" if encoding.little_endian else ">",
        swapped=source.swapped and laid_out.format.allocated <= 8,
        head=head,
    )


def _blank(data: bytes, encoding: Encoding, rules: tuple[Mask, ...]) -> Blank | None:
    dataset = read_dataset(BytesIO(data), encoding.implicit, encoding.little_endian)
    blank = regions.blank(dataset, rules)
    if blank is None or len(blank.blank) + len(blank.keep) > _MOST_RECTANGLES:
        return None
    return blank


def _as_written(said: Layout, length: int) -> Layout:
    """The layout of pixels of so many bytes, some of which share less chroma than they say."""
    if not said.photometric.endswith("_422"):
        return said
    if length >= said.frames * said.frame_samples * said.format.allocated // 8:
        return replace(said, photometric=said.photometric.removesuffix("_422"))
    if said.columns % 2:
        raise Undecodable("4:2:2 pixels need an even number of columns.")
    return replace(said, planar=False)


def _declared(data: bytes, codec: Codec) -> bytes:
    """The header, which says from now on that nothing is burned into the pixels."""
    elements = {tag: data[at:end] for tag, at, end in codec.extents(data, 0, len(data))}
    said = elements.get(act.METHOD_CODES, b"")
    items = b""
    if said:
        _tag, _vr, at, length = codec.measure(said, 0, len(said))
        items = said[at:] if length != UNDEFINED else said[at : -len(codec.sequence_end)]
    code = coded(codec, *(text.encode() for text in regions.CLEAN_PIXELS))
    elements[act.METHOD_CODES] = codec.element(act.METHOD_CODES, b"SQ", items + codec.item(code))
    elements[a.BURNED_IN_ANNOTATION.tag] = codec.element(a.BURNED_IN_ANNOTATION.tag, b"CS", b"NO")
    return b"".join(elements[tag] for tag in sorted(elements))
