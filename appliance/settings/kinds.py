"""The kinds of values that a key may take: format and limits, in words and in code.

A kind reads what TOML holds into what the model holds, and writes it back. What it refuses it
refuses with a `Mistake` that says what was expected, what was found and what to do. Numbers with
units are in `units`.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Generic, TypeVar, get_args

T = TypeVar("T")


class Mistake(Exception):
    """A value that its key does not take: what was expected, what was found, and the remedy."""

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        super().__init__(expected, found, remedy)
        self.expected = expected
        self.found = found
        self.remedy = remedy


def quoted(text: str) -> str:
    r"""Return the text as TOML writes it on one line; what cannot be seen as `\u…`."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04X}" if number < 0x10000 else f"\\U{number:08X}"


def describe(written: object) -> str:
    """Say in a few words what stands in the file."""
    match written:
        case bool():
            return "true" if written else "false"
        case int() if abs(written) >= 10**18:
            return "a number of more than 18 digits"
        case str() if len(written) > 60:
            return f"a text of {len(written)} characters that begins {quoted(written[:30])}"
        case str():
            return quoted(written)
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(written)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, or an empty text."""
    by_letters = {_letters(each): each for each in known}
    close = difflib.get_close_matches(_letters(word[:100]), by_letters, n=1, cutoff=0.6)
    return by_letters[close[0]] if close else ""


def _letters(word: str) -> str:
    return halfwidth(word).casefold().replace("-", "_").strip()


def halfwidth(text: str) -> str:
    """Return the text with full-width letters, digits and signs as the ASCII ones."""
    return unicodedata.normalize("NFKC", text)


class Kind(ABC, Generic[T]):
    """One kind of value."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What may be written, in words: format, unit and limits."""

    @abstractmethod
    def read(self, written: object) -> T:
        """Return what the model holds for what TOML holds; raise Mistake if it is not right."""

    def write(self, value: T) -> str:
        """Return the TOML text for a value of the model."""
        return quoted(str(value))

    def mistake(self, written: object, remedy: str) -> Mistake:
        """Return the Mistake that the value is not of this kind."""
        return Mistake(self.expected, describe(written), remedy)


@dataclass(frozen=True, slots=True)
class Flag(Kind[bool]):
    """True or false."""

    @property
    def expected(self) -> str:
        """What may be written."""
        return "true or false"

    def read(self, written: object) -> bool:
        """Return the flag."""
        if isinstance(written, bool):
            return written
        word = halfwidth(describe(written)).strip('" ').casefold()
        if word in ("true", "yes", "on", "1"):
            raise self.mistake(written, "write true, without quotes")
        if word in ("false", "no", "off", "0"):
            raise self.mistake(written, "write false, without quotes")
        raise self.mistake(written, "write true or false, without quotes")

    def write(self, value: bool) -> str:
        """Return the TOML text."""
        return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class Whole(Kind[int]):
    """A whole number within limits, of the unit that the key's name says, if any."""

    lowest: int
    highest: int
    unit: str = ""

    @property
    def expected(self) -> str:
        """What may be written."""
        number = f"a whole number of {self.unit}" if self.unit else "a whole number"
        if self.highest >= 2**63 - 1:
            return f"{number}, {self.lowest} or more"
        return f"{number}, {self.lowest} to {self.highest}"

    def read(self, written: object) -> int:
        """Return the number."""
        if isinstance(written, int) and not isinstance(written, bool):
            if self.lowest <= written <= self.highest:
                return written
            raise self.mistake(written, f"write {self.expected}")
        text = halfwidth(written) if isinstance(written, str) else ""
        digits = re.match(r"\s*([0-9]{1,18})\b", text)
        if digits and self.lowest <= int(digits[1]) <= self.highest:
            raise self.mistake(written, f"write {int(digits[1])}, without quotes or anything more")
        raise self.mistake(written, f"write {self.expected}, without quotes")

    def write(self, value: int) -> str:
        """Return the TOML text."""
        return str(value)


