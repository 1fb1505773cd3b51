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
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from appliance.archive.files import (
    ANIMATION_SUFFIX,
    Folders,
    PendingFile,
    UnusableUID,
    sync_directories,
)
from appliance.images.animation import Reel
from appliance.images.encode import NotEncodable, encode, obstacle
from appliance.images.masking import Looked, Masking
from appliance.images.orders import POSTPONED, Orders
from appliance.images.render import Limits, NoPicture, Picture, Renderer, Undecodable
from appliance.images.render.decode import Frames
from appliance.images.render.softcopy import is_state
from appliance.images.render.source import Source, opened

_NICE = 10
_OOM_SCORE = "800"
_OPEN_PICTURES = 64
_TELL_EVERY = 1.0


Row = tuple[int | None, int, int, int, str]
"""Of a picture: frame, width, height, bytes, suffix."""


class Unwritable(Exception):
    """Pictures cannot be written now, which is no fault of the instance they are of."""


class NoRoom(Exception):
    """What is made of one instance does not fit on the disk now; others may."""


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


@dataclass(slots=True)
class Made:
    """What has been made of one instance so far."""

    rows: list[Row] = field(default_factory=list)
    presented: list[tuple[str, int, int | None]] = field(default_factory=list)
    """Of a presentation state: image, its frame, number of the picture."""
    remarks: dict[str, None] = field(default_factory=dict)
    rewritten: tuple[str, int] | None = None
    """Transfer syntax and bytes of a file in which text in the pixels was blacked out."""

    def all(self) -> dict[str, Any]:
        """The result with everything."""
        return self._result("rendered", " ".join(filter(None, self.remarks)), self.rows)

    def nothing(self, state: str, reason: str) -> dict[str, Any]:
        """The result without pictures."""
        self.presented = [(image, frame, None) for image, frame, _ in self.presented]
        return self._result(state, reason, [])

    def _result(self, state: str, reason: str, rows: Sequence[Row]) -> dict[str, Any]:
        return {
            "state": state,
            "reason": reason,
            "pictures": rows,
            "rewritten": self.rewritten,
            "presented": self.presented,
        }


class Worker:
    """Makes the pictures of batches, and tells `out` about it."""

    def __init__(self, orders: Orders, out: BinaryIO) -> None:
        self._folders = Folders(Path(orders.data))
        self._encoding = orders.encoding
        limits = Limits(frame_pixels=orders.frame_pixels, frames=orders.frames)
        self._limits = limits
        told = orders.burned_in
        self._masking = Masking(told.masks, told.hold, told.bits, orders.leave)
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
        made = Made()
        try:
            looked = self._mask(job)
            made.rewritten = looked.masked
            with self._reel(job) as reel:
                for picture in self._pictures(job, made, looked.frames):
                    made.rows.append(self._write(job, picture, pictures))
                    with _writing():
                        reel.add(picture)
                    made.remarks[picture.remark] = None
                made.rows.extend(self._film(reel, pictures))
                made.remarks[reel.remark] = None
        except Unwritable:
            raise
        except NoRoom as reason:
            self._take_back(job, made.rows, pictures, mark)
            return made.nothing(POSTPONED, str(reason))
        except BaseException as error:
            self._take_back(job, made.rows, pictures, mark)
            return made.nothing(*_refused(error))
        return made.all()

    def _mask(self, job: Sequence[str]) -> Looked:
        """Black out the text in the pixels of a job's file; a full disk is no fault of the job.

        Nor of the others: a masked copy may be many times as large as they are.
        """
        path = self._folders.dicom_file(*job)
        # With the pictures' own, so that it is swept with them if this process is killed.
        pictures = self._folders.images / job[0] / job[1]
        try:
            return self._masking.looked(path, self._limits, self._tell, folder=pictures)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoRoom(f"Pictures cannot be written: {error.strerror}.") from error
            if error.errno == errno.EROFS:
                raise Unwritable(f"Pictures cannot be written: {error.strerror}.") from error
            raise

    def _pictures(self, job: Sequence[str], made: Made, frames: Frames | None) -> Iterator[Picture]:
        """The pictures of an instance, of a presentation state those of its images.

        frames: its own, if they have been looked at.
        """
        if frames is not None:
            yield from self._renderer.frames(frames)
            return
        source = opened(self._folders.dicom_file(*job), self._limits)
        if not is_state(source):
            yield from self._renderer.source(source)
            return
        for shown in self._renderer.state(source, partial(self._image, job[0])):
            made.remarks[shown.remark] = None
            picture = shown.picture
            number = None if picture is None else picture.frame
            made.presented.append((shown.image, shown.frame, number))
            if picture is not None:
                yield picture
        if not made.rows:
            refused = "".join(list(made.remarks)[:1]) or "The state refers to no image."
            raise NoPicture(refused)

    def _image(self, study: str, instance: str) -> Source | None:
        """An image of a study, without text in its pixels; None if its file is not here.

        Raises NoPicture if it is held back because of such text.
        """
        for series in os.scandir(self._folders.dicom / study):
            with suppress(FileNotFoundError, UnusableUID):
                self._mask((study, series.name, instance))
                path = self._folders.dicom_file(study, series.name, instance)
                return opened(path, self._limits)
        return None

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


def _refused(error: BaseException) -> tuple[str, str]:
    """State and reason of a job that ended in an exception, without any text of the dataset."""
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
    return state, reason


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
