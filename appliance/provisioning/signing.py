"""The other side of a signature: what a PC does with private keys. The box never has one."""

from __future__ import annotations

from collections.abc import Collection

from nacl.signing import SigningKey

from appliance.provisioning.signature import HEADING, signed_bytes, write_key


def new_key() -> bytes:
    """Return a new private key."""
    return bytes(SigningKey.generate())


def public_key(private: bytes) -> bytes:
    """Return the public key of a private one."""
    return bytes(SigningKey(private).verify_key)


def sign(settings: bytes, patients: bytes | None, keys: Collection[bytes]) -> bytes:
    """Return the content of netty.toml.sig, made with private keys."""
    message = signed_bytes(settings, patients)
    lines = [HEADING]
    for private in keys:
        key = SigningKey(private)
        lines.append(f"key {write_key(bytes(key.verify_key))}")
        lines.append(f"signature {write_key(key.sign(message).signature)}")
    return ("\n".join(lines) + "\n").encode()
