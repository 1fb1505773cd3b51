"""What a compressed image says beside its pixels: comments and application data.

A camera writes place, owner and time into its JPEG, a converter the name of a file. Nobody needs
them to decode (ISO/IEC 10918-1 Section B.2.4, ISO/IEC 15444-1 Section A.9), so they become zeros,
in place: no length changes, and bytes pass as they come.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_JPEG: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81))
_JPEG_2000: Final = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 92, 93, 201, 202, 203)
)

_START: Final = 0xD8
_END: Final = 0xD9
_FIRST_APPLICATION: Final = 0xE0
_LAST_APPLICATION: Final = 0xEF
_COMMENT: Final = 0xFE
_JPEG_MARKER: Final = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
_DECODED: Final = {
    0xE0: ((b"JFIF\0", 14),),
    0xE8: ((b"mrfx", 5), (b"SPIFF\0", 30)),
    0xEE: ((b"Adobe", 12),),
}
"""Application data that decoders mind: by marker, how they begin and how many bytes they are."""

_NOT_MINDED: Final = b"\xff" * 32
"""Longer than what any decoder minds."""

_START_2000: Final = 0x4F
_TILE_PART: Final = 0x90
_DATA: Final = 0x93
_COMMENT_2000: Final = 0x64
_MARKER_2000: Final = re.compile(rb"\xff[\x4f-\x93\xd9]")
_TILE_PART_SIZE: Final = slice(2, 6)
_REGISTRATION: Final = 2
"""Bytes at the head of a comment that say what the rest is."""


class Codestream:
    """The codestreams of one pixel data element, as its fragments pass.

    `begin` is called before each fragment, `blank` for each of its pieces, which it changes.
    """

    def __init__(self, transfer_syntax: str) -> None:
        self._is_2000 = transfer_syntax in _JPEG_2000
        self._marker = _MARKER_2000 if self._is_2000 else _JPEG_MARKER
        self._first = _START_2000 if self._is_2000 else _START
        self._ended = True
        self._junk = False
        self._step: Callable[[memoryview, int], int] = self._seek
        self._half = False
        self._code = 0
        self._body = bytearray()
        self._left = 0
        self._of_tile_part = 0
        self._in_tile_part = False

    @classmethod
    def of(cls, transfer_syntax: str) -> Codestream | None:
        """The one for a transfer syntax; None if nothing but pixels is in its fragments."""
        known = transfer_syntax in _JPEG or transfer_syntax in _JPEG_2000
        return cls(transfer_syntax) if known else None

    def begin(self) -> None:
        """Say that a fragment begins: an image may, or goes on (PS3.5 Section A.4)."""
        self._junk = False
        if self._left < 0:
            self._left, self._step = 0, self._seek

    def blank(self, piece: memoryview) -> None:
        """Take the next bytes of a fragment, and make zeros of what tells about more than pixels.

        piece: writable
        """
        at = 0
        while at < len(piece):
            at = self._step(piece, at)

    def _seek(self, piece: memoryview, at: int) -> int:
        """Go to the next marker; between the end of an image and its fragment's nothing stays.

        What begins otherwise than its transfer syntax says may still be decoded, and is left.
        """
        if self._half:
            self._half = False
            if self._marker.fullmatch(b"\xff" + piece[at : at + 1]):
                return self._found(piece[at], at + 1)
        found = self._marker.search(piece, at)
        stop = len(piece) if found is None else found.start()
        self._half = found is None and piece[-1] == 0xFF
        if self._junk:
            last = stop - self._half
            piece[at:last] = bytes(max(0, last - at))
        return stop if found is None else self._found(piece[stop + 1], stop + 2)

    def _found(self, code: int, behind: int) -> int:
        """Do what a marker says; the offset behind it."""
        self._code = code
        if code == self._first:
            self._ended = self._junk = self._in_tile_part = False
        elif code == _END:
            self._junk, self._ended = not self._ended, True
        elif self._is_2000 and code == _DATA:
            self._left = self._of_tile_part - 2 if self._of_tile_part else -1
            self._step = self._pass
        elif not self._ended:
            self._body.clear()
            self._step = self._measure
        return behind

    def _measure(self, piece: memoryview, at: int) -> int:
        """Take the length of a segment, which counts itself."""
        self._body.append(piece[at])
        if len(self._body) == 2:
            self._left = max(0, int.from_bytes(self._body, "big") - 2)
            self._count(2 + 2 + self._left)
            self._body.clear()
            self._step = self._pass if self._is_silent else self._blank_body
            if not self._left:
                self._step = self._seek
        return at + 1

    def _count(self, size: int) -> None:
        """Keep account of what is left of a tile-part behind this segment."""
        if self._in_tile_part and self._of_tile_part:
            self._of_tile_part = max(2, self._of_tile_part - size)

    @property
    def _is_silent(self) -> bool:
        if self._is_2000:
            return self._code not in (_COMMENT_2000, _TILE_PART)
        is_application = _FIRST_APPLICATION <= self._code <= _LAST_APPLICATION
        return not is_application and self._code != _COMMENT

    def _blank_body(self, piece: memoryview, at: int) -> int:
        """Make zeros of a segment, but for what decoders mind."""
        stop = min(len(piece), at + self._left)
        keep = at
        while keep < stop and self._is_minded(piece[keep]):
            self._body.append(piece[keep])
            keep += 1
        if keep < stop:
            self._body += _NOT_MINDED
            piece[keep:stop] = bytes(stop - keep)
        self._left -= stop - at
        if not self._left:
            if self._is_2000 and self._code == _TILE_PART:
                self._begin_tile_part()
            self._step = self._seek
        return stop

    def _is_minded(self, byte: int) -> bool:
        """Whether the next byte of a segment is one that a decoder minds."""
        if self._is_2000:
            return self._code == _TILE_PART or len(self._body) < _REGISTRATION
        told = bytes(self._body) + bytes((byte,))
        return any(
            len(told) <= size and told[: len(start)] == start[: len(told)]
            for start, size in _DECODED.get(self._code, ())
        )

    def _begin_tile_part(self) -> None:
        """Psot counts from the first byte of the marker SOT; 0: up to the end."""
        size = int.from_bytes(self._body[_TILE_PART_SIZE], "big")
        self._in_tile_part = True
        self._of_tile_part = max(2, size - 12) if size else 0

    def _pass(self, piece: memoryview, at: int) -> int:
        """Pass over what is no marker; for ever if nobody says where it ends."""
        if self._left < 0:
            return len(piece)
        stop = min(len(piece), at + self._left)
        self._left -= stop - at
        if not self._left:
            self._step = self._seek
        return stop
