"""A pool of render workers that nothing can bring down.

Each worker is a process with a thread of ours beside it, its supervisor. A worker may crash, hang,
or be killed for its memory: that fails the one job it was on, and the rest of its batch goes to its
successor. Workers start when there is something to render and end when there has been nothing for
a while, so that an idle AE costs no more than itself.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.archive.files import Folders
from appliance.archive.records import PictureRow, RenderJob, RenderOutcome
from appliance.images.encode import Encoding
from appliance.images.orders import Orders

OnOutcome = Callable[[Sequence[RenderOutcome]], None]

_POLL: Final = 0.5
_START_LIMIT: Final = 60.0
_ATTEMPTS: Final = 2
_PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 30.0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a worker may use; times in seconds, memory in bytes."""

    picture_time: float = 120.0
    """How long a worker may go without having made a picture."""
    memory: int = 2 * 2**30
    """Private memory of a worker (RLIMIT_DATA); 0: unlimited. Mapped DICOM files do not count."""
    idle: float = 60.0
    """How long a worker without work is kept."""
    batch: int = 16
    """How many jobs a worker gets at a time."""
    frame_pixels: int = 256 * 2**20
    """Rows times columns of a frame that is rendered at most."""


class RenderPool:
    """Renders jobs in `processes` worker processes, and gives their outcomes to `on_outcome`.

    Every submitted job has exactly one outcome, unless the pool is closed first. Outcomes come in
    the supervisors' threads, those of one batch together, when their pictures are durable. What
    `on_outcome` raises is kept in `failure`, and the pool goes on.
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
    ) -> None:
        self._folders = folders
        self._encoding = encoding
        self._on_outcome = on_outcome
        self._bounds = bounds or Bounds()
        self._drop_dicom = drop_dicom
        self._changed = threading.Condition()
        self._queue: deque[_Attempt] = deque()
        self._in_flight = 0
        self._warm_and_idle = 0
        self._closing = False
        self._kill = threading.Event()
        self.failure: BaseException | None = None
        """What `on_outcome` raised last."""
        self.obstacle = ""
        """Why pictures cannot be written at present, such as a full disk; "" if they can."""
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
        """How many more jobs keep all workers busy without queueing more than that."""
        with self._changed:
            wanted = 2 * self._bounds.batch * len(self._supervisors)
            return max(0, wanted - len(self._queue) - self._in_flight)

    @property
    def pending(self) -> int:
        """Jobs that were submitted and have no outcome yet."""
        with self._changed:
            return len(self._queue) + self._in_flight

    @property
    def alive(self) -> bool:
        """Whether every supervisor is running."""
        return all(supervisor.thread.is_alive() for supervisor in self._supervisors)

    @property
    def stalled(self) -> float:
        """Seconds since the supervisor that is furthest behind made progress.

        Supervisors wait for nothing longer than half a second, but for `on_outcome`.
        """
        now = time.monotonic()
        return max(now - supervisor.beat for supervisor in self._supervisors)

    @property
    def workers(self) -> tuple[int, ...]:
        """The process ids of the workers that are running."""
        return tuple(s.worker.process.pid for s in self._supervisors if s.worker is not None)

    def close(self, timeout: float = 10.0) -> bool:
        """Let running batches end within `timeout` seconds, then end the workers.

        Jobs that have not begun are dropped without an outcome. True if nothing had to be killed.
        """
        with self._changed:
            self._closing = True
            self._queue.clear()
            self._changed.notify_all()
        deadline = time.monotonic() + timeout
        for supervisor in self._supervisors:
            supervisor.thread.join(max(0.0, deadline - time.monotonic()))
        clean = not self.alive_any()
        self._kill.set()
        for supervisor in self._supervisors:
            supervisor.thread.join(5 * _POLL)
        return clean

    def alive_any(self) -> bool:
        """Whether any supervisor is still running."""
        return any(supervisor.thread.is_alive() for supervisor in self._supervisors)

    # What follows is for the supervisors.

    def _take(self, warm: bool, wait: float) -> list[_Attempt]:
        """The next batch; empty if none comes within `wait` seconds.

        A supervisor without a worker leaves small work to one whose worker is running and idle.
        """
        with self._changed:
            if warm:
                self._warm_and_idle += 1
            try:
                self._changed.wait_for(lambda: self._closing or self._for_me(warm), wait)
                if self._closing or not self._for_me(warm):
                    return []
                share = -(-len(self._queue) // len(self._supervisors))
                batch = [self._queue.popleft() for _ in range(min(share, self._bounds.batch))]
            finally:
                if warm:
                    self._warm_and_idle -= 1
            self._in_flight += len(batch)
            return batch

    def _for_me(self, warm: bool) -> bool:
        return len(self._queue) > (0 if warm or not self._warm_and_idle else self._bounds.batch)

    def _give_back(self, attempts: Sequence[_Attempt]) -> None:
        with self._changed:
            self._in_flight -= len(attempts)
            if not self._closing:
                self._queue.extendleft(reversed(attempts))
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

    def _sweep(self, job: RenderJob) -> None:
        """Remove what a worker that did not live to do so has left of a job."""
        suffix = re.escape(self._encoding.suffix)
        name = re.compile(rf"\.?{re.escape(job.instance)}(\.\d{{4,}})?{suffix}(\.[0-9a-f]+\.part)?")
        folder = self._folders.images / job.study / job.series
        with suppress(OSError):
            for entry in os.scandir(folder):
                if name.fullmatch(entry.name):
                    os.unlink(entry.path)


@dataclass(slots=True)
class _Attempt:
    """A job, and how many workers have died on it."""

    job: RenderJob
    deaths: int = 0


@dataclass(slots=True)
class _Process:
    """A worker process and what it has said that is not a whole line yet."""

    process: subprocess.Popen[bytes]
    said: bytearray = field(default_factory=bytearray)


class _Hung(Exception):
    """A worker made no progress for too long."""


class _Died(Exception):
    """A worker ended by itself."""


class _Killed(Exception):
    """The pool is closed, and its patience is at its end."""


class _Supervisor:
    """Feeds one worker, watches it, and replaces it."""

    def __init__(self, pool: RenderPool, number: int) -> None:
        self._pool = pool
        self._bounds = pool._bounds
        self.worker: _Process | None = None
        self.beat = time.monotonic()
        self._refusals = 0
        self.thread = threading.Thread(target=self._run, name=f"render-{number}", daemon=True)

    def _run(self) -> None:
        idle_since = time.monotonic()
        while not self._pool._closing:
            self.beat = time.monotonic()
            batch = self._pool._take(self.worker is not None, _POLL)
            if batch:
                self._do(batch)
                idle_since = time.monotonic()
            elif self.worker and time.monotonic() - idle_since > self._bounds.idle:
                self._end()
        self._end()

    def _do(self, batch: list[_Attempt]) -> None:
        """See a batch through: outcomes for all of it, or back to the queue."""
        began = -1
        try:
            if self.worker is None:
                self.worker = self._start()
            self._send(self.worker, batch)
            while True:
                message = self._hear(self.worker, self._bounds.picture_time)
                if "began" in message:
                    began = message["began"]
                elif "settling" in message:
                    began = -1
                elif "results" in message:
                    self._pool.obstacle, self._refusals = "", 0
                    self._report(batch, message["results"])
                    return
                elif "unwritable" in message:
                    self._postpone(batch, message["unwritable"])
                    return
        except _Hung:
            reason = f"Rendering made no progress for {self._bounds.picture_time:g} s."
            self._lost(batch, began, reason, final=True)
        except _Died as death:
            self._lost(batch, began, f"The render worker {death}.", final=False)
        except _Killed:
            self._kill()
            self._pool._give_back(batch)
        except OSError as error:
            self._kill()
            self._postpone(batch, f"render workers cannot be started: {error.strerror}")

    def _start(self) -> _Process:
        orders = Orders(
            data=str(self._pool._folders.data),
            encoding=self._pool._encoding,
            memory=self._bounds.memory,
            frame_pixels=self._bounds.frame_pixels,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.images.worker", orders.line()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return _Process(process)

    def _send(self, worker: _Process, batch: Sequence[_Attempt]) -> None:
        assert worker.process.stdin is not None
        jobs = [[one.job.study, one.job.series, one.job.instance] for one in batch]
        try:
            # A batch is smaller than a pipe's buffer, so this never waits for the worker.
            worker.process.stdin.write(json.dumps(jobs).encode() + b"\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            raise _Died(self._ending(worker)) from None

    def _hear(self, worker: _Process, patience: float) -> dict[str, Any]:
        """The next message of the worker."""
        assert worker.process.stdout is not None
        descriptor = worker.process.stdout.fileno()
        deadline = time.monotonic() + patience
        while b"\n" not in worker.said:
            self.beat = time.monotonic()
            if self._pool._kill.is_set():
                raise _Killed
            if self.beat > deadline:
                raise _Hung
            ready, _, _ = select.select([descriptor], [], [], _POLL)
            if ready:
                said = os.read(descriptor, 1 << 16)
                if not said:
                    raise _Died(self._ending(worker))
                worker.said += said
        line, _, rest = bytes(worker.said).partition(b"\n")
        worker.said[:] = rest
        message: dict[str, Any] = json.loads(line)
        return message

    def _ending(self, worker: _Process) -> str:
        """How a worker ended, in words that follow its name."""
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(_POLL)
        code = worker.process.returncode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
        return f"ended with status {code}"

    def _report(self, batch: Sequence[_Attempt], results: Sequence[dict[str, Any]]) -> None:
        self._pool._report(
            [
                _outcome(attempt.job, result, self._pool._encoding.suffix, self._pool._drop_dicom)
                for attempt, result in zip(batch, results, strict=True)
            ]
        )

    def _lost(self, batch: list[_Attempt], began: int, reason: str, *, final: bool) -> None:
        """The worker is gone, or has to go: blame the job it was on, and save the others.

        One death may be somebody else's doing, such as the kernel's when memory is short; a job on
        which two workers died is not tried again.
        """
        self._kill()
        for attempt in batch:
            self._pool._sweep(attempt.job)
        blamed = batch[began : began + 1] if began >= 0 else batch
        for attempt in blamed:
            attempt.deaths += 1
        failed = [one for one in blamed if (final and began >= 0) or one.deaths >= _ATTEMPTS]
        self._pool._give_back([one for one in batch if one not in failed])
        self._pool._report([RenderOutcome(one.job, "failed", reason) for one in failed])

    def _postpone(self, batch: list[_Attempt], obstacle: str) -> None:
        """Nothing is wrong with the jobs: queue them again, and try after a pause."""
        self._pool.obstacle = obstacle
        self._pool._give_back(batch)
        pause = _PAUSES[min(self._refusals, len(_PAUSES) - 1)]
        self._refusals += 1
        until = time.monotonic() + pause
        while time.monotonic() < until and not self._pool._closing:
            self.beat = time.monotonic()
            time.sleep(_POLL / 5)

    def _end(self) -> None:
        """Ask the worker to go by closing its input, and see it gone."""
        if self.worker is None:
            return
        assert self.worker.process.stdin is not None
        with suppress(OSError):
            self.worker.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.worker.process.wait(2.0)
        self._kill()

    def _kill(self) -> None:
        if self.worker is None:
            return
        process = self.worker.process
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self.worker = None


def _outcome(job: RenderJob, result: dict[str, Any], suffix: str, drop: bool) -> RenderOutcome:
    rendered = result["state"] == "rendered"
    return RenderOutcome(
        job=job,
        state=result["state"],
        reason=result["reason"],
        pictures=tuple(
            PictureRow(frame, width, height, size, suffix)
            for frame, width, height, size in result["pictures"]
        ),
        drop_dicom=drop and rendered,
    )
