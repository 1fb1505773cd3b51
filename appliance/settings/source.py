"""From a file to its text; files of other kinds, which somebody took for TOML, by their names."""

from __future__ import annotations

import codecs
import difflib
import re
import stat
from pathlib import Path

from appliance.settings.positions import Lines
from appliance.settings.problems import Problem, Problems

LARGEST = 64 * 1024
"""The largest file that is read, in bytes."""

_AS_UTF8 = 'save it as plain text in UTF-8 (in Notepad: "Save as", encoding UTF-8)'
_AS_TEXT = f"open it in a text editor instead of a word processor, and {_AS_UTF8}"

_SIGNATURES = (
    (b"\xff\xfe\0\0", "text in UTF-32", _AS_UTF8),
    (b"\0\0\xfe\xff", "text in UTF-32", _AS_UTF8),
    (b"\xff\xfe", "text in UTF-16", _AS_UTF8),
    (b"\xfe\xff", "text in UTF-16", _AS_UTF8),
    (b"{\\rtf", "a rich-text document (RTF)", _AS_TEXT),
    (b"PK\x03\x04", "a ZIP archive or an office document (.docx, .xlsx, .odt)", _AS_TEXT),
    (b"\xd0\xcf\x11\xe0", "an old office document (.doc, .xls)", _AS_TEXT),
    (b"%PDF", "a PDF document", _AS_TEXT),
    (b"\x1f\x8b", "a compressed file (gzip)", "unpack it"),
)

_OTHER_FORMATS = (
    (r"\{\\rtf", "a rich-text document (RTF)", _AS_TEXT),
    (r"\{\s*[\"}]|\[\s*\{", "JSON", "write the settings in TOML; the example shows how"),
    (r"<[?!A-Za-z]", "a web page or XML", "write the settings in TOML; the example shows how"),
    (r"---[ \t]*$", "YAML", "write the settings in TOML; the example shows how"),
)


def text_of(path: Path) -> str:
    """Return the text of a file; raise Problems if it cannot be read or is not text in UTF-8."""
    return decoded(_content(path))


def decoded(data: bytes) -> str:
    """Return the text that the bytes encode in UTF-8; raise Problems if they do not."""
    if not data.removeprefix(codecs.BOM_UTF8).strip():
        raise _wrong("settings", "an empty file", "copy the file again, or start from the example")
    for signature, found, remedy in _SIGNATURES:
        if data.startswith(signature):
            raise _wrong("TOML text in UTF-8", found, remedy)
    if b"\0" in data:
        raise _nul(data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise _wrong("text in UTF-8", _encoding(data), _AS_UTF8, before) from None


def refuse_other_formats(text: str) -> None:
    """Raise Problems for a text that is of another format altogether."""
    for pattern, found, remedy in _OTHER_FORMATS:
        if re.match(rf"\s*(?:{pattern})", text, re.MULTILINE):
            raise _wrong("TOML", found, remedy)


def _content(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise _wrong("a file", "a directory", "name the file in it: netty.toml")
        if not stat.S_ISREG(mode):
            raise _wrong("a file", "a device or a pipe", "name a file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise _wrong("a file", "none of this name", _missing(path)) from None
    except PermissionError:
        remedy = "permit this user to read the file and the folders above it"
        raise _wrong("a file that may be read", "one that may not", remedy) from None
    except (OSError, ValueError) as error:
        remedy = "copy the file again, from another place"
        raise _wrong("a file that can be read", str(error), remedy) from None
    if len(data) > LARGEST:
        found = "a larger file"
        remedy = "is this the right file? Settings are much smaller; remove what is not needed"
        raise _wrong(f"at most {LARGEST // 1024} KiB", found, remedy)
    return data


def _missing(path: Path) -> str:
    """Say which file beside it was probably meant: editors like to append .txt."""
    try:
        names = [each.name for each in path.absolute().parent.iterdir() if each.is_file()]
    except OSError:
        return "check the folders in the name"
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}, beside it?" if close else "check the name"


def _nul(data: bytes) -> Problems:
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) * 4 > len(data) and min(even, odd) * 16 < len(data):
        return _wrong("TOML text in UTF-8", "text in UTF-16", _AS_UTF8)
    before = data.partition(b"\0")[0].decode("utf-8", "replace")
    remedy = f"it is damaged or no text: copy it again, or {_AS_UTF8}"
    return _wrong("text", "a NUL byte", remedy, before)


def _encoding(data: bytes) -> str:
    """Name the encoding of text that is not UTF-8, as far as one can tell."""
    for encoding, name in (("euc_jp", "EUC-JP"), ("cp932", "Shift-JIS")):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        other = re.sub(r"[\x00-\x7f]", "", text)
        # Every two bytes can be some rare ideograph; kana and common ideographs are no accident.
        if other and all(_is_japanese(each) for each in other):
            return f"text in another encoding, probably {name}"
    return "text in another encoding, probably that of an older Windows"


def _is_japanese(character: str) -> bool:
    return bool(re.match(r"[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]", character))


def _wrong(expected: str, found: str, remedy: str, before: str = "") -> Problems:
    place = Lines(before).place(len(before))
    return Problems([Problem(place.line, place.column, "", expected, found, remedy)])
