"""Where the Pixel Data element ends: in every encoding, however the bytes come."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.dicom.pixels import BrokenPixelData, PixelElement
from appliance.images.deidentify import Encoding

IMPLICIT = Encoding(implicit=True, little_endian=True)
EXPLICIT = Encoding(implicit=False, little_endian=True)
BIG_ENDIAN = Encoding(implicit=False, little_endian=False)

ITEM = bytes.fromhex("FEFF00E0")
END = bytes.fromhex("FEFFDDE0 00000000")
FRAGMENTS = ITEM + bytes(4) + ITEM + bytes.fromhex("06000000") + END[:6] + ITEM + bytes(4) + END
"""An empty offset table, a fragment that holds most of a delimiter, an empty fragment, the end."""

ELEMENTS = {
    "implicit": (IMPLICIT, bytes.fromhex("E07F 1000 06000000 010203040506")),
    "implicit, empty": (IMPLICIT, bytes.fromhex("E07F 1000 00000000")),
    "OW": (EXPLICIT, bytes.fromhex("E07F 1000 4F57 0000 06000000 010203040506")),
    "OB": (EXPLICIT, bytes.fromhex("E07F 1000 4F42 0000 06000000 010203040506")),
    "OW, empty": (EXPLICIT, bytes.fromhex("E07F 1000 4F57 0000 00000000")),
    "UN": (EXPLICIT, bytes.fromhex("E07F 1000 554E 0000 02000000 0102")),
    "float": (EXPLICIT, bytes.fromhex("E07F 0800 4F46 0000 04000000 00000000")),
    "double": (EXPLICIT, bytes.fromhex("E07F 0900 4F44 0000 08000000") + bytes(8)),
    "a VR with a short length": (EXPLICIT, bytes.fromhex("E07F 1000 5553 0200 0102")),
    "big endian OW": (BIG_ENDIAN, bytes.fromhex("7FE0 0010 4F57 0000 00000006 010203040506")),
    "big endian, short length": (BIG_ENDIAN, bytes.fromhex("7FE0 0010 5553 0002 0102")),
    "encapsulated": (EXPLICIT, bytes.fromhex("E07F 1000 4F42 0000 FFFFFFFF") + FRAGMENTS),
    "encapsulated, no fragment": (EXPLICIT, bytes.fromhex("E07F 1000 4F42 0000 FFFFFFFF") + END),
    "encapsulated, implicit": (IMPLICIT, bytes.fromhex("E07F 1000 FFFFFFFF") + FRAGMENTS),
}

PADDING = bytes.fromhex("FCFFFCFF 04000000 00000000")
SIGNATURES = bytes.fromhex("FAFFFAFF 00000000")
OTHER = bytes.fromhex("10001000 02000000 4142")


def follow(encoding: Encoding, pieces: Iterable[bytes]) -> tuple[PixelElement, bytes]:
    pixels = PixelElement(encoding)
    kept = b"".join(bytes(pixels.feed(memoryview(piece))) for piece in pieces)
    return pixels, kept


@pytest.mark.parametrize("trailer", [b"", PADDING, OTHER, b"\0"])
@pytest.mark.parametrize(("encoding", "element"), ELEMENTS.values(), ids=ELEMENTS)
def test_it_ends_where_it_ends_wherever_it_is_cut(
    encoding: Encoding, element: bytes, trailer: bytes
) -> None:
    data = element + trailer
    for place in range(len(data) + 1):
        pixels, kept = follow(encoding, (data[:place], data[place:]))
        assert (kept, pixels.ended) == (element, True)
    _, kept = follow(encoding, (bytes((byte,)) for byte in data))
    assert kept == element


@given(st.sampled_from(sorted(ELEMENTS)), st.lists(st.integers(0, 70), max_size=8))
def test_in_any_pieces(name: str, places: list[int]) -> None:
    encoding, element = ELEMENTS[name]
    data = element + OTHER
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    _, kept = follow(encoding, (data[a:b] for a, b in pairwise(edges)))
    assert kept == element


@pytest.mark.parametrize(("encoding", "element"), ELEMENTS.values(), ids=ELEMENTS)
def test_it_has_not_ended_before_its_last_byte(encoding: Encoding, element: bytes) -> None:
    for size in range(len(element)):
        pixels, kept = follow(encoding, [element[:size]])
        assert (kept, pixels.ended) == (element[:size], False)


@pytest.mark.parametrize(
    ("trailer", "unexpected"),
    [(b"", False), (PADDING, False), (SIGNATURES, False), (OTHER, True), (b"\0", True)],
)
def test_what_may_follow(trailer: bytes, unexpected: bool) -> None:
    for encoding, element in ELEMENTS.values():
        for pieces in ([element + trailer], [element, *(bytes((byte,)) for byte in trailer)]):
            pixels, _ = follow(encoding, pieces)
            assert pixels.unexpected_trailer == unexpected


def test_padding_in_big_endian() -> None:
    encoding, element = ELEMENTS["big endian OW"]
    pixels, _ = follow(encoding, [element + bytes.fromhex("FFFCFFFC 4F42 0000 00000000")])
    assert not pixels.unexpected_trailer


@pytest.mark.parametrize(
    "inner",
    [
        bytes.fromhex("10001000 04000000"),
        bytes.fromhex("FEFF00E0 FFFFFFFF"),
        bytes.fromhex("FEFF0DE0 00000000"),
        bytes(8),
        ITEM + bytes.fromhex("02000000 0102") + bytes(8),
    ],
    ids=["an element", "an item of undefined length", "an item's end", "zeros", "zeros after one"],
)
def test_what_is_no_fragment_breaks_it(inner: bytes) -> None:
    for encoding, head in (
        (EXPLICIT, bytes.fromhex("E07F 1000 4F42 0000 FFFFFFFF")),
        (IMPLICIT, bytes.fromhex("E07F 1000 FFFFFFFF")),
    ):
        with pytest.raises(BrokenPixelData):
            follow(encoding, [head + inner])


def test_four_gigabytes_are_followed_without_being_held() -> None:
    size = 0xFFFFFFFE
    pixels = PixelElement(EXPLICIT)
    head = bytes.fromhex("E07F 1000 4F57 0000") + size.to_bytes(4, "little")
    assert bytes(pixels.feed(memoryview(head))) == head
    piece = memoryview(bytes(1 << 24))
    left = size
    while left:
        step = min(left, len(piece))
        assert len(pixels.feed(piece[:step])) == step
        left -= step
    assert pixels.ended


@given(st.sampled_from(sorted(ELEMENTS)), st.data())
def test_views_that_come_together_are_told_apart_alike(name: str, data: st.DataObject) -> None:
    encoding, element = ELEMENTS[name]
    whole = memoryview(element + OTHER)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1))))
    views = [whole[begin:end] for begin, end in pairwise([0, *cuts, len(whole)])]
    together = data.draw(st.integers(1, len(views)))
    pixels = PixelElement(encoding)
    kept = b""
    for first in range(0, len(views), together):
        kept += b"".join(pixels.feed_all(views[first : first + together]))
    assert (kept, pixels.ended, pixels.unexpected_trailer) == (element, True, True)
