"""Bundles as RAUC reads them: who signed, for which box, what they bring."""

import configparser
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.archive.schema import migrations
from appliance.updates.release import Release, Schema, read_release
from tools.imaging.bundle import (
    KEYRING,
    SYSTEM,
    Content,
    SuiteRauc,
    make_bundle,
    prepare_root,
    release_of,
    system_conf,
)
from tools.imaging.keys import Identity, Keys, make_signer
from tools.imaging.packages import mirror
from tools.imaging.programs import ImageFailed, ProgramAbsent, need
from tools.imaging.version import Version

VERSION = Version("1.2.3", "0123456789ab", 1_750_000_000)


@pytest.fixture(scope="module")
def rauc(tmp_path_factory: pytest.TempPathFactory) -> SuiteRauc:
    try:
        for program, package in (
            ("mmdebstrap", "mmdebstrap"),
            ("mksquashfs", "squashfs-tools"),
            ("openssl", "openssl"),
        ):
            need(program, package)
        mirror()
    except (ProgramAbsent, ImageFailed) as absent:
        pytest.skip(str(absent))
    return SuiteRauc(tmp_path_factory.mktemp("suite") / "rauc")


@pytest.fixture(scope="module")
def keys(rauc: SuiteRauc, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys")).made("test")


@pytest.fixture
def content(tmp_path: Path) -> Content:
    root, boot = tmp_path / "root.verity", tmp_path / "boot.vfat"
    root.write_bytes(random.Random(1).randbytes(200_000))
    boot.write_bytes(random.Random(2).randbytes(40_000))
    return Content("x86_64", release_of(VERSION), "5" * 64, root, boot)


def info(rauc: SuiteRauc, bundle: Path, keys: Keys) -> str:
    """What a box would be told of a bundle."""
    trusted = str(keys.authority.certificate)
    conf = bundle.with_name("system.conf")
    conf.write_text(system_conf("x86_64").replace(f"/{KEYRING}", trusted))
    return rauc.run("-c", conf, "info", "--output-format=shell", bundle)


def test_a_bundle_says_what_it_brings(
    rauc: SuiteRauc, keys: Keys, content: Content, tmp_path: Path
) -> None:
    bundle = tmp_path / "update.raucb"
    make_bundle(content, bundle, keys.signer, rauc)
    said = info(rauc, bundle, keys)
    for line in (
        "RAUC_MF_COMPATIBLE='netty-x86_64'",
        "RAUC_MF_VERSION='1.2.3'",
        "RAUC_MF_BUILD='0123456789ab'",
        "RAUC_MF_FORMAT='verity'",
        f"RAUC_META_NETTY_ROOT='{'5' * 64}'",
        f"RAUC_META_NETTY_CATALOGUE_VERSION='{len(migrations('catalogue'))}'",
        "RAUC_IMAGE_CLASS_0='root'",
        "RAUC_IMAGE_CLASS_1='boot'",
    ):
        assert line in said.splitlines()


def expired(keys: Keys, folder: Path) -> Identity:
    signer = Identity(folder / "old.pem", folder / "old.key")
    make_signer(signer, keys.authority, "old", ends=datetime(2026, 1, 2, tzinfo=UTC))
    return signer


def strange(keys: Keys, folder: Path) -> Identity:
    return Keys(folder / "strange").made("test").signer


def authority(keys: Keys, folder: Path) -> Identity:
    return keys.authority


@pytest.mark.parametrize(
    ("signer", "why"),
    [
        (expired, "certificate has expired"),
        (strange, "certificate"),
        (authority, "unsuitable certificate purpose"),
    ],
)
def test_who_may_not_sign_is_not_believed(
    rauc: SuiteRauc,
    keys: Keys,
    content: Content,
    tmp_path: Path,
    signer: Callable[[Keys, Path], Identity],
    why: str,
) -> None:
    bundle = tmp_path / "update.raucb"
    make_bundle(content, bundle, signer(keys, tmp_path), rauc)
    with pytest.raises(ImageFailed, match=f"signature verification failed: .*{why}"):
        info(rauc, bundle, keys)


@pytest.mark.parametrize("damage", ["cut short", "signature", "manifest"])
def test_a_damaged_bundle_is_not_believed(
    rauc: SuiteRauc, keys: Keys, content: Content, tmp_path: Path, damage: str
) -> None:
    bundle = tmp_path / "update.raucb"
    make_bundle(content, bundle, keys.signer, rauc)
    whole = bytearray(bundle.read_bytes())
    match damage:
        case "cut short":
            del whole[-1000:]
        case "signature":
            whole[-200] ^= 1
        case _:
            where = whole.rindex(b"compatible=netty-x86_64")
            whole[where + len("compatible=netty-x86_6")] ^= 1
    bundle.write_bytes(whole)
    with pytest.raises(ImageFailed):
        info(rauc, bundle, keys)


def test_an_image_is_no_bundles_content_before_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(ImageFailed, match="no image is described there"):
        Content.of(tmp_path)


def test_a_root_knows_its_release_and_whom_it_trusts(tmp_path: Path) -> None:
    keyring = tmp_path / "authority.pem"
    keyring.write_text("-----BEGIN CERTIFICATE-----\n")
    root = tmp_path / "root"
    prepare_root(root, "aarch64", VERSION, keyring)
    release = read_release(root)
    assert release == release_of(VERSION)
    assert release.catalogue == Schema(len(migrations("catalogue")), release.catalogue.oldest_able)
    assert isinstance(release, Release)
    assert (root / KEYRING).read_text() == keyring.read_text()
    assert "compatible=netty-aarch64" in (root / SYSTEM).read_text()


def test_rauc_writes_the_root_then_its_boot_partition() -> None:
    written = configparser.ConfigParser()
    written.read_string(system_conf("x86_64"))
    assert written["slot.boot.1"]["parent"] == "root.1"
    assert written["slot.root.1"]["bootname"] == "b"
    devices = [written[each]["device"] for each in written.sections() if each.startswith("slot")]
    assert [Path(device).name for device in devices] == ["root-a", "boot-a", "root-b", "boot-b"]
