"""The image as files: the same from the same commit, and what the box is made to start from."""

import json
import subprocess
from pathlib import Path

import pytest

from tools.imaging.architecture import AMD64
from tools.imaging.build import Build, build
from tools.imaging.cache import cache_from_environment
from tools.imaging.layout import MIB, read_layout


def cut_out(disk: Path, name: str, target: Path) -> Path:
    """One partition of a disk, as a file of its own."""
    layout = read_layout()
    with disk.open("rb") as source:
        source.seek(layout.offset(name))
        target.write_bytes(source.read(layout.partition(name).size_bytes))
    return target


def made_of(made: Build) -> str:
    """What names the content that an image was made of."""
    named: str = json.loads(made.disk.with_name("image.json").read_text())["made_of"]
    return named


def test_two_builds_are_the_same_byte_for_byte(image: Build, tmp_path: Path) -> None:
    again = build(AMD64, tmp_path / "again", cache_from_environment(), print)
    if made_of(image) != made_of(again):
        pytest.skip("the checkout was changed between the two builds")
    subprocess.run(["cmp", image.disk, again.disk], check=True)


def test_file_systems_are_whole(image: Build, tmp_path: Path) -> None:
    for name in ("state", "data"):
        partition = cut_out(image.disk, name, tmp_path / name)
        subprocess.run(["e2fsck", "-f", "-n", partition], check=True)
    for name in ("esp", "boot-a", "boot-b"):
        partition = cut_out(image.disk, name, tmp_path / name)
        subprocess.run(["fsck.vfat", "-n", partition], check=True)


def test_the_free_slot_holds_nothing_that_starts(image: Build, tmp_path: Path) -> None:
    slot = cut_out(image.disk, "boot-b", tmp_path / "boot-b")
    listed = subprocess.run(["mdir", "-b", "-i", slot], check=True, capture_output=True, text=True)
    assert sorted(listed.stdout.split()) == ["::/BGENV.DAT", "::/EFILABEL"]
    assert cut_out(image.disk, "root-b", tmp_path / "root-b").read_bytes().count(0) == 512 * MIB
