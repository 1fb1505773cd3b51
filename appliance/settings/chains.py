"""A certificate and its key from the settings, as TLS takes them."""

import hashlib
import os
import ssl
from typing import Final

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


def load_chain(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have `context` show a certificate, PEM text with the intermediate ones below it.

    OpenSSL reads a chain from files only: one in memory keeps the key off the disk. Raises OSError,
    of which ssl.SSLError is one, if it cannot be used.
    """
    descriptor = os.memfd_create("netty-tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "w", closefd=False) as file:
            file.write(f"{certificate}\n{key}\n")
        # Without a password, OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    finally:
        os.close(descriptor)


def flaw(certificate: str, key: str) -> str:
    """Why a certificate cannot be shown with a key; empty if it can."""
    try:
        load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key of another one"
        return f"a pair that OpenSSL does not take: {error.reason or error}"
    return ""


def fingerprint(pem: str) -> str:
    """SHA-256 of the first certificate in a PEM text, in pairs of digits, as browsers show it.

    Empty if there is none.
    """
    begin = pem.find(_BEGIN)
    end = pem.find(_END, begin)
    if begin < 0 or end < 0:
        return ""
    try:
        der = ssl.PEM_cert_to_DER_cert(pem[begin : end + len(_END)])
    except ValueError:
        return ""
    return hashlib.sha256(der).digest().hex(":").upper()
