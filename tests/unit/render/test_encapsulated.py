"""Fragments become frames, and compressed frames that lie are refused by name."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from appliance.images.decoders import Sample, samples
from appliance.images.render import Undecodable, codestream, render, render_file
from appliance.images.render.fragments import frames_of
from tests.unit.render import made
from tests.unit.render.test_colour import SMOOTH, jpeg

JPEG = b"\xff\xd8\xff\xe0"


def items(*values: bytes, table: tuple[int, ...] = ()) -> memoryview:
    """An encapsulation: the offset table's item, then one for each value."""
    offsets = b"".join(pack("<I", offset) for offset in table)
    parts = [pack("<HHI", 0xFFFE, 0xE000, len(v)) + v for v in chain([offsets], values)]
    return memoryview(b"".join(parts) + pack("<HHI", 0xFFFE, 0xE0DD, 0))


def frames(data: memoryview, count: int, extended: tuple[int, ...] = ()) -> list[bytes]:
    found = frames_of(data, count, extended)
    return [bytes(found.frame(index)) for index in range(count)]


def test_a_fragment_is_a_frame_where_the_numbers_agree() -> None:
    assert frames(items(b"aa", b"bb", b"cc"), 3) == [b"aa", b"bb", b"cc"]


def test_all_fragments_are_the_only_frame() -> None:
    assert frames(items(b"aa", b"bb"), 1) == [b"aabb"]


def test_a_frame_that_was_not_announced_is_not_part_of_the_first() -> None:
    assert frames(items(JPEG + b"aa", JPEG + b"bb"), 1) == [JPEG + b"aa"]


def test_the_basic_offset_table_groups_fragments() -> None:
    data = items(b"aaaa", b"bb", b"cc", table=(0, 12))
    assert frames(data, 2) == [b"aaaa", b"bbcc"]


def test_the_extended_offset_table_groups_fragments() -> None:
    data = items(b"aaaa", b"bb", b"cc")
    assert frames(data, 2, (0, 22)) == [b"aaaabb", b"cc"]


@pytest.mark.parametrize("table", [(0, 13), (4, 12), (12, 0), (0, 0), (0, 99999), (0,)])
def test_an_offset_table_that_is_wrong_is_not_followed(table: tuple[int, ...]) -> None:
    data = items(JPEG, b"aa", JPEG, b"bb", table=table)
    assert frames(data, 2) == [JPEG + b"aa", JPEG + b"bb"]


def test_fragments_that_fit_no_frames_are_refused() -> None:
    with pytest.raises(Undecodable, match=r"Number of Frames is 2, but .* holds 3 fragments"):
        frames(items(b"aa", b"bb", b"cc"), 2)


def test_an_empty_encapsulation_is_refused() -> None:
    with pytest.raises(Undecodable, match="no fragment"):
        frames(items(), 1)


def test_a_cut_off_fragment_is_refused() -> None:
    with pytest.raises(Undecodable, match="cut off"):
        frames(items(b"a" * 100)[:60], 1)


def test_what_is_not_encapsulated_is_refused() -> None:
    with pytest.raises(Undecodable, match="not encapsulated"):
        frames(memoryview(b"\x01\x02\x03\x04" * 8), 1)


def test_a_codestream_of_another_size_is_refused() -> None:
    dataset = made.colour(SMOOTH, "YBR_FULL", Rows=16)
    made.encapsulated(dataset, JPEGBaseline8Bit, [jpeg(SMOOTH)])
    with pytest.raises(Undecodable, match="32 × 32 pixels where the dataset says 32 × 16"):
        list(render(dataset))


def test_a_codestream_of_another_number_of_components_is_refused() -> None:
    dataset = made.grey(SMOOTH[..., 0])
    made.encapsulated(dataset, JPEGBaseline8Bit, [jpeg(SMOOTH)])
    with pytest.raises(Undecodable, match="3 component"):
        list(render(dataset))


@pytest.mark.parametrize("keep", [3, 30, 200, 500])
def test_a_cut_off_jpeg_is_refused(keep: int) -> None:
    dataset = made.colour(SMOOTH, "YBR_FULL")
    made.encapsulated(dataset, JPEGBaseline8Bit, [jpeg(SMOOTH)[:keep]])
    with pytest.raises(Undecodable):
        list(render(dataset))


def test_a_syntax_without_decoder_is_named() -> None:
    dataset = made.grey(SMOOTH[..., 0])
    made.encapsulated(dataset, "1.2.840.10008.1.2.4.102", [b"\0\0\0\x18ftyp"])
    with pytest.raises(Undecodable, match=r"no decoder for .* 1\.2\.840\.10008\.1\.2\.4\.102"):
        list(render(dataset))


def test_rle_with_another_number_of_segments_is_refused() -> None:
    dataset = made.grey(np.zeros((4, 4), np.uint16))
    frame = pack("<16I", 1, 64, *[0] * 14) + b"\xf1\0"
    made.encapsulated(dataset, RLELossless, [frame])
    with pytest.raises(Undecodable, match="1 segments where 2"):
        list(render(dataset))


@pytest.mark.parametrize("offsets", [(64, 99999), (99999, 64), (0, 0)])
def test_rle_with_segments_out_of_bounds_is_refused(offsets: tuple[int, int]) -> None:
    dataset = made.grey(np.zeros((4, 4), np.uint16))
    frame = pack("<16I", 2, *offsets, *[0] * 13) + b"\xf1\0\xf1\0"
    made.encapsulated(dataset, RLELossless, [frame])
    with pytest.raises(Undecodable):
        list(render(dataset))


@pytest.mark.parametrize("sample", samples(), ids=lambda s: f"{s.transfer_syntax}-{s.pattern}")
@pytest.mark.parametrize("keep", [0.97, 0.9, 0.8])
def test_a_truncated_file_of_any_syntax_ends_as_picture_or_refusal(
    sample: Sample, keep: float, tmp_path: Path
) -> None:
    path = tmp_path / "truncated.dcm"
    whole = sample.file
    path.write_bytes(whole[: int(len(whole) * keep)])
    try:
        (picture,) = render_file(path)
    except Undecodable as refusal:
        assert refusal.reason.endswith(".")
    else:
        assert picture.pixels.shape[:2] == (12, 16)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GIF89a", "does not start"),
        (b"\xff\xd8\xff\xd9", "no frame header"),
        (b"\xff\xd8\x00\x00", "no marker"),
        (b"\xff\xd8\xff\xc0\x00", "cut off"),
        (b"\xff\x4f\xff\x51\x00\x29", "cut off"),
    ],
)
def test_headers_that_are_none(data: bytes, words: str) -> None:
    with pytest.raises(Undecodable, match=words):
        codestream.read(memoryview(data))


def test_a_jp2_container_around_the_codestream_is_opened() -> None:
    sample = next(s for s in samples() if s.transfer_syntax == JPEG2000Lossless)
    start = sample.file.index(b"\xff\x4f\xff\x51")
    stream = sample.file[start:-8]
    boxes = pack(">I4sI", 12, b"jP  ", 0x0D0A870A) + pack(">I4s", 8 + len(stream), b"jp2c") + stream
    bare, inside = codestream.read(memoryview(stream)), codestream.read(memoryview(boxes))
    assert bare == inside
    assert (bare.rows, bare.columns, bare.precision, bare.signed) == (12, 16, 16, True)
