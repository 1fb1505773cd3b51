"""Real file systems, made by the programs that everybody makes them with."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning.stick import Contents
from appliance.provisioning.volume import Unsuitable, Volume, file_system, mount, unmount
from tests.unit.provisioning.boxes import ONE, PATIENTS

MIB = 1 << 20

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes an image of so many MiB with a program."""

    def make(size: int, *words: str) -> Path:
        if shutil.which(words[0]) is None:
            pytest.skip(f"{words[0]} is not installed")
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(size * MIB)
        subprocess.run([*words, image], check=True, capture_output=True)
        return image

    return make


@pytest.mark.parametrize(
    ("size", "words", "kind"),
    [
        (2, ("mkfs.vfat", "-F", "12"), "vfat"),
        (16, ("mkfs.vfat", "-F", "16"), "vfat"),
        (64, ("mkfs.vfat", "-F", "32", "-n", "NETTY"), "vfat"),
        (64, ("mkfs.vfat", "-F", "32", "-S", "4096"), "vfat"),
        (16, ("mkfs.exfat",), "exfat"),
    ],
)
def test_sticks_are_known_by_their_first_bytes(
    make: Make, size: int, words: tuple[str, ...], kind: str
) -> None:
    image = make(size, *words)
    assert Volume.on(image) == Volume(image, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "words", "name"),
    [
        (8, ("mkfs.ext4", "-q"), "ext4"),
        (8, ("mkfs.ntfs", "--quick", "--force"), "NTFS"),
    ],
)
def test_other_file_systems_are_named(
    make: Make, size: int, words: tuple[str, ...], name: str
) -> None:
    with pytest.raises(Unsuitable, match=name):
        Volume.on(make(size, *words))


@given(st.binary(max_size=600) | st.binary(max_size=600).map(lambda each: b"\xeb" + each))
def test_hostile_first_bytes_are_a_file_system_or_none(start: bytes) -> None:
    try:
        assert file_system(start) in ("vfat", "exfat")
    except Unsuitable as error:
        assert str(error)


def test_a_boot_sector_without_its_mark_is_none(make: Make) -> None:
    image = make(16, "mkfs.vfat")
    data = bytearray(image.read_bytes()[:512])
    data[510] = 0
    with pytest.raises(Unsuitable):
        file_system(bytes(data))


def may_mount(kind: str) -> bool:
    kinds = Path("/proc/filesystems").read_text().split()
    return os.geteuid() == 0 and (kind in kinds or kind == "tmpfs")


@pytest.fixture
def namespace() -> Iterator[Callable[[str], str]]:
    """Runs Python where mounts are seen by nobody else."""

    def run(program: str) -> str:
        done = subprocess.run(
            ["unshare", "--mount", sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run


@pytest.mark.skipif(not may_mount("tmpfs"), reason="only root may mount")
def test_a_mount_has_its_flags_and_goes(namespace: Callable[[str], str], tmp_path: Path) -> None:
    options = namespace(
        f"""
from pathlib import Path
from appliance.provisioning.volume import mount, unmount
point = Path({str(tmp_path)!r})
mount(Path("none"), point, "tmpfs", 1 | 2 | 4 | 8)
print([line.split()[5] for line in open("/proc/self/mountinfo") if str(point) in line])
unmount(point)
print([line for line in open("/proc/self/mountinfo") if str(point) in line])
"""
    ).splitlines()
    assert options[0].startswith("['ro,nosuid,nodev,noexec")
    assert options[1] == "[]"


def test_what_cannot_be_mounted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mount: "):
        mount(tmp_path / "none", tmp_path, "vfat", 1)
    with pytest.raises(OSError, match="umount2: "):
        unmount(tmp_path)


@pytest.mark.parametrize("kind", ["vfat", "exfat"])
def test_a_real_stick_is_read_and_answered_to(
    make: Make, namespace: Callable[[str], str], tmp_path: Path, kind: str
) -> None:
    if not may_mount(kind):
        pytest.skip(f"this machine cannot mount {kind}, or not as this user")
    image = make(16, f"mkfs.{kind}")
    device = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        printed = namespace(
            f"""
from pathlib import Path
from appliance.provisioning.stick import read_stick
from appliance.provisioning.volume import Volume
volume, point = Volume.on(Path({device!r})), Path({str(tmp_path / "point")!r})
with volume.mounted(point, writable=True) as folder:
    (folder / "netty.toml").write_bytes({ONE!r})
    (folder / "patients.csv").write_bytes({PATIENTS!r})
with volume.mounted(point) as folder:
    print(read_stick(folder))
    try:
        (folder / "more").touch()
    except OSError as error:
        print(error.strerror)
"""
        ).splitlines()
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert printed == [str(Contents(ONE, PATIENTS)), "Read-only file system"]
