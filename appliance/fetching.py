"""A fetch by hand, seen through until it is durable and rendered."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from appliance.archive.catalogue import CatalogueReader
from appliance.archive.place import Place
from appliance.archive.records import Status
from appliance.asking import LOOK_EVERY, PATIENCE, Asked, asking
from appliance.settings.model import Settings

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

    Raises NobodyServes, or CatalogueFailed or RequestsFailed when the archive cannot be used.
    """
    with asking(settings, place) as ae:
        outcome = _fetched(ae, wanted, progress)
        _wait_rendered(ae.catalogue, progress)
    return outcome


def _fetched(ae: Asked, wanted: Fetch, progress: Progress) -> FetchOutcome:
    """Ask, and see it through; whoever gives up takes the request back."""
    number = ae.requests.ask_fetch(
        wanted.remote,
        patient_id=wanted.patient_id,
        accession=wanted.accession,
        study=wanted.study,
    )

    def outcome() -> FetchOutcome | None:
        request = ae.requests.find(number)
        if request.state == "finished":
            return FetchOutcome(request.outcome, request.sentence)
        progress(ae.catalogue.status())
        return None

    try:
        return ae.until(outcome)
    except BaseException:
        with suppress(LookupError):  # It was finished in this moment.
            ae.requests.finish(number, "failed", "whoever asked has given it up")
        raise


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
