"""What all measurements share: where they work, the study, the sender, the box."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.hospital import volume
from tools.hospital.box import TITLE, Box
from tools.hospital.peers import Peer, free_port, program
from tools.hospital.sender import Node

CALLING = "BENCH"
"""The AE title of the sender."""

SETTINGS = """\
revision = 1
[ae]
title = "{title}"
port = {port}
address = "127.0.0.1"
max_pdu = "{pdu} B"
unsolicited = "store"
[query]
every = "7 days"
[storage]
reserve = "64 MiB"
[[remote]]
name = "sender"
title = "{calling}"
host = "127.0.0.1"
query = false
"""

PACS = """\
[[remote]]
name = "pacs"
title = "{pacs.title}"
host = "{pacs.host}"
port = {pacs.port}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """How and where to measure. `pdu` is the maximum PDU of every receiver."""

    folder: Path
    runs: int
    images: int = 500
    associations: int = 4
    pdu: int = 16384

    @property
    def study(self) -> volume.Study:
        """The CT that everything is measured with."""
        return volume.Study(slices=self.images)

    def files(self) -> list[Path]:
        """Its files."""
        return volume.write(self.study, self.folder / f"ct-{self.images}")

    def say(self, text: str) -> None:
        """Tell whoever waits."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def sender(self) -> Path:
        """The sender, compiled when its source is newer."""
        source, binary = Path(__file__).with_name("sender.c"), self.folder / "sender"
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            command = [program("gcc"), "-O2", "-Wall", "-pthread", "-o", str(binary), str(source)]
            subprocess.run(command, check=True)
        return binary

    def send(self, to: Node, files: Sequence[Path]) -> float:
        """Send `files` over the associations; the seconds from the first connection to the last
        answer. Raises CalledProcessError when one is not stored.
        """
        settings = (to.host, str(to.port), to.title, CALLING, str(self.associations), str(self.pdu))
        # What the run before has left to be written must not be paid for by this one.
        os.sync()
        command = [str(self.sender()), *settings, *map(str, files)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return float(done.stdout.split()[0])

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """An empty folder that is gone afterwards, unless something went wrong in it."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
        self._put_away(folder)

    def tidy(self) -> None:
        """Remove what the measurements left."""
        shutil.rmtree(self._spent, ignore_errors=True)

    @property
    def _spent(self) -> Path:
        return self.folder / "spent"

    def _put_away(self, folder: Path) -> None:
        """Empty the files of a folder and keep them, out of the way, until `tidy`.

        For some minutes ext4 gives no removed file's inode to a new one, and looks at each of them
        whenever a file is created: half a millisecond for each image after a few runs.
        """
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink() and file.stat().st_nlink == 1:
                os.truncate(file, 0)
        self._spent.mkdir(exist_ok=True)
        folder.rename(tempfile.mkdtemp(dir=self._spent))

    def box(self, folder: Path, port: int, pacs: Node | None = None) -> Box:
        """A box that takes what the sender sends, and may ask `pacs`."""
        text = SETTINGS.format(title=TITLE, port=port, pdu=self.pdu, calling=CALLING)
        if pacs is not None:
            text += PACS.format(pacs=pacs)
        box = Box(folder / "netty.toml", folder / "data")
        box.settings.write_text(text)
        return box

    @contextmanager
    def running_box(self, folder: Path, pacs: Node | None = None) -> Iterator[tuple[Box, Peer]]:
        """That box, while it runs."""
        port = free_port()
        box = self.box(folder, port, pacs)
        with box.run(port) as peer:
            yield box, peer
