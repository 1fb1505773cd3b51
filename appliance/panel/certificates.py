"""The page's certificate: the vendor's from the settings, else one that the box makes once."""

import logging
import os
import ssl
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.settings.chains import load_chain
from appliance.settings.shown import Shown

LOGGER = logging.getLogger(__name__)

IN_USE: Final = "certificate.pem"
"""What visitors are shown, for whoever tells its fingerprint."""
OWN, OWN_KEY = "own.pem", "own.key"

_NAMES: Final = "subjectAltName=DNS:netty,DNS:netty.local,DNS:localhost,IP:127.0.0.1"
_DAYS: Final = "3650"


class Certificates:
    """The TLS context of the page, with the certificate that the settings want.

    `folder` is where the box keeps its own one. Raises OSError, or subprocess.SubprocessError, if
    none can be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._given = ("", "")
        self.problem = ""
        """Why the one of the settings is not used, in a sentence."""
        self.context = _context()
        """Of the listener: it hands each visitor on to the one with the certificate in use."""
        self._shown = self.context
        self._use_own()
        self.context.load_cert_chain(folder / OWN, folder / OWN_KEY)
        self.context.sni_callback = self._show

    def _show(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        # A context keeps one certificate for each kind of key, and visitors choose among them.
        connection.context = self._shown

    def follow(self, settings: Shown) -> None:
        """Use what the settings name, from the next connection on."""
        given = (settings.certificate, settings.key)
        if given == self._given:
            return
        self._given, self.problem = given, ""
        if not settings.certificate:
            self._use_own()
            return
        try:
            self._use_given(*given)
        except (ssl.SSLError, OSError) as error:
            self.problem = f"[panel] certificate and key cannot be used: {error}"
            LOGGER.error("%s; the box's own certificate is shown", self.problem)
            self._use_own()

    def _use_own(self) -> None:
        certificate, key = self._folder / OWN, self._folder / OWN_KEY
        if not (certificate.exists() and key.exists()):
            self._folder.mkdir(parents=True, exist_ok=True)
            make(certificate, key)
        own = _context()
        own.load_cert_chain(certificate, key)
        self._shown = own
        self._tell(certificate.read_text("ascii"))

    def _use_given(self, certificate: str, key: str) -> None:
        given = _context()
        load_chain(given, certificate, key)
        self._shown = given
        self._tell(certificate)

    def _tell(self, certificate: str) -> None:
        """Say which is in use; visitors see it also where that cannot be written."""
        with suppress(OSError):  # Written anew.
            if (self._folder / IN_USE).read_bytes() == certificate.encode():
                return
        try:
            _write(self._folder / IN_USE, certificate.encode(), 0o644)
        except OSError as error:
            LOGGER.error("the certificate in use cannot be told: %s", error)


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def make(certificate: Path, key: Path) -> None:
    """Make a key and a certificate that it signs itself; they are there whole or not at all.

    Raises OSError, or subprocess.SubprocessError.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "certificate"), Path(folder, "key")
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec"),
                *("-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", _DAYS),
                *("-subj", "/CN=netty box", "-addext", _NAMES),
                *("-out", str(made[0]), "-keyout", str(made[1])),
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )
        # The certificate last: without it, both are made again.
        _write(key, made[1].read_bytes(), 0o600)
        _write(certificate, made[0].read_bytes(), 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    os.rename(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
