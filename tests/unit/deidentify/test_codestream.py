"""Comments and application data in compressed pixels: gone, and the pixels are what they were."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, generate_fragments

from appliance.dicom.pixels import PixelElement
from appliance.images.deidentify import Codestream, Deidentifier, Encoding, deidentify_file
from tools.hospital import corpus

BASELINE, LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
JPEG_LS, JPEG_2000, RLE = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
SECRET = b"YAMADA^TARO 4711 35.6586N 139.7454E"


def segment(code: int, body: bytes) -> bytes:
    return bytes((0xFF, code)) + (len(body) + 2).to_bytes(2, "big") + body


def blanked(syntax: str, *fragments: bytes, pieces: int = 1 << 20) -> list[bytes]:
    """Each fragment, passed in pieces of so many bytes."""
    codestream = Codestream.of(syntax)
    assert codestream is not None
    passed = []
    for fragment in fragments:
        codestream.begin()
        data = bytearray(fragment)
        for start in range(0, len(data), pieces):
            codestream.blank(memoryview(data)[start : start + pieces])
        passed.append(bytes(data))
    return passed


def photograph() -> bytes:
    """A JPEG as a camera writes it: colours by Adobe's marker, EXIF, a comment, a profile."""
    rows = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    written = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    Image.fromarray(rows).save(
        written, "JPEG", exif=exif, comment=SECRET, icc_profile=SECRET, quality=80
    )
    jpeg = written.getvalue()
    assert jpeg.count(SECRET) == 3
    return jpeg


def pixels(encoded: bytes) -> list[int]:
    return list(Image.open(io.BytesIO(encoded)).convert("RGB").tobytes())


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 64, 1 << 20])
def test_a_camera_tells_nothing_and_its_picture_is_the_same(pieces: int) -> None:
    jpeg = photograph()
    (passed,) = blanked(BASELINE, jpeg, pieces=pieces)
    assert len(passed) == len(jpeg)
    assert SECRET[:6] not in passed
    assert b"JFIF" in passed
    assert pixels(passed) == pixels(jpeg)


@pytest.mark.parametrize("pieces", [1, 2, 5, 1 << 20])
@pytest.mark.parametrize(
    ("code", "body", "kept"),
    [
        (0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0", 14),
        (0xE0, b"JFIF\0\1\2\0\0\1\0\1\4\4" + SECRET, 14),
        (0xE0, b"JFXX\0" + SECRET, 2),
        (0xE8, b"mrfx\1", 5),
        (0xE8, b"SPIFF\0" + bytes(range(24)), 30),
        (0xE8, b"SPEECH" + SECRET, 2),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1", 12),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1" + SECRET, 12),
        (0xE1, b"Exif\0\0" + SECRET, 0),
        (0xEF, SECRET, 0),
        (0xFE, SECRET, 0),
        (0xFE, b"", 0),
    ],
)
def test_what_decoders_mind_stays(code: int, body: bytes, kept: int, pieces: int) -> None:
    head, tail = b"\xff\xd8", segment(0xDB, SECRET) + b"\xff\xd9"
    (passed,) = blanked(JPEG_LS, head + segment(code, body) + tail, pieces=pieces)
    assert passed == head + segment(code, body[:kept] + bytes(len(body) - kept)) + tail


@pytest.mark.parametrize("pieces", [1, 2, 5, 1 << 20])
def test_comments_between_scans_and_behind_the_image(pieces: int) -> None:
    scan = segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x12\xff\x00\xfe\xff\xd0\xff\xff\x00"
    parts = [b"\xff\xd8", scan, segment(0xFE, SECRET), scan, b"\xff\xd9", SECRET + b"\xff"]
    (passed,) = blanked(LOSSLESS, b"".join(parts), pieces=pieces)
    parts[2] = segment(0xFE, bytes(len(SECRET)))
    assert passed[: -len(parts[-1])] == b"".join(parts[:-1])
    assert passed[-len(parts[-1]) :].rstrip(b"\xff") == bytes(len(SECRET))


def test_an_image_goes_on_in_the_next_fragment_and_another_begins() -> None:
    jpeg = photograph()
    for cut in (1, 2, 3, 30, len(jpeg) - 1):
        passed = blanked(BASELINE, jpeg[:cut], jpeg[cut:], jpeg)
        assert passed[0] + passed[1] == passed[2]
        assert SECRET[:6] not in passed[2]


