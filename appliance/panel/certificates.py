"""The page's certificate: the vendor's from the settings, else one that the box makes once."""

import logging
import os
import ssl
import subprocess
import tempfile
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
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._use_own()

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
        self.context.load_cert_chain(certificate, key)
        self._tell(certificate.read_text("ascii"))

    def _use_given(self, certificate: str, key: str) -> None:
        # A pair that does not fit would spoil the context that is in use.
        for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
            load_chain(context, certificate, key)
        self._tell(certificate)

    def _tell(self, certificate: str) -> None:
        try:
            if (self._folder / IN_USE).read_text("ascii") == certificate:
                return
        except (OSError, ValueError):
            pass  # Written anew.
        _write(self._folder / IN_USE, certificate.encode(), 0o644)


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
