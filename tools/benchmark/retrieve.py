"""From a C-MOVE of a CT to every JPEG of it, beside movescu and a dcmj2pnm for each image."""

import subprocess
import time
from pathlib import Path

from appliance.archive.catalogue import Catalogue
from appliance.archive.requests import Requests
from tools.benchmark.bench import Bench
from tools.benchmark.figures import Row, interleaved
from tools.hospital.box import TITLE
from tools.hospital.peers import ENVIRONMENT, Peer, PeerFailed, dcmqrscp, free_port, program
from tools.hospital.sender import Node

PATIENCE = 120.0
"""Seconds until a retrieval that does not end is given up."""


def measure(bench: Bench) -> list[Row]:
    """Seconds of both, in turn."""
    files = bench.files()
    seconds = interleaved(
        bench.runs,
        {
            "the box": lambda: _box(bench, files),
            "movescu, dcmj2pnm": lambda: _dcmtk(bench, files),
        },
        bench.say,
    )
    return [
        Row(
            f"C-MOVE of {len(files)} CT from dcmqrscp until every JPEG exists",
            "s",
            seconds["the box"],
            "movescu, then dcmj2pnm, two at a time",
            seconds["movescu, dcmj2pnm"],
            more_is_better=False,
            at_least=4,
        )
    ]


def _box(bench: Bench, files: list[Path]) -> float:
    """From the C-MOVE request, as the catalogue has it, to the moment when all is rendered."""
    with bench.scratch("retrieve") as folder:
        port = free_port()
        with dcmqrscp(folder / "pacs", [Node(TITLE, port)], files) as pacs:
            box = bench.box(folder, port, pacs.node)
            with box.run(port):
                return _retrieved(bench, box.data, len(files))


def _retrieved(bench: Bench, data: Path, count: int) -> float:
    requests = Requests.open(data / "requests.sqlite")
    catalogue = Catalogue.open_read_only(data / "catalogue.sqlite")
    try:
        requests.ask_fetch("pacs", study=bench.study.study_instance_uid)
        end = time.time() + PATIENCE
        while (status := catalogue.status()).rendered < count:
            if time.time() > end:
                raise PeerFailed(f"after {PATIENCE:g} s: {status.events[:3]}")
            time.sleep(0.02)
        finished = time.time()
        if sum(1 for _ in (data / "images").rglob("*.jpg")) != count:
            raise PeerFailed("the catalogue names pictures that are not there")
        (retrieval,) = catalogue.retrievals(limit=2)
        return finished - retrieval.begun_at
    finally:
        catalogue.close()
        requests.close()


def _dcmtk(bench: Bench, files: list[Path]) -> float:
    with bench.scratch("retrieve") as folder:
        node = Node("MOVESCU", free_port())
        with dcmqrscp(folder / "pacs", [node], files) as pacs:
            return _moved_and_rendered(bench, pacs, node, folder)


def _moved_and_rendered(bench: Bench, pacs: Peer, node: Node, folder: Path) -> float:
    received, pictures = folder / "received", folder / "pictures"
    received.mkdir()
    pictures.mkdir()
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k")
    move = [program("movescu"), "-S", "+xi", "-pdu", str(bench.pdu), "-aet", node.title]
    move += ["-aem", node.title, "-aec", pacs.node.title, "+P", str(node.port)]
    move += ["-od", str(received), *keys, f"StudyInstanceUID={bench.study.study_instance_uid}"]
    render = [program("xargs"), "-P", "2", "-I", "{}", program("dcmj2pnm"), "+oj", "+Wi", "1"]
    render += ["+Jq", "90", f"{received}/{{}}", f"{pictures}/{{}}.jpg"]
    began = time.monotonic()
    subprocess.run(
        [*move, pacs.node.host, str(pacs.node.port)],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    names = "\n".join(file.name for file in received.iterdir())
    subprocess.run(render, input=names, text=True, check=True, capture_output=True)
    seconds = time.monotonic() - began
    made = sum(1 for _ in pictures.iterdir())
    if made != bench.images:
        raise PeerFailed(f"movescu and dcmj2pnm made {made} of {bench.images} pictures")
    return seconds
