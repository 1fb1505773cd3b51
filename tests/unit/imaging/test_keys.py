"""A vendor's keys, made with `tools/keys`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools.imaging import keys
from tools.imaging.keys import Keys
from tools.imaging.programs import run


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Make":
    monkeypatch.chdir(tmp_path)
    return Make(monkeypatch)


class Make:
    """Calls `tools/keys`; its exit status."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def __call__(self, *words: str) -> int:
        self.patch.setattr(sys, "argv", ["tools/keys", *words])
        return keys.main()


def test_an_authority_and_who_signs_for_it(make: Make, tmp_path: Path) -> None:
    name = "ACME/Médical 医療"
    assert make("authority", "vault", "--name", name) == 0
    assert make("signer", "vault", "desk", "--name", name, "--days", "30") == 0
    authority, signer = Keys(tmp_path / "vault").authority, Keys(tmp_path / "desk").signer
    run("openssl", "verify", "-CAfile", authority.certificate, signer.certificate)
    said = run("openssl", "x509", "-in", signer.certificate, "-noout", "-text", "-nameopt", "utf8")
    assert f"Subject: CN={name} bundles" in said and f"Issuer: CN={name} authority" in said
    early = str(int(datetime(2026, 1, 2, tzinfo=UTC).timestamp()))
    run("openssl", "verify", "-attime", early, "-CAfile", authority.certificate, signer.certificate)
    for secret in (authority.key, signer.key):
        assert secret.stat().st_mode & 0o077 == 0
        assert secret.parent.stat().st_mode & 0o077 == 0
    assert not Keys(tmp_path / "desk").authority.exists, "that key stays where it is"


def test_keys_that_are_there_stay(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make("authority", "vault", "--name", "ACME") == 0
    before = Keys(tmp_path / "vault").authority.key.read_bytes()
    assert make("authority", "vault", "--name", "ACME") == 1
    assert "vault is there already: name a new folder" in capsys.readouterr().err
    assert Keys(tmp_path / "vault").authority.key.read_bytes() == before


def test_nobody_signs_without_an_authority(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make("signer", "nowhere", "desk", "--name", "ACME") == 1
    assert "nowhere holds no authority: tools/keys authority makes one" in capsys.readouterr().err
    assert not (tmp_path / "desk").exists()


def test_two_builds_that_need_keys_make_them_once(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: keys.made(), range(4)))
    run("openssl", "verify", "-CAfile", keys.authority.certificate, keys.signer.certificate)
