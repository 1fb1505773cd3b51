"""Instances made to break a renderer, given to real workers: each has a reason, the next a picture.

Time and memory are the pool's own bounds: a worker that passes them ends, and its job with it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from appliance.archive.records import RenderOutcome
from appliance.images.decoders import Sample, samples
from appliance.images.pool import RenderPool
from tests.fault.test_render_pool import IMAGE, Archive
from tests.fault.test_render_pool import archive as archive
from tests.fault.test_render_pool import pool as pool
from tests.unit.render import made

MEMORY = 400 * 2**20
BYTES = IMAGE.astype(np.uint8)
Bad = Dataset | bytes


def whole(dataset: Dataset) -> bytes:
    """The file of a dataset."""
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def with_lut(sequence: str, descriptor: list[int], entries: int = 4) -> Dataset:
    dataset = made.grey(IMAGE)
    item = made.lut(0, np.arange(entries, dtype=np.uint16), 16)
    item["LUTDescriptor"].value = descriptor
    setattr(dataset, sequence, [item])
    return dataset


def with_segments(words: list[int]) -> Dataset:
    dataset = made.grey(BYTES, PhotometricInterpretation="PALETTE COLOR")
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [0, 0, 16])
        data = np.array(words, "<u2").tobytes()
        setattr(dataset, f"Segmented{name}PaletteColorLookupTableData", data)
    return dataset


def with_palette(entries: int, described: int) -> Dataset:
    channel = np.arange(entries, dtype=np.uint8)
    dataset = made.palette(BYTES, channel, channel, channel)
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [described, 0, 8])
    return dataset


def with_overlay(rows: int, columns: int, frames: int = 1) -> Dataset:
    dataset = made.grey(IMAGE)
    for element, vr, value in (
        (0x0010, "US", rows),
        (0x0011, "US", columns),
        (0x0015, "IS", frames),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [1, 1]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
        (0x3000, "OW", b"\xff" * 64),
    ):
        dataset.add_new(0x60000000 | element, vr, value)
    return dataset


def jpeg(rows: int, columns: int, mode: str = "L") -> bytes:
    """All of one colour: some thousandth of its pixels' size."""
    file = BytesIO()
    Image.new(mode, (columns, rows)).save(file, "JPEG")
    return file.getvalue()


def jpeg2000(rows: int, columns: int, said: tuple[int, int] | None = None) -> bytes:
    """A codestream; `said`: the rows and columns its header lies about."""
    file = BytesIO()
    Image.new("L", (columns, rows)).save(file, "JPEG2000", no_jp2=True)
    stream = bytearray(file.getvalue())
    if said:
        stream[8:16] = pack(">II", said[1], said[0])
        stream[24:32] = pack(">II", said[1], said[0])
    return bytes(stream)


