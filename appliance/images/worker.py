"""The render worker: a process that makes pictures of DICOM files, a batch of jobs at a time.

Started by `appliance.images.pool`, which survives whatever happens to it. One line of JSON comes in
for each batch; lines of JSON go out: one as each job begins, so that the pool knows which one to
blame; one every second in which there was progress; and one with the results of the batch, when all
its pictures are durable under their final names.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from appliance.archive.files import (
    ANIMATION_SUFFIX,
    Folders,
    PendingFile,
    sync_directories,
)
from appliance.images.animation import Reel
from appliance.images.encode import NotEncodable, encode, obstacle
from appliance.images.masking import Masking
from appliance.images.orders import Orders
from appliance.images.render import Limits, NoPicture, Picture, Renderer, Undecodable

_NICE = 10
_OOM_SCORE = "800"
_OPEN_PICTURES = 64
_TELL_EVERY = 1.0


Row = tuple[int | None, int, int, int, str]
"""Of a picture: frame, width, height, bytes, suffix."""


class Unwritable(Exception):
    """Pictures cannot be written now, which is no fault of the instance they are of."""


@dataclass(slots=True)
class Pictures:
    """The pictures of one batch: written at once, made durable together.

    The first flush of a batch carries the rest with it, so that pictures which wait for each other
    cost a third of what each for itself would.
    """

    _open: list[PendingFile] = field(default_factory=list)
    _directories: dict[Path, None] = field(default_factory=dict)

    def write(self, final: Path, content: bytes) -> None:
        """Write a picture under a temporary name."""
        if len(self._open) >= _OPEN_PICTURES:
            self.settle()
        with _writing():
            pending = PendingFile.create(final)
            self._open.append(pending)
            pending.write((content,))

    def keep(self, pending: PendingFile) -> None:
        """Take over a picture that is written under its temporary name."""
        self._open.append(pending)

    def settle(self, progress: Callable[[], None] = lambda: None) -> None:
        """Make all pictures durable under their final names."""
        with _writing():
            while self._open:
                progress()
                self._directories.update(dict.fromkeys(self._open[0].settle()))
                self._open.pop(0)
            sync_directories(self._directories)
            self._directories.clear()

    def mark(self) -> int:
        """How many pictures wait; to be given to `discard` later."""
        return len(self._open)

    def discard(self, mark: int = 0) -> None:
        """Take back the pictures that came after `mark`."""
        for pending in self._open[mark:]:
            pending.discard()
        del self._open[mark:]


class _writing:
    """Turns what a disk that is full, failing or forbidden raises into Unwritable."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if isinstance(error, OSError):
            reason = os.strerror(error.errno or 0)
            raise Unwritable(f"Pictures cannot be written: {reason}.") from error


