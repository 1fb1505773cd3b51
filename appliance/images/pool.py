"""A pool of render workers that nothing can bring down.

Each worker is a process with a thread of ours beside it, its supervisor. A worker may crash, hang,
or be killed for its memory: that is blamed on the one job it was on, and the rest of its batch goes
to its successor. Workers start when there is something to render and end when there has been
nothing for a while, so that an idle AE costs no more than itself.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from appliance.archive.adoption import pictures_by_instance
from appliance.archive.files import ANIMATION_SUFFIX, DICOM_SUFFIX, Folders
from appliance.archive.records import PictureRow, Presented, RenderJob, RenderOutcome
from appliance.images.encode import Encoding
from appliance.images.orders import POSTPONED, BurnedIn, Orders
from appliance.images.worker_process import POLL, Died, Hung, WorkerProcess

OnOutcome = Callable[[Sequence[RenderOutcome]], None]

_LARGEST_BATCH: Final = 128
_DEATHS: Final = 2
_PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 30.0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a worker may use; times in seconds, memory in bytes."""

    progress: float = 120.0
    """How long a worker may take for one frame, or to make a batch durable."""
    memory: int = 2 * 2**30
    """Private memory of a worker (RLIMIT_DATA); 0: unlimited. Mapped DICOM files do not count."""
    idle: float = 60.0
    """How long a worker without work is kept."""
    batch: int = 16
    """How many jobs a worker gets at a time."""
    frame_pixels: int = 256 * 2**20
    """Rows times columns of a frame that is rendered at most."""
    frames: int = 100_000
    """Frames of an instance that are rendered at most."""
    leave: int = 0
    """Bytes of the disk that masked copies leave free, for what must be written."""

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= _LARGEST_BATCH:
            raise ValueError(f"batch {self.batch}: expected 1 to {_LARGEST_BATCH} jobs")


