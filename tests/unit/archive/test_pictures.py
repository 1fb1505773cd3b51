"""Dimensions from the first bytes of a file, against pictures that others encoded."""

import base64
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from appliance.archive.pictures import dimensions

# 300 × 7 pixels, encoded by libwebp: lossy, lossless, and with a colour profile.
WEBP = {
    "VP8 ": "UklGRjoAAABXRUJQVlA4IC4AAACwAwCdASosAQcAPm02mEkkIyKhIagAgA2JaQAADHThw4cOHDhu"
    "gAD++teAAAAA",
    "VP8L": "UklGRiAAAABXRUJQVlA4TBQAAAAvK4EBAAcQEf0PAAnh/3oxov8pAg==",
    "VP8X": "UklGRmgAAABXRUJQVlA4WAoAAAAgAAAAKwEABgAASUNDUBQAAAB4eHh4eHh4eHh4eHh4eHh4eHh4"
    "eFZQOCAuAAAAsAMAnQEqLAEHAD5tNphJJCMioSGoAIANiWkAAAx04cOHDhw4boAA/vucwAAAAA==",
}


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
        ("JPEG", {"icc_profile": b"x" * 40_000}),
        ("PNG", {}),
    ],
)
def test_what_pillow_writes(
    tmp_path: Path, kind: str, options: dict[str, object], mode: str
) -> None:
    Image.new(mode, (300, 7)).save(tmp_path / "x", kind, **options)
    assert dimensions(tmp_path / "x") == (300, 7)


@pytest.mark.parametrize("kind", WEBP)
def test_what_libwebp_writes(tmp_path: Path, kind: str) -> None:
    data = base64.b64decode(WEBP[kind])
    assert data[12:16] == kind.encode()
    (tmp_path / "x").write_bytes(data)
    assert dimensions(tmp_path / "x") == (300, 7)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"GIF89a\1\0\1\0", b"\0" * 100_000])
def test_what_is_no_picture_has_no_dimensions(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    assert dimensions(tmp_path / "x") is None


@given(
    start=st.sampled_from(
        [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"RIFF\0\0\0\0WEBPVP8"]
    ),
    rest=st.binary(max_size=200),
)
def test_a_damaged_picture_is_no_error(start: bytes, rest: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(start + rest)
        file.flush()
        found = dimensions(Path(file.name))
    assert found is None or len(found) == 2
