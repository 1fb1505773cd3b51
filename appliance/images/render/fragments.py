"""Encapsulated pixel data: which bytes make up each frame (PS3.5 Section A.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from appliance.images.render.refusal import Undecodable

_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0"
# First bytes of a codestream: JPEG and JPEG-LS (SOI), JPEG 2000 (SOC), JP2 container.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")


@dataclass(frozen=True, slots=True)
class Fragment:
    """One item of the encapsulation: offset and length of its value, in bytes."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """The fragments of pixel data, one group for each frame."""

    data: memoryview
    frames: tuple[tuple[Fragment, ...], ...]

    def frame(self, index: int) -> memoryview:
        """The codestream of a frame; joined, and so copied, only if it is in several fragments."""
        parts = self.frames[index]
        if len(parts) == 1:
            return self.data[parts[0].offset : parts[0].offset + parts[0].length]
        return memoryview(b"".join(self.data[p.offset : p.offset + p.length] for p in parts))


def frames_of(data: memoryview, frames: int, extended_offsets: Sequence[int] = ()) -> Encapsulation:
    """Assign the fragments in `data` to `frames` frames.

    An offset table, extended or basic, is used if every offset in it is that of a fragment.
    Otherwise one fragment is one frame if the numbers agree, and frames are told apart by where
    codestreams start if they do not. Raises Undecodable if nothing fits.
    """
    table, fragments = _fragments(data)
    if not fragments:
        raise Undecodable("The encapsulated pixel data holds no fragment.")
    if frames == 1:
        return Encapsulation(data, (tuple(_first_stream(data, fragments)),))
    for offsets in (extended_offsets, table):
        groups = _by_offsets(fragments, offsets, frames)
        if groups:
            return Encapsulation(data, groups)
    if len(fragments) == frames:
        return Encapsulation(data, tuple((fragment,) for fragment in fragments))
    groups = _by_starts(data, fragments)
    if len(groups) >= frames:
        return Encapsulation(data, groups[:frames])
    raise Undecodable(
        f"Number of Frames is {frames}, but the pixel data holds {len(fragments)} fragments "
        "that cannot be assigned to so many frames."
    )


def _fragments(data: memoryview) -> tuple[tuple[int, ...], list[Fragment]]:
    """The basic offset table and the fragments; offsets are from the first fragment's item."""
    at, end = 0, len(data)
    items: list[Fragment] = []
    while at + 8 <= end:
        tag, length = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "little")
        if tag != _ITEM:
            if tag != _END and not items:
                raise Undecodable("The pixel data is not encapsulated as its syntax requires.")
            break
        at += 8
        if at + length > end:
            raise Undecodable("The encapsulated pixel data is cut off inside a fragment.")
        items.append(Fragment(at, length))
        at += length
    if not items:
        return (), []
    first = items[0]
    raw = data[first.offset : first.offset + first.length // 4 * 4]
    table = tuple(int.from_bytes(raw[i : i + 4], "little") for i in range(0, len(raw), 4))
    return table, items[1:]


def _by_offsets(
    fragments: Sequence[Fragment], offsets: Sequence[int], frames: int
) -> tuple[tuple[Fragment, ...], ...]:
    """The groups that an offset table names; none if it is not a table of these fragments."""
    if len(offsets) != frames:
        return ()
    base = fragments[0].offset
    position = {fragment.offset - base: index for index, fragment in enumerate(fragments)}
    starts = [position.get(offset, -1) for offset in offsets]
    if starts[0] != 0 or any(b <= a for a, b in pairwise(starts)):
        return ()
    ends = [*starts[1:], len(fragments)]
    return tuple(tuple(fragments[a:b]) for a, b in zip(starts, ends, strict=True))


def _by_starts(data: memoryview, fragments: Sequence[Fragment]) -> tuple[tuple[Fragment, ...], ...]:
    groups: list[list[Fragment]] = []
    for fragment in fragments:
        if _starts_stream(data, fragment) or not groups:
            groups.append([])
        groups[-1].append(fragment)
    return tuple(tuple(group) for group in groups)


def _first_stream(data: memoryview, fragments: Sequence[Fragment]) -> Sequence[Fragment]:
    """All fragments of a single frame; further codestreams behind it are frames not announced."""
    if len(fragments) > 1 and _starts_stream(data, fragments[0]):
        groups = _by_starts(data, fragments)
        return groups[0]
    return fragments


def _starts_stream(data: memoryview, fragment: Fragment) -> bool:
    head = bytes(data[fragment.offset : fragment.offset + 8])
    return head.startswith(_STARTS)