@dataclass(frozen=True, slots=True)
class Choice(Kind[str]):
    """One of a few words."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, literal: Any) -> Choice:
        """Return the choice between the words of a `typing.Literal`."""
        return cls(get_args(literal))

    @property
    def expected(self) -> str:
        """What may be written."""
        *others, last = (quoted(word) for word in self.words)
        return f"{', '.join(others)} or {last}"

    def read(self, written: object) -> str:
        """Return the word."""
        if not isinstance(written, str):
            raise self.mistake(written, f"write {self.expected}, in quotes")
        if written in self.words:
            return written
        meant = did_you_mean(written, self.words)
        remedy = f"did you mean {quoted(meant)}?" if meant else f"write {self.expected}"
        raise self.mistake(written, remedy)


class Text(Kind[str]):
    """A short text on one line. The kinds below say of what.

    The value of a confidential one never stands in a Mistake, which may end in a log or on a USB
    stick.
    """

    __slots__ = ()

    what: ClassVar[str]
    longest: ClassVar[int]
    refused: ClassVar[str] = ""
    because: ClassVar[str] = ""
    ascii: ClassVar[bool] = True
    confidential: ClassVar[bool] = False

    @property
    def expected(self) -> str:
        """What may be written."""
        ascii_ = "ASCII " if self.ascii else ""
        without = f", without {' '.join(self.refused)}" if self.refused else ""
        return f"{self.what}, 1 to {self.longest} {ascii_}characters{without}"

    def read(self, written: object) -> str:
        """Return the text."""
        if not isinstance(written, str):
            found = _nature(written) if self.confidential else describe(written)
            raise Mistake(self.expected, found, "write it in double quotes")
        for found, remedy in self.faults(written):
            shown = found if self.confidential or not written else describe(written)
            raise Mistake(self.expected, shown, remedy)
        return written

    def faults(self, text: str) -> Iterable[tuple[str, str]]:
        """Yield what is wrong with the text: what was found, without its value, and the remedy."""
        if not text:
            yield "an empty text", "write it between the quotes, or leave the key out"
        elif text != text.strip():
            yield (
                "spaces at an end of the text",
                "remove the spaces at the beginning and the end; it must not be spaces alone",
            )
        for character in text:
            if not character.isprintable():
                seen = f"the invisible character U+{ord(character):04X}"
                yield seen, f"remove {seen}: type the text instead of pasting it"
            elif self.ascii and not character.isascii():
                yield f"the character {character}", self._in_ascii(text, character)
            elif character in self.refused:
                yield f'the character "{character}"', f'remove "{character}": {self.because}'
        if len(text) > self.longest:
            yield f"{len(text)} characters", f"shorten it to {self.longest} characters"

    def _in_ascii(self, text: str, character: str) -> str:
        plain = halfwidth(text)
        if not plain.isascii():
            return f"replace {character}: only ASCII letters, digits and signs are possible here"
        if self.confidential:
            return f"write {halfwidth(character)} instead of {character}, in half width"
        return f"write {quoted(plain)}, in half-width letters"


def _nature(written: object) -> str:
    match written:
        case bool():
            return "true or false"
        case int() | float():
            return "a number without quotes"
        case date():
            return "a date without quotes"
        case _:
            return describe(written)


class Rectangle(Kind[tuple[int, int, int, int]]):
    """A rectangle of pixels: left, top, width, height, counted from the upper left corner."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "left, top, width and height in pixels in quotes, such as 0,0,1024,64"

    def read(self, written: object) -> tuple[int, int, int, int]:
        """Return the four numbers."""
        text = halfwidth(written) if isinstance(written, str) else ""
        numbers = [each.strip() for each in text.split(",")]
        if len(numbers) != 4 or not all(re.fullmatch("[0-9]{1,5}", each) for each in numbers):
            raise self.mistake(written, f"write {self.expected}")
        left, top, width, height = map(int, numbers)
        if not width or not height:
            raise self.mistake(written, "write a width and a height of 1 pixel or more")
        return left, top, width, height

    def write(self, value: tuple[int, int, int, int]) -> str:
        """Return the TOML text."""
        return quoted(",".join(map(str, value)))


