"""Rendering follows storing: from the catalogue's queue to the render pool and back.

The queue is the catalogue's own and survives a restart; what is in flight is known here only, so
that after a crash it is simply rendered again.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

from appliance.archive.catalogue import Catalogue, CatalogueFailed
from appliance.archive.files import Folders
from appliance.archive.records import RenderJob, RenderOutcome
from appliance.images.encode import Encoding
from appliance.images.orders import BurnedIn
from appliance.images.pool import Bounds, RenderPool
from appliance.settings.model import Images, Mask

LOGGER = logging.getLogger(__name__)

LOOK_EVERY = 2.0
"""Seconds between two looks at the queue when nobody says that something was stored."""

STALLED_AFTER = 300.0
"""Seconds after which a supervisor of the pool that makes no progress is a fault."""

PAUSE_WHEN_UNWRITABLE = 5.0
"""Seconds to wait before what could not be registered is rendered again."""

GIVES_WAY_FOR = 2.0
"""Seconds for which pictures wait at most while receiving needs every processor: a PACS waits for
an answer, pictures do not."""

_GATHER = 0.02
_MEGAPIXEL = 1_000_000


class Rendering:
    """Keeps the render pool busy with what the catalogue has queued.

    `receiving` tells how many instances are arriving now; `leave` is how many bytes of the disk
    masked copies leave free. Workers are the last to get a processor, and still slow down whoever
    uses the others: memory and disk are shared, and often the cores.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        folders: Folders,
        encoding: Encoding,
        images: Images,
        masks: tuple[Mask, ...] = (),
        receiving: Callable[[], int] = lambda: 0,
        leave: int = 0,
    ) -> None:
        self._catalogue = catalogue
        self._receiving = receiving
        self._processors = os.cpu_count() or 1
        self._in_flight: set[int] = set()
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopping = False
        self._waits_until = 0.0
        self._gives_way_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="rendering", daemon=True)
        self._pool = RenderPool(
            images.workers or self._processors,
            encoding,
            folders,
            self._finished,
            bounds=Bounds(
                frame_pixels=images.largest_frame * _MEGAPIXEL,
                frames=images.most_frames,
                leave=leave,
            ),
            drop_dicom=not images.keep_dicom,
            overlays=images.overlays,
            burned_in=BurnedIn(
                masks,
                hold=images.burned_in == "hold",
                bits=images.deidentify == "basic" and images.keep_dicom,
            ),
        )

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        folders: Folders,
        images: Images,
        masks: tuple[Mask, ...] = (),
        receiving: Callable[[], int] = lambda: 0,
        leave: int = 0,
    ) -> "Rendering":
        """Return the rendering that the settings describe."""
        encoding = Encoding(images.format, images.quality, images.animation)
        return cls(catalogue, folders, encoding, images, masks, receiving, leave)

    def start(self) -> None:
        """Start to render what is queued."""
        self._thread.start()

    def wake(self) -> None:
        """Say that something was stored."""
        self._woken.set()

    def stop(self, timeout: float) -> None:
        """Let running batches end within `timeout` seconds; the rest stays queued."""
        self._stopping = True
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        self._pool.close(timeout)

    @property
    def obstacle(self) -> str:
        """Why pictures cannot be written at present, or nothing; they are once it has passed."""
        return self._pool.obstacle

    def problem(self) -> str:
        """Return what is wrong with rendering, or nothing."""
        if self._thread.ident is not None and not self._thread.is_alive():
            return "the loop that renders has ended"
        if not self._pool.alive or self._pool.stalled > STALLED_AFTER:
            return "the render pool makes no progress"
        return ""

    def _run(self) -> None:
        while not self._stopping:
            self._woken.wait(LOOK_EVERY)
            self._woken.clear()
            self._submit_queued()
            # What is stored meanwhile is gathered, so that the queue is not read per instance.
            time.sleep(_GATHER)

    def _submit_queued(self) -> None:
        capacity = self._pool.capacity
        if not capacity or self._stopping or self._waits(time.monotonic()):
            return
        with self._lock:
            limit = capacity + len(self._in_flight)
        try:
            queued = self._catalogue.next_renders(limit, time.time())
        except CatalogueFailed as error:
            LOGGER.warning("the render queue cannot be read: %s", error)
            return
        jobs = self._claim(queued, capacity)
        if jobs:
            self._pool.submit(jobs)

    def _waits(self, now: float) -> bool:
        """Whether nothing is to be rendered now: it failed just now, or receiving goes first."""
        if now < self._waits_until:
            return True
        if self._receiving() < self._processors:
            self._gives_way_since = None
            return False
        # From the first picture on: starting the workers costs more than what they then do.
        if self._gives_way_since is None:
            self._gives_way_since = now
        if now < self._gives_way_since + GIVES_WAY_FOR:
            return True
        self._gives_way_since = None
        return False

    def _claim(self, queued: Sequence[RenderJob], capacity: int) -> list[RenderJob]:
        """The next jobs; a newer content of an instance waits for the end of the one before.

        Both have files of the same names, and whoever fails takes his away.
        """
        with self._lock:
            jobs = [job for job in queued if job.key not in self._in_flight][:capacity]
            self._in_flight.update(job.key for job in jobs)
        return jobs

    def _finished(self, outcomes: Sequence[RenderOutcome]) -> None:
        try:
            self._catalogue.finish_renders(outcomes)
        except CatalogueFailed as error:
            LOGGER.warning("pictures that cannot be registered are made again: %s", error)
            self._waits_until = time.monotonic() + PAUSE_WHEN_UNWRITABLE
        except Exception:
            self._waits_until = time.monotonic() + PAUSE_WHEN_UNWRITABLE
            raise
        finally:
            with self._lock:
                self._in_flight.difference_update(outcome.job.key for outcome in outcomes)
            self._woken.set()
