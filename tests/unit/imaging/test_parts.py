"""Parts of the way to an image that need no package mirror."""

import subprocess
from pathlib import Path

import pytest

from tools.imaging.cache import Cache
from tools.imaging.cpio import Archive
from tools.imaging.disk import Verity
from tools.imaging.packages import mirror
from tools.imaging.programs import ImageFailed, ProgramAbsent, need, run


def test_the_archive_is_what_cpio_reads(tmp_path: Path) -> None:
    cpio = need_or_skip("cpio", "cpio")
    archive = Archive()
    archive.folder("etc")
    archive.file("etc/name", b"netty\n")
    archive.file("init", b"#!/bin/sh\n", executable=True)
    subprocess.run([cpio, "--extract", "--quiet"], input=archive.finish(), cwd=tmp_path, check=True)
    assert (tmp_path / "etc/name").read_bytes() == b"netty\n"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755


def need_or_skip(program: str, package: str) -> str:
    try:
        return need(program, package)
    except ProgramAbsent as absent:
        pytest.skip(str(absent))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sources.list", "deb [signed-by=/k.gpg] https://mirror.example/debian bookworm main\n"),
        (
            "sources.list.d/debian.sources",
            "Types: deb\nURIs: https://other.example/x https://mirror.example/debian\n",
        ),
    ],
)
def test_the_mirror_is_apts(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(content)
    assert mirror(tmp_path) == "https://mirror.example/debian"


def test_without_a_mirror_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ImageFailed, match=r"no Debian mirror in .*: the image is built on Debian"):
        mirror(tmp_path)


def test_the_cache_makes_once_and_forgets_what_failed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    made: list[str] = []

    def make(path: Path) -> None:
        made.append("made")
        path.write_text("content")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise ImageFailed("no")

    with pytest.raises(ImageFailed):
        cache.get("thing", ["a"], fail)
    first = cache.get("thing", ["a"], make)
    assert cache.get("thing", ["a"], make) == first
    assert cache.get("thing", ["b"], make) != first
    assert made == ["made", "made"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".making")] == []


def test_what_a_program_said_is_in_the_failure() -> None:
    with pytest.raises(ImageFailed, match=r"sh ended with 3:\nno such disk"):
        run("sh", "-c", "echo no such disk >&2; exit 3")
    with pytest.raises(ImageFailed, match="a warning"):
        run("sh", "-c", "echo a warning >&2", silent=True)


def test_the_kernel_is_told_the_root_it_verifies() -> None:
    table = Verity(blocks=10, root_hash="ab" * 32).table("root-b")
    assert table.startswith(
        'dm-mod.create="netty-root,,,ro,0 80 verity 1 PARTLABEL=root-b PARTLABEL=root-b '
        f"4096 4096 10 10 sha256 {'ab' * 32} "
    )
    assert table.endswith('1 panic_on_corruption" dm-mod.waitfor=PARTLABEL=root-b')
