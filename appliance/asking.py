"""Asking the AE of an archive by hand: the one that runs on it, or one started for the occasion."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from appliance.archive.catalogue import Catalogue, CatalogueInUse, CatalogueReader
from appliance.archive.lock import owner
from appliance.archive.place import Place
from appliance.archive.requests import Requests
from appliance.service import Service
from appliance.settings.model import Settings
from appliance.settings.problems import Obstacle

LOOK_EVERY = 0.25
"""Seconds between two looks at how far the AE is."""

PATIENCE = 60.0
"""Seconds to wait for an AE that has gone, or for pictures of which none is made."""

Answer = TypeVar("Answer")


class NobodyServes(Obstacle):
    """The AE that was to answer has gone; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The AE that works on an archive, through the files that it shares.

    runs: whether it still does
    """

    requests: Requests
    catalogue: CatalogueReader
    runs: Callable[[], bool]

    def until(self, answer: Callable[[], Answer | None]) -> Answer:
        """What `answer` returns, once that is anything; raises NobodyServes."""
        last_ran = time.monotonic()
        while (answered := answer()) is None:
            now = time.monotonic()
            if self.runs():
                last_ran = now
            elif now - last_ran > PATIENCE:
                raise NobodyServes("the AE that runs on this archive has ended; start it again")
            time.sleep(LOOK_EVERY)
        return answered


@contextmanager
def asking(settings: Settings, place: Place) -> Iterator[Asked]:
    """The AE that runs on the archive at `place`, or one with `settings` until the block ends.

    Raises CatalogueFailed or RequestsFailed when the archive cannot be used.
    """
    try:
        service = Service(settings, place, scheduled=False)
    except CatalogueInUse:
        with (
            closing(Requests.open(place.folders.requests)) as requests,
            closing(Catalogue.open_read_only(place.folders.catalogue)) as catalogue,
        ):
            yield Asked(requests, catalogue, lambda: owner(place.folders.lock) is not None)
        return
    service.start()
    try:
        yield Asked(service.requests, service.catalogue, lambda: True)
    finally:
        service.stop()
