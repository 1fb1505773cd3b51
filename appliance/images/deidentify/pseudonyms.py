"""Who a patient becomes: the watch list's pseudonym, else one made with the box's key."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from appliance.images.deidentify.character_sets import encode

_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 80


class Pseudonyms:
    """Maps patient IDs to pseudonyms; equal IDs get equal pseudonyms, as long as the key lives.

    `named` holds the pseudonyms that the watch list gives, by patient ID.
    """

    def __init__(self, key: bytes, named: Mapping[str, str]) -> None:
        self._key = key
        self._named = {patient.strip(): pseudonym for patient, pseudonym in named.items()}
        self._made: dict[str, str] = {}

    def __call__(self, patient_id: str) -> str:
        """The pseudonym for a patient ID; nothing for an empty ID, which is nobody's."""
        patient_id = patient_id.strip(" \0")
        if not patient_id:
            return ""
        return self._named.get(patient_id) or self.keyed(patient_id)

    def encoded(self, patient_id: str, label: bytes) -> tuple[str, bytes]:
        """The pseudonym and its bytes under a Specific Character Set.

        A named pseudonym with characters that the dataset cannot hold gives way to the keyed one.
        """
        pseudonym = self(patient_id)
        value = encode(pseudonym, label)
        if value is None:
            pseudonym = self.keyed(patient_id)
            value = pseudonym.encode("ascii")
        return pseudonym, value

    def keyed(self, patient_id: str) -> str:
        """P- and twelve characters of base 32 (60 bits): plain ASCII, short enough to read out."""
        known = self._made.get(patient_id)
        if known is None:
            text = patient_id.encode("utf-8", "surrogatepass")
            digest = blake2b(text, digest_size=8, key=self._key, person=b"patient").digest()
            known = "P-" + b32encode(digest).decode("ascii")[:12]
            if len(patient_id) <= _LONGEST_REMEMBERED:
                if len(self._made) >= _REMEMBERED:
                    self._made.clear()
                self._made[patient_id] = known
        return known
