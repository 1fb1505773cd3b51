"""Render workers that crash, hang, run out of memory or disk: one job pays, all are answered."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import JPEGLosslessSV1, RLELossless

from appliance.archive.files import Folders
from appliance.archive.records import RenderJob, RenderOutcome
from appliance.images.decoders import samples
from appliance.images.encode import Encoding
from appliance.images.orders import BurnedIn
from appliance.images.pool import Bounds, RenderPool
from appliance.settings.model import Mask
from tests.unit.render import made

STUDY, SERIES = "2.25.2", "2.25.3"
PATIENCE = 180.0


class Archive:
    """A data folder with instances, and the outcomes of rendering them."""

    def __init__(self, data: Path) -> None:
        self.folders = Folders(data)
        self.folders.prepare()
        self.outcomes: list[RenderOutcome] = []
        self.batches: list[int] = []
        self.changed = threading.Condition()

    def job(self, instance: str, dataset: Any = None) -> RenderJob:
        """A job for an instance, which is an image if nothing else is given."""
        path = self.folders.dicom_file(STUDY, SERIES, instance)
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(dataset, bytes):
            path.write_bytes(dataset)
        else:
            made.saved(made.grey(IMAGE) if dataset is None else dataset, path)
        return job(instance)

    def note(self, outcomes: Sequence[RenderOutcome]) -> None:
        with self.changed:
            self.outcomes.extend(outcomes)
            self.batches.append(len(outcomes))
            self.changed.notify_all()

    def wait(self, count: int) -> dict[str, RenderOutcome]:
        with self.changed:
            done = self.changed.wait_for(lambda: len(self.outcomes) >= count, PATIENCE)
        assert done, f"{len(self.outcomes)} of {count} outcomes after {PATIENCE:g} s"
        found = {outcome.job.instance: outcome for outcome in self.outcomes}
        assert len(found) == len(self.outcomes), "a job has more than one outcome"
        return found

    def pictures(self) -> set[str]:
        folder = self.folders.images / STUDY / SERIES
        return {path.name for path in folder.iterdir()} if folder.exists() else set()


IMAGE = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint16)


def job(instance: str) -> RenderJob:
    return RenderJob(1, 1, instance, SERIES, STUDY, "", "", 1, 0)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


Opened = Callable[..., RenderPool]


@pytest.fixture
def pool(archive: Archive) -> Iterator[Opened]:
    opened: list[RenderPool] = []

    def make(processes: int = 1, encoding: Encoding | None = None, **bounds: Any) -> RenderPool:
        one = RenderPool(
            processes,
            encoding or Encoding(),
            archive.folders,
            archive.note,
            bounds=Bounds(**bounds),
        )
        opened.append(one)
        return one

    yield make
    for one in opened:
        one.close(5)
        assert not one.workers


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def large(frames: int = 1500) -> Any:
    """An image that keeps a worker busy: a millisecond or so a frame."""
    cells = np.random.default_rng(1).integers(0, 4096, (frames, 64, 64), np.uint16)
    return made.grey(cells, 12)


def test_images_become_pictures_that_are_on_disk_when_reported(
    archive: Archive, pool: Opened
) -> None:
    seen: list[bool] = []
    jobs = [archive.job(f"1.{n}") for n in range(40)]
    note = archive.note

    def check(outcomes: Sequence[RenderOutcome]) -> None:
        names = archive.pictures()
        seen.extend(f"{outcome.job.instance}.jpg" in names for outcome in outcomes)
        note(outcomes)

    archive.note = check  # type: ignore[method-assign]
    pool(2).submit(jobs)
    outcomes = archive.wait(40)
    assert all(seen) and len(seen) == 40
    assert archive.pictures() == {f"1.{n}.jpg" for n in range(40)}
    for outcome in outcomes.values():
        (picture,) = outcome.pictures
        path = archive.folders.picture(STUDY, SERIES, outcome.job.instance, None, ".jpg")
        assert outcome.state == "rendered" and not outcome.drop_dicom
        assert (picture.frame, picture.width, picture.height) == (None, 64, 64)
        assert path.stat().st_size == picture.bytes
        assert Image.open(path).size == (64, 64)


def test_a_picture_for_each_frame(archive: Archive, pool: Opened) -> None:
    frames = np.stack([IMAGE] * 70)
    pool(encoding=Encoding("png")).submit([archive.job("1.1", made.grey(frames))])
    outcome = archive.wait(1)["1.1"]
    assert [picture.frame for picture in outcome.pictures] == [*range(1, 71), None]
    film = outcome.pictures[-1]
    path = archive.folders.picture(STUDY, SERIES, "1.1", None, film.suffix)
    assert (film.suffix, film.width, film.height) == (".webp", 64, 64)
    assert film.bytes == path.stat().st_size
    assert archive.pictures() == {*(f"1.1.{n:04d}.png" for n in range(1, 71)), "1.1.webp"}


def test_an_animation_is_made_where_it_is_wanted(archive: Archive, pool: Opened) -> None:
    frames = np.stack([IMAGE] * 3)
    pool(encoding=Encoding(animation=False)).submit([archive.job("1.1", made.grey(frames))])
    assert [picture.frame for picture in archive.wait(1)["1.1"].pictures] == [1, 2, 3]
    assert archive.pictures() == {f"1.1.{n:04d}.jpg" for n in (1, 2, 3)}


def test_each_end_has_its_outcome(archive: Archive, pool: Opened) -> None:
    truncated = made.grey(IMAGE)
    truncated.PixelData = truncated.PixelData[:100]
    half = made.grey(np.stack([IMAGE] * 2))
    made.encapsulated(half, RLELossless, [b"\0" * 64, b"\0" * 64])
    pool().submit(
        [
            archive.job("1.1", made.instance()),
            archive.job("1.2", truncated),
            archive.job("1.3", b"nothing"),
            job("1.4"),
            archive.job("1.5"),
            archive.job("1.6", half),
        ]
    )
    ends = {name: (o.state, o.reason) for name, o in archive.wait(6).items()}
    assert ends["1.1"] == ("none", "The object has no pixel data.")
    assert ends["1.2"][0] == "failed" and "holds 100" in ends["1.2"][1]
    assert ends["1.3"] == ("failed", "The file is not a DICOM file.")
    assert ends["1.4"] == ("failed", "The DICOM file is not there any more.")
    assert ends["1.5"][0] == "rendered" and "No window is given" in ends["1.5"][1]
    assert ends["1.6"][0] == "failed" and "segments" in ends["1.6"][1]
    assert archive.pictures() == {"1.5.jpg"}


def test_frames_before_a_damaged_one_are_taken_back(archive: Archive, pool: Opened) -> None:
    good = _rle(IMAGE)
    dataset = made.grey(np.stack([IMAGE] * 90))
    made.encapsulated(dataset, RLELossless, [good] * 89 + [good[:70]])
    dataset.WindowCenter, dataset.WindowWidth = 64, 128
    pool().submit([archive.job("1.1", dataset), archive.job("1.2")])
    outcomes = archive.wait(2)
    assert outcomes["1.1"].state == "failed" and outcomes["1.1"].pictures == ()
    assert archive.pictures() == {"1.2.jpg"}


def _rle(cells: Any) -> bytes:
    """RLE Lossless of literal runs alone."""
    segments = []
    for shift in (8, 0):
        raw = (cells >> shift).astype(np.uint8).tobytes()
        runs = [raw[at : at + 128] for at in range(0, len(raw), 128)]
        segments.append(b"".join(bytes([len(run) - 1]) + run for run in runs))
    header = np.zeros(16, "<u4")
    header[:3] = 2, 64, 64 + len(segments[0])
    return header.tobytes() + b"".join(segments)


def test_a_worker_that_is_killed_once_costs_nothing(archive: Archive, pool: Opened) -> None:
    one = pool()
    one.submit([archive.job("1.0", large()), *(archive.job(f"1.{n}") for n in range(1, 10))])
    (first,) = until(lambda: one.workers)
    until(lambda: any(name.endswith(".part") for name in archive.pictures()))
    os.kill(first, signal.SIGKILL)
    outcomes = archive.wait(10)
    assert {outcome.state for outcome in outcomes.values()} == {"rendered"}
    assert one.workers != (first,)
    assert not any(name.endswith(".part") for name in archive.pictures())


def test_a_job_on_which_two_workers_die_fails_alone(archive: Archive, pool: Opened) -> None:
    one = pool()
    jobs = [archive.job(f"1.{n}") for n in range(1, 20)]
    jobs.insert(7, archive.job("1.0", large()))
    one.submit(jobs)
    killed: set[int] = set()
    while len(killed) < 2:
        pids = set(until(lambda: one.workers)) - killed
        # Frames of the large image are on their way: that is the job the worker is on.
        if pids and any(name.startswith(".1.0.") for name in archive.pictures()):
            (pid,) = pids
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
            until(lambda: not any(name.startswith(".1.0.") for name in archive.pictures()))
    outcomes = archive.wait(20)
    failed = {name: o.reason for name, o in outcomes.items() if o.state != "rendered"}
    assert failed == {
        "1.0": "The render worker was ended by SIGKILL, as the kernel does when memory is short."
    }
    assert archive.pictures() == {f"1.{n}.jpg" for n in range(1, 20)}


def test_what_is_swept_after_a_worker_is_of_its_instance_alone(
    archive: Archive, pool: Opened
) -> None:
    """1.0.1234.jpg may be frame 1234 of one instance, and is the only picture of another."""
    one = pool()
    one.submit([archive.job("1.0.1234")])
    archive.wait(1)
    folder = archive.folders.images / STUDY / SERIES
    for name in ("1.0.0001.jpg", "1.0.0002.jpg", ".1.0.0003.jpg.0123456789abcdef.part"):
        (folder / name).write_bytes(b"x")
    one._sweep(archive.job("1.0"), pictures=True)
    assert archive.pictures() == {"1.0.1234.jpg"}


def test_a_job_on_which_its_worker_crashes_fails_alone(archive: Archive, pool: Opened) -> None:
    one = pool()
    one.submit([archive.job("1.1"), archive.job("1.0", large()), archive.job("1.2")])
    (pid,) = until(lambda: one.workers)
    until(lambda: any(name.startswith(".1.0.") for name in archive.pictures()))
    os.kill(pid, signal.SIGSEGV)
    outcomes = archive.wait(3)
    assert outcomes["1.1"].state == outcomes["1.2"].state == "rendered"
    assert outcomes["1.0"].state == "failed"
    assert outcomes["1.0"].reason == "The render worker crashed (SIGSEGV)."
    assert archive.pictures() == {"1.1.jpg", "1.2.jpg"}


def test_a_stream_that_its_decoder_does_not_survive(archive: Archive, pool: Opened) -> None:
    """GDCM 3.2.6 ends the process at some damages to lossless JPEG, of which this is one."""
    sample = next(s for s in samples() if s.transfer_syntax == JPEGLosslessSV1)
    damaged = bytearray(sample.file)
    damaged[damaged.index(b"\xff\xd8") + 24] = 255
    pool().submit([archive.job("1.1"), archive.job("1.0", bytes(damaged)), archive.job("1.2")])
    outcomes = archive.wait(3)
    assert outcomes["1.0"].state == "failed"
    assert outcomes["1.1"].state == outcomes["1.2"].state == "rendered"


def test_a_hung_worker_fails_the_job_it_was_on(archive: Archive, pool: Opened) -> None:
    one = pool(progress=3)
    one.submit([archive.job("1.3")])
    archive.wait(1)
    one.submit([archive.job("1.0", large()), archive.job("1.1"), archive.job("1.2")])
    (pid,) = until(lambda: one.workers)
    until(lambda: any(name.startswith(".1.0.") for name in archive.pictures()))
    os.kill(pid, signal.SIGSTOP)
    outcomes = archive.wait(4)
    assert outcomes["1.0"].state == "failed"
    assert outcomes["1.0"].reason == "Rendering made no progress for 3 s."
    assert outcomes["1.1"].state == outcomes["1.2"].state == "rendered"
    assert archive.pictures() == {"1.1.jpg", "1.2.jpg", "1.3.jpg"}
    assert not Path(f"/proc/{pid}").exists()


def test_a_job_that_takes_long_but_goes_on_is_not_hung(archive: Archive, pool: Opened) -> None:
    """Two passes over frames without a window: the first makes no picture, but is progress."""
    one = pool(progress=2)
    frames, jobs = 500, 1
    # How many take long enough depends on what else the machine does, even from one to the next.
    while (took := timed(one, archive, archive.job(f"1.{jobs}", large(frames)), jobs)) <= 2:
        frames = min(4 * frames, int(frames * 3.5 / took))
        jobs += 1
    assert {outcome.state for outcome in archive.outcomes} == {"rendered"}


def timed(one: RenderPool, archive: Archive, task: RenderJob, count: int) -> float:
    """Seconds until a job has its outcome, the worker's own start left out."""
    one.submit([archive.job("0.0")])
    archive.wait(count)
    archive.outcomes.pop()
    began = time.monotonic()
    one.submit([task])
    archive.wait(count)
    return time.monotonic() - began


