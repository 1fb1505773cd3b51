"""The keyed one-way mapping of UIDs: the same key and UID give the same new UID, for ever."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from uuid import UUID

from pydicom._uid_dict import UID_dictionary

STANDARD_ROOT: Final = "1.2.840.10008."
_REMEMBERED: Final = 8192
_LONGEST_REMEMBERED: Final = 80
_VERSION_8: Final = 0x8 << 76
_VARIANT: Final = 0x2 << 62


class UIDMap:
    """Maps UIDs to 2.25.<UUID> (PS3.5 Section B.2), with a UUID of version 8 (RFC 9562).

    The 122 free bits of the UUID are a BLAKE2b hash of the original under the key, so that nobody
    without the key can tell which original a new UID stands for, or test a guess.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._mapped: dict[bytes, bytes] = {}

    def map(self, original: str) -> str:
        """The UID that stands for `original`; empty stays empty, a registered one stays itself.

        A UID below DICOM's root that the standard does not register is somebody's invention, and
        is mapped.
        """
        original = original.strip(" \0")
        if not original or (original.startswith(STANDARD_ROOT) and original in UID_dictionary):
            return original
        digest = blake2b(original.encode("utf-8"), digest_size=16, key=self._key, person=b"uid")
        number = int.from_bytes(digest.digest(), "big")
        number = number & ~(0xF << 76) & ~(0x3 << 62) | _VERSION_8 | _VARIANT
        return f"2.25.{UUID(int=number).int}"

    def map_value(self, value: bytes) -> bytes:
        """The value of an element of VR UI, each of its UIDs mapped, padded to even length."""
        known = self._mapped.get(value)
        if known is not None:
            return known
        uids = value.decode("latin-1").split("\\")
        mapped = "\\".join(self.map(uid) for uid in uids).encode("latin-1")
        if len(mapped) % 2:
            mapped += b"\0"
        if len(value) <= _LONGEST_REMEMBERED:
            if len(self._mapped) >= _REMEMBERED:
                self._mapped.clear()
            self._mapped[value] = mapped
        return mapped


class SameUIDs:
    """Leaves every UID what it is: the clear profile."""

    def map(self, original: str) -> str:
        """The same UID, without padding."""
        return original.strip(" \0")

    def map_value(self, value: bytes) -> bytes:
        """The same value."""
        return value
