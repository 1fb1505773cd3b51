"""TLS for associations: TLS 1.2 or newer (PS3.15 Annex B.9, BCP 195), PEM in the settings."""

import os
import ssl

from appliance.settings.model import TLS
from appliance.settings.problems import Obstacle


class TLSProblem(Obstacle, ValueError):
    """The certificate or key of the settings cannot be used."""


def server_context(tls: TLS) -> ssl.SSLContext:
    """Return the context for incoming associations. Raises TLSProblem."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    if tls.require_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: TLS) -> ssl.SSLContext:
    """Return the context for the associations that the box opens. Raises TLSProblem.

    The peer's certificate must be signed by the settings' authorities and be made for its host.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, tls)
    return context


def _load(context: ssl.SSLContext, tls: TLS) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        _load_chain(context, tls)
        if tls.authorities:
            context.load_verify_locations(cadata=tls.authorities)
        else:
            context.load_default_certs()
    except (ssl.SSLError, ValueError) as error:
        raise TLSProblem(
            f"[tls] certificate, key or authorities cannot be used ({error}); "
            "give the PEM text of a certificate, its unencrypted key and the issuing authorities"
        ) from None


def _load_chain(context: ssl.SSLContext, tls: TLS) -> None:
    """OpenSSL reads a chain from files only: one in memory keeps the key off the disk."""
    descriptor = os.memfd_create("netty-tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "w", closefd=False) as file:
            file.write(f"{tls.certificate}\n{tls.key}\n")
        # Without a password, OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    finally:
        os.close(descriptor)
