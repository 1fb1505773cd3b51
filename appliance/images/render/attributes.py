"""The attributes that rendering reads, and one way to read them from either kind of source.

A durable file is scanned by `scan`, which keeps the bytes of every element and interprets none;
a `pydicom.Dataset` is read through the same methods. Values are converted when they are asked for,
because converting all elements of a CT header takes longer than making its picture.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset


class Attribute(NamedTuple):
    """A data element's tag, and the value representation it has where the encoding tells none."""

    tag: int
    vr: str


SOP_CLASS = Attribute(0x00080016, "UI")
SOP_INSTANCE = Attribute(0x00080018, "UI")
REFERENCED_SERIES = Attribute(0x00081115, "SQ")
REFERENCED_IMAGES = Attribute(0x00081140, "SQ")
REFERENCED_INSTANCE = Attribute(0x00081155, "UI")
REFERENCED_FRAMES = Attribute(0x00081160, "IS")
DISPLAY_FRAME_RATE = Attribute(0x00082144, "IS")
CHARACTER_SETS = Attribute(0x00080005, "CS")
MODALITY = Attribute(0x00080060, "CS")
CODE_VALUE = Attribute(0x00080100, "SH")
DEIDENTIFICATION_CODES = Attribute(0x00120064, "SQ")
CINE_RATE = Attribute(0x00180040, "IS")
FRAME_TIME = Attribute(0x00181063, "DS")
FRAME_TIME_VECTOR = Attribute(0x00181065, "DS")
SHUTTER_SHAPE = Attribute(0x00181600, "CS")
SHUTTER_LEFT = Attribute(0x00181602, "IS")
SHUTTER_RIGHT = Attribute(0x00181604, "IS")
SHUTTER_UPPER = Attribute(0x00181606, "IS")
SHUTTER_LOWER = Attribute(0x00181608, "IS")
SHUTTER_CENTRE = Attribute(0x00181610, "IS")
SHUTTER_RADIUS = Attribute(0x00181612, "IS")
SHUTTER_VERTICES = Attribute(0x00181620, "IS")
SHUTTER_VALUE = Attribute(0x00181622, "US")
SHUTTER_OVERLAY = Attribute(0x00181623, "US")
SHUTTER_COLOUR = Attribute(0x00181624, "US")
IMAGER_SPACING = Attribute(0x00181164, "DS")
NOMINAL_SPACING = Attribute(0x00182010, "DS")
FRAME_SHUTTER = Attribute(0x00189472, "SQ")
SAMPLES = Attribute(0x00280002, "US")
PHOTOMETRIC = Attribute(0x00280004, "CS")
PLANAR = Attribute(0x00280006, "US")
FRAMES = Attribute(0x00280008, "IS")
ROWS = Attribute(0x00280010, "US")
COLUMNS = Attribute(0x00280011, "US")
PIXEL_SPACING = Attribute(0x00280030, "DS")
ASPECT_RATIO = Attribute(0x00280034, "IS")
BITS_ALLOCATED = Attribute(0x00280100, "US")
BITS_STORED = Attribute(0x00280101, "US")
HIGH_BIT = Attribute(0x00280102, "US")
PIXEL_REPRESENTATION = Attribute(0x00280103, "US")
PADDING_VALUE = Attribute(0x00280120, "US")
PADDING_LIMIT = Attribute(0x00280121, "US")
BURNED_IN_ANNOTATION = Attribute(0x00280301, "CS")
PIXEL_INTENSITY = Attribute(0x00281040, "CS")
WINDOW_CENTRE = Attribute(0x00281050, "DS")
WINDOW_WIDTH = Attribute(0x00281051, "DS")
RESCALE_INTERCEPT = Attribute(0x00281052, "DS")
RESCALE_SLOPE = Attribute(0x00281053, "DS")
VOI_FUNCTION = Attribute(0x00281056, "CS")
VIEWING_MODE = Attribute(0x00281090, "CS")
RED_DESCRIPTOR = Attribute(0x00281101, "US")
GREEN_DESCRIPTOR = Attribute(0x00281102, "US")
BLUE_DESCRIPTOR = Attribute(0x00281103, "US")
RED_DATA = Attribute(0x00281201, "OW")
GREEN_DATA = Attribute(0x00281202, "OW")
BLUE_DATA = Attribute(0x00281203, "OW")
RED_SEGMENTED = Attribute(0x00281221, "OW")
GREEN_SEGMENTED = Attribute(0x00281222, "OW")
BLUE_SEGMENTED = Attribute(0x00281223, "OW")
ICC_PROFILE = Attribute(0x00282000, "OB")
MODALITY_LUT_SEQUENCE = Attribute(0x00283000, "SQ")
LUT_DESCRIPTOR = Attribute(0x00283002, "US")
LUT_DATA = Attribute(0x00283006, "OW")
VOI_LUT_SEQUENCE = Attribute(0x00283010, "SQ")
PIXEL_MEASURES = Attribute(0x00289110, "SQ")
SOFTCOPY_VOI_SEQUENCE = Attribute(0x00283110, "SQ")
MASK_SUBTRACTION = Attribute(0x00286100, "SQ")
MASK_OPERATION = Attribute(0x00286101, "CS")
APPLICABLE_FRAMES = Attribute(0x00286102, "US")
MASK_FRAMES = Attribute(0x00286110, "US")
CONTRAST_AVERAGING = Attribute(0x00286112, "US")
MASK_SHIFT = Attribute(0x00286114, "FL")
TID_OFFSET = Attribute(0x00286120, "SS")
FRAME_VOI_SEQUENCE = Attribute(0x00289132, "SQ")
PIXEL_VALUE_TRANSFORMATION = Attribute(0x00289145, "SQ")
OPTICAL_PATHS = Attribute(0x00480105, "SQ")
GRAPHIC_ANNOTATIONS = Attribute(0x00700001, "SQ")
GRAPHIC_LAYER = Attribute(0x00700002, "CS")
BOX_UNITS = Attribute(0x00700003, "CS")
ANCHOR_UNITS = Attribute(0x00700004, "CS")
GRAPHIC_UNITS = Attribute(0x00700005, "CS")
TEXT_VALUE = Attribute(0x00700006, "ST")
TEXT_OBJECTS = Attribute(0x00700008, "SQ")
GRAPHIC_OBJECTS = Attribute(0x00700009, "SQ")
BOX_TOP_LEFT = Attribute(0x00700010, "FL")
BOX_BOTTOM_RIGHT = Attribute(0x00700011, "FL")
TEXT_JUSTIFICATION = Attribute(0x00700012, "CS")
ANCHOR_POINT = Attribute(0x00700014, "FL")
ANCHOR_VISIBLE = Attribute(0x00700015, "CS")
GRAPHIC_DATA = Attribute(0x00700022, "FL")
GRAPHIC_TYPE = Attribute(0x00700023, "CS")
GRAPHIC_FILLED = Attribute(0x00700024, "CS")
FLIPPED = Attribute(0x00700041, "CS")
ROTATION = Attribute(0x00700042, "US")
AREA_TOP_LEFT = Attribute(0x00700052, "SL")
AREA_BOTTOM_RIGHT = Attribute(0x00700053, "SL")
DISPLAYED_AREAS = Attribute(0x0070005A, "SQ")
GRAPHIC_LAYERS = Attribute(0x00700060, "SQ")
LAYER_ORDER = Attribute(0x00700062, "IS")
LAYER_GREY = Attribute(0x00700066, "US")
LAYER_COLOUR = Attribute(0x00700401, "US")
AREA_SPACING = Attribute(0x00700101, "DS")
AREA_ASPECT = Attribute(0x00700102, "IS")
PRESENTATION_LUT_SEQUENCE = Attribute(0x20500010, "SQ")
PRESENTATION_SHAPE = Attribute(0x20500020, "CS")
SHARED_GROUPS = Attribute(0x52009229, "SQ")
FRAME_GROUPS = Attribute(0x52009230, "SQ")
OVERLAY_ROWS = Attribute(0x60000010, "US")
OVERLAY_COLUMNS = Attribute(0x60000011, "US")
OVERLAY_FRAMES = Attribute(0x60000015, "IS")
OVERLAY_ORIGIN = Attribute(0x60000050, "SS")
OVERLAY_FIRST_FRAME = Attribute(0x60000051, "US")
OVERLAY_BITS_ALLOCATED = Attribute(0x60000100, "US")
OVERLAY_BIT = Attribute(0x60000102, "US")
OVERLAY_LAYER = Attribute(0x60001001, "CS")
OVERLAY_DATA = Attribute(0x60003000, "OW")
EXTENDED_OFFSETS = Attribute(0x7FE00001, "OV")
FLOAT_PIXELS = 0x7FE00008
DOUBLE_PIXELS = 0x7FE00009
PIXELS = 0x7FE00010
PIXEL_TAGS = frozenset({FLOAT_PIXELS, DOUBLE_PIXELS, PIXELS})

_INTEGERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "OV": "Q", "UV": "Q"}
_REALS = {"FL": "f", "FD": "d"}
_FIRST_CHARACTERS = 4096
_ALL_CHARACTERS = 1 << 22


class Attributes(ABC):
    """Read access to the data elements of a dataset or of a sequence item.

    A value that is absent, empty or not of its form reads as an empty tuple, "" or b"": rendering
    decides what is missed, since most attributes can be done without.
    """

    little_endian: bool

    @abstractmethod
    def element(self, attribute: Attribute) -> tuple[str, Any]:
        """VR and value, which is bytes as encoded or already converted; ("", None) if absent."""

    @abstractmethod
    def items(self, attribute: Attribute) -> Sequence[Attributes]:
        """The items of a sequence; none if it is absent or cannot be read."""

    def __contains__(self, attribute: Attribute) -> bool:
        return self.element(attribute)[0] != ""

    def integers(self, attribute: Attribute) -> tuple[int, ...]:
        """All values of an integer attribute."""
        vr, value = self.element(attribute)
        if isinstance(value, (bytes, memoryview)) and vr in _INTEGERS:
            return self._unpacked(value, _INTEGERS[vr])
        try:
            return tuple(int(float(one)) for one in _parts(value))
        except (ValueError, OverflowError, TypeError):
            return ()

    def integer(self, attribute: Attribute) -> int | None:
        """The first value of an integer attribute."""
        values = self.integers(attribute)
        return values[0] if values else None

    def decimal(self, attribute: Attribute) -> float | None:
        """The first value of a decimal attribute; infinities and NaN count as absent."""
        vr, value = self.element(attribute)
        try:
            if isinstance(value, (bytes, memoryview)) and vr in _REALS:
                number = float(self._unpacked(value, _REALS[vr])[0])
            else:
                number = float(_parts(value)[0])
        except (ValueError, IndexError, TypeError):
            return None
        return number if abs(number) < float("inf") else None

    def decimals(self, attribute: Attribute) -> tuple[float, ...]:
        """All values of a decimal attribute; none if one of them is not a finite number."""
        vr, value = self.element(attribute)
        try:
            if isinstance(value, (bytes, memoryview)) and vr in _REALS:
                numbers = tuple(float(one) for one in self._unpacked(value, _REALS[vr]))
            else:
                numbers = tuple(float(one) for one in _parts(value, _ALL_CHARACTERS))
        except (ValueError, TypeError):
            return ()
        return numbers if all(abs(number) < float("inf") for number in numbers) else ()

    def text(self, attribute: Attribute) -> str:
        """The first value of a code string or UID."""
        _, value = self.element(attribute)
        parts = _parts(value)
        return str(parts[0]) if parts else ""

    def texts(self, attribute: Attribute) -> tuple[str, ...]:
        """All values of a code string."""
        return tuple(str(one) for one in _parts(self.element(attribute)[1]))

    def encoded(self, attribute: Attribute) -> bytes:
        """The encoded value, in the byte order `little_endian` names."""
        _, value = self.element(attribute)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        if isinstance(value, (int, Sequence)) and not isinstance(value, str):
            numbers = [value] if isinstance(value, int) else list(value)
            order = "<" if self.little_endian else ">"
            return struct.pack(f"{order}{len(numbers)}H", *(int(n) & 0xFFFF for n in numbers))
        return b""

    def _unpacked(self, value: bytes | memoryview, code: str) -> tuple[Any, ...]:
        size = struct.calcsize(code)
        count = len(value) // size
        order = "<" if self.little_endian else ">"
        return struct.unpack(f"{order}{count}{code}", value[: count * size])


