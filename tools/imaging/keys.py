"""Who may sign updates: an authority that boxes trust, and the certificates that it gives.

A vendor keeps the authority's key away from every network and signs bundles with a certificate
that lasts a few years; boxes hold the authority's certificate alone. For an image of a developer
the two are made on the spot, beside what is built: they never leave this machine.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.imaging.cache import alone
from tools.imaging.programs import need, run

_AUTHORITY_DAYS = 20 * 365
_SIGNER_DAYS = 3 * 365

_EXTENSIONS = """\
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, codeSigning
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ca]
default_ca = this
[this]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
[any]
commonName = supplied
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path

    @property
    def exists(self) -> bool:
        """Whether both are there."""
        return self.certificate.exists() and self.key.exists()


@dataclass(frozen=True, slots=True)
class Keys:
    """The authority and the signer in one folder."""

    folder: Path

    @property
    def authority(self) -> Identity:
        """Whom boxes trust."""
        return Identity(self.folder / "authority.pem", self.folder / "authority.key")

    @property
    def signer(self) -> Identity:
        """Who signs bundles."""
        return Identity(self.folder / "signer.pem", self.folder / "signer.key")

    def made(self, name: str = "netty development") -> "Keys":
        """These keys, made now if they are not there. Raises ImageFailed.

        Of two builds that want the same, one waits for the other.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(self.folder / "lock"):
            if not self.authority.exists:
                _make_authority(self.authority, name)
            if not self.signer.exists:
                make_signer(self.signer, self.authority, f"{name} bundles")
        return self


def _make_authority(authority: Identity, name: str) -> None:
    with TemporaryDirectory() as folder:
        settings = _settings(Path(folder))
        _new_key(authority.key)
        _openssl(
            *("req", "-x509", "-new", "-key", authority.key, "-out", authority.certificate),
            *("-subj", f"/CN={name} authority", "-days", str(_AUTHORITY_DAYS)),
            *("-config", settings, "-extensions", "authority"),
        )


def make_signer(
    signer: Identity, authority: Identity, name: str, *, ends: datetime | None = None
) -> None:
    """Make a key and the authority's certificate for it. Raises ImageFailed.

    The certificate holds from the authority's first day, for a box whose clock is behind.
    """
    until = ends or datetime.now(UTC) + timedelta(days=_SIGNER_DAYS)
    with TemporaryDirectory() as folder:
        settings, request = _settings(Path(folder)), Path(folder) / "request"
        _new_key(signer.key)
        _openssl(
            *("req", "-new", "-key", signer.key, "-out", request, "-subj", f"/CN={name}"),
            *("-config", settings),
        )
        _openssl(
            *("ca", "-batch", "-notext", "-config", settings, "-in", request),
            *("-out", signer.certificate, "-cert", authority.certificate),
            *("-keyfile", authority.key, "-extensions", "signer", "-rand_serial"),
            *("-startdate", "20260101000000Z", "-enddate", f"{until:%Y%m%d%H%M%SZ}"),
        )


def _settings(folder: Path) -> Path:
    (folder / "index").touch()
    settings = folder / "openssl.cnf"
    text = "[req]\ndistinguished_name = name\n[name]\n" + _EXTENSIONS.format(folder=folder)
    settings.write_text(text)
    return settings


def _new_key(path: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    path.chmod(0o600)


def _openssl(*arguments: str | Path) -> None:
    run(need("openssl", "openssl"), *arguments)