class Name(Text):
    """A name that people and the command line use."""

    __slots__ = ()
    what = "a name"
    longest = 64
    ascii = False

    def faults(self, text: str) -> Iterable[tuple[str, str]]:
        """Yield what is wrong with the name."""
        yield from super().faults(text)
        if text.startswith("-"):
            yield "a name that begins with -", "begin it with a letter: - marks command options"


class AETitle(Text):
    """An AE title: PS3.5 Section 6.2, value representation AE."""

    __slots__ = ()
    what = "an AE title"
    longest = 16
    refused = "\\"
    because = "it separates values in DICOM"


class PatientID(Text):
    """A patient's number as a matching key: PS3.5 Section 6.2, LO, and PS3.4 Section C.2.2.2."""

    __slots__ = ()
    what = "a patient's number"
    longest = 64
    refused = "\\*?"
    because = "in a query it would match other patients, too"
    ascii = False
    confidential = True


class Accession(Text):
    """An accession number as a matching key: PS3.5 Section 6.2, value representation SH."""

    __slots__ = ()
    what = "an accession number"
    longest = 16
    refused = "\\*?"
    because = "in a query it would match other studies, too"
    ascii = False
    confidential = True


class Pseudonym(Text):
    """What replaces a Patient ID and a Patient's Name: fits LO and PN in every character set."""

    __slots__ = ()
    what = "a pseudonym"
    longest = 64
    refused = "\\^=*?"
    because = "it has a meaning of its own in DICOM names and queries"


class Host(Kind[str]):
    """An IP address or a host name (RFC 1123; underscores, which Windows allows, as well)."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "an IP address or a host name"

    def read(self, written: object) -> str:
        """Return the host as written."""
        if not isinstance(written, str):
            raise self.mistake(written, "write it in double quotes")
        if not (_is_address(written) or _is_host_name(written)):
            raise self.mistake(written, _host_remedy(written))
        return written


class LocalAddress(Kind[str]):
    """An IP address of the box's own, or an empty text for all of them."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "an IP address of the box, or an empty text"

    def read(self, written: object) -> str:
        """Return the address as written."""
        if not isinstance(written, str):
            raise self.mistake(written, "write it in double quotes")
        if not written or _is_address(written):
            return written
        if _is_host_name(written):
            raise self.mistake(written, "write the number, such as 192.0.2.5; names do not work")
        raise self.mistake(written, _host_remedy(written))