def _parts(value: Any, most: int = _FIRST_CHARACTERS) -> list[Any]:
    """The values of a multi-valued text or number, blank ones left out."""
    if value is None:
        return []
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = bytes(value[:most]).decode("ascii", "replace")
    if isinstance(value, str):
        return [part for part in (one.strip(" \0") for one in value.split("\\")) if part]
    if isinstance(value, Sequence) or hasattr(value, "__iter__"):
        return [one for one in value if one is not None and one != ""]
    return [value]


class DatasetAttributes(Attributes):
    """The attributes of a `pydicom.Dataset`; raw elements are not converted by reading them."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        _, little_endian = dataset.original_encoding
        self.little_endian = little_endian is not False

    def element(self, attribute: Attribute) -> tuple[str, Any]:
        """VR and value; ("", None) also where pydicom cannot convert the value."""
        try:
            found = self._dataset.get_item(attribute.tag)
            if found is None:
                return "", None
            if isinstance(found, RawDataElement):
                vr = found.VR if found.VR not in (None, "UN") else attribute.vr
                return str(vr), found.value
            return str(found.VR), found.value
        except Exception:  # pydicom raises what a broken value makes it raise
            return "", None

    def items(self, attribute: Attribute) -> Sequence[Attributes]:
        """The items of a sequence."""
        try:
            if attribute.tag not in self._dataset:
                return ()
            return [DatasetAttributes(item) for item in self._dataset[attribute.tag].value]
        except Exception:  # pydicom raises what a broken value makes it raise
            return ()


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a dataset's elements are encoded (PS3.5 Section 7.1)."""

    implicit: bool
    little_endian: bool


