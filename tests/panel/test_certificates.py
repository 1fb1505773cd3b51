"""The page's certificate: made once, or given, and what is wrong with a given one is told."""

import ssl
import subprocess
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
