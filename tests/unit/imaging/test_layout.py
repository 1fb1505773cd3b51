"""The disk's layout: what the boot loader, systemd-repart and updates count on."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.imaging.layout import MIB, read_layout
from tools.imaging.programs import ImageFailed

OVERLAY = Path(__file__).parents[3] / "overlay"


def test_partitions_as_the_design_has_them() -> None:
    names = [partition.name for partition in read_layout().partitions]
    assert names == ["esp", "boot-a", "boot-b", "root-a", "root-b", "state", "data"]


def test_slots_are_alike() -> None:
    layout = read_layout()
    for kind in ("boot", "root"):
        a, b = layout.partition(f"{kind}-a"), layout.partition(f"{kind}-b")
        assert (a.size, a.type) == (b.size, b.type)


def test_every_guid_is_there_once() -> None:
    layout = read_layout()
    uuids = [layout.uuid, *(partition.uuid for partition in layout.partitions)]
    assert len(set(uuids)) == len(uuids)


def test_data_alone_is_of_the_type_that_grows() -> None:
    data = read_layout().partition("data")
    same = [partition for partition in read_layout().partitions if partition.type == data.type]
    assert same == [data]
    assert data == read_layout().partitions[-1]
    # "srv" is systemd's name of that type (systemd-repart: repart.d(5)).
    assert data.type == "3b8f8425-20e0-4f3b-907f-1a25a76f98e8"
    assert "Type=srv\n" in (OVERLAY / "usr/lib/repart.d/netty-data.conf").read_text()


def test_partitions_lie_one_behind_the_other() -> None:
    layout = read_layout()
    end = MIB
    for partition in layout.partitions:
        assert layout.offset(partition.name) == end
        end += partition.size_bytes


def test_genimage_reads_it_from_the_command_line() -> None:
    command = [sys.executable, "-m", "tools.imaging.layout", "box.img"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said == read_layout().genimage("box.img")
    assert re.findall(r"^\tpartition (\S+) \{$", said, re.MULTILINE) == [
        partition.name for partition in read_layout().partitions
    ]


def test_a_file_that_is_no_layout_is_named(tmp_path: Path) -> None:
    file = tmp_path / "layout.toml"
    file.write_text("[disk]\n")
    with pytest.raises(ImageFailed, match=re.escape(f"{file}: not a disk layout")):
        read_layout(file)
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads("[disk")
