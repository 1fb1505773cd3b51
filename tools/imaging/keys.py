"""Who may sign updates: an authority that boxes trust, and the certificates that it gives.

A vendor keeps the authority's key away from every network and signs bundles with a certificate
that lasts a few years; boxes hold the authority's certificate alone. For an image of a developer
the two are made on the spot, beside what is built: they never leave this machine.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.imaging.cache import alone
from tools.imaging.programs import ImageFailed, need, run

_AUTHORITY_DAYS = 20 * 365
_SIGNER_DAYS = 3 * 365
_FIRST_DAY = "20260101000000Z"

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
                make_authority(self.authority, name)
            if not self.signer.exists:
                make_signer(self.signer, self.authority, f"{name} bundles")
        return self


def make_authority(authority: Identity, name: str) -> None:
    """Make a key and the certificate that boxes are given to trust. Raises ImageFailed.

    It holds from before there was any box, for one whose clock is behind.
    """
    until = datetime.now(UTC) + timedelta(days=_AUTHORITY_DAYS)
    _new_key(authority.key)
    _certify(authority, f"{name} authority", until, "authority", ("-selfsign",), authority.key)


def make_signer(
    signer: Identity, authority: Identity, name: str, *, ends: datetime | None = None
) -> None:
    """Make a key and the authority's certificate for it. Raises ImageFailed.

    The certificate holds from the authority's first day.
    """
    until = ends or datetime.now(UTC) + timedelta(days=_SIGNER_DAYS)
    _new_key(signer.key)
    _certify(signer, name, until, "signer", ("-cert", authority.certificate), authority.key)


def _certify(
    whom: Identity,
    name: str,
    until: datetime,
    extensions: str,
    issuer: tuple[str | Path, ...],
    key: Path,
) -> None:
    with TemporaryDirectory() as folder:
        settings, request = _settings(Path(folder)), Path(folder) / "request"
        _openssl(
            *("req", "-new", "-key", whom.key, "-out", request, "-config", settings),
            *("-utf8", "-subj", _subject(name)),
        )
        _openssl(
            *("ca", "-batch", "-notext", "-config", settings, "-in", request),
            *("-out", whom.certificate, *issuer),
            *("-keyfile", key, "-extensions", extensions, "-rand_serial"),
            *("-startdate", _FIRST_DAY, "-enddate", f"{until:%Y%m%d%H%M%SZ}"),
        )


def _subject(name: str) -> str:
    """A distinguished name as openssl takes it, which has signs of its own."""
    return "/CN=" + re.sub(r"([/+\\])", r"\\\1", name)


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


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/keys", description="Makes the keys with which a vendor signs updates."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    authority = commands.add_parser(
        "authority", help="whom all boxes trust, for 20 years; its key stays off every network"
    )
    authority.set_defaults(make=_new_authority)
    signer = commands.add_parser("signer", help="who signs bundles, certified by the authority")
    signer.add_argument("authority", type=Path, metavar="AUTHORITY", help="the authority's folder")
    signer.add_argument(
        "--days", type=int, default=_SIGNER_DAYS, metavar="N", help="(default: %(default)s)"
    )
    signer.set_defaults(make=_new_signer)
    for command in (authority, signer):
        command.add_argument("folder", type=Path, metavar="DIR", help="a new one, for the keys")
        command.add_argument("--name", required=True, help="the vendor, as certificates name it")
    options = parser.parse_args()
    try:
        if options.folder.exists():
            raise ImageFailed(f"{options.folder} is there already: name a new folder")
        options.make(options)
    except ImageFailed as problem:
        print(f"keys: {problem}", file=sys.stderr)
        return 1
    for file in sorted(options.folder.iterdir()):
        print(file)
    return 0


def _new(folder: Path) -> Keys:
    folder.mkdir(mode=0o700, parents=True)
    return Keys(folder)


def _new_authority(options: argparse.Namespace) -> None:
    make_authority(_new(options.folder).authority, options.name)


def _new_signer(options: argparse.Namespace) -> None:
    ends = datetime.now(UTC) + timedelta(days=options.days)
    authority = Keys(options.authority).authority
    if not authority.exists:
        raise ImageFailed(f"{options.authority} holds no authority: tools/keys authority makes one")
    make_signer(_new(options.folder).signer, authority, f"{options.name} bundles", ends=ends)


if __name__ == "__main__":
    sys.exit(main())
