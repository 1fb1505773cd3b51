"""PACS that hold something, and what a test asks of them and of the box that fetches it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import Request, urlopen

from appliance.settings.model import RemoteAE
from tests.interop.boxes import TITLE, Box
from tools.hospital.peers import PACS, Peer, free_port
from tools.hospital.sender import Node

UNREACHABLE = "ABSENT_BOX"
"""An AE title that every PACS here knows as a destination, at a port on which nobody listens."""


@dataclass(frozen=True)
class Hospital:
    """A PACS, what it holds, and the port on which it looks for the box."""

    name: str
    pacs: Peer
    files: Sequence[Path]
    port: int

    def remote(self, **changes: object) -> RemoteAE:
        node = self.pacs.node
        return replace(RemoteAE("pacs", node.title, node.host, node.port), **changes)

    def said(self, words: str) -> int:
        """How often `words` stand in the log of the PACS."""
        return self.pacs.log.read_text(errors="replace").count(words)

    @property
    def moves(self) -> int:
        """C-MOVE and C-GET requests that the PACS has had, as its log says."""
        if self.name == "dcmtk":
            return self.said(": C-MOVE RQ") + self.said(": C-GET RQ")
        return self.said("Incoming Move request") + self.said("Incoming Get request")


@contextmanager
def talkative(name: str, folder: Path, port: int, files: Sequence[Path]) -> Iterator[Hospital]:
    """A PACS that logs the requests that it gets (qrscp does not)."""
    destinations = [Node(TITLE, port), Node(UNREACHABLE, free_port())]
    options = {"options": ("-v",)} if name == "dcmtk" else {}
    with PACS[name](folder, destinations, files, **options) as pacs:
        if pacs.web:
            urlopen(Request(f"{pacs.web}/tools/log-level", b"verbose", method="PUT")).close()
        yield Hospital(name, pacs, files, port)


def complete(running: Box, count: int) -> None:
    """Wait until so many instances are held and the PACS lists nothing more."""
    status = running.service.catalogue.status
    running.until(lambda: status().instances == count, f"{count} instances did not come")
    assert (status().outstanding, status().incomplete) == (0, 0)


def rounds(running: Box, count: int = 2) -> None:
    """Let the box ask its remote `count` more times."""
    for _ in range(count):
        before = running.service.catalogue.remote_state("pacs").last_reached or 0.0
        running.until(
            lambda before=before: (
                (running.service.catalogue.remote_state("pacs").last_reached or 0.0) > before
            ),
            "the box asked no more",
        )


def inodes(running: Box) -> dict[str, int]:
    """A file that is fetched again is another file, of the same name."""
    return {file.name: file.stat().st_ino for file in running.files}


def events(running: Box) -> str:
    return "\n".join(event.text for event in running.service.catalogue.status().events)
