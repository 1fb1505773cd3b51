"""Encrypted Attributes: ours are opened by gdcmanon and by openssl, gdcmanon's by us."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from appliance.images.deidentify import (
    Deidentifier,
    EnvelopeFailed,
    Malformed,
    Recipients,
    deidentify_file,
    reidentified,
)
from tests.unit.deidentify.datasets import KEY

pytestmark = pytest.mark.skipif(which("openssl") is None, reason="openssl is not installed")
needs_gdcmanon = pytest.mark.skipif(
    which("gdcmanon") is None, reason="gdcmanon is not installed (Debian package libgdcm-tools)"
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with a private key, and a certificate to be told by."""

    key: Path
    certificate: Path


@pytest.fixture(scope="module")
def holders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Holder, Holder]:
    folder = tmp_path_factory.mktemp("keys")
    return made(folder, "one"), made(folder, "two")


def made(folder: Path, name: str) -> Holder:
    holder = Holder(folder / f"{name}.key", folder / f"{name}.crt")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
        f"/CN={name}", "-keyout", str(holder.key), "-out", str(holder.certificate))  # fmt: skip
    return holder


def run(*command: str) -> bytes:
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")
    return done.stdout


def sealed(source: Path, target: Path, *holders: Holder) -> Path:
    """A file de-identified, so that the holders can undo it."""
    recipients = Recipients([holder.certificate.read_text() for holder in holders])
    target.write_bytes(
        deidentify_file(
            source,
            deidentifier=Deidentifier("basic", KEY, recipients=recipients),
            implementation_class_uid="1.2.3.4",
            implementation_version_name="NETTY_TEST",
        )
    )
    return target


SOURCES = ("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "reportsi.dcm")


def same(restored: Dataset, original: Dataset) -> None:
    """All that was there is there again, but for what goes for good."""
    undone = {0x00120062, 0x00080001, 0xFFFCFFFC}
    for element in original:
        if element.tag not in undone and element.tag.element:
            assert restored[element.tag] == element
    assert {e.tag for e in restored} - {e.tag for e in original} == {0x00120062}


@pytest.mark.parametrize("name", SOURCES)
def test_each_recipient_undoes_it(name, holders, tmp_path):
    source = Path(str(get_testdata_file(name)))
    target = sealed(source, tmp_path / "sealed.dcm", *holders)
    original = dcmread(source)
    assert dcmread(target).get("StudyInstanceUID") != original.StudyInstanceUID
    for holder in holders:
        (tmp_path / "open.dcm").write_bytes(
            reidentified(target.read_bytes(), holder.key.read_bytes())
        )
        restored = dcmread(tmp_path / "open.dcm")
        assert restored.PatientIdentityRemoved == "NO"
        assert restored.file_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID
        same(restored, original)


def test_another_key_undoes_nothing(holders, tmp_path):
    one, two = holders
    source = Path(str(get_testdata_file("CT_small.dcm")))
    target = sealed(source, tmp_path / "sealed.dcm", one)
    with pytest.raises(EnvelopeFailed, match="key"):
        reidentified(target.read_bytes(), two.key.read_bytes())
    with pytest.raises(EnvelopeFailed, match="private key"):
        reidentified(target.read_bytes(), b"no key")
    with pytest.raises(Malformed, match="nothing is encrypted"):
        reidentified(source.read_bytes(), one.key.read_bytes())


def test_nothing_of_it_can_be_read_without_a_key(holders, tmp_path):
    source = Path(str(get_testdata_file("CT_small.dcm")))
    original = dcmread(source)
    target = sealed(source, tmp_path / "sealed.dcm", holders[0])
    whole = target.read_bytes()
    for secret in (str(original.PatientName), original.PatientID, original.StudyInstanceUID):
        assert secret.encode() not in whole


def test_openssl_opens_what_is_sealed(holders, tmp_path):
    one, _two = holders
    target = sealed(Path(str(get_testdata_file("CT_small.dcm"))), tmp_path / "sealed.dcm", one)
    (item,) = dcmread(target).EncryptedAttributesSequence
    (tmp_path / "envelope").write_bytes(item.EncryptedContent)
    content = run("openssl", "cms", "-decrypt", "-inform", "DER", "-in",
                  str(tmp_path / "envelope"), "-inkey", str(one.key),
                  "-recip", str(one.certificate))  # fmt: skip
    assert content.startswith(b"\x00\x04\x50\x05SQ")
    assert b"CompressedSamples^CT1" in content


@needs_gdcmanon
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm"])
def test_gdcmanon_undoes_ours(name, holders, tmp_path):
    one, _two = holders
    source = Path(str(get_testdata_file(name)))
    target = sealed(source, tmp_path / "sealed.dcm", one)
    run("gdcmanon", "-d", "-k", str(one.key), "-i", str(target), "-o", str(tmp_path / "open.dcm"))
    restored, original = dcmread(tmp_path / "open.dcm"), dcmread(source)
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert restored[keyword] == original[keyword], keyword


@needs_gdcmanon
@pytest.mark.parametrize("cipher", ["--des3", "--aes128", "--aes192", "--aes256"])
def test_we_undo_what_gdcmanon_did(cipher, holders, tmp_path):
    one, _two = holders
    source = Path(str(get_testdata_file("CT_small.dcm")))
    run("gdcmanon", "-e", cipher, "-c", str(one.certificate),
        "-i", str(source), "-o", str(tmp_path / "sealed.dcm"))  # fmt: skip
    sealed_by_them = (tmp_path / "sealed.dcm").read_bytes()
    (tmp_path / "open.dcm").write_bytes(reidentified(sealed_by_them, one.key.read_bytes()))
    restored, original = dcmread(tmp_path / "open.dcm"), dcmread(source)
    assert dcmread(tmp_path / "sealed.dcm").PatientName != original.PatientName
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert restored[keyword] == original[keyword], keyword


def test_a_certificate_that_cannot_be_used_is_said():
    with pytest.raises(EnvelopeFailed, match="no certificate"):
        Recipients(["no certificate"])