class NotPlain(Exception):
    """The bytes are not what the encoding says; pydicom, which forgives more, is to read them."""


class ScannedAttributes(Attributes):
    """The attributes that `scan` found; sequences are scanned when they are asked for."""

    def __init__(self, elements: Mapping[int, tuple[str, memoryview]], encoding: Encoding) -> None:
        self._elements = elements
        self._encoding = encoding
        self.little_endian = encoding.little_endian

    def __contains__(self, attribute: Attribute) -> bool:
        return attribute.tag in self._elements

    def element(self, attribute: Attribute) -> tuple[str, Any]:
        """VR and the value's bytes; the attribute's own VR where the encoding gives none."""
        found = self._elements.get(attribute.tag)
        if found is None:
            return "", None
        vr, value = found
        return (vr if vr not in ("", "UN") else attribute.vr), value

    def items(self, attribute: Attribute) -> Sequence[Attributes]:
        """The items of a sequence."""
        found = self._elements.get(attribute.tag)
        if found is None:
            return ()
        # PS3.5 Section 6.2.2: a sequence of VR UN is in Implicit VR Little Endian inside.
        encoding = Encoding(True, True) if found[0] == "UN" else self._encoding
        try:
            return _items(found[1], encoding)
        except (NotPlain, struct.error, IndexError):
            return ()


