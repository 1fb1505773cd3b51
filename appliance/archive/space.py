"""Room on the disk: a reserve that stores never touch, and what makes room again."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.archive.catalogue import Catalogue

_REFRESH: Final = 0.2
"""Seconds for which a look at the file system is believed."""
_DAY: Final = 86_400


class OutOfSpace(Exception):
    """Taking that many bytes would touch the reserve."""


class Space:
    """The bytes above the reserve of the file system that holds `folder`. For any thread.

    The figure is asked of the file system five times a second at most; in between, what is taken
    is subtracted. What was taken but is not written when it is asked again is not counted, so take
    bytes just before writing them.
    """

    def __init__(
        self,
        folder: Path,
        reserve: int,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`reserve` in bytes."""
        self._folder = folder
        self._reserve = reserve
        self._statvfs = statvfs
        self._clock = clock
        self._lock = threading.Lock()
        self._left = 0
        self._fresh_until = float("-inf")
        self._wanted = 0

    def take(self, n: int) -> None:
        """Takes `n` bytes, about to be written; raises `OutOfSpace` if the reserve were touched.

        Raises OSError if the file system cannot be asked.
        """
        with self._lock:
            self._refresh()
            if n > self._left:
                self._wanted = max(self._wanted, n)
                raise OutOfSpace(
                    f"{n} bytes are needed, {max(0, self._left)} are left above the reserve of"
                    f" {self._reserve} on {self._folder}"
                )
            self._left -= n

    def free(self) -> int:
        """Bytes that may still be taken; 0 if the reserve is reached."""
        with self._lock:
            self._refresh()
            return max(0, self._left)

    @property
    def low(self) -> bool:
        """Whether nothing is left, or what was refused last would still not fit.

        Becomes false by itself when there is room again.
        """
        with self._lock:
            self._refresh()
            if self._left > 0 and self._left >= self._wanted:
                self._wanted = 0
                return False
            return True

    def _refresh(self) -> None:
        now = self._clock()
        if now >= self._fresh_until:
            figures = self._statvfs(self._folder)
            self._left = figures.f_bavail * figures.f_frsize - self._reserve
            self._fresh_until = now + _REFRESH


@dataclass(frozen=True, slots=True)
class Expired:
    """What one run of retention removed."""

    studies: int
    bytes: int


class Retention:
    """Removes files and pictures of studies that are old, or too many, the oldest first.

    A study's age is that of its newest instance here. Only complete studies go, of which nothing
    waits to be rendered; their rows stay, so that they are not fetched again. Folders are removed
    with the last file in them.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        keep_days: int | None,
        quota: int | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`quota` in bytes, DICOM files and pictures together; None: no limit, as `keep_days`."""
        self._catalogue = catalogue
        self._keep_days = keep_days
        self._quota = quota
        self._clock = clock

    def run(self, progress: Callable[[], None] = lambda: None) -> Expired:
        """Removes what is due now; `progress` is called before each study.

        Raises `CatalogueFailed`, or OSError.
        """
        if self._keep_days is None and self._quota is None:
            return Expired(0, 0)
        status = self._catalogue.status()
        held = status.bytes + status.picture_bytes
        now = self._clock()
        studies = freed = 0
        for study in self._catalogue.oldest_complete_studies():
            if not self._is_due(now - study.last_stored, held - freed):
                break
            progress()
            gone = self._catalogue.expire(study.study)
            if gone:
                studies += 1
                freed += gone
        if studies:
            self._catalogue.event("info", "storage", _sentence(studies, freed))
        return Expired(studies, freed)

    def _is_due(self, age: float, held: int) -> bool:
        """`age` in seconds since a study's newest instance came; `held` bytes are on disk."""
        too_old = self._keep_days is not None and age > self._keep_days * _DAY
        too_much = self._quota is not None and held > self._quota
        return too_old or too_much


def _sentence(studies: int, freed: int) -> str:
    what = "one study" if studies == 1 else f"{studies} studies"
    return f"{what} removed, as the settings say: {freed / 2**20:.1f} MiB"
