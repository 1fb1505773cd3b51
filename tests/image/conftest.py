"""The real image in a virtual machine. What it takes is installed by tools/test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.image.figures import Figures
from tests.image.hardware import architecture, hardware, image_name, own_kernel
from tests.image.patience import START_WITHIN
from tools.imaging.build import Build, build
from tools.imaging.cache import cache_from_environment
from tools.imaging.machine import Hardware, Machine, copy_disk, emulator
from tools.imaging.packages import mirror
from tools.imaging.programs import ProgramAbsent, need

BUILD = Path(__file__).parents[2] / "build"

_NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "veritysetup": "cryptsetup-bin",
    "genimage": "genimage",
    "mcopy": "mtools",
    "mkfs.vfat": "dosfstools",
    "readelf": "binutils",
}

NewMachine = Callable[[Hardware], Machine]


@pytest.fixture(scope="session")
def figures() -> Figures:
    """What was measured, kept in build/image-amd64.json, say."""
    return Figures(BUILD / f"{image_name()}.json")


@pytest.fixture(scope="session")
def image(figures: Figures) -> Build:
    """The image of this checkout, made now if it is not there yet."""
    try:
        for program, package in _NEEDED.items():
            need(program, package)
        emulator(architecture())
        mirror()
    except ProgramAbsent as absent:
        pytest.skip(str(absent))
    cache, kernel = cache_from_environment(), own_kernel()
    made = build(architecture(), BUILD / image_name(), cache, print, kernel=kernel)
    figures.note("sizes in bytes", made.sizes)
    return made


@pytest.fixture
def new_machine(image: Build, tmp_path: Path) -> Iterator[NewMachine]:
    """Makes boxes with new disks of their own, switched off; those still on are cut off."""
    machines: list[Machine] = []

    def make(hardware: Hardware) -> Machine:
        folder = tmp_path / f"box{len(machines)}"
        folder.mkdir()
        machines.append(Machine(copy_disk(image.disk, folder / "disk.img"), folder, hardware))
        return machines[-1]

    yield make
    for machine in machines:
        machine.power_cut()


@pytest.fixture(scope="session")
def box(
    image: Build, tmp_path_factory: pytest.TempPathFactory, figures: Figures
) -> Iterator[Machine]:
    """One box for all tests that leave it as it was: new, without settings, started."""
    folder = tmp_path_factory.mktemp("box")
    with Machine(copy_disk(image.disk, folder / "disk.img"), folder, hardware()) as machine:
        machine.wait(r"Reached target multi-user\.target", START_WITHIN)
        figures.note_since_power("ready", machine)
        machine.wait_for_shell()
        yield machine
