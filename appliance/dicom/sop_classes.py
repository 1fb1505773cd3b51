"""The SOP classes and transfer syntaxes that the box negotiates.

One table for the negotiation, for admission and for the conformance statement (PS3.4 Annex B,
PS3.5 Section 10, PS3.6 Annex A).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydicom.uid import UID

Profile = Literal["strict", "broad"]

VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

UNCOMPRESSED = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
)
"""The syntaxes with native pixels, in the order in which the box prefers them."""

LARGEST_PROPOSAL = 128
"""Presentation contexts of one association (PS3.8 Section 9.3.2.2: odd numbers of one byte)."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."

_STRICT_IMAGES = ("1", "1.1", "1.2", "2", "3.1", "4", "6.1", "7", "12.1", "12.2", "77.1.4", "128")
_STRICT_OTHERS = ("11.1",)
_BROAD_IMAGES = (
    *("1.1.1", "1.2.1", "1.3", "1.3.1"),  # radiography, also for processing
    *("2.1", "2.2", "4.1", "4.3", "4.4", "128.1", "130"),  # enhanced CT, MR, PET
    *("3", "6", "6.2"),  # ultrasound, retired and volume
    *("7.1", "7.2", "7.3", "7.4"),  # multi-frame secondary capture
    *("12.1.1", "12.2.1", "12.3", "13.1.1", "13.1.2"),  # X-ray, enhanced and 3D
    *("13.1.3", "13.1.4", "13.1.5"),  # breast tomosynthesis and projection
    *("14.1", "14.2", "5", "20", "30", "66.4"),  # IVOCT, NM, parametric map, segmentation
    *("77.1.1", "77.1.2", "77.1.3", "77.1.7"),  # visible light
    *("77.1.5.1", "77.1.5.2", "77.1.5.4", "77.1.5.5", "77.1.5.6"),  # ophthalmic
    *("481.1", "481.2"),  # RT image and dose
)
_BROAD_OTHERS = (
    *("11.2", "11.3", "11.4", "11.5"),  # presentation states
    *("88.11", "88.22", "88.33", "88.34", "88.40", "88.50", "88.59", "88.65"),  # reports
    *("88.67", "88.68", "88.69", "88.71", "88.73", "88.76"),  # dose and further reports
    *("104.1", "104.2"),  # encapsulated PDF, CDA
)


_BY_MODALITY: Mapping[str, tuple[str, ...]] = {
    "CT": ("2", "2.1", "2.2"),
    "MR": ("4", "4.1", "4.3", "4.4"),
    "CR": ("1",),
    "DX": ("1.1", "1.1.1"),
    "US": ("6.1", "3.1", "6", "3", "6.2"),
    "XA": ("12.1", "12.1.1", "13.1.1", "12.3"),
    "MG": ("1.2", "1.2.1", "13.1.3", "13.1.4", "13.1.5"),
    "RF": ("12.2", "12.2.1", "13.1.2"),
    "PT": ("128", "128.1", "130"),
    "NM": ("20", "5"),
    "ES": ("77.1.1", "77.1.4"),
    "GM": ("77.1.2", "77.1.3"),
    "SM": ("77.1.3",),
    "XC": ("77.1.4",),
    "OP": ("77.1.5.1", "77.1.5.2"),
    "OPT": ("77.1.5.4", "77.1.5.5", "77.1.5.6"),
    "IO": ("1.3", "1.3.1"),
    "PX": ("1.1", "1.3"),
    "IVOCT": ("14.1", "14.2"),
    "SEG": ("66.4",),
    "RTIMAGE": ("481.1",),
    "RTDOSE": ("481.2",),
}
"""The image classes that a series of a modality is likely to hold."""

