"""Text of a dataset as str: Specific Character Set, and labels that senders get wrong.

PS3.3 Section C.12.1.1.2 lists the defined terms, PS3.5 Section 6.1 says how they work.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pydicom.charset import (
    STAND_ALONE_ENCODINGS,
    convert_encodings,
    decode_bytes,
    encode_string,
    python_encoding,
)
from pydicom.valuerep import TEXT_VR_DELIMS

_PADDING: Final = " \0"
_GB2312: Final = "\x1b$)A"
"""The escape sequence of ISO 2022 IR 58, which pydicom leaves in the text (PS3.5 Annex K)."""
_SINGLE: Final = re.compile(r"ISO[ _-]?IR[ _-]?(\d+)")
_EXTENSION: Final = re.compile(r"ISO[ _-]?20[0-9]{2}[ _-]?(?:IR)?[ _-]?(\d+)")
_UNICODE: Final = re.compile(r"UTF[ _-]?8")
_CHINESE: Final = re.compile(r"GB[ _-]?(18030|K)")


@lru_cache(maxsize=256)
def repair(label: bytes) -> bytes:
    """The value of Specific Character Set as the standard spells it, unpadded.

    `ISO 2020 IR 87`, `ISO_2022_IR_87`, `ISO-IR 100`, `UTF-8` and the like become the defined term
    that they mean; what resembles none is left as it is.
    """
    terms = label.decode("latin-1").strip(_PADDING).split("\\")
    return "\\".join(_repair_term(term.strip(_PADDING)) for term in terms).encode("latin-1")


def _repair_term(term: str) -> str:
    if term in python_encoding:
        return term
    upper = term.upper()
    if match := _SINGLE.fullmatch(upper):
        candidate = f"ISO_IR {match[1]}"
    elif match := _EXTENSION.fullmatch(upper):
        candidate = f"ISO 2022 IR {match[1]}"
    elif _UNICODE.fullmatch(upper):
        candidate = "ISO_IR 192"
    elif match := _CHINESE.fullmatch(upper):
        candidate = "GB18030" if match[1] == "18030" else "GBK"
    else:
        candidate = upper
    return candidate if candidate in python_encoding else term


@lru_cache(maxsize=256)
def encodings(label: bytes) -> tuple[str, ...]:
    """The Python encodings for a repaired value of Specific Character Set; ASCII for unknown."""
    terms = label.decode("latin-1").split("\\")
    terms = [term if term in python_encoding else "" for term in terms]
    if terms[0] in STAND_ALONE_ENCODINGS:
        terms = terms[:1]
    terms[1:] = [term for term in terms[1:] if term and term not in STAND_ALONE_ENCODINGS]
    return tuple(convert_encodings(terms))


def decode(value: bytes, label: bytes) -> str:
    """The text of a value under a repaired label, without padding.

    Never fails: bytes that the character set does not have become U+FFFD.
    """
    value = value.rstrip(b" \0")
    python = encodings(label)
    if b"\x1b" not in value:
        return value.decode(python[0], "replace").strip(_PADDING)
    try:
        text = decode_bytes(value, list(python), TEXT_VR_DELIMS)
        return text.replace(_GB2312, "").strip(_PADDING)
    except (ValueError, LookupError):
        return value.decode("latin-1").strip(_PADDING)


def encode(text: str, label: bytes) -> bytes | None:
    """The bytes of a text under a repaired label; None if it has characters that it lacks."""
    if text.isascii():
        return text.encode("ascii")
    value = encode_string(text, list(encodings(label)))
    return value if decode(value, label) == text else None
