"""Detached signatures of what a stick brings: netty.toml.sig, Ed25519 (RFC 8032).

A signature covers netty.toml and patients.csv together, byte by byte, also that there is no
patients.csv. The file is text; each pair of lines below the first is a signature by one key::

    netty signature 1
    key <base64 of the public key>
    signature <base64 of the signature>

A box trusts the keys that signed the settings it has. So the first signed file brings its keys
along, and one signed by an old and a new key hands the trust over to both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from appliance.provisioning.stick import SIGNATURE, Contents, Unusable

HEADING = "netty signature 1"
_MOST = 8
"""Signatures in one file."""

_AGAIN = "Sign the files again with tools/stick, and copy all of them to the stick."


class NoKey(Exception):
    """The text is no key; says what was expected."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature, and the public key that is said to have made it."""

    key: bytes
    signature: bytes


def signed_bytes(settings: bytes, patients: bytes | None) -> bytes:
    """Return what is signed: the same for no other pair of files, and for nothing but settings."""
    of_settings = hashlib.sha512(settings).hexdigest()
    of_patients = "none" if patients is None else hashlib.sha512(patients).hexdigest()
    return f"{HEADING}\nnetty.toml {of_settings}\npatients.csv {of_patients}\n".encode()


def signers(contents: Contents, trusted: Collection[bytes]) -> frozenset[bytes]:
    """Return the public keys that signed what a stick brings; none if it is not signed.

    `trusted` are the keys of which one must have signed; while there are none, nothing or anybody
    may. Raises Unusable where a signature is missing, damaged, forged or not by a trusted key.
    """
    if contents.signature is None:
        if trusted:
            raise Unusable(
                "The settings are not signed, and this box takes signed ones only, since it was "
                "given some.",
                "Sign them with the key that signed those: tools/stick sign.",
            )
        return frozenset()
    message = signed_bytes(contents.settings, contents.patients)
    keys = frozenset(each.key for each in _parsed(contents.signature) if _holds(each, message))
    if not keys:
        raise Unusable(
            "The signature does not belong to these files: one of them was changed after signing.",
            _AGAIN,
        )
    if trusted and not keys & frozenset(trusted):
        raise Unusable(
            f"The settings are signed by a key that this box does not trust, {_listed(keys)}.",
            f"Sign them with the key that it trusts, {_listed(trusted)}; for a change, with both.",
        )
    return keys


def fingerprint(key: bytes) -> str:
    """Return what tells two public keys apart, short enough to be read out on the telephone."""
    digest = hashlib.sha256(key).hexdigest()
    return " ".join(digest[start : start + 4] for start in range(0, 16, 4))


def write_key(key: bytes) -> str:
    """Return a key as text."""
    return base64.b64encode(key).decode()


def read_key(text: str) -> bytes:
    """Return the key of a text. Raises NoKey."""
    key = _decoded(text.strip())
    if len(key) != 32:
        raise NoKey("expected the 44 characters of an Ed25519 key, as tools/stick keys writes them")
    return key


def _parsed(data: bytes) -> list[Signature]:
    lines = data.decode("utf-8-sig", "replace").split("\n")
    plain = [line.strip() for line in lines if line.strip()]
    body = [line.partition(" ") for line in plain[1:]]
    pairs = list(zip(body[::2], body[1::2], strict=False))
    if plain[:1] != [HEADING] or not pairs or len(body) % 2 or len(pairs) > _MOST:
        raise Unusable(f"{SIGNATURE} is damaged, or no signature.", _AGAIN)
    found = []
    for (first, _, key), (second, _, signature) in pairs:
        pair = Signature(_decoded(key), _decoded(signature))
        named = (first, second) == ("key", "signature")
        if not named or len(pair.key) != 32 or len(pair.signature) != 64:
            raise Unusable(f"{SIGNATURE} is damaged.", _AGAIN)
        found.append(pair)
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _holds(signature: Signature, message: bytes) -> bool:
    # Here: at each start the settings are read, and no signature.
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    try:
        VerifyKey(signature.key).verify(message, signature.signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _listed(keys: Collection[bytes]) -> str:
    return ", ".join(sorted(map(fingerprint, keys)))