def runs(rows: int, columns: int) -> bytes:
    """An RLE frame of runs alone: a 64th of its pixels' size."""
    header = np.zeros(16, "<u4")
    header[:2] = 1, 64
    return header.tobytes() + b"\x81\0" * (rows * columns // 128)


def sized(rows: int, columns: int, syntax: str, *frames: bytes, **attributes: Any) -> Dataset:
    dataset = made.grey(BYTES, Rows=rows, Columns=columns, **attributes)
    return made.encapsulated(dataset, syntax, list(frames))


def coloured(side: int) -> Dataset:
    dataset = made.colour(np.zeros((2, 2, 3), np.uint8), "YBR_FULL", Rows=side, Columns=side)
    return made.encapsulated(dataset, JPEGBaseline8Bit, [jpeg(side, side, "RGB")])


def deflated(size: int) -> bytes:
    """A file that inflates to `size` bytes of zeros more than its header."""
    dataset = made.grey(IMAGE)
    del dataset.PixelData
    plain = whole(dataset)
    meta_end = 144 + int.from_bytes(plain[140:144], "little")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    meta = whole(dataset)
    squeeze = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    parts = [squeeze.compress(plain[meta_end:] + pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, size))]
    parts += [squeeze.compress(bytes(2**20)) for _ in range(size // 2**20)]
    return meta[: 144 + int.from_bytes(meta[140:144], "little")] + b"".join(parts) + squeeze.flush()


def nested(depth: int, *, delimited: bool) -> bytes:
    """Sequences (0040,0275) within each other."""
    head = pack("<HH2sH", 0x0040, 0x0275, b"SQ", 0)
    if delimited:
        inside = (head + pack("<IHHI", 2**32 - 1, 0xFFFE, 0xE000, 2**32 - 1)) * depth
        inside += pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0) * depth
    else:
        # From the outside in; the innermost item is empty.
        inside = b"".join(
            head + pack("<IHHI", 8 + 20 * level, 0xFFFE, 0xE000, 20 * level)
            for level in range(depth - 1, -1, -1)
        )
    file = whole(made.grey(IMAGE))
    at = file.index(pack("<HH2s", 0x0028, 0x0002, b"US"))
    return file[:at] + inside + file[at:]


REFUSED: dict[str, tuple[Callable[[], Bad], str]] = {
    "palette without entries": (lambda: with_palette(0, 200), "no data"),
    "palette that points at itself": (lambda: with_segments([2, 1, 0, 0]), "unknown kind"),
    "palette that repeats nothing": (
        lambda: with_segments([*[0, 0] * 65535, *[2, 65535, 0, 0] * 20_000]),
        "no length",
    ),
    "palette that points outside": (lambda: with_segments([0, 1, 5, 2, 9, 9, 9]), "damaged"),
    "more frames than pixels": (
        lambda: made.grey(IMAGE, NumberOfFrames=90_000),
        r"90000 frame\(s\) of 64 × 64 pixels need",
    ),
    "more frames than allowed": (lambda: made.grey(IMAGE, NumberOfFrames=2**31 - 1), "the limit"),
    "more frames than fragments": (
        lambda: sized(8, 8, JPEGBaseline8Bit, jpeg(8, 8), NumberOfFrames=500),
        "Number of Frames is 500",
    ),
    "gigantic, native": (lambda: made.grey(BYTES, Rows=65535, Columns=65535), "larger than"),
    "large, native": (lambda: made.grey(BYTES, Rows=16000, Columns=16000), "holds 4096"),
    "gigantic, JPEG": (
        lambda: sized(65500, 65500, JPEGBaseline8Bit, jpeg(8, 8)),
        "larger than the limit",
    ),
    "JPEG that is larger than it says": (
        lambda: sized(64, 64, JPEGBaseline8Bit, jpeg(9000, 9000)),
        "9000 × 9000 pixels where the dataset says 64 × 64",
    ),
    "JPEG bomb": (lambda: coloured(11_000), "more memory|SIGABRT"),
    "JPEG 2000 that is larger than it says": (
        lambda: sized(64, 64, JPEG2000Lossless, jpeg2000(2000, 2000)),
        "2000 × 2000 pixels where the dataset says 64 × 64",
    ),
    "JPEG 2000 bomb": (
        lambda: sized(16000, 16000, JPEG2000Lossless, jpeg2000(64, 64, said=(16000, 16000))),
        "damaged|more memory|SIGABRT",
    ),
    "JPEG of more pixels than Pillow takes": (
        lambda: sized(14_000, 14_000, JPEGBaseline8Bit, jpeg(14_000, 14_000)),
        "more pixels than",
    ),
    "RLE bomb": (
        lambda: sized(16000, 16000, RLELossless, runs(16000, 16000)),
        "more memory|SIGABRT",
    ),
    "deflate bomb": (lambda: deflated(2**30), "more memory"),
    "nested": (lambda: nested(5000, delimited=True), r"cannot be read as DICOM \(RecursionError\)"),
}
"""How a file is made, and a pattern of its reason. Some decoders end when memory does."""

SHOWN: dict[str, Callable[[], Bad]] = {
    "VOI LUT shorter than it says": lambda: with_lut("VOILUTSequence", [0, 0, 16]),
    "VOI LUT of 99 bits": lambda: with_lut("VOILUTSequence", [4, 0, 99]),
    "VOI LUT that starts at the end": lambda: with_lut("VOILUTSequence", [65535, 65535, 16]),
    "VOI LUT without entries": lambda: with_lut("VOILUTSequence", [4, 0, 16], entries=0),
    "VOI LUT with half a descriptor": lambda: with_lut("VOILUTSequence", [4, 0]),
    "modality LUT shorter than it says": lambda: with_lut("ModalityLUTSequence", [0, 0, 16]),
    "modality LUT of no bits": lambda: with_lut("ModalityLUTSequence", [4, 0, 0]),
    "palette shorter than it says": lambda: with_palette(3, 0),
    "gigantic overlay": lambda: with_overlay(65535, 65535),
    "overlay of many frames": lambda: with_overlay(64, 64, frames=2**31 - 1),
    "nested, with lengths": lambda: nested(5000, delimited=False),
}
"""Lies that cost an instance nothing but what they are about."""


@pytest.fixture
def worker(pool: Callable[..., RenderPool]) -> RenderPool:
    return pool(memory=MEMORY, progress=60)


def peak(pid: int) -> int:
    """The most memory a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def ends(archive: Archive, worker: RenderPool, bad: dict[str, Bad]) -> dict[str, RenderOutcome]:
    """The outcome of each; between them, images that have their picture."""
    jobs = []
    for number, content in enumerate(bad.values()):
        jobs += [archive.job(f"1.{number}", content), archive.job(f"2.{number}")]
    worker.submit(jobs)
    found = archive.wait(len(jobs))
    assert all(found[f"2.{number}"].state == "rendered" for number in range(len(bad)))
    assert worker.alive and not worker.pending
    assert all(peak(pid) < 1.5 * MEMORY for pid in worker.workers)
    assert not any(name.endswith(".part") for name in archive.pictures())
    return {name: found[f"1.{number}"] for number, name in enumerate(bad)}


def test_each_is_refused_with_its_reason(archive: Archive, worker: RenderPool) -> None:
    outcomes = ends(archive, worker, {name: make() for name, (make, _) in REFUSED.items()})
    for name, outcome in outcomes.items():
        assert outcome.state == "failed", name
        assert re.search(REFUSED[name][1], outcome.reason), name
        assert "unexpected" not in outcome.reason, name
        assert outcome.pictures == ()


def test_what_can_be_shown_is_shown(archive: Archive, worker: RenderPool) -> None:
    outcomes = ends(archive, worker, {name: make() for name, make in SHOWN.items()})
    assert {name: o.reason for name, o in outcomes.items() if o.state != "rendered"} == {}


def damaged(sample: Sample) -> Iterator[bytes]:
    """The sample with a few bytes of its pixels changed, in four ways."""
    random = np.random.default_rng(len(sample.file))
    start = (
        sample.file.index(pack("<HH", 0x7FE0, 0x10)) if b"\xe0\x7f\x10\0" in sample.file else 400
    )
    for _ in range(4):
        file = bytearray(sample.file)
        for at in random.integers(start + 12, len(file), 3):
            file[at] = int(random.integers(256))
        yield bytes(file)


def test_damage_to_any_syntax_is_a_picture_or_a_reason(
    archive: Archive, worker: RenderPool
) -> None:
    bad = {
        f"{sample.name} {sample.pattern} {number}": file
        for sample in samples()
        for number, file in enumerate(damaged(sample))
    }
    assert len(bad) > 50
    for name, outcome in ends(archive, worker, bad).items():
        assert outcome.state == "rendered" or outcome.reason.endswith("."), name
        assert "unexpected" not in outcome.reason, (name, outcome.reason)
