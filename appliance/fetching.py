"""A fetch by hand: through the AE that runs on this archive, or by running one for the occasion."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.archive.catalogue import Catalogue, CatalogueInUse, CatalogueReader
from appliance.archive.records import Status
from appliance.archive.requests import Requests
from appliance.service import Place, Service
from appliance.settings.model import Settings

LOOK_EVERY = 0.25
"""Seconds between two looks at how far the fetch is."""

Progress = Callable[[Status], None]


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

    Raises CatalogueFailed or RequestsFailed when the archive cannot be used.
    """
    try:
        service = Service(settings, place, scheduled=False)
    except CatalogueInUse:
        return _through_running_service(place, wanted, progress)
    service.start()
    try:
        outcome = _follow(service.requests, service.catalogue, wanted, progress)
        _wait_rendered(service.catalogue, progress)
    finally:
        service.stop()
    return outcome


def _through_running_service(place: Place, wanted: Fetch, progress: Progress) -> FetchOutcome:
    requests = Requests.open(place.folders.requests)
    catalogue = Catalogue.open_read_only(place.folders.catalogue)
    try:
        outcome = _follow(requests, catalogue, wanted, progress)
        _wait_rendered(catalogue, progress)
        return outcome
    finally:
        catalogue.close()
        requests.close()


def _follow(
    requests: Requests, catalogue: CatalogueReader, wanted: Fetch, progress: Progress
) -> FetchOutcome:
    number = requests.ask_fetch(
        wanted.remote,
        patient_id=wanted.patient_id,
        accession=wanted.accession,
        study=wanted.study,
    )
    while True:
        request = requests.find(number)
        if request.state == "finished":
            return FetchOutcome(request.outcome, request.sentence)
        progress(catalogue.status())
        time.sleep(LOOK_EVERY)


def _wait_rendered(catalogue: CatalogueReader, progress: Progress) -> None:
    while (status := catalogue.status()).queued:
        progress(status)
        time.sleep(LOOK_EVERY)
    progress(status)