@dataclass(frozen=True, slots=True)
class PixelValue:
    """Where the pixel data element of a scanned dataset is: byte offsets from its start.

    `length` is None where the value is encapsulated (PS3.5 Section A.4).
    """

    tag: int
    vr: str
    offset: int
    length: int | None


_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR"}) | {
    b"UT",
    b"UV",
}
_SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_DEEPEST = 64


def scan(data: memoryview, encoding: Encoding) -> tuple[ScannedAttributes, PixelValue | None]:
    """The elements of a dataset up to its pixel data, and where that is.

    Raises NotPlain where the bytes do not follow `encoding` in every respect.
    """
    elements: dict[int, tuple[str, memoryview]] = {}
    pixels, _ = _elements(data, 0, encoding, elements, 0)
    return ScannedAttributes(elements, encoding), pixels


def _elements(
    data: memoryview,
    at: int,
    encoding: Encoding,
    found: dict[int, tuple[str, memoryview]] | None,
    depth: int,
) -> tuple[PixelValue | None, int]:
    """Walk elements from `at`; ends at the data's end, at pixel data, or after an item's end."""
    order = "<" if encoding.little_endian else ">"
    implicit = encoding.implicit
    head = struct.Struct(order + ("HHI" if implicit else "HH2sH")).unpack_from
    unpack_long = struct.Struct(order + "I").unpack_from
    end = len(data)
    if depth > _DEEPEST:
        raise NotPlain("sequences nested deeper than any known object")
    while at < end:
        if end - at < 8:
            raise NotPlain("an element's header is cut off")
        if implicit:
            group, number, length = head(data, at)
            code = b""
        else:
            group, number, code, length = head(data, at)
        tag = group << 16 | number
        if group == 0xFFFE:
            if tag == _ITEM_END and depth:
                return None, at + 8
            raise NotPlain("a delimiter outside a sequence")
        if implicit or code in _SHORT:
            at += 8
        elif code in _LONG:
            if end - at < 12:
                raise NotPlain("an element's header is cut off")
            (length,) = unpack_long(data, at + 8)
            at += 12
        else:
            raise NotPlain("an unknown value representation")
        vr = code.decode()
        if not depth and tag in PIXEL_TAGS:
            return PixelValue(tag, vr, at, None if length == _UNDEFINED else length), at
        if length == _UNDEFINED:
            inside = Encoding(True, True) if vr == "UN" else encoding
            after = _sequence_end(data, at, inside, depth + 1)
        else:
            after = at + length
            if after > end:
                raise NotPlain("a value is cut off")
        if found is not None:
            found[tag] = (vr, data[at:after])
        at = after
    return None, at


def _sequence_end(data: memoryview, at: int, encoding: Encoding, depth: int) -> int:
    """Where a sequence of undefined length that starts at `at` ends, its delimiter included."""
    form = struct.Struct(("<" if encoding.little_endian else ">") + "HHI").unpack_from
    while True:
        if len(data) - at < 8:
            raise NotPlain("a sequence is cut off")
        group, number, length = form(data, at)
        tag = group << 16 | number
        at += 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise NotPlain("a sequence holds something else than items")
        if length == _UNDEFINED:
            _, at = _elements(data, at, encoding, None, depth)
        else:
            at += length


def _items(data: memoryview, encoding: Encoding) -> list[Attributes]:
    """The items in a sequence's value, whether their lengths are defined or not."""
    form = struct.Struct(("<" if encoding.little_endian else ">") + "HHI").unpack_from
    items: list[Attributes] = []
    at = 0
    while at + 8 <= len(data):
        group, number, length = form(data, at)
        tag = group << 16 | number
        at += 8
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM:
            raise NotPlain("a sequence holds something else than items")
        elements: dict[int, tuple[str, memoryview]] = {}
        if length == _UNDEFINED:
            _, at = _elements(data, at, encoding, elements, 1)
        else:
            _elements(data[at : at + length], 0, encoding, elements, 1)
            at += length
        items.append(ScannedAttributes(elements, encoding))
    return items
