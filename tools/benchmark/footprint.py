"""How small the box is: its memory when idle and with a huge instance, and how soon it answers."""

import subprocess
import time
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tools.benchmark.bench import CALLING, Bench
from tools.benchmark.figures import Row, Sample
from tools.benchmark.processes import MIB, memory, watched
from tools.hospital import volume
from tools.hospital.box import TITLE, Box, appliance
from tools.hospital.peers import Peer, PeerFailed, free_port, listens, stop
from tools.hospital.sender import Node

FRAMES = 954
"""Of 512 × 512 × 2 bytes: 500 MB."""

SETTLED = 3.0
"""Seconds after which a box that was started is idle."""


def measure(bench: Bench) -> list[Row]:
    """Memory of the box and all its processes in MiB, seconds of its start."""
    huge = multi_frame(bench.folder / f"multi-frame-{FRAMES}.dcm")
    idle, beyond, rendering, start = [], [], [], []
    for run in range(1, bench.runs + 1):
        with bench.scratch("footprint") as folder:
            start.append(_start(bench, folder))
        with bench.scratch("footprint") as folder, bench.running_box(folder) as (box, peer):
            time.sleep(SETTLED)
            before = memory(peer.process.pid)
            with watched(peer.process.pid) as peak:
                bench.send(peer.node, [huge])
            received = peak.bytes
            with watched(peer.process.pid) as peak:
                _await_rendered(box, peer)
        idle.append(before / MIB)
        beyond.append((received - before) / MIB)
        rendering.append(peak.bytes / MIB)
        bench.say(
            f"run {run} of {bench.runs}: start {start[-1]:.2f} s, idle {idle[-1]:.1f} MiB, "
            f"{beyond[-1]:.1f} MiB more while receiving, {rendering[-1]:.1f} MiB while rendering"
        )
    size = round(huge.stat().st_size / 1e6)
    return [
        Row(
            f"memory beyond idle while a multi-frame instance of {size} MB is received",
            "MiB",
            Sample(tuple(beyond)),
            more_is_better=False,
            at_most=150,
        ),
        Row(
            "memory in all while its frames are rendered, the mapped file included",
            "MiB",
            Sample(tuple(rendering)),
            more_is_better=False,
        ),
        Row(
            "memory when idle",
            "MiB",
            Sample(tuple(idle)),
            more_is_better=False,
            at_most=90,
        ),
        Row(
            "start to the first C-ECHO answered",
            "s",
            Sample(tuple(start)),
            more_is_better=False,
            at_most=1.5,
        ),
    ]


def multi_frame(file: Path) -> Path:
    """A Multi-frame Grayscale Word Secondary Capture of `FRAMES` CT slices, written once."""
    if file.exists():
        return file
    header = next(volume.datasets(volume.Study(slices=1)))
    header.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    header.SOPInstanceUID = "2.25.314159265358979.9"
    header.NumberOfFrames = FRAMES
    header.PixelData = b""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".part")
    _save(header, temporary)
    frames = [values.astype("<u2").tobytes() for values in volume.slices(8)]
    with temporary.open("r+b") as stream:
        # Pixel Data is the last element: its length is the last four bytes of the file.
        stream.seek(-4, 2)
        stream.write((FRAMES * len(frames[0])).to_bytes(4, "little"))
        for number in range(FRAMES):
            stream.write(frames[number % len(frames)])
    temporary.rename(file)
    return file


def _save(header: Dataset, file: Path) -> None:
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    header.save_as(file, enforce_file_format=True)


def _await_rendered(box: Box, peer: Peer) -> None:
    while box.status()["queued"]:
        if not peer.running:
            raise PeerFailed("the box ended by itself")
        time.sleep(0.2)


def _start(bench: Bench, folder: Path) -> float:
    """From the start of the process to the answer of the first C-ECHO."""
    port = free_port()
    box = bench.box(folder, port)
    box.data.mkdir()
    began = time.monotonic()
    process = subprocess.Popen(
        appliance("run", "--settings", box.settings, "--data", box.data),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not listens(port):
            if process.poll() is not None:
                raise PeerFailed("the box does not start")
            time.sleep(0.01)
        _echo(Node(TITLE, port))
        return time.monotonic() - began
    finally:
        stop(process, 30)


def _echo(node: Node) -> None:
    entity = AE(CALLING)
    entity.add_requested_context(Verification)
    association = entity.associate(node.host, node.port, ae_title=node.title)
    if not association.is_established or association.send_c_echo().get("Status") != 0x0000:
        raise PeerFailed("the box does not answer the first C-ECHO")
    association.release()
