"""The command behind `tools/demo`."""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tools.demonstration import sheet
from tools.demonstration.progress import Line, Progress
from tools.demonstration.settings import PASSWORD, netty_toml
from tools.demonstration.studies import Patient, patients
from tools.hospital.box import TITLE, Box
from tools.hospital.peers import PACS, Peer, PeerAbsent, PeerFailed, free_port
from tools.hospital.sender import Node, NotStored

POLL = 2.0
"""Seconds between two looks at the status."""


class Failed(Exception):
    """The demonstration did not come to its end; the text says why and where to look."""


def main() -> int:
    """Run the demonstration; return the exit status."""
    options = _parser().parse_args()
    # What started this may end it: everything started here ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        demonstrate(options)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    except (Failed, PeerAbsent, PeerFailed, NotStored, OSError) as error:
        notes = getattr(error, "__notes__", [])
        print("\n".join([f"\nThe demonstration failed: {error}", *notes]), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/demo",
        description="Starts a PACS on this machine, fills it with studies of several modalities, "
        "and lets the box fetch what it lacks. A second run finds that it lacks nothing.",
    )
    parser.add_argument(
        "--pacs",
        choices=PACS,
        default="qrscp",
        help="whose PACS: pynetdicom's (the default), Orthanc, or DCMTK's",
    )
    parser.add_argument("--once", action="store_true", help="end when all is complete")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("build/demo"),
        help="where all of it is kept (default: build/demo)",
    )
    parser.add_argument(
        "--slices", type=int, default=300, help="of the generated CT volume (default: 300)"
    )
    parser.add_argument(
        "--timeout", type=float, default=900, help="seconds after which --once gives up"
    )
    return parser


def demonstrate(options: argparse.Namespace) -> None:
    """Fill a PACS, run the box, watch it. Raises Failed."""
    folder = options.folder.resolve()
    print("Preparing the studies …", flush=True)
    people = list(patients(folder / "studies", options.slices))
    files = [file for patient in people for file in patient.files]
    box = Box(folder / "netty.toml", folder / "data")
    port = free_port()
    with ExitStack() as running:
        print(f"Starting a PACS ({options.pacs}) and filling it, if it is empty …", flush=True)
        start = PACS[options.pacs]
        pacs = running.enter_context(
            start(folder / f"pacs-{options.pacs}", [Node(TITLE, port)], files)
        )
        _describe(pacs, people, files)
        box.settings.write_text(netty_toml(port, pacs.node, people), encoding="utf-8")
        box.check()
        started, before = time.time(), _status(box)
        appliance = running.enter_context(box.run(port))
        print(f"The box runs as {TITLE} on port {port}; its settings: {_short(box.settings)}")
        page_port, secure_port = free_port(), free_port()
        page = running.enter_context(box.page(page_port, secure_port))
        print(f"Its page:  http://127.0.0.1:{page_port}/\n")
        line = Line()
        try:
            _follow(box, (pacs, appliance, page), len(files), started, options, line)
        finally:
            line.end()
        _report(box, before, len(files), started)
        print(
            f"The page:   http://127.0.0.1:{page_port}/ (how the box is)\n"
            f"            https://127.0.0.1:{secure_port}/ (pictures and search; it signed its "
            f'certificate itself; password "{PASSWORD}")'
        )
        if not options.once:
            _stay(appliance, pacs, page)


def _describe(pacs: Peer, people: Sequence[Patient], files: Sequence[Path]) -> None:
    for patient in people:
        print(f"  {patient.identifier:16} {len(patient.files):4}  {patient.shows}")
    print(
        f"{pacs.node.title} on port {pacs.node.port} holds {len(files)} instances of "
        f"{len(people)} patients."
    )


def _status(box: Box) -> Progress:
    """The state of the archive, also before there is one."""
    try:
        return Progress.of(box.status())
    except subprocess.CalledProcessError:
        return Progress()


def _follow(
    box: Box,
    peers: Sequence[Peer],
    expected: int,
    started: float,
    options: argparse.Namespace,
    line: Line,
) -> None:
    """Show the progress until all is complete. Raises Failed when it will not be."""
    end = time.monotonic() + options.timeout
    before = _status(box)
    while True:
        now = _status(box)
        line.show(now.line(expected, before))
        if now.complete(expected, started):
            return
        for peer in peers:
            if not peer.running:
                raise Failed(f"{peer.node.title} ended by itself; see {peer.log}")
        if options.once and time.monotonic() > end:
            raise Failed(_overdue(box, now, expected, options.timeout))
        before = now
        time.sleep(POLL)


def _overdue(box: Box, now: Progress, expected: int, seconds: float) -> str:
    events = [f"  {event['subject']}: {event['text']}" for event in box.status()["events"][:8]]
    return "\n".join(
        [
            f"after {seconds:g} s the box holds {now.held} of {expected} instances; "
            f"{now.missing} are missing, {now.queued} wait for their pictures.",
            "What the box noted last:",
            *events,
            f"Its log: {box.data.parent / 'log.txt'}",
        ]
    )


def _fetched(box: Box, started: float) -> int:
    """How many instances were written since `started`, as the files themselves tell."""
    return sum(file.stat().st_mtime >= started for file in (box.data / "dicom").rglob("*.dcm"))


def _report(box: Box, before: Progress, expected: int, started: float) -> None:
    now = _status(box)
    fetched = _fetched(box, started)
    if fetched > now.held - before.held:
        raise Failed(f"{fetched} instances were fetched, {now.held - before.held} were missing")
    page = box.data.parent / "index.html"
    count = sheet.write(box.data / "images", page)
    if count < now.pictures:
        raise Failed(f"the catalogue names {now.pictures} pictures, but there are {count}")
    if fetched:
        print(f"\nFetched {fetched} instances; all {expected} are held, without identity.")
    else:
        print(f"\nNothing was missing, nothing was fetched: all {expected} are held already.")
    print(
        f"{now.rendered} were rendered into {count} pictures; {now.without_picture} have nothing "
        f"to show, {now.failed} could not be decoded.\n\n"
        f"Pictures:   {_short(box.data / 'images')}/<study>/<series>/<instance>.jpg\n"
        f"To look:    open {_short(page)} in a browser\n"
        f"Catalogue:  .venv/bin/appliance status --data {_short(box.data)}"
    )


def _stay(*peers: Peer) -> None:
    print("\nThe box keeps asking the PACS. Ctrl-C ends all of it.", flush=True)
    while all(peer.running for peer in peers):
        time.sleep(POLL)
    ended = next(peer for peer in peers if not peer.running)
    raise Failed(f"{ended.node.title} ended by itself; see {ended.log}")


def _short(path: Path) -> Path:
    """Relative to where the reader is, if that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    sys.exit(main())