_COMMON = ("2", "4", "1", "1.1", "6.1", "3.1", "7", "12.1", "1.2")
_COMMONLY_COMPRESSED = ("4.90", "4.70", "4.50", "4.91", "4.80", "5", "4.51")
"""JPEG 2000 lossless, JPEG lossless, JPEG baseline, JPEG 2000, JPEG-LS lossless, RLE, extended."""


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A storage SOP class that the box accepts.

    `is_image` tells whether its instances are expected to carry pixels that can be rendered.
    """

    uid: str
    is_image: bool

    @property
    def name(self) -> str:
        """The name of the class in PS3.6 Table A-1."""
        return UID(self.uid).name


def storage_classes(profile: Profile) -> tuple[StorageClass, ...]:
    """Return the storage SOP classes of `profile`: the statement's own, then what `broad` adds."""
    strict = _classes(_STRICT_IMAGES, True) + _classes(_STRICT_OTHERS, False)
    if profile == "strict":
        return tuple(sorted(strict, key=_uid_order))
    broad = _classes(_BROAD_IMAGES, True) + _classes(_BROAD_OTHERS, False)
    return tuple(sorted(strict + broad, key=_uid_order))


def transfer_syntaxes(profile: Profile, proven: Sequence[str]) -> tuple[str, ...]:
    """Return the transfer syntaxes accepted for storage, the preferred one first.

    `proven` are the syntaxes that a decoder of this machine has shown that it decodes. The strict
    profile accepts Implicit VR Little Endian alone, as the conformance statement does.
    """
    if profile == "strict":
        return (IMPLICIT_VR_LITTLE_ENDIAN,)
    native = tuple(uid for uid in UNCOMPRESSED if uid in proven)
    return native + tuple(uid for uid in proven if uid not in UNCOMPRESSED)


def uncompressed_syntaxes(profile: Profile, proven: Sequence[str]) -> tuple[str, ...]:
    """Return the syntaxes in which each class is proposed for C-GET, the preferred one first."""
    return tuple(uid for uid in transfer_syntaxes(profile, proven) if uid in UNCOMPRESSED[:2])


def verification_syntaxes(profile: Profile) -> tuple[str, ...]:
    """Return the transfer syntaxes accepted for Verification, the preferred one first."""
    if profile == "strict":
        return (IMPLICIT_VR_LITTLE_ENDIAN,)
    return (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


def compressed_contexts(
    profile: Profile, proven: Sequence[str], modalities: Collection[str]
) -> tuple[tuple[str, str], ...]:
    """Return pairs of image class and compressed syntax, the likeliest first.

    First what series of `modalities` may hold, in every syntax, then what is common. An association
    has room for 128 contexts, and only one of its own lets an instance come as it is (PS3.8 Section
    9.3.2.2).
    """
    syntaxes = [uid for uid in transfer_syntaxes(profile, proven) if uid not in UNCOMPRESSED]
    syntaxes.sort(key=_rarity)
    expected = [suffix for name in sorted(modalities) for suffix in _BY_MODALITY.get(name, ())]
    pairs = [(suffix, syntax) for suffix in expected for syntax in syntaxes]
    pairs += [(suffix, syntax) for syntax in syntaxes for suffix in _COMMON]
    images = {row.uid for row in storage_classes(profile) if row.is_image}
    found = dict.fromkeys((_STORAGE + suffix, syntax) for suffix, syntax in pairs)
    return tuple(pair for pair in found if pair[0] in images)


def _rarity(syntax: str) -> int:
    suffix = syntax.removeprefix(IMPLICIT_VR_LITTLE_ENDIAN + ".")
    common = _COMMONLY_COMPRESSED
    return common.index(suffix) if suffix in common else len(common)


def _classes(suffixes: Sequence[str], is_image: bool) -> tuple[StorageClass, ...]:
    return tuple(StorageClass(_STORAGE + suffix, is_image) for suffix in suffixes)


def _uid_order(storage_class: StorageClass) -> tuple[int, ...]:
    return tuple(int(part) for part in storage_class.uid.split("."))
