"""From a file to its text; files of other kinds, which somebody took for it, by their names."""

from __future__ import annotations

import codecs
import difflib
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from appliance.settings.positions import Lines
from appliance.settings.problems import Problem, Problems

LARGEST = 64 * 1024
"""The largest netty.toml that is read, in bytes."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a file should be, in the words of its mistakes, and how people make it so."""

    name: str
    content: str
    format: str
    largest: int
    save: str
    reopen: str
    restart: str
    shrink: str

    def wrong(self, expected: str, found: str, remedy: str, before: str = "") -> Problems:
        """Return the only problem of a file that is of another kind, behind the text `before`."""
        place = Lines(before).place(len(before))
        file = "" if self.name == "netty.toml" else self.name
        return Problems([Problem(place.line, place.column, "", expected, found, remedy, file)])


_PLAIN = 'save it as plain text in UTF-8 (in Notepad: "Save as", encoding UTF-8)'

TOML = Form(
    name="netty.toml",
    content="settings",
    format="TOML text in UTF-8",
    largest=LARGEST,
    save=_PLAIN,
    reopen=f"open it in a text editor instead of a word processor, and {_PLAIN}",
    restart="copy the file again, or start from the example",
    shrink="is this the right file? Settings are much smaller; remove what is not needed",
)

_SIGNATURES = (
    # How it begins, what it is, and whether another program must open it.
    (b"\xff\xfe\0\0", "text in UTF-32", False),
    (b"\0\0\xfe\xff", "text in UTF-32", False),
    (b"\xff\xfe", "text in UTF-16", False),
    (b"\xfe\xff", "text in UTF-16", False),
    (b"{\\rtf", "a rich-text document (RTF)", True),
    (b"PK\x03\x04", "a ZIP archive or an office document (.docx, .xlsx, .odt)", True),
    (b"\xd0\xcf\x11\xe0", "an old office document (.doc, .xls)", True),
    (b"%PDF", "a PDF document", True),
)

_OTHER_FORMATS = (
    (r"\{\\rtf", "a rich-text document (RTF)", TOML.reopen),
    (r"\{\s*[\"}]|\[\s*\{", "JSON", "write the settings in TOML; the example shows how"),
    (r"<[?!A-Za-z]", "a web page or XML", "write the settings in TOML; the example shows how"),
    (r"---[ \t]*$", "YAML", "write the settings in TOML; the example shows how"),
)


def text_of(path: Path, form: Form = TOML) -> str:
    """Return the text of a file; raise Problems if it cannot be read or is not text in UTF-8."""
    return decoded(_content(path, form), form)


def decoded(data: bytes, form: Form = TOML) -> str:
    """Return the text that the bytes encode in UTF-8; raise Problems if they do not.

    `data` may be cut after one byte more than the largest file has.
    """
    if len(data) > form.largest:
        raise form.wrong(f"at most {form.largest // 1024} KiB", "a larger file", form.shrink)
    if not data.removeprefix(codecs.BOM_UTF8).strip():
        raise form.wrong(form.content, "an empty file", form.restart)
    if data.startswith(b"\x1f\x8b"):
        raise form.wrong(form.format, "a compressed file (gzip)", "unpack it")
    for signature, found, other in _SIGNATURES:
        if data.startswith(signature):
            raise form.wrong(form.format, found, form.reopen if other else form.save)
    if b"\0" in data:
        raise _nul(data, form)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise form.wrong("text in UTF-8", _encoding(data), form.save, before) from None


def refuse_other_formats(text: str) -> None:
    """Raise Problems for a text that is of another format altogether."""
    for pattern, found, remedy in _OTHER_FORMATS:
        if re.match(rf"\s*(?:{pattern})", text, re.MULTILINE):
            raise TOML.wrong("TOML", found, remedy)


def _content(path: Path, form: Form) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise form.wrong("a file", "a directory", f"name the file in it: {form.name}")
        if not stat.S_ISREG(mode):
            raise form.wrong("a file", "a device or a pipe", "name a file")
        with path.open("rb") as file:
            return file.read(form.largest + 1)
    except FileNotFoundError:
        raise form.wrong("a file", "none of this name", _missing(path)) from None
    except PermissionError:
        remedy = "permit this user to read the file and the folders above it"
        raise form.wrong("a file that may be read", "one that may not", remedy) from None
    except (OSError, ValueError) as error:
        remedy = "copy the file again, from another place"
        raise form.wrong("a file that can be read", str(error), remedy) from None


def _missing(path: Path) -> str:
    """Say which file beside it was probably meant: editors like to append .txt."""
    try:
        names = [each.name for each in path.absolute().parent.iterdir() if each.is_file()]
    except OSError:
        return "check the folders in the name"
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}, beside it?" if close else "check the name"


def _nul(data: bytes, form: Form) -> Problems:
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) * 4 > len(data) and min(even, odd) * 16 < len(data):
        return form.wrong(form.format, "text in UTF-16", form.save)
    before = data.partition(b"\0")[0].decode("utf-8", "replace")
    remedy = f"it is damaged or no text: copy it again, or {form.save}"
    return form.wrong("text", "a NUL byte", remedy, before)


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
