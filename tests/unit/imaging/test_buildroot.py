"""The tree for Buildroot, as far as it can be judged without Buildroot; and what calls it."""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from tools.imaging.architecture import ARCHITECTURES
from tools.imaging.bundle import Content
from tools.imaging.kernel import EARLY_MODULES
from tools.imaging.layout import read_layout
from tools.imaging.programs import ImageFailed, need, run
from tools.imaging.version import Version
from tools.shipping import source
from tools.shipping.artefacts import write_checksums
from tools.shipping.board import begun
from tools.shipping.hooks import LARGEST_ROOT, SYSUSERS, finish_root, make_disk, users_table

REPOSITORY = Path(__file__).parents[3]
TREE = REPOSITORY / "buildroot"
PACKAGES = sorted(path.name for path in (TREE / "package").iterdir())
BOARDS = sorted(architecture.machine for architecture in ARCHITECTURES.values())
BOOT_GUARD = Path("/usr/lib/x86_64-linux-gnu/efibootguard")
VERSION = Version("1.2.3", "0123456789ab", 1_750_000_000)


def assignments(package: str) -> dict[str, str]:
    """The variables of a package's makefile, without the package's name before them."""
    prefix = package.upper().replace("-", "_") + "_"
    text = (TREE / "package" / package / f"{package}.mk").read_text().replace("\\\n", " ")
    pairs = re.findall(rf"^{prefix}(\w+) = (.*)$", text, re.MULTILINE)
    return {name: value.strip() for name, value in pairs}


def settings(board: str) -> dict[str, str]:
    text = (TREE / "configs" / f"netty_{board}_defconfig").read_text()
    found = dict(re.findall(r"^(BR2_\w+)=(.*)$", text, re.MULTILINE))
    return found | dict.fromkeys(re.findall(r"^# (BR2_\w+) is not set$", text, re.MULTILINE), "n")


def kernel(board: str) -> dict[str, str]:
    texts = [(TREE / "board" / each / "linux.config").read_text() for each in (".", board)]
    text = "\n".join(texts)
    found = dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE))
    return found | dict.fromkeys(re.findall(r"^# CONFIG_(\w+) is not set$", text, re.MULTILINE), "")


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "netty-appliance"])
def test_each_download_and_licence_has_its_hash(package: str) -> None:
    made = assignments(package)
    hashes = (TREE / "package" / package / f"{package}.hash").read_text()
    hashed = re.findall(r"^sha256  [0-9a-f]{64}  (\S+)$", hashes, re.MULTILINE)
    version = made["VERSION"]
    (archive, *_) = hashed
    assert version in archive
    assert set(hashed[1:]) == set(made["LICENSE_FILES"].split())


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_can_be_chosen(package: str) -> None:
    symbol = package.upper().replace("-", "_")
    said = (TREE / "package" / package / "Config.in").read_text()
    assert f"config BR2_PACKAGE_{symbol}\n" in said
    line = f'source "$BR2_EXTERNAL_NETTY_PATH/package/{package}/Config.in"'
    assert line in (TREE / "Config.in").read_text().splitlines()


