"""The page beside a large archive: how soon it begins to answer, what it weighs, what it takes."""

import socket
import sqlite3
import statistics
import time
from pathlib import Path

from appliance.archive.catalogue import Catalogue
from appliance.archive.files import Folders
from appliance.health.places import Places
from appliance.health.reports import SERVICE, RemoteReport, ServiceReport, write_report
from tools.benchmark.bench import Bench
from tools.benchmark.figures import Row, Sample
from tools.benchmark.processes import MIB, memory
from tools.hospital.box import Box
from tools.hospital.peers import free_port

STUDIES, PER_STUDY = 500, 200
VISITS = 100
PARTS = ("/", "/style.css", "/page.js", "/icon.svg")


def measure(bench: Bench) -> list[Row]:
    """First byte in ms, weight in KiB, memory in MiB."""
    first, weight, taken = [], [], []
    for run in range(1, bench.runs + 1):
        with bench.scratch("visit") as folder:
            box = Box(folder / "netty.toml", folder / "data")
            box.settings.write_text("revision = 1\n")
            fill(box.data)
            report(box.data)
            port = free_port()
            with box.page(port, free_port()) as page:
                times, sizes = zip(*(visit(port, "/") for _ in range(VISITS)), strict=True)
                weight.append((sizes[0] + sum(visit(port, one)[1] for one in PARTS[1:])) / 1024)
                taken.append(memory(page.process.pid) / MIB)
            first.append(statistics.median(times) * 1000)
        bench.say(
            f"run {run} of {bench.runs}: first byte after {first[-1]:.1f} ms, "
            f"{weight[-1]:.1f} KiB, {taken[-1]:.1f} MiB"
        )
    held = f"{STUDIES * PER_STUDY:,} instances"
    return [
        Row(
            f"first byte of the front page, {held} in the catalogue",
            "ms",
            Sample(tuple(first)),
            more_is_better=False,
            at_most=50,
        ),
        Row(
            "the front page with all that it loads",
            "KiB",
            Sample(tuple(weight)),
            more_is_better=False,
            at_most=60,
        ),
        Row(
            f"memory of the page after {VISITS} visits",
            "MiB",
            Sample(tuple(taken)),
            more_is_better=False,
            at_most=60,
        ),
    ]


def fill(data: Path) -> None:
    """Make a catalogue that names `STUDIES` × `PER_STUDY` instances; there are no files."""
    folders = Folders(data)
    data.mkdir(parents=True)
    folders.prepare()
    Catalogue.open(folders.catalogue).close()
    now = time.time()
    with sqlite3.connect(folders.catalogue) as connection:
        for study in range(1, STUDIES + 1):
            uid = f"2.25.{study}"
            connection.execute("INSERT INTO studies (id, uid) VALUES (?, ?)", (study, uid))
            connection.execute(
                "INSERT INTO series (id, study, uid, modality) VALUES (?, ?, ?, 'CT')",
                (study, study, f"{uid}.1"),
            )
            connection.executemany(
                "INSERT INTO instances (study, series, uid, sop_class, transfer_syntax, number,"
                " frames, bytes, stored_at, file, picture)"
                " VALUES (?, ?, ?, '', '', ?, 1, 500000, ?, 'held', 'rendered')",
                ((study, study, f"{uid}.1.{n}", n, now) for n in range(1, PER_STUDY + 1)),
            )


def report(data: Path) -> None:
    """Tell what an AE would tell that runs."""
    path = Places(data).run / SERVICE
    path.parent.mkdir(parents=True)
    remotes = (RemoteReport("main", time.time()),)
    write_report(path, ServiceReport(time.monotonic(), time.time(), remotes=remotes))


def visit(port: int, path: str) -> tuple[float, int]:
    """Seconds until the first byte of an answer, on a connection of its own; bytes of its body."""
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = connection.recv(1)
        took = time.perf_counter() - begun
        while part := connection.recv(65_536):
            answer += part
    return took, len(answer.partition(b"\r\n\r\n")[2])
