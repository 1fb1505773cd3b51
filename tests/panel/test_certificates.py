"""The page's certificate: made once, or given, and what is wrong with a given one is told."""

import errno
import os
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.panel.certificates import IN_USE, OWN_KEY, Certificates, make
from appliance.settings.shown import Shown
from tests.panel.houses import House


def given(folder: Path, name: str) -> Shown:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    make(certificate, key)
    return Shown(certificate=certificate.read_text(), key=key.read_text())


def test_the_box_makes_one_and_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "panel"
    first = Certificates(folder)
    told = (folder / IN_USE).read_text()
    assert first.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (folder / OWN_KEY).stat().st_mode & 0o777 == 0o600
    assert (folder / IN_USE).stat().st_mode & 0o777 == 0o644
    Certificates(folder)
    assert (folder / IN_USE).read_text() == told
    assert sorted(one.name for one in folder.iterdir()) == [IN_USE, OWN_KEY, "own.pem"]


def test_a_given_one_is_shown_until_the_settings_change(tmp_path: Path) -> None:
    folder = tmp_path / "panel"
    certificates = Certificates(folder)
    own = (folder / IN_USE).read_text()
    vendors = given(tmp_path, "vendor")
    certificates.follow(vendors)
    assert (folder / IN_USE).read_text() == vendors.certificate != own
    assert not certificates.problem
    certificates.follow(Shown())
    assert (folder / IN_USE).read_text() == own


def shown(certificates: Certificates, version: ssl.TLSVersion) -> bytes | None:
    """The certificate (DER) that a visitor is shown."""
    visitor = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    visitor.check_hostname, visitor.verify_mode = False, ssl.CERT_NONE
    visitor.minimum_version = visitor.maximum_version = version
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = visitor.wrap_bio(back, there)
    other = certificates.context.wrap_bio(there, back, server_side=True)
    for side in (one, other, one, other, one):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return one.getpeercert(binary_form=True)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("algorithm", ["rsa:2048", "ed25519", "ec:P-384"])
def test_visitors_are_shown_the_given_one_whatever_its_key(
    tmp_path: Path, algorithm: str, version: ssl.TLSVersion
) -> None:
    kind, _, curve = (
        algorithm.partition(":") if algorithm.startswith("ec:") else (algorithm, "", "")
    )
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-subj", "/CN=vendor", "-newkey", kind),
            *(("-pkeyopt", f"ec_paramgen_curve:{curve}") if curve else ()),
            *("-keyout", tmp_path / "key", "-out", tmp_path / "certificate"),
        ],
        check=True,
        capture_output=True,
    )
    vendors = Shown(
        certificate=(tmp_path / "certificate").read_text(), key=(tmp_path / "key").read_text()
    )
    certificates = Certificates(tmp_path / "panel")
    own = shown(certificates, version)
    certificates.follow(vendors)
    assert shown(certificates, version) == ssl.PEM_cert_to_DER_cert(vendors.certificate) != own
    certificates.follow(Shown())
    assert shown(certificates, version) == own


def test_a_given_one_is_shown_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "panel"
    Certificates(folder)
    vendors = given(tmp_path, "vendor")

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("appliance.panel.certificates._write", read_only)
    certificates = Certificates(folder)
    certificates.follow(vendors)
    seen = shown(certificates, ssl.TLSVersion.TLSv1_3)
    assert seen == ssl.PEM_cert_to_DER_cert(vendors.certificate)
    assert "Read-only file system" in caplog.text


def test_a_pair_that_does_not_fit_is_told_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "panel"
    certificates = Certificates(folder)
    own = (folder / IN_USE).read_text()
    one, other = given(tmp_path, "one"), given(tmp_path, "other")
    certificates.follow(Shown(certificate=one.certificate, key=other.key))
    assert "cannot be used" in certificates.problem
    assert "own certificate is shown" in caplog.text
    assert (folder / IN_USE).read_text() == own


def test_what_a_visitor_sees_is_what_is_told(tmp_path: Path) -> None:
    house = House(tmp_path)
    with house.serving() as (_, secure):
        port = int(secure.rpartition(":")[2])
        seen = ssl.get_server_certificate(("127.0.0.1", port))
    told = (tmp_path / "panel" / IN_USE).read_text()
    assert ssl.PEM_cert_to_DER_cert(seen) == ssl.PEM_cert_to_DER_cert(told)
    words = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName"],
        input=told,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "DNS:netty.local" in words.stdout
