"""Receiving a CT on several associations, beside storescp and Orthanc."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from tools.benchmark.bench import Bench
from tools.benchmark.disk import durable_rate
from tools.benchmark.figures import Row, interleaved
from tools.benchmark.machine import REPOSITORY
from tools.hospital.box import TITLE, Box
from tools.hospital.peers import Peer, PeerFailed, free_port, orthanc, running, storescp
from tools.hospital.sender import Node

Receiver = Callable[[Path], AbstractContextManager[Peer]]


def measure(bench: Bench) -> list[Row]:
    """Images per second of every receiver, in turn."""
    files = bench.files()

    def plain(folder: Path) -> AbstractContextManager[Peer]:
        return _plain_box(bench, folder)

    def durable(folder: Path) -> AbstractContextManager[Peer]:
        return _durable_box(bench, folder)

    def dcmtk(folder: Path) -> AbstractContextManager[Peer]:
        return storescp(folder, ["--fork", "+B", "-pdu", str(bench.pdu)])

    def rest(folder: Path) -> AbstractContextManager[Peer]:
        return orthanc(folder, [], MaximumPduLength=bench.pdu)

    receivers: dict[str, Receiver] = {
        "the box": durable,
        "storescp --fork +B": dcmtk,
        "the box, plain": plain,
        "Orthanc": rest,
    }

    def rate(receiver: Receiver) -> float:
        with bench.scratch("receiver") as folder, receiver(folder) as peer:
            seconds = bench.send(peer.node, files)
            _require_all(peer, len(files))
        return len(files) / seconds

    contestants = {name: partial(rate, receiver) for name, receiver in receivers.items()}
    contestants["the disk"] = partial(_disk, bench, files)
    rates = interleaved(bench.runs, contestants, bench.say)
    received = f"receive {len(files)} CT on {bench.associations} associations"
    ours, peer = rates["the box"], rates["storescp --fork +B"]
    return [
        Row(
            f"{received}: durable, de-identified, catalogued",
            "images/s",
            ours,
            "storescp --fork +B",
            peer,
            at_least=0.5,
        ),
        Row("the same", "images/s", ours, "Orthanc", rates["Orthanc"], at_least=1.5),
        Row(
            f"{received}: no sync, no de-identification",
            "images/s",
            rates["the box, plain"],
            "storescp --fork +B",
            peer,
            at_least=0.85,
        ),
        Row(
            f"{received}: durable, beside what the disk allows",
            "images/s",
            ours,
            f"{bench.associations} threads that only write and sync",
            rates["the disk"],
        ),
    ]


def _disk(bench: Bench, files: list[Path]) -> float:
    with bench.scratch("disk") as folder:
        return durable_rate(folder, files, bench.associations)


def _require_all(peer: Peer, count: int) -> None:
    """A receiver that lost something has not won."""
    if peer.node.title == TITLE and (peer.folder / "data").exists():
        held = Box(peer.folder / "netty.toml", peer.folder / "data").status()["instances"]
    elif peer.web is None:
        held = sum(1 for _ in (peer.folder / "storage").iterdir())
    else:
        return  # Orthanc answers only for what it has stored
    if held != count:
        raise PeerFailed(f"{peer.node.title} has {held} of {count} instances")


@contextmanager
def _durable_box(bench: Bench, folder: Path) -> Iterator[Peer]:
    with bench.running_box(folder) as (_, peer):
        yield peer


@contextmanager
def _plain_box(bench: Bench, folder: Path) -> Iterator[Peer]:
    storage, node = folder / "storage", Node(TITLE, free_port())
    storage.mkdir()
    command = [sys.executable, "-m", "tools.benchmark.plain"]
    command += [str(node.port), str(bench.pdu), str(storage)]
    with running(command, node, folder, cwd=REPOSITORY) as peer:
        yield peer
