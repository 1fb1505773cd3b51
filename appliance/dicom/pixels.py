"""The Pixel Data element as it streams by: where it ends, and whether it is whole.

The pixels of a large instance never stand in memory; they pass from the socket to the file. What
follows them (padding, signatures) is told apart here (PS3.5 Section 7.5, Annex A.4).
"""

from collections.abc import Sequence
from typing import Literal

from appliance.images.deidentify import Codestream, Encoding

UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_DELIMITATION = b"\xfe\xff\xdd\xe0"
_LONG_VRS = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"SV", b"UV"))
_PADDING_TAGS = (b"\xfc\xff\xfc\xff", b"\xfa\xff\xfa\xff", b"\xff\xfc\xff\xfc", b"\xff\xfa\xff\xfa")


class BrokenPixelData(ValueError):
    """The Pixel Data element does not follow the standard."""


class PixelElement:
    """Follows one Pixel Data element of a dataset, from its tag to its last byte.

    `encoding` is the dataset's. Feed the bytes from the element's tag on. What compressed images
    say beside their pixels becomes zeros, in the bytes that are fed.
    """

    def __init__(self, encoding: Encoding, codestream: Codestream | None = None) -> None:
        self._order: Literal["little", "big"] = "little" if encoding.little_endian else "big"
        self._implicit = encoding.implicit
        self._head = bytearray()
        self._left = 0
        self._encapsulated = False
        self._codestream = codestream
        self._items = 0
        self._started = False
        self._trailing = bytearray()
        self.ended = False

    def feed(self, view: memoryview) -> memoryview:
        """Return the part of `view` that belongs to the element; the rest comes after it.

        Raises BrokenPixelData when an encapsulated element holds something other than items.
        """
        position = 0
        while position < len(view) and not self.ended:
            if self._left:
                step = min(self._left, len(view) - position)
                self._in_fragment(view[position : position + step])
                self._left -= step
                position += step
                self.ended = not self._left and not self._encapsulated
            else:
                step = min(self._head_size() - len(self._head), len(view) - position)
                self._head += view[position : position + step]
                position += step
                if len(self._head) == self._head_size():
                    self._begin_value()
        if position < len(view) and len(self._trailing) < 4:
            self._trailing += view[position : position + 4 - len(self._trailing)]
        return view[:position]

    def feed_all(self, views: Sequence[memoryview]) -> Sequence[memoryview]:
        """Return the parts of `views`, in order, that belong to the element.

        Raises BrokenPixelData.
        """
        size = sum(map(len, views))
        if size < self._left:
            for view in views:
                self._in_fragment(view)
            self._left -= size
            return views
        return [part for part in map(self.feed, views) if part]

    @property
    def unexpected_trailer(self) -> bool:
        """Whether something other than padding or signatures followed the pixels."""
        return bool(self._trailing) and bytes(self._trailing) not in _PADDING_TAGS

    def _in_fragment(self, part: memoryview) -> None:
        """The first item is no fragment, but tells where frames begin (PS3.5 Section A.4)."""
        if self._codestream is not None and self._items > 1:
            self._codestream.blank(part)

    def _head_size(self) -> int:
        if self._started or self._implicit:
            return 8
        if len(self._head) < 6:
            return 6
        return 12 if bytes(self._head[4:6]) in _LONG_VRS else 8

    def _begin_value(self) -> None:
        if not self._started:
            self._begin_element()
        elif self._head[:4] == _ITEM:
            self._left = int.from_bytes(self._head[4:8], "little")
            self._items += 1
            if self._codestream is not None:
                self._codestream.begin()
            if self._left == UNDEFINED_LENGTH:
                raise BrokenPixelData("a fragment of the Pixel Data has no defined length")
        elif self._head[:4] == _SEQUENCE_DELIMITATION:
            self.ended = True
        else:
            raise BrokenPixelData("the encapsulated Pixel Data holds something that is not an item")
        self._head.clear()

    def _begin_element(self) -> None:
        self._started = True
        if self._implicit or len(self._head) == 12:
            length = int.from_bytes(self._head[-4:], self._order)
        else:
            length = int.from_bytes(self._head[6:8], self._order)
        self._encapsulated = length == UNDEFINED_LENGTH
        self._left = 0 if self._encapsulated else length
        self.ended = length == 0
