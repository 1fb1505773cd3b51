"""When remotes are asked: one thread per remote, so that one that is down never blocks another.

At every interval the watch list is asked for; requests made by hand come first. After a failure a
remote is left alone for growing pauses, which survive a restart in the catalogue.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from appliance.archive.catalogue import Catalogue, CatalogueFailed
from appliance.archive.requests import FetchRequest, Requests, RequestsFailed
from appliance.dicom.matches import Match
from appliance.dicom.scu import RequestFailed
from appliance.retrieval.planner import Planner
from appliance.retrieval.retriever import Retrieval, Retriever, pause
from appliance.retrieval.watchlist import WatchList
from appliance.settings.model import Query, RemoteAE

LOGGER = logging.getLogger(__name__)

PAUSE_WHEN_UNWRITABLE = 5.0
"""Seconds to wait when the archive cannot be written."""

_REMOTE_IS_DOWN = ("unreachable", "rejected", "timeout", "aborted")

TICK = 0.5
"""Seconds between two looks for a request made by hand."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """What every remote's schedule needs."""

    planner: Planner
    retriever: Retriever
    watch_list: WatchList
    catalogue: Catalogue
    requests: Requests
    query: Query
    may_retrieve: Callable[[], bool]
    beat: Callable[[str], None]
    scheduled: bool = True
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was done about one study: instances listed and missing, and how fetching them ended."""

    listed: int
    missing: int
    retrieval: Retrieval | None = None

    @property
    def arrived(self) -> int:
        """How many instances became durable."""
        return self.retrieval.arrived if self.retrieval else 0


@dataclass(slots=True, eq=False)
class RemoteSchedule:
    """The schedule of one remote. `run` is its loop, `stop` ends it."""

    remote: RemoteAE
    rounds: Rounds
    _stopping: threading.Event = field(default_factory=threading.Event)
    _due: float = 0.0

    @property
    def name(self) -> str:
        """The name of the loop, for threads and the watchdog."""
        return f"schedule of {self.remote.name}"

    def run(self) -> None:
        """Ask at every interval, and whenever someone asks by hand, until stopped."""
        self._due = self._first_due()
        while not self._stopping.is_set():
            self.rounds.beat(self.name)
            try:
                if not self._serve_requests():
                    self._round_if_due()
            except (CatalogueFailed, RequestsFailed) as error:
                # A full disk passes; the schedule goes on when there is room again.
                LOGGER.warning("%s waits: %s", self.name, error)
                self._stopping.wait(PAUSE_WHEN_UNWRITABLE)
            self._stopping.wait(TICK)

    def stop(self) -> None:
        """End the loop after what it is doing now."""
        self._stopping.set()

    def _first_due(self) -> float:
        """At once, unless a failure before the restart asked for a pause."""
        now = self.rounds.clock()
        paused = self.rounds.catalogue.remote_state(self.remote.name).next_attempt
        if paused is None or paused > now + self.rounds.query.retry_longest:
            return now
        return paused

    def _round_if_due(self) -> None:
        rounds = self.rounds
        now = rounds.clock()
        if self._due > now + max(rounds.query.every, rounds.query.retry_longest):
            self._due = now
        if now < self._due or not rounds.scheduled or not self.remote.query:
            return
        if rounds.requests.suspended or not rounds.may_retrieve():
            return
        try:
            self._round()
        except RequestFailed as failure:
            self._due = self._failed(failure)
        else:
            rounds.catalogue.remote_reached(self.remote.name)
            self._due = rounds.clock() + rounds.query.every

    def _round(self) -> None:
        rounds = self.rounds
        for study in list(rounds.planner.wanted_studies(self.remote, rounds.watch_list)):
            rounds.beat(self.name)
            if self._stopping.is_set() or rounds.requests.suspended or not rounds.may_retrieve():
                return
            self._serve_requests()
            self._fetch(study.study, by_hand=False)

    def _fetch(self, study: str, by_hand: bool) -> Fetched:
        """Fetch what is missing of `study`, unless nothing is or its pause is not over."""
        rounds = self.rounds
        plan = rounds.planner.plan(self.remote, study)
        fetched = Fetched(len(plan.listed), len(plan.missing))
        if not plan.missing:
            return fetched
        if not by_hand and not rounds.catalogue.retrieval_due(plan.mapped, rounds.clock()):
            return fetched
        retrieval = rounds.retriever.retrieve(plan, lambda: rounds.beat(self.name))
        if retrieval.result != "complete":
            rounds.catalogue.event("warning", self.remote.name, retrieval.sentence)
        return replace(fetched, retrieval=retrieval)

    def _failed(self, failure: RequestFailed) -> float:
        rounds = self.rounds
        failures = rounds.catalogue.remote_state(self.remote.name).failures + 1
        next_attempt = rounds.clock() + pause(rounds.query, failures)
        rounds.catalogue.remote_failed(self.remote.name, failure.sentence, next_attempt)
        if failures == 1:
            rounds.catalogue.event("warning", self.remote.name, failure.sentence)
        LOGGER.warning("%s", failure.sentence)
        return next_attempt

    def _serve_requests(self) -> bool:
        """Serve what was asked by hand of this remote; True when there was something."""
        served = False
        for request in self.rounds.requests.pending(self.remote.name):
            if self._stopping.is_set():
                return served
            self._serve(request)
            served = True
        return served

    def _serve(self, request: FetchRequest) -> None:
        rounds = self.rounds
        fetched: list[Fetched] = []
        try:
            studies = self._asked_for(request)
            for study in studies:
                fetched.append(self._fetch(study, by_hand=True))
                self._note_progress(request, len(studies), fetched)
        except RequestFailed as failure:
            if failure.kind in _REMOTE_IS_DOWN:
                self._due = self._failed(failure)
            rounds.requests.finish(request.id, "failed", failure.sentence)
            return
        rounds.catalogue.remote_reached(self.remote.name)
        rounds.requests.finish(request.id, *_outcome(self.remote, fetched))

    def _note_progress(
        self, request: FetchRequest, studies: int, fetched: Sequence[Fetched]
    ) -> None:
        self.rounds.requests.progress(
            request.id,
            studies=studies,
            listed=sum(one.listed for one in fetched),
            missing=sum(one.missing for one in fetched),
            arrived=sum(one.arrived for one in fetched),
        )

    def _asked_for(self, request: FetchRequest) -> list[str]:
        if not self.remote.query:
            raise RequestFailed(
                "unsupported",
                f"{self.remote.name} may not be queried: set query = true for it in the settings",
            )
        if request.study:
            return [request.study]
        keys = {"PatientID": request.patient_id, "AccessionNumber": request.accession}
        asked = {keyword: value for keyword, value in keys.items() if value}
        found = self.rounds.planner.requestor.find(self.remote, "STUDY", asked)
        return [match.study for match in found if match.study and _answers(request, match)]


def _answers(request: FetchRequest, match: Match) -> bool:
    """Whether the remote kept to the keys; some return everybody."""
    if request.patient_id and match.patient_id != request.patient_id:
        return False
    return not request.accession or match.accession == request.accession


def _outcome(remote: RemoteAE, fetched: Sequence[Fetched]) -> tuple[str, str]:
    if not any(one.listed for one in fetched):
        return "failed", f"{remote.name} has no such study"
    unfinished = [
        one.retrieval for one in fetched if one.retrieval and one.retrieval.result != "complete"
    ]
    arrived = sum(one.arrived for one in fetched)
    if not unfinished:
        return "complete", f"{arrived} instances fetched, {len(fetched)} studies complete"
    return "partial" if arrived else "failed", unfinished[-1].sentence
