"""Files: what reads, and what is no text in UTF-8, each by its name."""

import os
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.settings.model import Box, Settings
from appliance.settings.reader import Problems, read_file
from appliance.settings.source import LARGEST, decoded
from tests.unit.settings.files import WHOLE

TEXT = 'revision = 3\n\n[box]\nname = "検査室"\n'


def problem(path):
    with pytest.raises(Problems) as caught:
        read_file(path)
    (only,) = caught.value.problems
    return only


def file_of(folder, data):
    path = folder / "netty.toml"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode(),
        TEXT.rstrip("\n").encode(),
    ],
    ids=["plain", "byte-order mark", "CRLF", "both", "no last line end"],
)
def test_what_editors_write_is_read(tmp_path, data):
    assert read_file(file_of(tmp_path, data)) == Settings(3, box=Box("検査室"))


def test_the_largest_file_is_read_and_a_larger_one_is_not(tmp_path):
    data = TEXT.encode().ljust(LARGEST, b"#")
    assert read_file(file_of(tmp_path, data)).revision == 3
    found = problem(file_of(tmp_path, data + b"#"))
    assert (found.line, found.column) == (1, 1)
    assert found.expected == "at most 64 KiB"


@pytest.mark.parametrize(
    ("data", "found", "remedy"),
    [
        (b"", "an empty file", "copy the file again"),
        (b" \r\n\t\n", "an empty file", "copy the file again"),
        (b"\xef\xbb\xbf", "an empty file", "copy the file again"),
        (TEXT.encode("utf-16"), "text in UTF-16", "encoding UTF-8"),
        (TEXT.encode("utf-16-be"), "text in UTF-16", "encoding UTF-8"),
        (TEXT.encode("utf-16-le"), "text in UTF-16", "encoding UTF-8"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "text in UTF-16", "encoding UTF-8"),
        (TEXT.encode("utf-32"), "text in UTF-32", "encoding UTF-8"),
        (b"{\\rtf1\\ansi revision = 3}", "a rich-text document (RTF)", "a text editor instead"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an old office document", "text editor"),
        (b"%PDF-1.7\n\xe2\xe3", "a PDF document", "a text editor instead"),
        (b"\x1f\x8b\x08\x00\x00", "a compressed file", "unpack it"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, data, found, remedy):
    only = problem(file_of(tmp_path, data))
    assert (only.line, only.column, only.key) == (1, 1, "")
    assert found in only.found
    assert remedy in only.remedy


def test_a_word_processor_document_is_named(tmp_path):
    path = tmp_path / "netty.toml"
    with zipfile.ZipFile(path, "w") as document:
        document.writestr("word/document.xml", "<w:document/>")
    assert ".docx" in problem(path).found


@pytest.mark.parametrize(
    ("data", "place", "found"),
    [
        (TEXT.encode("cp932"), (4, 9), "probably Shift-JIS"),
        ('revision = 3\n# ｶﾅ "検査室"'.encode("cp932"), (2, 3), "probably Shift-JIS"),
        (TEXT.encode("euc_jp"), (4, 9), "probably EUC-JP"),
        ('revision = 3 # "Müller & Söhne"'.encode("latin-1"), (1, 18), "an older Windows"),
        ("revision = 3\n# für “ärztliche” Geräte".encode("cp1252"), (2, 4), "an older Windows"),
        ("# 検査\nrevision = 3 # ".encode() + b"\xff", (2, 16), "an older Windows"),
    ],
)
def test_another_encoding_is_named_where_it_shows(tmp_path, data, place, found):
    only = problem(file_of(tmp_path, data))
    assert (only.line, only.column) == place
    assert found in only.found
    assert "UTF-8" in only.remedy


def test_a_nul_byte_is_found_at_its_place(tmp_path):
    only = problem(file_of(tmp_path, TEXT.encode().replace("査".encode(), b"\0")))
    assert (only.line, only.column, only.found) == (4, 10, "a NUL byte")


def test_a_missing_file_is_a_problem(tmp_path):
    only = problem(tmp_path / "netty.toml")
    assert (only.line, only.column, only.found) == (1, 1, "none of this name")
    assert only.remedy == "check the name"


def test_the_file_that_was_meant_is_proposed(tmp_path):
    (tmp_path / "netty.toml.txt").write_text(TEXT)
    assert "did you mean netty.toml.txt" in problem(tmp_path / "netty.toml").remedy
    assert "check the folders" in problem(tmp_path / "nowhere" / "netty.toml").remedy


def test_a_directory_is_a_problem(tmp_path):
    assert problem(tmp_path).found == "a directory"


def test_a_pipe_is_a_problem_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "netty.toml")
    assert problem(tmp_path / "netty.toml").found == "a device or a pipe"


def test_a_file_below_a_file_is_a_problem(tmp_path):
    path = file_of(tmp_path, TEXT.encode())
    assert problem(path / "netty.toml").expected == "a file that can be read"


def test_a_file_that_may_not_be_read_is_a_problem(tmp_path, monkeypatch):
    path = file_of(tmp_path, TEXT.encode())

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)  # The tests may run as root.
    assert problem(path).found == "one that may not"


def test_a_name_that_no_file_can_have_is_a_problem(tmp_path):
    assert problem(tmp_path / "net\0ty.toml").expected == "a file that can be read"


@settings(deadline=None)
@given(st.binary() | st.binary(min_size=1).map(lambda data: WHOLE.encode()[:100] + data))
def test_any_bytes_are_text_or_a_problem_at_a_place(data):
    try:
        text = decoded(data)
    except Problems as caught:
        (only,) = caught.problems
        assert only.line >= 1
        assert only.column >= 1
        assert str(only).isprintable()
        return
    assert text.encode() == data
