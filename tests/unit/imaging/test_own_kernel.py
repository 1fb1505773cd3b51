"""The kernel of the shipped image by itself: configured by a source tree that we can rely on."""

from pathlib import Path

import pytest

from tools.imaging.architecture import ARCHITECTURES
from tools.imaging.programs import ImageFailed
from tools.shipping.kernel import KernelTree

LINUX = """\
.PHONY: olddefconfig {image}
olddefconfig:
\tsed -i '{edit}' $(O)/.config
{image}:
\tmkdir -p $(O)/{folder}
\techo $(ARCH) $(CROSS_COMPILE) > $(O)/{folder}/{image}
"""


def tree(folder: Path, architecture: str, edit: str = "") -> KernelTree:
    """A source that answers as Linux does: it edits the configuration, and makes a kernel."""
    made = {"amd64": ("arch/x86/boot", "bzImage"), "arm64": ("arch/arm64/boot", "Image")}
    source = folder / "source"
    source.mkdir()
    (source / "Kconfig").touch()
    below, image = made[architecture]
    (source / "Makefile").write_text(LINUX.format(edit=edit, folder=below, image=image))
    return KernelTree(source, ARCHITECTURES[architecture], folder / "output")


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_it_is_built_with_the_configuration_of_its_board(tmp_path: Path, architecture: str) -> None:
    linux = tree(tmp_path, architecture)
    linux.configure()
    taken = (tmp_path / "output/.config").read_text()
    assert "CONFIG_DM_INIT=y" in taken
    assert ("CONFIG_ITCO_WDT=y" in taken) == (architecture == "amd64")
    said = linux.build().read_text().split()
    assert said[0] == {"amd64": "x86_64", "arm64": "arm64"}[architecture]


def test_a_choice_that_linux_does_not_take_is_named(tmp_path: Path) -> None:
    edit = "/CONFIG_DM_VERITY=/d; s/# CONFIG_MODULES is not set/CONFIG_MODULES=y/"
    with pytest.raises(ImageFailed, match=r"chosen: CONFIG_DM_VERITY=y, CONFIG_MODULES=n$"):
        tree(tmp_path, "amd64", edit).configure()


def test_what_is_no_source_of_linux_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageFailed, match="no source of Linux"):
        KernelTree(tmp_path, ARCHITECTURES["amd64"], tmp_path / "output").configure()


def test_a_build_that_fails_is_no_kernel(tmp_path: Path) -> None:
    linux = tree(tmp_path, "amd64")
    with (linux.source / "Makefile").open("a") as file:
        file.write("\tfalse\n")
    linux.configure()
    with pytest.raises(ImageFailed, match="cannot be built"):
        linux.build()