def tile_part(header: bytes, data: bytes, told: bool = True) -> bytes:
    size = 12 + len(header) + 2 + len(data)
    start = b"\0\0" + (size if told else 0).to_bytes(4, "big") + b"\0\1"
    return segment(0x90, start) + header + b"\xff\x93" + data


@pytest.mark.parametrize("pieces", [1, 2, 5, 1 << 20])
def test_jpeg_2000_byte_by_byte(pieces: int) -> None:
    def stream(comment: bytes) -> bytes:
        told = segment(0x64, b"\0\1" + comment)
        data = b"\x80\xff\x64\x00\x09\xff\x90" + SECRET  # What looks like a marker in data is none.
        return (
            b"\xff\x4f" + segment(0x51, bytes(38)) + told
            + tile_part(told, data) + tile_part(b"", b"") + tile_part(told + told, data)
            + b"\xff\xd9"
        )  # fmt: skip

    (passed,) = blanked(JPEG_2000, stream(SECRET), pieces=pieces)
    assert passed == stream(bytes(len(SECRET)))


def test_a_tile_part_to_the_end_is_left_and_the_next_image_is_not() -> None:
    told = segment(0x64, b"\0\1" + SECRET)
    image = b"\xff\x4f" + told + tile_part(b"", SECRET, told=False) + b"\xff\xd9"
    first, second = blanked(JPEG_2000, image, image)
    assert first == second == image.replace(SECRET, bytes(len(SECRET)), 1)


@pytest.mark.parametrize("syntax", [BASELINE, JPEG_2000])
@pytest.mark.parametrize("strange", [b"", SECRET, b"\0\0\0\x0cjP  " + SECRET, b"\xff", b"\xff\xd9"])
def test_what_is_of_another_kind_is_left(syntax: str, strange: bytes) -> None:
    assert blanked(syntax, strange, strange) == [strange, strange]


def test_where_there_are_pixels_alone_nothing_is_looked_for() -> None:
    assert Codestream.of(RLE) is None
    assert Codestream.of("1.2.840.10008.1.2.1") is None
    assert Deidentifier("clear", bytes(32)).codestream(BASELINE) is None


def fed(fragments: Sequence[bytes], size: int) -> bytes:
    """A pixel data element as the store passes it on, received in pieces."""
    head = bytes.fromhex("E07F 1000 4F42 0000 FFFFFFFF")
    data = head + encapsulate(list(fragments)) + bytes.fromhex("FEFFDDE000000000")
    element = PixelElement(Encoding(implicit=False, little_endian=True), Codestream.of(BASELINE))
    buffer = bytearray(data)
    views = [memoryview(buffer)[at : at + size] for at in range(0, len(buffer), size)]
    for at in range(0, len(views), 2):
        element.feed_all(views[at : at + 2])
    assert element.ended
    return bytes(buffer[len(head) :])


@pytest.mark.parametrize("size", [1, 5, 100, 1 << 20])
def test_in_the_fragments_of_an_element(size: int) -> None:
    jpeg = photograph()
    passed = fed([jpeg, jpeg], size)
    frames = list(generate_fragments(passed))
    assert len(passed) == len(encapsulate([jpeg, jpeg])) + 8
    assert [pixels(frame) for frame in frames[1:]] == [pixels(jpeg)] * 2
    assert SECRET[:6] not in passed


COMPRESSED = [
    "JPEG-LL.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_small_odd_jpeg.dcm",
    "693_J2KR.dcm", "examples_ybr_color.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
]  # fmt: skip


@pytest.mark.parametrize("name", COMPRESSED)
def test_real_files_by_hand(name: str, tmp_path: Path) -> None:
    written = tmp_path / name
    written.write_bytes(
        deidentify_file(
            corpus.file(name),
            deidentifier=Deidentifier("basic", bytes(range(32))),
            implementation_class_uid="1.2.3",
            implementation_version_name="TEST",
        )
    )
    before, after = pydicom.dcmread(corpus.file(name)), pydicom.dcmread(written)
    assert len(after.PixelData) == len(before.PixelData)
    assert (after.pixel_array == before.pixel_array).all()
