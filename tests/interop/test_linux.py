"""The configuration of our kernel against Linux itself, where a source is given: NETTY_LINUX=DIR.

Nothing is compiled here (`tools/kernel` does that); Linux's own Kconfig says what becomes of our
choices.
"""

import os
from pathlib import Path

import pytest

from tools.imaging.architecture import ARCHITECTURES
from tools.shipping.kernel import KernelTree

GIVEN = os.environ.get("NETTY_LINUX")

pytestmark = pytest.mark.skipif(
    GIVEN is None, reason="NETTY_LINUX names no source of Linux 6.12: see README"
)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_linux_takes_all_our_choices(architecture: str, tmp_path: Path) -> None:
    assert GIVEN is not None
    KernelTree(Path(GIVEN), ARCHITECTURES[architecture], tmp_path / "output").configure()
    taken = (tmp_path / "output/.config").read_text()
    assert "CONFIG_DM_INIT=y" in taken
    assert "=m\n" not in taken
