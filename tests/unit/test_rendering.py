"""From the catalogue's queue to the render pool and back; the pool itself is tested elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.archive.catalogue import CatalogueFailed
from appliance.archive.files import Folders
from appliance.archive.records import PictureRow, RenderJob, RenderOutcome
from appliance.images import rendering as module
from appliance.images.encode import Encoding
from appliance.images.orders import BurnedIn
from appliance.images.pool import Bounds
from appliance.images.rendering import Rendering
from appliance.settings.model import Images


def job(key: int, generation: int = 0) -> RenderJob:
    return RenderJob(key, generation, f"1.{key}", "1.2", "1.3", "CT", "1.2.840.10008.1.2", 1, 500)


class FakeCatalogue:
    """A queue, and what was registered; it fails as often as it is told to."""

    def __init__(self) -> None:
        self.queue: list[RenderJob] = []
        self.finished: list[RenderOutcome] = []
        self.failures = 0

    def next_renders(self, limit: int, now: float) -> list[RenderJob]:
        self._fail()
        return self.queue[:limit]

    def finish_renders(self, outcomes: Sequence[RenderOutcome]) -> None:
        self._fail()
        self.finished += outcomes
        done = {outcome.job for outcome in outcomes}
        self.queue = [one for one in self.queue if one not in done]

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise CatalogueFailed("full")


class FakePool:
    """Holds what is submitted until `finish` makes an outcome of it."""

    def __init__(
        self,
        processes: int,
        encoding: Encoding,
        folders: Any,
        on_outcome: Any,
        *,
        bounds: Bounds,
        drop_dicom: bool,
        overlays: bool,
        burned_in: BurnedIn,
    ) -> None:
        self.processes, self.drop_dicom, self.encoding = processes, drop_dicom, encoding
        self.bounds, self.overlays, self.burned_in = bounds, overlays, burned_in
        self.submitted: list[RenderJob] = []
        self.pending: list[RenderJob] = []
        self.alive, self.stalled, self.obstacle, self.closed = True, 0.0, "", False
        self._on_outcome = on_outcome

    @property
    def capacity(self) -> int:
        return max(0, 3 - len(self.pending))

    def submit(self, jobs: Sequence[RenderJob]) -> None:
        assert not self.closed
        self.submitted += jobs
        self.pending += jobs

    def finish(self) -> None:
        done, self.pending = self.pending, []
        picture = PictureRow(None, 8, 8, 300)
        self._on_outcome([RenderOutcome(one, "rendered", pictures=(picture,)) for one in done])

    def close(self, timeout: float) -> bool:
        self.closed = True
        return True


@pytest.fixture
def catalogue() -> FakeCatalogue:
    return FakeCatalogue()


@pytest.fixture
def rendering(
    catalogue: FakeCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rendering]:
    monkeypatch.setattr(module, "RenderPool", FakePool)
    monkeypatch.setattr(module, "LOOK_EVERY", 0.05)
    images = Images(
        quality=77,
        keep_dicom=False,
        workers=2,
        animation=False,
        overlays=False,
        largest_frame=3,
        most_frames=7,
    )
    made = Rendering.of(catalogue, Folders(tmp_path), images)  # type: ignore[arg-type]
    yield made
    made.stop(5)


@pytest.fixture
def pool(rendering: Rendering) -> FakePool:
    assert isinstance(rendering._pool, FakePool)
    return rendering._pool


def soon(look: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_settings_reach_the_pool(pool: FakePool) -> None:
    assert (pool.processes, pool.drop_dicom, pool.overlays) == (2, True, False)
    assert (pool.bounds.frame_pixels, pool.bounds.frames) == (3_000_000, 7)
    assert pool.encoding == Encoding("jpeg", 77, animation=False)
    assert pool.burned_in == BurnedIn((), hold=True)


def test_what_is_queued_is_rendered_once_and_no_more_than_there_is_room_for(
    catalogue: FakeCatalogue, rendering: Rendering, pool: FakePool
) -> None:
    catalogue.queue = [job(key) for key in range(8)]
    rendering.start()
    soon(lambda: len(pool.pending) == 3)
    time.sleep(0.2)
    assert pool.submitted == [job(0), job(1), job(2)]
    while catalogue.queue:
        soon(lambda: pool.pending)
        pool.finish()
    assert [outcome.job for outcome in catalogue.finished] == [job(key) for key in range(8)]
    time.sleep(0.2)
    assert len(pool.submitted) == 8


def test_a_newer_content_of_an_instance_waits_for_the_one_before(
    catalogue: FakeCatalogue, rendering: Rendering, pool: FakePool
) -> None:
    catalogue.queue = [job(1)]
    rendering.start()
    soon(lambda: pool.pending)
    catalogue.queue = [job(1, generation=1), job(2)]
    rendering.wake()
    soon(lambda: job(2) in pool.pending)
    assert pool.pending == [job(1), job(2)]
    pool.finish()
    soon(lambda: pool.pending == [job(1, generation=1)])


def test_waking_it_is_faster_than_waiting(
    catalogue: FakeCatalogue, rendering: Rendering, pool: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 60)
    rendering.start()
    time.sleep(0.2)
    catalogue.queue = [job(1)]
    rendering.wake()
    soon(lambda: pool.pending)


def test_receiving_on_every_processor_goes_first(
    catalogue: FakeCatalogue, rendering: Rendering, pool: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVES_WAY_FOR", 60)
    rendering._processors, arriving = 2, 2
    rendering._receiving = lambda: arriving
    catalogue.queue = [job(1)]
    rendering.start()
    time.sleep(0.3)
    assert not pool.submitted
    arriving = 1
    soon(lambda: pool.submitted == [job(1)])


def test_receiving_does_not_go_first_for_ever(
    catalogue: FakeCatalogue, rendering: Rendering, pool: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVES_WAY_FOR", 0.3)
    rendering._receiving = lambda: 1000
    catalogue.queue = [job(1)]
    asked = time.monotonic()
    rendering.start()
    soon(lambda: pool.submitted == [job(1)])
    assert time.monotonic() - asked > 0.2
    catalogue.queue = [job(1), job(2)]
    soon(lambda: pool.submitted == [job(1), job(2)])


def test_what_cannot_be_registered_is_made_again_after_a_pause(
    catalogue: FakeCatalogue, rendering: Rendering, pool: FakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_WHEN_UNWRITABLE", 0.5)
    catalogue.queue = [job(1)]
    rendering.start()
    soon(lambda: pool.pending)
    catalogue.failures = 1
    pool.finish()
    time.sleep(0.3)
    assert pool.submitted == [job(1)]
    soon(lambda: pool.submitted == [job(1), job(1)])
    pool.finish()
    assert [outcome.job for outcome in catalogue.finished] == [job(1)]


def test_a_queue_that_cannot_be_read_is_read_later(
    catalogue: FakeCatalogue, rendering: Rendering, pool: FakePool
) -> None:
    catalogue.queue, catalogue.failures = [job(1)], 2
    rendering.start()
    soon(lambda: pool.pending)
    assert rendering.problem() == ""


def test_stopping_leaves_the_rest_in_the_queue(
    catalogue: FakeCatalogue, rendering: Rendering, pool: FakePool
) -> None:
    catalogue.queue = [job(key) for key in range(8)]
    rendering.start()
    soon(lambda: len(pool.pending) == 3)
    rendering.stop(5)
    assert pool.closed
    assert not rendering._thread.is_alive()
    assert len(catalogue.queue) == 8


def test_what_is_wrong_has_a_name(
    catalogue: FakeCatalogue, rendering: Rendering, pool: FakePool
) -> None:
    assert rendering.problem() == ""
    pool.stalled = module.STALLED_AFTER + 1
    assert "makes no progress" in rendering.problem()
    pool.stalled, pool.alive = 0.0, False
    assert "makes no progress" in rendering.problem()
    pool.obstacle = "No space left on device"
    assert rendering.obstacle == "No space left on device"


@pytest.mark.filterwarnings("ignore:Exception in thread rendering")
def test_a_loop_that_died_is_a_problem(
    catalogue: FakeCatalogue, rendering: Rendering, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = threading.Event()

    def die(limit: int, now: float) -> list[RenderJob]:
        died.set()
        raise SystemExit

    monkeypatch.setattr(catalogue, "next_renders", die)
    rendering.start()
    assert died.wait(5)
    soon(lambda: rendering.problem() == "the loop that renders has ended")
