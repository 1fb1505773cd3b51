"""A fetch by hand: through the AE that runs on this archive, or by running one for the occasion."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from appliance.archive.catalogue import Catalogue, CatalogueInUse, CatalogueReader
from appliance.archive.lock import owner
from appliance.archive.place import Place
from appliance.archive.records import Status
from appliance.archive.requests import Requests
from appliance.service import Service
from appliance.settings.model import Settings

LOOK_EVERY = 0.25
"""Seconds between two looks at how far the fetch is."""

PATIENCE = 60.0
"""Seconds to wait for an AE that has gone, or for pictures of which none is made."""

Progress = Callable[[Status], None]


class NobodyServes(Exception):
    """The AE that was to serve the fetch has gone; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """What is to be fetched from which remote; at least one of the keys is given."""

    remote: str
    patient_id: str | None = None
    accession: str | None = None
    study: str | None = None


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """How it ended: `complete`, `partial` or `failed`, with a sentence."""

    outcome: str
    sentence: str


def fetch(settings: Settings, place: Place, wanted: Fetch, progress: Progress) -> FetchOutcome:
    """Fetch `wanted` and return when it is durable and rendered.

    Raises NobodyServes, or CatalogueFailed or RequestsFailed when the archive cannot be used.
    """
    try:
        service = Service(settings, place, scheduled=False)
    except CatalogueInUse:
        return _through_running_service(place, wanted, progress)
    service.start()
    try:
        outcome = _follow(
            service.requests, service.catalogue, wanted, progress, served=lambda: True
        )
        _wait_rendered(service.catalogue, progress)
    finally:
        service.stop()
    return outcome


def _through_running_service(place: Place, wanted: Fetch, progress: Progress) -> FetchOutcome:
    requests = Requests.open(place.folders.requests)
    catalogue = Catalogue.open_read_only(place.folders.catalogue)
    try:
        outcome = _follow(
            requests,
            catalogue,
            wanted,
            progress,
            served=lambda: owner(place.folders.lock) is not None,
        )
        _wait_rendered(catalogue, progress)
        return outcome
    finally:
        catalogue.close()
        requests.close()


def _follow(
    requests: Requests,
    catalogue: CatalogueReader,
    wanted: Fetch,
    progress: Progress,
    served: Callable[[], bool],
) -> FetchOutcome:
    """Ask, and see it through; whoever gives up takes the request back."""
    number = requests.ask_fetch(
        wanted.remote,
        patient_id=wanted.patient_id,
        accession=wanted.accession,
        study=wanted.study,
    )
    last_served = time.monotonic()
    try:
        while (request := requests.find(number)).state != "finished":
            now = time.monotonic()
            if served():
                last_served = now
            elif now - last_served > PATIENCE:
                raise NobodyServes("the AE that runs on this archive has ended; start it again")
            progress(catalogue.status())
            time.sleep(LOOK_EVERY)
    except BaseException:
        with suppress(LookupError):  # It was finished in this moment.
            requests.finish(number, "failed", "whoever asked has given it up")
        raise
    return FetchOutcome(request.outcome, request.sentence)


def _wait_rendered(catalogue: CatalogueReader, progress: Progress) -> None:
    """Wait until nothing is to be rendered, or nothing more is rendered."""
    made, last_made = -1, time.monotonic()
    while (status := catalogue.status()).queued:
        now = time.monotonic()
        if status.pictures != made:
            made, last_made = status.pictures, now
        elif now - last_made > PATIENCE:
            break
        progress(status)
        time.sleep(LOOK_EVERY)
    progress(status)