class Origin(Kind[str]):
    """Where associations come from: an IP address, a host name or a network in CIDR notation."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "an IP address, a host name, or a network such as 192.0.2.0/24"

    def read(self, written: object) -> str:
        """Return the origin as written."""
        if not isinstance(written, str):
            raise self.mistake(written, "write it in double quotes")
        if "/" not in written or "://" in written:
            if _is_address(written) or _is_host_name(written):
                return written
            raise self.mistake(written, _host_remedy(written, networks=True))
        try:
            ipaddress.ip_network(written)
        except ValueError:
            raise self.mistake(written, _network_remedy(written)) from None
        return written


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_HOST_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def _is_host_name(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    # A last label of digits alone is an address that somebody mistyped.
    return (
        len(text) <= 253
        and not labels[-1].isdigit()
        and all(_HOST_LABEL.fullmatch(label) for label in labels)
    )


def _host_remedy(text: str, *, networks: bool = False) -> str:
    plain = halfwidth(text).strip()
    if not plain:
        return "write it between the quotes"
    if plain != text and (_is_address(plain) or _is_host_name(plain)):
        return f"did you mean {quoted(plain)}?"
    if "://" in plain:
        return "write the host alone, without what stands before and behind it in a web address"
    if re.fullmatch(r"[\d.]+", plain, re.ASCII):
        return _dotted_remedy(plain)
    host, _, port = plain.rpartition(":")
    if port.isdigit() and (_is_address(host.strip("[]")) or _is_host_name(host)):
        return f"write {quoted(host.strip('[]'))}, and the port under the key port"
    if networks and re.fullmatch(r"[\d.*\s-]+", plain, re.ASCII):
        return "write a range of addresses as a network, such as 192.0.2.0/24"
    if "/" in plain:
        return "write one host; the networks it calls from stand in calls_from"
    return "write an address such as 192.0.2.10, or a name of ASCII letters, digits, - and dots"


def _dotted_remedy(text: str) -> str:
    parts = text.split(".")
    if len(parts) != 4 or not all(parts):
        return f"write four numbers with dots between them, not {sum(map(bool, parts))}"
    plain = ".".join(part.lstrip("0") or "0" for part in parts)
    if _is_address(plain):
        return f"write {quoted(plain)}, without leading zeros: they would make a number octal"
    return "write no number of the address above 255"


def _network_remedy(text: str) -> str:
    try:
        network = ipaddress.ip_network(halfwidth(text).strip(), strict=False)
    except ValueError:
        return "write the network's address, a slash and its length in bits, as in 192.0.2.0/24"
    return f"did you mean {quoted(str(network))}?"


class CharacterSet(Kind[str]):
    """Specific Character Set (0008,0005): PS3.3 Section C.12.1.1.2, those that we decode."""

    __slots__ = ()

    ALONE: ClassVar = ("ISO_IR 6", "ISO_IR 13", "ISO_IR 100", "ISO_IR 192", "GB18030", "GBK")
    FIRST: ClassVar = ("ISO 2022 IR 6", "ISO 2022 IR 13", "ISO 2022 IR 100")
    FURTHER: ClassVar = (*FIRST, "ISO 2022 IR 87", "ISO 2022 IR 149", "ISO 2022 IR 58")

    @property
    def expected(self) -> str:
        """What may be written."""
        return (
            f"one of {', '.join(self.ALONE)}; or {', '.join(self.FIRST)} or nothing, "
            f"and behind a backslash each, {', '.join(self.FURTHER[len(self.FIRST) :])}"
        )

    def read(self, written: object) -> str:
        """Return the defined terms as written, with backslashes between them."""
        if not isinstance(written, str):
            raise self.mistake(written, "write it in single quotes")
        if not self._takes(written):
            raise self.mistake(written, self._remedy(written))
        return written

    def _takes(self, text: str) -> bool:
        if text in self.ALONE or text in self.FIRST:
            return True
        first, *further = text.split("\\")
        return (
            bool(further)
            and first in ("", *self.FIRST)
            and all(term in self.FURTHER for term in further)
            and len({first, *further}) == len(further) + 1
        )

    def _remedy(self, text: str) -> str:
        terms = text.split("\\")
        if len(terms) > 1 and any(term in self.ALONE for term in terms):
            alone = next(term for term in terms if term in self.ALONE)
            return f"write {quoted(alone)} alone, or terms that begin with ISO 2022"
        meant = "\\".join(map(self._meant, terms))
        if meant in self.FURTHER and meant not in self.FIRST:
            meant = f"\\{meant}"  # It never stands first.
        if meant == text or not self._takes(meant):
            return _AS_LISTED
        return f"did you mean {quoted(meant)}?"

    def _meant(self, term: str) -> str:
        """Return the term with the same number: that is what people remember."""
        plain = " ".join(re.findall(r"[a-z]+|[0-9]+", halfwidth(term).casefold()))
        if plain in _COMMON_NAMES:
            return _COMMON_NAMES[plain]
        number = plain.rpartition(" ")[2]
        known = (*self.ALONE, *self.FURTHER)
        return did_you_mean(term, (each for each in known if each.split(" ")[-1] == number))


_COMMON_NAMES = {
    "utf 8": "ISO_IR 192",
    "latin 1": "ISO_IR 100",
    "iso 8859 1": "ISO_IR 100",
    "ascii": "ISO_IR 6",
    "gb 18030": "GB18030",
    "gbk": "GBK",
}
_AS_LISTED = "write the terms as listed, a backslash between them, all in single quotes"


class Date(Kind[date]):
    """A day."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "a date: year-month-day, without quotes, 1900-01-01 or later"

    def read(self, written: object) -> date:
        """Return the day."""
        if isinstance(written, date) and not isinstance(written, datetime) and written.year >= 1900:
            return written
        raise self.mistake(written, self._remedy(written))

    def write(self, value: date) -> str:
        """Return the TOML text."""
        return value.isoformat()

    def _remedy(self, written: object) -> str:
        text = halfwidth(describe(written)).strip('"')
        if isinstance(written, datetime):
            text = written.date().isoformat()
        parts = re.fullmatch(r"(\d{4})([-/.年]?)(\d{1,2})[-/.月]?(\d{1,2})日?", text, re.ASCII)
        if parts:
            try:
                meant = date(int(parts[1]), int(parts[3]), int(parts[4]))
            except ValueError:
                return "write a day that is in the calendar"
            if meant.year >= 1900:
                return f"write {meant.isoformat()}, without quotes"
        return "write it like 2025-04-01, without quotes"


