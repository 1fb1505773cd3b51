"""Certificates made by the `openssl` program, as an administrator would make them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.hospital.peers import program


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, in PEM."""

    certificate: str
    key: str

    def files(self, folder: Path) -> tuple[Path, Path]:
        """The two as files in `folder`, for programs that want files."""
        folder.mkdir(exist_ok=True)
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        certificate.write_text(self.certificate)
        key.write_text(self.key)
        return certificate, key


def _openssl(*arguments: str | Path) -> None:
    subprocess.run([program("openssl"), *map(str, arguments)], check=True, capture_output=True)


def authority(folder: Path, name: str) -> Identity:
    """A self-signed certificate that may sign others."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    subject = ("-subj", f"/CN={name}", "-days", "3", "-addext", "keyUsage=critical,keyCertSign")
    _openssl("req", "-x509", "-new", "-key", key, "-out", certificate, *subject)
    return Identity(certificate.read_text(), key.read_text())


def signed(folder: Path, name: str, by: Identity, host: str = "IP:127.0.0.1") -> Identity:
    """A certificate for `host`, signed by an authority."""
    key, request, certificate = (folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
    ca, ca_key = by.files(folder / f"{name}-ca")
    extensions = folder / f"{name}.cnf"
    extensions.write_text(f"subjectAltName={host}\n")
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    _openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
    _openssl(
        "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-set_serial", "7",
        "-days", "3", "-extfile", extensions, "-out", certificate,
    )  # fmt: skip
    return Identity(certificate.read_text(), key.read_text())


def encrypted(folder: Path, identity: Identity) -> Identity:
    """The same, its key behind a password."""
    _, key = identity.files(folder / "plain")
    protected = folder / "protected.key"
    _openssl("pkcs8", "-topk8", "-in", key, "-out", protected, "-passout", "pass:secret")
    return Identity(identity.certificate, protected.read_text())