class RenderPool:
    """Renders jobs in `processes` worker processes, and gives their outcomes to `on_outcome`.

    Every submitted job has exactly one outcome, unless the pool is closed first. Outcomes come in
    the supervisors' threads, those of one batch together, when their pictures are durable under
    their final names. What `on_outcome` raises is kept in `failure`, and the pool goes on.
    """

    def __init__(
        self,
        processes: int,
        encoding: Encoding,
        folders: Folders,
        on_outcome: OnOutcome,
        *,
        bounds: Bounds | None = None,
        drop_dicom: bool = False,
        overlays: bool = True,
        burned_in: BurnedIn | None = None,
    ) -> None:
        self._folders = folders
        self._encoding = encoding
        self._on_outcome = on_outcome
        self._bounds = bounds or Bounds()
        self._drop_dicom = drop_dicom
        self._overlays = overlays
        self._burned_in = burned_in or BurnedIn()
        self._changed = threading.Condition()
        self._queue: deque[_Attempt] = deque()
        self._later: list[_Attempt] = []
        self._no_room = ""
        self._in_flight = 0
        self._idle_workers = 0
        self._closing = False
        self._killing = False
        self.failure: BaseException | None = None
        """What `on_outcome` raised last."""
        self.obstacle = ""
        """Why nothing can be rendered at present, such as a full disk; "" if it can."""
        self._supervisors = [_Supervisor(self, number) for number in range(max(1, processes))]
        for supervisor in self._supervisors:
            supervisor.thread.start()

    def submit(self, jobs: Sequence[RenderJob]) -> None:
        """Queue jobs; never waits. Raises RuntimeError if the pool has been closed."""
        with self._changed:
            if self._closing:
                raise RuntimeError("the render pool is closed")
            self._queue.extend(_Attempt(job) for job in jobs)
            self._changed.notify_all()

    @property
    def capacity(self) -> int:
        """How many more jobs keep all workers busy, with one batch each to go on with."""
        wanted = 2 * self._bounds.batch * len(self._supervisors)
        return max(0, wanted - self.pending)

    @property
    def pending(self) -> int:
        """Jobs that were submitted and have no outcome yet, but for those that wait for room."""
        with self._changed:
            return len(self._queue) + self._in_flight

    @property
    def alive(self) -> bool:
        """Whether every supervisor is running; for ever, until the pool is closed."""
        return all(supervisor.thread.is_alive() for supervisor in self._supervisors)

    @property
    def stalled(self) -> float:
        """Seconds since the supervisor that is furthest behind showed that it is alive.

        They do so twice a second, whatever their workers do; only `on_outcome` can keep them.
        """
        now = time.monotonic()
        return max(now - supervisor.beat for supervisor in self._supervisors)

    @property
    def workers(self) -> tuple[int, ...]:
        """The process ids of the workers that are running."""
        workers = [supervisor.worker for supervisor in self._supervisors]
        return tuple(worker.pid for worker in workers if worker is not None)

    def close(self, timeout: float = 10.0) -> bool:
        """Let running batches end within `timeout` seconds, then end the workers.

        Jobs that have not begun are dropped without an outcome. True if no batch had to be cut off.
        """
        with self._changed:
            self._closing = True
            self._queue.clear()
            self._later.clear()
            self._changed.notify_all()
        deadline = time.monotonic() + timeout
        clean = self._joined(deadline)
        self._killing = True
        self._joined(time.monotonic() + 10 * POLL)
        return clean

    def _joined(self, deadline: float) -> bool:
        for supervisor in self._supervisors:
            supervisor.thread.join(max(0.0, deadline - time.monotonic()))
        return not any(supervisor.thread.is_alive() for supervisor in self._supervisors)

    # The rest is for the supervisors.

    def _take(self, has_worker: bool) -> list[_Attempt]:
        """The next batch; empty if none comes soon.

        Work is shared out evenly. Little work is left to a supervisor whose worker is running and
        idle by one that would have to start a worker; a job that killed a worker goes alone.
        """
        with self._changed:
            self._queue_due()
            self._idle_workers += has_worker
            try:
                self._changed.wait_for(lambda: self._closing or self._for_me(has_worker), POLL)
                if self._closing or not self._for_me(has_worker):
                    return []
            finally:
                self._idle_workers -= has_worker
            share = -(-len(self._queue) // len(self._supervisors))
            batch = [self._queue.popleft()]
            while len(batch) < min(share, self._bounds.batch) and not batch[0].goes_alone:
                if self._queue[0].goes_alone:
                    break
                batch.append(self._queue.popleft())
            self._in_flight += len(batch)
            return batch

    def _for_me(self, has_worker: bool) -> bool:
        leave = 0 if has_worker or not self._idle_workers else self._bounds.batch
        return len(self._queue) > leave

    def _postpone(self, attempts: Sequence[_Attempt], obstacle: str) -> None:
        """Keep attempts of which the results do not fit on the disk, each for a time of its own."""
        with self._changed:
            self._in_flight -= len(attempts)
            self._no_room = obstacle or self._no_room
            for attempt in () if self._closing else attempts:
                pause = _PAUSES[min(attempt.postponed, len(_PAUSES) - 1)]
                attempt.postponed += 1
                attempt.due = time.monotonic() + pause
                self._later.append(attempt)

    def _say_obstacle(self) -> None:
        """After a batch that was written: what still waits for room is told as long as it does."""
        with self._changed:
            self.obstacle = self._no_room if self._later else ""

    def _queue_due(self) -> None:
        now = time.monotonic()
        self._queue.extend(one for one in self._later if one.due <= now)
        self._later = [one for one in self._later if one.due > now]

    def _give_back(self, first: Sequence[_Attempt], last: Sequence[_Attempt] = ()) -> None:
        """Queue attempts again, in front and at the end."""
        with self._changed:
            self._in_flight -= len(first) + len(last)
            if not self._closing:
                self._queue.extendleft(reversed(first))
                self._queue.extend(last)
                self._changed.notify_all()

    def _report(self, outcomes: Sequence[RenderOutcome]) -> None:
        if not outcomes:
            return
        try:
            self._on_outcome(outcomes)
        except Exception as failure:  # the pool must not end by what its owner does
            self.failure = failure
        with self._changed:
            self._in_flight -= len(outcomes)

    def _sweep(self, job: RenderJob, *, pictures: bool) -> None:
        """Remove what a worker that can no longer do so has left: temporary files, and pictures."""
        known = {self._encoding.suffix, ANIMATION_SUFFIX, DICOM_SUFFIX}
        suffixes = "|".join(map(re.escape, known))
        part = re.compile(rf"\.{re.escape(job.instance)}(\.\d{{4,}})?({suffixes})\.[0-9a-f]+\.part")
        folder = self._folders.images / job.study / job.series
        with suppress(OSError):
            names = os.listdir(folder)
            own = self._pictures(job, names) if pictures else ()
            for name in (*filter(part.fullmatch, names), *own):
                os.unlink(folder / name)

    def _pictures(self, job: RenderJob, names: Sequence[str]) -> list[str]:
        """The pictures of a job's instance among those of its series."""
        instances: list[str] = []
        with suppress(FileNotFoundError):
            files = os.listdir(self._folders.dicom / job.study / job.series)
            instances = [name.removesuffix(DICOM_SUFFIX) for name in files]
        found = pictures_by_instance(names, {job.instance, *instances})
        return [picture.name for picture in found.get(job.instance, ())]


@dataclass(slots=True)
class _Attempt:
    """A job, and how many workers were killed on it."""

    job: RenderJob
    deaths: int = 0
    postponed: int = 0
    due: float = 0.0
    """When it may be tried again, if it was postponed."""

    @property
    def goes_alone(self) -> bool:
        """Whether others are not to suffer with it again."""
        return self.deaths > 0 or self.postponed > 0


def _first_reason(results: Sequence[tuple[_Attempt, dict[str, Any]]]) -> str:
    return next((result["reason"] for _, result in results), "")


class _Closed(Exception):
    """The pool is closed, and its patience is at its end."""


class _Supervisor:
    """Feeds one worker, watches it, and replaces it."""

    def __init__(self, pool: RenderPool, number: int) -> None:
        self._pool = pool
        self._bounds = pool._bounds
        self._orders = Orders(
            data=str(pool._folders.data),
            encoding=pool._encoding,
            memory=pool._bounds.memory,
            frame_pixels=pool._bounds.frame_pixels,
            frames=pool._bounds.frames,
            overlays=pool._overlays,
            burned_in=pool._burned_in,
            leave=pool._bounds.leave,
        )
        self._postponed = 0
        self.worker: WorkerProcess | None = None
        self.beat = time.monotonic()
        self.thread = threading.Thread(target=self._run, name=f"render-{number}", daemon=True)

    def _run(self) -> None:
        idle_since = time.monotonic()
        while not self._pool._closing:
            self.beat = time.monotonic()
            batch = self._pool._take(self.worker is not None)
            if batch:
                self._do(batch)
                idle_since = time.monotonic()
            elif self.worker and time.monotonic() - idle_since > self._bounds.idle:
                self._end()
        self._end()

    def _do(self, batch: list[_Attempt]) -> None:
        """See a batch through: every job of it gets an outcome, or goes back to the queue."""
        on: _Attempt | None = None
        try:
            worker = self.worker = self.worker or WorkerProcess(self._orders)
            worker.send([[one.job.study, one.job.series, one.job.instance] for one in batch])
            while True:
                message = worker.hear(self._bounds.progress, self._show_life)
                if "began" in message:
                    on = batch[message["began"]]
                elif "settling" in message:
                    on = None
                elif "results" in message:
                    self._done(batch, message["results"])
                    return
                elif "unwritable" in message:
                    self._postpone(batch, message["unwritable"])
                    return
        except Hung:
            reason = f"Rendering made no progress for {self._bounds.progress:g} s."
            self._lost(batch, on, reason, again=False)
        except Died as death:
            self._lost(batch, on, f"The render worker {death}.", again=death.killed)
        except _Closed:
            self._kill()
            self._pool._give_back(batch)
        except OSError as error:
            self._postpone(batch, f"Render workers cannot be started: {error.strerror}.")

    def _show_life(self) -> None:
        self.beat = time.monotonic()
        if self._pool._killing:
            raise _Closed

    def _done(self, batch: Sequence[_Attempt], results: Sequence[dict[str, Any]]) -> None:
        self._postponed = 0
        pairs = list(zip(batch, results, strict=True))
        later = [(attempt, result) for attempt, result in pairs if result["state"] == POSTPONED]
        self._pool._postpone([attempt for attempt, _ in later], _first_reason(later))
        self._pool._say_obstacle()
        self._pool._report(
            [
                self._outcome(attempt.job, result)
                for attempt, result in pairs
                if result["state"] != POSTPONED
            ]
        )

    def _outcome(self, job: RenderJob, result: dict[str, Any]) -> RenderOutcome:
        return RenderOutcome(
            job=job,
            state=result["state"],
            reason=result["reason"],
            pictures=tuple(
                PictureRow(frame, width, height, size, suffix)
                for frame, width, height, size, suffix in result["pictures"]
            ),
            rewritten=tuple(result["rewritten"]) if result["rewritten"] else None,
            drop_dicom=self._pool._drop_dicom,
            presented=tuple(Presented(*one) for one in result["presented"]),
        )

    def _lost(
        self, batch: list[_Attempt], on: _Attempt | None, reason: str, *, again: bool
    ) -> None:
        """The worker is gone, or has to go: blame the job it was on, and save the others.

        A worker that was killed may have been so for somebody else's appetite, so its job is tried
        once more, alone. One that dies between jobs, or before the first, dies of something that no
        job can help.
        """
        self._kill()
        for attempt in batch:
            self._pool._sweep(attempt.job, pictures=False)
        if on is None:
            self._postpone(batch, reason)
            return
        on.deaths += 1
        others = [attempt for attempt in batch if attempt is not on]
        if again and on.deaths < _DEATHS:
            self._pool._give_back(others, [on])
        else:
            self._pool._sweep(on.job, pictures=True)
            self._pool._give_back(others)
            drop = self._pool._drop_dicom
            self._pool._report([RenderOutcome(on.job, "failed", reason, drop_dicom=drop)])

    def _postpone(self, batch: list[_Attempt], obstacle: str) -> None:
        """Nothing is wrong with the jobs: queue them again, and go on after a pause."""
        self._pool.obstacle = obstacle
        self._pool._give_back(batch)
        pause = _PAUSES[min(self._postponed, len(_PAUSES) - 1)]
        self._postponed += 1
        until = time.monotonic() + pause
        while time.monotonic() < until and not self._pool._closing:
            self.beat = time.monotonic()
            time.sleep(POLL / 5)

    def _end(self) -> None:
        if self.worker is not None:
            self.worker.end()
            self.worker = None

    def _kill(self) -> None:
        if self.worker is not None:
            self.worker.kill()
            self.worker = None