class Worker:
    """Makes the pictures of batches, and tells `out` about it."""

    def __init__(self, orders: Orders, out: BinaryIO) -> None:
        self._folders = Folders(Path(orders.data))
        self._encoding = orders.encoding
        limits = Limits(frame_pixels=orders.frame_pixels, frames=orders.frames)
        self._limits = limits
        self._masking = Masking(orders.burned_in.masks, orders.burned_in.hold)
        self._renderer = Renderer(limits, overlays=orders.overlays, progress=self._tell)
        self._told = 0.0
        self._obstacle = obstacle(orders.encoding.format)
        self._animated = orders.encoding.animation and not obstacle("webp")
        self._out = out

    def batch(self, jobs: Sequence[Sequence[str]]) -> None:
        """Do a batch: (study, series, instance) of each job, as the files' names have them."""
        pictures = Pictures()
        try:
            if self._obstacle:
                raise Unwritable(self._obstacle)
            results = [self._job(index, job, pictures) for index, job in enumerate(jobs)]
            self._say({"settling": len(results)})
            pictures.settle(self._tell)
        except Unwritable as reason:
            pictures.discard()
            self._say({"unwritable": str(reason)})
        else:
            self._say({"results": results})

    def _job(self, index: int, job: Sequence[str], pictures: Pictures) -> dict[str, Any]:
        self._say({"began": index})
        mark = pictures.mark()
        rows: list[Row] = []
        remarks: dict[str, None] = {}
        rewritten: tuple[str, int] | None = None
        try:
            rewritten = self._mask(job)
            with self._reel(job) as reel:
                for picture in self._pictures(job):
                    rows.append(self._write(job, picture, pictures))
                    with _writing():
                        reel.add(picture)
                    remarks[picture.remark] = None
                rows.extend(self._film(reel, pictures))
                remarks[reel.remark] = None
        except Unwritable:
            raise
        except BaseException as error:
            self._take_back(job, rows, pictures, mark)
            return {**_refused(error), "rewritten": rewritten}
        reason = " ".join(filter(None, remarks))
        return {"state": "rendered", "reason": reason, "pictures": rows, "rewritten": rewritten}

    def _mask(self, job: Sequence[str]) -> tuple[str, int] | None:
        """Black out the text in the pixels of a job's file; a full disk is no fault of the job."""
        path = self._folders.dicom_file(*job)
        try:
            return self._masking.file(path, self._limits, self._tell)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise Unwritable(f"Pictures cannot be written: {error.strerror}.") from error
            raise

    def _pictures(self, job: Sequence[str]) -> Iterator[Picture]:
        return self._renderer.file(self._folders.dicom_file(*job))

    def _reel(self, job: Sequence[str]) -> Reel:
        study, series, instance = job
        final = self._folders.picture(study, series, instance, None, ANIMATION_SUFFIX)
        return Reel(final, self._animated)

    def _film(self, reel: Reel, pictures: Pictures) -> Iterator[Row]:
        """Put the animation, if there is one, to the other pictures."""
        with _writing():
            film = reel.film()
        if film is not None:
            pictures.keep(film.file)
            yield None, *film.size, film.file.size, ANIMATION_SUFFIX

    def _write(self, job: Sequence[str], picture: Picture, pictures: Pictures) -> Row:
        content = encode(picture.pixels, self._encoding.format, self._encoding.quality)
        study, series, instance = job
        suffix = self._encoding.suffix
        final = self._folders.picture(study, series, instance, picture.frame, suffix)
        pictures.write(final, content)
        height, width = picture.pixels.shape[:2]
        return picture.frame, width, height, len(content), suffix

    def _take_back(
        self,
        job: Sequence[str],
        rows: Sequence[Row],
        pictures: Pictures,
        mark: int,
    ) -> None:
        """Remove what an instance that failed half-way has written, settled or not."""
        pictures.discard(min(mark, pictures.mark()))
        study, series, instance = job
        for frame, *_, suffix in rows:
            path = self._folders.picture(study, series, instance, frame, suffix)
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _tell(self) -> None:
        """Tell the pool that there is progress, but not at every frame."""
        now = time.monotonic()
        if now - self._told > _TELL_EVERY:
            self._told = now
            self._say({"progress": now})

    def _say(self, message: dict[str, Any]) -> None:
        self._out.write(json.dumps(message).encode() + b"\n")
        self._out.flush()


def _refused(error: BaseException) -> dict[str, Any]:
    """The result of a job that ended in an exception: no text of the dataset gets into it."""
    state = "failed"
    if isinstance(error, NoPicture):
        state, reason = "none", error.reason
    elif isinstance(error, Undecodable):
        reason = error.reason
    elif isinstance(error, NotEncodable):
        reason = str(error)
    elif isinstance(error, MemoryError):
        reason = "Rendering needs more memory than a worker may use."
    elif isinstance(error, FileNotFoundError):
        reason = "The DICOM file is not there any more."
    elif isinstance(error, OSError):
        reason = f"The DICOM file cannot be read: {os.strerror(error.errno or 0)}."
    else:
        reason = f"Rendering ended with an unexpected error ({type(error).__name__})."
    return {"state": state, "reason": reason, "pictures": []}


def _settle_in(orders: Orders) -> None:
    """Be a modest process: yield to the AE, and be the first to go when memory runs out."""
    os.nice(_NICE)
    with suppress(OSError):  # Where sessions share the processor among them, niceness is theirs.
        Path("/proc/self/autogroup").write_text(str(_NICE))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    if orders.memory:
        resource.setrlimit(resource.RLIMIT_DATA, (orders.memory, orders.memory))
    # A crash is told by the pool; cores of it would hold pixels.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The pool ends its workers by closing their input; a signal to the whole group is not for them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def main(arguments: Sequence[str]) -> None:
    """Do batches from standard input until it ends."""
    orders = Orders.read(arguments[0])
    out = os.fdopen(os.dup(1), "wb")
    # Decoders print to both; what they print is nobody's, and standard output is the pool's.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _settle_in(orders)
    worker = Worker(orders, out)
    for line in sys.stdin.buffer:
        worker.batch(json.loads(line))


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main(sys.argv[1:])