def test_a_job_that_wants_too_much_memory_says_so(archive: Archive, pool: Opened) -> None:
    bomb = made.grey(np.zeros((8, 8), np.uint8), Rows=16000, Columns=16000)
    runs = b"\x81\0" * (16000 * 16000 // 128)
    header = np.zeros(16, "<u4")
    header[:2] = 1, 64
    made.encapsulated(bomb, RLELossless, [header.tobytes() + runs])
    one = pool(memory=300 * 2**20)
    one.submit([archive.job("1.0", bomb), archive.job("1.1")])
    outcomes = archive.wait(2)
    assert outcomes["1.0"].state == "failed"
    assert outcomes["1.0"].reason == "Rendering needs more memory than a worker may use."
    assert outcomes["1.1"].state == "rendered"
    assert archive.pictures() == {"1.1.jpg"}


def test_the_frame_limit_is_passed_on(archive: Archive, pool: Opened) -> None:
    pool(frame_pixels=100).submit([archive.job("1.0")])
    assert "limit of 100 pixels" in archive.wait(1)["1.0"].reason


def test_what_cannot_be_written_waits_until_it_can(archive: Archive, pool: Opened) -> None:
    archive.folders.images.rmdir()
    archive.folders.images.write_text("a file where the folder should be")
    one = pool()
    one.submit([archive.job(f"1.{n}") for n in range(20)])
    until(lambda: one.obstacle)
    assert one.obstacle == "Pictures cannot be written: Not a directory."
    assert one.pending == 20 and one.alive and one.stalled < 2
    archive.folders.images.unlink()
    outcomes = archive.wait(20)
    assert {outcome.state for outcome in outcomes.values()} == {"rendered"}
    assert one.obstacle == "" and one.pending == 0


def test_workers_that_cannot_start_fail_no_job(
    archive: Archive, pool: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.images import worker_process

    real = worker_process.command
    monkeypatch.setattr(worker_process, "command", lambda *_: ["/bin/false"])
    one = pool()
    one.submit([archive.job("1.0")])
    until(lambda: one.obstacle)
    assert one.obstacle == "The render worker ended with status 1."
    assert not archive.outcomes
    monkeypatch.setattr(worker_process, "command", real)
    assert archive.wait(1)["1.0"].state == "rendered"


def test_thousands_of_jobs_have_one_outcome_each(archive: Archive, pool: Opened) -> None:
    one = pool(2)
    path = archive.folders.dicom_file(STUDY, SERIES, "1.0")
    jobs = [archive.job("1.0", made.grey(IMAGE[:8, :8]))]
    for n in range(1, 3000):
        path.with_name(f"1.{n}.dcm").hardlink_to(path)
        jobs.append(job(f"1.{n}"))
    for at in range(0, 3000, 100):
        one.submit(jobs[at : at + 100])
    outcomes = archive.wait(3000)
    assert {outcome.state for outcome in outcomes.values()} == {"rendered"}
    assert max(archive.batches) <= 16
    assert len(archive.pictures()) == 3000


def test_one_worker_does_its_jobs_in_order(archive: Archive, pool: Opened) -> None:
    pool().submit([archive.job(f"1.{n}") for n in range(50)])
    archive.wait(50)
    assert [o.job.instance for o in archive.outcomes] == [f"1.{n}" for n in range(50)]


def test_nothing_runs_before_there_is_work_and_after_it(archive: Archive, pool: Opened) -> None:
    one = pool(2, idle=0.5)
    assert one.workers == ()
    assert one.capacity == 64
    one.submit([archive.job("1.0")])
    archive.wait(1)
    assert len(one.workers) == 1
    until(lambda: not one.workers)
    one.submit([archive.job("1.1")])
    assert archive.wait(2)["1.1"].state == "rendered"


def test_little_work_starts_no_second_worker(archive: Archive, pool: Opened) -> None:
    one = pool(2)
    for n in range(5):
        one.submit([archive.job(f"1.{n}")])
        archive.wait(n + 1)
        time.sleep(0.1)
    assert len(one.workers) == 1


def test_close_lets_the_running_batch_end(archive: Archive, pool: Opened) -> None:
    one = pool()
    one.submit([archive.job(f"1.{n}") for n in range(16)])
    until(lambda: one.workers)
    one.submit([archive.job("2.0")])
    assert one.close(PATIENCE)
    assert {o.job.instance for o in archive.outcomes} in ({f"1.{n}" for n in range(16)}, set())
    assert not one.workers
    with pytest.raises(RuntimeError, match="closed"):
        one.submit([job("3.0")])


def test_close_does_not_wait_for_ever(archive: Archive, pool: Opened) -> None:
    one = pool()
    one.submit([archive.job("1.0", large())])
    (pid,) = until(lambda: one.workers)
    until(lambda: any(name.startswith(".1.0.") for name in archive.pictures()))
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert not one.close(0.5)
    assert time.monotonic() - began < 8
    assert not Path(f"/proc/{pid}").exists()
    assert not archive.outcomes


def test_an_owner_that_raises_does_not_end_the_pool(tmp_path: Path, archive: Archive) -> None:
    def broken(outcomes: Sequence[RenderOutcome]) -> None:
        archive.note(outcomes)
        raise RuntimeError("the catalogue is gone")

    one = RenderPool(1, Encoding(), archive.folders, broken)
    try:
        one.submit([archive.job("1.0")])
        archive.wait(1)
        one.submit([archive.job("1.1")])
        archive.wait(2)
        assert one.alive
        until(lambda: one.pending == 0)
        assert str(one.failure) == "the catalogue is gone"
    finally:
        one.close(5)


def test_a_supervisor_that_its_owner_keeps_is_seen_to_stall(archive: Archive) -> None:
    release = threading.Event()
    one = RenderPool(1, Encoding(), archive.folders, lambda _: release.wait(PATIENCE) and None)
    try:
        one.submit([archive.job("1.0")])
        until(lambda: one.stalled > 1.5)
        assert one.alive
        release.set()
        until(lambda: one.stalled < 1)
    finally:
        release.set()
        one.close(5)


def test_workers_yield_to_the_ae_and_go_first_when_memory_is_short(
    archive: Archive, pool: Opened
) -> None:
    one = pool(memory=400 * 2**20)
    one.submit([archive.job("1.0")])
    archive.wait(1)
    (pid,) = one.workers
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 5
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) > 0
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (data,) = [line.split() for line in limits if line.startswith("Max data size")]
    assert int(data[3]) == 400 * 2**20


def test_the_pool_leaves_dropping_dicom_files_to_the_catalogue(archive: Archive) -> None:
    one = RenderPool(1, Encoding(), archive.folders, archive.note, drop_dicom=True)
    try:
        one.submit([archive.job("1.0"), archive.job("1.1", made.instance())])
        outcomes = archive.wait(2)
        assert outcomes["1.0"].drop_dicom and outcomes["1.1"].drop_dicom
        assert archive.folders.dicom_file(STUDY, SERIES, "1.0").exists()
    finally:
        one.close(5)


def test_text_in_pixels_is_blacked_out_before_the_picture(archive: Archive) -> None:
    rule = Mask(modality="OT", columns=64, blank=((0, 0, 64, 8),))
    held = made.grey(IMAGE[:, :48], BurnedInAnnotation="YES")
    one = RenderPool(1, Encoding("png"), archive.folders, archive.note, burned_in=BurnedIn((rule,)))
    try:
        one.submit([archive.job("1.1"), archive.job("1.2", held)])
        found = archive.wait(2)
    finally:
        one.close(5)
    path = archive.folders.dicom_file(STUDY, SERIES, "1.1")
    assert found["1.1"].rewritten == ("1.2.840.10008.1.2.1", path.stat().st_size)
    assert not dcmread(path).pixel_array[:8].any()
    picture = archive.folders.picture(STUDY, SERIES, "1.1", None, ".png")
    assert not np.asarray(Image.open(picture))[:8].any()
    assert (found["1.2"].state, found["1.2"].pictures) == ("none", ())
    assert "Held back" in found["1.2"].reason


def test_what_does_not_fit_on_the_disk_waits_and_the_others_do_not(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A masked copy of a compressed image is many times as large; nobody else waits for it."""
    monkeypatch.setattr("appliance.images.pool._PAUSES", (0.1,))
    rule = Mask(modality="OT", columns=64, blank=((0, 0, 64, 8),))
    bounds, burned_in = Bounds(leave=1 << 60), BurnedIn((rule,))
    one = RenderPool(
        1, Encoding(), archive.folders, archive.note, bounds=bounds, burned_in=burned_in
    )
    before = archive.job("1.0")
    path = archive.folders.dicom_file(STUDY, SERIES, "1.0")
    content = path.read_bytes()
    narrow = made.grey(IMAGE[:, :48])
    try:
        one.submit([before, *(archive.job(f"1.{n}", narrow) for n in range(1, 9))])
        found = archive.wait(8)
        until(lambda: [waiting for waiting in one._later if waiting.postponed > 2])
        assert one.obstacle == "Pictures cannot be written: No space left on device."
        assert one.alive
    finally:
        one.close(5)
    assert "1.0" not in found
    assert {outcome.state for outcome in found.values()} == {"rendered"}
    assert path.read_bytes() == content
    assert not list(archive.folders.data.rglob("*.part"))


def test_a_worker_that_is_killed_while_masking_leaves_nothing_half(archive: Archive) -> None:
    rule = Mask(modality="OT", blank=((0, 0, 64, 8),))
    one = RenderPool(1, Encoding(), archive.folders, archive.note, burned_in=BurnedIn((rule,)))
    try:
        one.submit([archive.job("1.1", large())])
        half = until(lambda: list(archive.folders.data.rglob(".1.1.dcm.*.part")))
        assert archive.folders.dicom not in half[0].parents, "a store may be at work on that name"
        os.kill(one.workers[0], signal.SIGKILL)
        outcome = archive.wait(1)["1.1"]
    finally:
        one.close(5)
    assert (outcome.state, outcome.rewritten is not None) == ("rendered", True)
    assert not list(archive.folders.data.rglob("*.part"))
