"""TLS for associations: TLS 1.2 or newer (PS3.15 Annex B.9, BCP 195), PEM in the settings."""

import ssl

from appliance.settings.chains import load_chain
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
        load_chain(context, tls.certificate, tls.key)
        if tls.authorities:
            context.load_verify_locations(cadata=tls.authorities)
        else:
            context.load_default_certs()
    except (ssl.SSLError, ValueError) as error:
        raise TLSProblem(
            f"[tls] certificate, key or authorities cannot be used ({error}); "
            "give the PEM text of a certificate, its unencrypted key and the issuing authorities"
        ) from None
