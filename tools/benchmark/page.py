"""Receiving a CT while the page is read heavily, beside the same with nobody reading it."""

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

from appliance.settings.passwords import hash_token, new_token
from tools.benchmark.bench import Bench
from tools.benchmark.figures import Row, interleaved
from tools.benchmark.machine import REPOSITORY
from tools.hospital.box import appliance
from tools.hospital.peers import Peer, PeerFailed, free_port, running
from tools.hospital.sender import Node

READERS = 4
EVERY = 0.1
"""Seconds between two requests of one reader."""
PATHS = ("/", "/health", "/dicomweb/studies", "/metrics", "/dicomweb/instances?limit=100")


def measure(bench: Bench) -> list[Row]:
    """Images per second with and without readers; what these could read is told."""
    files = bench.files()
    read: list[int] = []

    def alone() -> float:
        with bench.scratch("alone") as folder, bench.running_box(folder) as (_, peer):
            return len(files) / bench.send(peer.node, files)

    def beside_readers() -> float:
        token = new_token()
        with (
            bench.scratch("read") as folder,
            bench.running_box(folder) as (box, peer),
            _page(folder, box.settings, box.data, token) as page,
            _readers(page.node.port, token) as counted,
        ):
            rate = len(files) / bench.send(peer.node, files)
        read.append(counted[0])
        return rate

    contestants = {"alone": partial(alone), "read": partial(beside_readers)}
    rates = interleaved(bench.runs, contestants, bench.say)
    bench.say(f"answers while it received, in each run: {read}")
    often = READERS / EVERY
    return [
        Row(
            f"receive {len(files)} CT on {bench.associations} associations while the page is "
            f"read {often:g} times a second",
            "images/s",
            rates["read"],
            "the same with nobody reading",
            rates["alone"],
            at_least=0.95,
        )
    ]


@contextmanager
def _page(folder: Path, settings: Path, data: Path, token: str) -> Iterator[Peer]:
    """The page of a box that runs, by HTTPS on the port of the peer."""
    told = folder / "page.toml"
    told.write_text(f'{settings.read_text()}[panel]\ntoken = "{hash_token(token)}"\n')
    secure = free_port()
    # About as on the box, where its unit has a fifth of the AE's CPUWeight.
    command = ["nice", "-n", "7", *appliance("panel", "--settings", told, "--data", data)]
    command += ["--port", str(free_port()), "--secure-port", str(secure)]
    place = folder / "page"
    place.mkdir()
    with running(command, Node("PAGE", secure), place, cwd=REPOSITORY) as page:
        yield page


@contextmanager
def _readers(port: int, token: str) -> Iterator[list[int]]:
    """Read all the while, evenly; the count of answers is in the list at the end.

    Raises PeerFailed if one was no answer.
    """
    ended, counts, wrong = threading.Event(), [0], list[str]()
    counting = threading.Lock()

    def read(number: int) -> None:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
        due = time.monotonic() + number * EVERY / READERS
        for path in cycle(PATHS):
            if ended.wait(max(0.0, due - time.monotonic())):
                break
            due = max(due + EVERY, time.monotonic())
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            with counting:
                counts[0] += 1
                # 503: the state of a box whose systemd is not asked is no matter here.
                if answer.status not in (200, 204, 503):
                    wrong.append(f"{path}: {answer.status}")
        connection.close()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    if wrong or not counts[0]:
        raise PeerFailed(f"the page did not answer: {wrong[:3]}")