@dataclass(frozen=True, slots=True)
class Pem(Kind[str]):
    """One or more blocks of PEM (RFC 7468) of one label. Its text never stands in a Mistake."""

    label: str

    @property
    def expected(self) -> str:
        """What may be written."""
        return f"PEM text, from -----BEGIN {self.label}----- to -----END {self.label}-----"

    @property
    def sample(self) -> str:
        """What an example shows in place of somebody's certificate or key."""
        return (
            f"-----BEGIN {self.label}-----\n(the lines of your file)\n-----END {self.label}-----\n"
        )

    def read(self, written: object) -> str:
        """Return the PEM text as written."""
        if not isinstance(written, str):
            raise Mistake(self.expected, _nature(written), _PASTE)
        fault = self._fault(written)
        if fault:
            raise Mistake(self.expected, *fault)
        return written

    def write(self, value: str) -> str:
        """Return the TOML text."""
        return f"'''\n{value}'''"

    def _fault(self, text: str) -> tuple[str, str] | None:
        begins = re.findall(r"-----BEGIN ([A-Z0-9 ]+)-----", text)
        blocks = _PEM_BLOCK.findall(text)
        if not begins:
            return "a text without a BEGIN line", _PASTE
        if len(blocks) != len(begins):
            return "a BEGIN line without its END line", _PASTE
        if "ENCRYPTED PRIVATE KEY" in begins or "ENCRYPTED" in text.partition("Proc-Type")[2][:20]:
            return (
                "a private key under a password",
                "remove the password: openssl pkey -in key.pem -out plain.pem",
            )
        wrong = next((label for label in begins if not self._takes(label)), "")
        if wrong:
            return f"a block BEGIN {wrong}", f"paste the {self.label.lower()} here and nothing else"
        if not any(label.endswith(self.label) for label in begins):
            return f"no block BEGIN {self.label}", _PASTE
        if not all(_is_der(body) for _, body in blocks):
            return f"a damaged {self.label.lower()}", _PASTE
        return None

    def _takes(self, label: str) -> bool:
        if self.label == "PRIVATE KEY":
            # Older tools write the algorithm into the label, and a block of curve parameters.
            keys = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "EC PARAMETERS")
            return label in keys
        return label == self.label


_PASTE = "paste the whole PEM file, from the BEGIN line to the END line, between ''' and '''"
_PEM_BLOCK = re.compile(
    r"-----BEGIN ([A-Z0-9 ]+)-----((?:(?!-----BEGIN).)*?)-----END \1-----", re.DOTALL
)


def _is_der(body: str) -> bool:
    """Whether the body of a PEM block is one whole DER value: cut or mistyped ones are not."""
    try:
        der = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    if len(der) < 2:
        return False
    size = der[1]
    if size < 0x80:
        return len(der) == 2 + size
    octets = size & 0x7F
    return len(der) == 2 + octets + int.from_bytes(der[2 : 2 + octets], "big")