@pytest.mark.parametrize("package", [name for name in PACKAGES if name.startswith("python-")])
def test_versions_are_those_that_the_project_pins(package: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = {"python-gdcm": "python-gdcm", "python-tomli2": "tomli"}
    name = names.get(package, package.removeprefix("python-"))
    (pin,) = [line for line in project["dependencies"] if re.match(rf"{name}==", line)]
    assert assignments(package)["VERSION"] == re.split("==|;", pin)[1].strip()


def test_the_appliance_selects_all_that_the_project_needs() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    selected = (TREE / "package/netty-appliance/Config.in").read_text()
    for line in project["dependencies"]:
        name = re.split("[=<>;]", line)[0].lower().removeprefix("python-")
        if name in ("anyio", "h11"):  # of starlette and uvicorn, which select them
            continue
        symbol = name.upper().replace("-", "_")
        chosen = re.search(rf"^\tselect BR2_PACKAGE_PYTHON_{symbol}2?\b", selected, re.MULTILINE)
        assert chosen, name


def test_every_board_has_the_libraries_that_pictures_are_made_with() -> None:
    """Buildroot's Pillow takes those that are chosen, and is built without the others."""
    simd = (TREE / "package/python-pillow-simd/Config.in").read_text()
    libraries = set(re.findall(r"^\tselect (BR2_PACKAGE_(?!PYTHON)\w+)$", simd, re.MULTILINE))
    assert len(libraries) > 5
    everywhere = (TREE / "package/netty-appliance/Config.in").read_text()
    for library in libraries:
        assert re.search(rf"^\tselect {library} # runtime", everywhere, re.MULTILINE), library


@pytest.mark.parametrize("board", BOARDS)
def test_a_box_is_reproducible_read_only_and_has_no_login(board: str) -> None:
    chosen = settings(board)
    for symbol in (
        *("REPRODUCIBLE", "DOWNLOAD_FORCE_CHECK_HASHES", "INIT_SYSTEMD", "INIT_SYSTEMD_VAR_NONE"),
        *("TARGET_ROOTFS_SQUASHFS4_ZSTD", "PACKAGE_NETTY_APPLIANCE", "PACKAGE_EFIBOOTGUARD"),
        *("PACKAGE_RAUC_STREAMING", "PACKAGE_RAUC_HAWKBIT_UPDATER", "PACKAGE_NFTABLES"),
        *("PACKAGE_LIBSECCOMP", "PACKAGE_SYSTEMD_RANDOMSEED"),
    ):
        assert chosen[f"BR2_{symbol}"] == "y", symbol
    for symbol in ("ENABLE_ROOT_LOGIN", "GENERIC_GETTY", "GENERIC_REMOUNT_ROOTFS_RW"):
        assert chosen[f"BR2_TARGET_{symbol}"] == "n", symbol
    assert not [name for name in chosen if re.search("DROPBEAR|OPENSSH|BASH|GDB|PYTHON_PIP", name)]
    assert chosen["BR2_ROOTFS_POST_SCRIPT_ARGS"] == f'"{board}"'


def test_every_file_that_a_board_names_is_in_the_tree() -> None:
    for board in BOARDS:
        named = re.findall(
            r"BR2_EXTERNAL_NETTY_PATH\)/([^\s\"]+)", " ".join(settings(board).values())
        )
        assert len(named) > 5
        assert [name for name in named if not (TREE / name).exists()] == []


def test_the_boards_differ_in_their_processor_alone() -> None:
    x86, arm = (settings(board).items() for board in ("x86_64", "aarch64"))
    differ = {name for name, _ in x86 ^ arm}
    assert differ == {
        *("BR2_aarch64", "BR2_x86_64", "BR2_x86_x86_64_v2", "BR2_ROOTFS_POST_SCRIPT_ARGS"),
        *("BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES", "BR2_LINUX_KERNEL_NEEDS_HOST_LIBELF"),
    }


@pytest.mark.parametrize("board", BOARDS)
def test_the_kernel_finds_its_root_and_watchdog_itself(board: str) -> None:
    chosen = kernel(board)
    assert "m" not in chosen.values()
    assert chosen["MODULES"] == chosen["BLK_DEV_INITRD"] == chosen["KEXEC"] == ""
    for symbol in (
        *("DM_INIT", "DM_VERITY", "SQUASHFS_ZSTD", "EFI_STUB", "EFI_PARTITION", "EXT4_FS"),
        *("BLK_DEV_NVME", "SATA_AHCI", "MMC_BLOCK", "MMC_SDHCI_PCI", "USB_STORAGE", "USB_UAS"),
        *("EXFAT_FS", "VFAT_FS", "VIRTIO_BLK", "VIRTIO_NET", "SCSI_VIRTIO", "I6300ESB_WDT"),
        *("E1000E", "IGB", "IGC", "R8169", "VLAN_8021Q", "NF_TABLES", "NFT_LIMIT", "NFT_LOG"),
        *("LEDS_GPIO", "LEDS_TRIGGER_TIMER", "LEDS_TRIGGER_PATTERN", "BLK_DEV_NBD"),
        *(("ITCO_WDT", "SP5100_TCO") if board == "x86_64" else ("ARM_SBSA_WATCHDOG",)),
    ):
        assert chosen.get(symbol) == "y", symbol


def test_the_kernel_has_what_the_test_image_loads_early() -> None:
    """Two images from two kernels: no driver for boot may be in one of them alone."""
    names = {"virtio_scsi": "SCSI_VIRTIO", "nvme": "BLK_DEV_NVME", "ahci": "SATA_AHCI"}
    names |= {"sd_mod": "BLK_DEV_SD", "xhci_pci": "USB_XHCI_HCD", "uas": "USB_UAS"}
    names |= {"sdhci_pci": "MMC_SDHCI_PCI", "sdhci_acpi": "MMC_SDHCI_ACPI"}
    names |= {"i6300esb": "I6300ESB_WDT", "sbsa_gwdt": "ARM_SBSA_WATCHDOG"}
    for module in EARLY_MODULES:
        symbol = names.get(module, module.upper())
        assert any(kernel(board).get(symbol) == "y" for board in BOARDS), module


def test_scripts_of_the_tree_call_our_functions() -> None:
    for name, hook in (("post-build.sh", "root"), ("post-image.sh", "disk")):
        script = TREE / "board" / name
        assert script.stat().st_mode & 0o111
        assert f'-m tools.shipping.hooks {hook} "$1" "$2"' in script.read_text()


def test_accounts_are_the_overlays() -> None:
    lines = SYSUSERS.read_text().splitlines()
    table = users_table(lines).splitlines()
    accounts = [line.split()[1:3] for line in lines if line.startswith("u ")]
    assert [line.split()[:2] for line in table] == accounts
    assert table[0] == "netty 480 netty 480 * - - - netty box images"


def test_an_account_that_buildroot_cannot_be_told_is_named() -> None:
    with pytest.raises(ImageFailed, match="cannot be told this account: r - 500-900"):
        users_table(["r - 500-900"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "target"
    for name in ("etc", "usr/bin", "usr/lib/systemd/network", "usr/sbin"):
        (root / name).mkdir(parents=True)
    (root / "etc/fstab").write_text("/dev/root / auto rw 0 1\n")
    (root / "usr/lib/systemd/network/80-dhcp.network").write_text("[Match]\n")
    (root / "usr/bin/busybox").write_text("")
    (root / "usr/sbin/agetty").write_text("")
    return root


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    keyring = tmp_path / "authority.pem"
    keyring.write_text("-----BEGIN CERTIFICATE-----\n")
    return keyring


def test_a_root_becomes_the_same_on_every_box_however_often(root: Path, keyring: Path) -> None:
    for _ in range(2):
        finish_root(root, "x86_64", VERSION, keyring)
        assert (root / "etc/machine-id").read_text() == ""
        assert (root / "state").is_dir()
        assert not (root / "etc/fstab").exists()
        assert not (root / "usr/sbin/agetty").exists()
        assert list((root / "usr/lib/systemd/network").iterdir()) == []
        assert (root / "etc/resolv.conf").readlink() == Path("../run/systemd/resolve/resolv.conf")
        assert "VERSION_ID=1.2.3\n" in (root / "usr/lib/os-release").read_text()
        assert (root / "usr/lib/clock-epoch").stat().st_mtime == VERSION.time


@pytest.mark.parametrize("program", ["usr/sbin/sshd", "usr/bin/gcc", "usr/bin/wget"])
def test_a_root_with_a_program_that_no_box_may_have_is_refused(
    root: Path, keyring: Path, program: str
) -> None:
    (root / program).symlink_to("busybox")
    with pytest.raises(ImageFailed, match=f"must not have {Path(program).name}"):
        finish_root(root, "x86_64", VERSION, keyring)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """What Buildroot's images folder holds before our script runs, made by this machine's tools."""
    if not BOOT_GUARD.exists():
        pytest.skip("EFI Boot Guard is missing; please run: sudo apt-get install efibootguard")
    try:
        for program in ("genimage", "mke2fs", "mksquashfs", "mcopy", "veritysetup"):
            need(program, program)
    except ImageFailed as absent:
        pytest.skip(str(absent))
    images = tmp_path / "images"
    (images / "efibootguard").mkdir(parents=True)
    for program in BOOT_GUARD.glob("*.efi"):
        shutil.copy(program, images / "efibootguard")
    # What matters of a kernel here is that it is an EFI program.
    shutil.copy(BOOT_GUARD / "kernel-stubx64.efi", images / "bzImage")
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/hostname").write_text("netty\n")
    run(need("mksquashfs", "squashfs-tools"), tmp_path / "root", images / "rootfs.squashfs",
        "-quiet", "-no-progress")  # fmt: skip
    return images


def test_the_disk_is_made_of_what_buildroot_leaves(images: Path) -> None:
    architecture = ARCHITECTURES["amd64"]
    made = make_disk(images, architecture, VERSION)
    content = Content.of(made)
    assert content.machine == "x86_64"
    assert (made / "disk.img").stat().st_size > read_layout().offset("data")
    unified = (made / "linux-a.efi").read_bytes().replace(b"\0", b"")
    assert f"sha256 {content.root_hash}".encode() in unified
    assert b"root=/dev/dm-0 dm-mod.create=" in unified
    assert not (made / "initramfs").exists()
    root = (made / "root.verity").read_bytes()
    assert make_disk(images, architecture, VERSION) == made
    assert (made / "root.verity").read_bytes() == root


def test_a_root_that_has_grown_too_large_is_refused(images: Path) -> None:
    with (images / "rootfs.squashfs").open("r+b") as file:
        file.truncate(LARGEST_ROOT + 1)
    with pytest.raises(ImageFailed, match=f"at most {LARGEST_ROOT} may be"):
        make_disk(images, ARCHITECTURES["amd64"], VERSION)


def test_progress_names_each_package_once_begun() -> None:
    said = [
        "\x1b[7m>>> host-zlib 1.3.1 Downloading\x1b[27m\n",
        "\x1b[7m>>> host-zlib 1.3.1 Extracting\x1b[27m\n",
        "cc -o x\n",
        "\x1b[7m>>> netty-appliance 0.1.0 Syncing from source dir /repository\x1b[27m\n",
        "\x1b[7m>>> toolchain  Configuring\x1b[27m\n",
        "\x1b[7m>>>   Finalizing target directory\x1b[27m\n",
    ]
    assert list(begun(said, ["host-zlib", "toolchain", "netty-appliance"])) == [
        "1 of 3: host-zlib 1.3.1",
        "2 of 3: netty-appliance 0.1.0",
        "3 of 3: toolchain",
        "Finalizing target directory",
    ]


def fake_release(folder: Path, version: str) -> source.Release:
    """An archive in `folder` that looks like a release of Buildroot."""
    tree = folder / f"buildroot-{version}"
    tree.mkdir()
    (tree / "Makefile").write_text(f"export BR2_VERSION := {version}\n")
    with tarfile.open(folder / f"{tree.name}.tar.xz", "w:xz") as archive:
        archive.add(tree, tree.name)
    shutil.rmtree(tree)
    content = (folder / f"{tree.name}.tar.xz").read_bytes()
    return source.Release(version, hashlib.sha256(content).hexdigest())


def test_an_archive_is_checked_and_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "RELEASE", fake_release(tmp_path, source.RELEASE.version))
    folder = source.fetched(tmp_path)
    assert (folder / "Makefile").exists()
    assert source.fetched(tmp_path) == folder


def test_an_archive_that_is_not_the_pinned_one_is_removed(tmp_path: Path) -> None:
    archive = tmp_path / source.RELEASE.archive
    archive.write_bytes(b"something else")
    with pytest.raises(ImageFailed, match=f"not {source.RELEASE.sha256}; removed"):
        source.fetched(tmp_path)
    assert not archive.exists()


def test_a_checkout_of_another_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("export BR2_VERSION := 2020.02\n")
    with pytest.raises(ImageFailed, match=f"no checkout of Buildroot {source.RELEASE.version}"):
        source.checkout(tmp_path)


def test_checksums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("b.img", "a.raucb")]
    for file in files:
        file.write_text(file.name)
    sums = write_checksums(tmp_path, files)
    subprocess.run(["sha256sum", "--check", "--quiet", sums.name], cwd=tmp_path, check=True)
    assert [line.split()[1] for line in sums.read_text().splitlines()] == ["a.raucb", "b.img"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["riscv"], "there is no board riscv: aarch64 or x86_64"),
        (["x86_64", "--key", "k.pem"], "--keyring, --certificate and --key go together"),
    ],
)
def test_a_wrong_command_line_is_answered_before_hours_pass(
    arguments: list[str], problem: str
) -> None:
    command = [sys.executable, "-m", "tools.shipping", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 1
    assert problem in done.stderr
