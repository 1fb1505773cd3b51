"""The tree against Buildroot itself, where a checkout is given: NETTY_BUILDROOT=DIR.

Nothing is built here: that takes hours (`tools/build`). What is judged is what Buildroot makes of
our configurations and packages.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tools.imaging.architecture import ARCHITECTURES
from tools.imaging.programs import need
from tools.shipping.board import Board
from tools.shipping.source import checkout

TREE = Path(__file__).parents[2] / "buildroot"
GIVEN = os.environ.get("NETTY_BUILDROOT")
TESTED = Path(__file__).with_name("buildroot_python.txt")

pytestmark = pytest.mark.skipif(
    GIVEN is None, reason="NETTY_BUILDROOT names no checkout of Buildroot: see README"
)


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Board:
    folder = tmp_path_factory.mktemp("buildroot")
    assert GIVEN is not None
    board = Board(
        architecture=ARCHITECTURES[request.param],
        buildroot=checkout(Path(GIVEN)).resolve(),
        output=folder / "output",
        downloads=folder / "downloads",
        keyring=folder / "authority.pem",
        time=1_750_000_000,
    )
    board.configure()
    return board


def test_buildroot_loses_none_of_our_choices(board: Board, tmp_path: Path) -> None:
    saved = tmp_path / "defconfig"
    board.ask("savedefconfig", f"BR2_DEFCONFIG={saved}")
    ours = TREE / "configs" / f"netty_{board.architecture.machine}_defconfig"
    assert saved.read_text() == ours.read_text()


def test_every_package_is_known_with_its_sources(board: Board) -> None:
    said = board.ask("show-info")
    info = json.loads(said[said.index("{") :])
    ours = {path.name for path in (TREE / "package").iterdir()}
    ours -= {"python-pillow-simd"} if board.architecture.machine != "x86_64" else set()
    assert ours <= info.keys()
    needed = board.ask("external-deps").split()
    for package in ours - {"netty-appliance"}:
        assert any(info[package]["version"].lstrip("v") in archive for archive in needed), package


def test_pictures_can_be_made_and_sandboxes_are_closed(board: Board) -> None:
    """What Buildroot leaves out of a package without a word unless a library is chosen as well."""
    said = board.ask("show-info")
    info = json.loads(said[said.index("{") :])
    pillow = "python-pillow" + ("-simd" if board.architecture.machine == "x86_64" else "")
    codecs = {"freetype", "lcms2", "openjpeg", "webp", "zlib"}
    assert codecs <= set(info[pillow]["dependencies"])
    assert {"jpeg", "jpeg-turbo", "libjpeg"} & set(info[pillow]["dependencies"])
    assert "libseccomp" in info["systemd"]["dependencies"]


def test_python_packages_are_those_that_the_code_was_tried_with(board: Board) -> None:
    said = board.ask("show-info")
    info = json.loads(said[said.index("{") :])
    for line in TESTED.read_text().splitlines():
        found = re.match(r"([\w-]+)==(\S+)", line)
        if found and (package := info.get(f"python-{found[1]}")):
            assert package["version"] == found[2]


def test_the_tree_is_written_as_buildroot_wants_it() -> None:
    need("shellcheck", "shellcheck")
    assert GIVEN is not None
    files = [path for path in TREE.rglob("*") if path.is_file() and path.suffix != ".toml"]
    said = subprocess.run(
        ["python3", Path(GIVEN) / "utils/check-package", "--br2-external", *files],
        check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ).stdout  # fmt: skip
    counts = re.search(r"^(\d+) lines processed\n0 warnings generated$", said, re.MULTILINE)
    assert counts, said
    assert int(counts[1]) > 200


def test_the_appliance_is_taken_from_this_checkout(board: Board) -> None:
    said = subprocess.run(
        ["make", "-s", "-C", board.buildroot, f"O={board.output}", "printvars",
         "VARS=NETTY_APPLIANCE_VERSION"],
        check=True, capture_output=True, text=True, env={**os.environ, **board.environment},
    ).stdout  # fmt: skip
    assert re.search(r"NETTY_APPLIANCE_VERSION=\d+\.\d+", said)
