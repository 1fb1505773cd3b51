"""When remotes are asked: one thread per remote, so that one that is down never blocks another.

At every interval the watch list is asked for; requests made by hand come first. After a failure a
remote is left alone for growing pauses, which survive a restart in the catalogue.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pydicom.uid import UID

from appliance.archive.catalogue import Catalogue, CatalogueFailed
from appliance.archive.requests import FetchRequest, Found, Requests, RequestsFailed, Search
from appliance.dicom.matches import Match
from appliance.dicom.scu import RequestFailed
from appliance.retrieval.planner import Planner
from appliance.retrieval.retriever import Retrieval, Retriever, longest_pause, pause
from appliance.retrieval.watchlist import WatchList
from appliance.settings.model import Query, RemoteAE

LOGGER = logging.getLogger(__name__)

PAUSE_WHEN_UNWRITABLE = 5.0
"""Seconds to wait when the archive cannot be written."""

_REMOTE_IS_DOWN = ("unreachable", "rejected", "unsupported")
_PERHAPS_DOWN = ("timeout", "aborted")

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
    """The schedule of one remote. `run` is its loop, `stop` ends it, `turn` is one look."""

    remote: RemoteAE
    rounds: Rounds
    _stopping: threading.Event = field(default_factory=threading.Event)
    _waits_since: float = 0.0
    _due: float | None = None
    _complaint: str = ""

    @property
    def name(self) -> str:
        """The name of the loop, for threads and the watchdog."""
        return f"schedule of {self.remote.name}"

    def run(self) -> None:
        """Ask at every interval, and whenever someone asks by hand, until stopped."""
        while not self._stopping.is_set():
            self._beat()
            try:
                self.turn()
            except (CatalogueFailed, RequestsFailed) as error:
                # A full disk passes; the schedule goes on when there is room again.
                if not self._stopping.is_set():
                    LOGGER.warning("%s waits: %s", self.name, error)
                self._stopping.wait(PAUSE_WHEN_UNWRITABLE)
            self._stopping.wait(TICK)

    def stop(self) -> None:
        """End the loop after what it is doing now."""
        self._stopping.set()

    def turn(self) -> None:
        """Look once for something to do, and do it; what was asked by hand comes first.

        Raises CatalogueFailed or RequestsFailed when the archive cannot be used.
        """
        if not self._serve_requests() and self.rounds.scheduled and self._is_due():
            self._ask_in_turn()

    def _beat(self) -> None:
        self.rounds.beat(self.name)

    def _is_due(self) -> bool:
        if self._due is None:
            self._wait_until(self._first_due())
        assert self._due is not None
        # A moment before the wait began means that the clock was set back.
        return not self._waits_since <= self.rounds.clock() < self._due

    def _wait_until(self, due: float) -> None:
        self._waits_since, self._due = self.rounds.clock(), due

    def _first_due(self) -> float:
        """At once, unless a failure before the restart asked for a pause."""
        now = self.rounds.clock()
        paused = self.rounds.catalogue.remote_state(self.remote.name).next_attempt
        if paused is None or paused > now + self.rounds.query.retry_longest:
            return now
        return paused

    def _obstacle(self) -> str:
        """Why the remote may not be asked now; empty if it may."""
        if not self.remote.query:
            return f"{self.remote.name} may not be queried: set query = true for it in the settings"
        if self.rounds.requests.suspended:
            return "the box is suspended: resume it, then ask again"
        if not self.rounds.may_retrieve():
            return "no space is left above the reserve: make room, then ask again"
        return ""

    def _ask_in_turn(self) -> None:
        if self._obstacle():
            return
        try:
            again = self._round()
        except Exception as error:
            again = self._failed(self._failure(error))
        else:
            self.rounds.catalogue.remote_reached(self.remote.name)
        self._wait_until(again)

    def _round(self) -> float:
        """Ask for the whole watch list; return when to do so again. Raises RequestFailed."""
        again = self.rounds.clock() + self.rounds.query.every
        for study in self._wanted_studies():
            if self._stopping.is_set() or self._obstacle():
                return self.rounds.clock()
            self._serve_requests()
            retrieval = self._fetch_wanted(study)
            if retrieval is not None and retrieval.next_attempt is not None:
                again = min(again, retrieval.next_attempt)
        return again

    def _wanted_studies(self) -> Iterable[str]:
        """The studies that the watch list wants; an entry that cannot be asked stops no other."""
        rounds = self.rounds
        wanted: dict[str, None] = {}
        failures: list[RequestFailed] = []
        entries = rounds.watch_list.for_remote(self.remote)
        if not entries:
            # With nobody to ask for, it is still to be known whether the remote is there.
            rounds.planner.requestor.echo(self.remote)
        for entry in entries:
            self._beat()
            try:
                found = rounds.planner.wanted_studies(self.remote, rounds.watch_list, entry)
            except RequestFailed as failure:
                if self._is_down(failure):
                    raise
                failures.append(failure)
            else:
                wanted.update(dict.fromkeys(found))
        if failures and len(failures) == len(entries):
            raise failures[-1]
        self._complain(failures[-1].sentence if failures else "")
        return wanted

    def _complain(self, sentence: str) -> None:
        """Note as an event what is wrong with the remote, once for as long as it is."""
        if sentence and sentence != self._complaint:
            self.rounds.catalogue.event("warning", self.remote.name, sentence)
        self._complaint = sentence

    def _fetch_wanted(self, study: str) -> Retrieval | None:
        """Fetch what is missing, unless a pause is running; a study that fails stops no other."""
        try:
            return self._fetch(study, by_hand=False).retrieval
        except RequestFailed as failure:
            if self._is_down(failure):
                raise
            return self._give_up(study, failure.sentence)

    def _give_up(self, study: str, sentence: str) -> Retrieval | None:
        rounds = self.rounds
        mapped = rounds.planner.deidentifier.uid(study)
        if not self._may_retry(mapped):
            return None
        rounds.catalogue.event("warning", self.remote.name, sentence)
        return rounds.retriever.give_up(self.remote, mapped, sentence)

    def _fetch(self, study: str, by_hand: bool) -> Fetched:
        """Fetch what is missing of `study`, unless nothing is or its pause is not over."""
        rounds = self.rounds
        plan = rounds.planner.plan(self.remote, study, self._beat)
        fetched = Fetched(len(plan.listed), len(plan.missing))
        if not plan.listed and not plan.untaken and not by_hand:
            return replace(fetched, retrieval=self._give_up(study, self._lists_nothing()))
        if not plan.missing or not (by_hand or self._may_retry(plan.mapped)):
            return fetched
        if plan.untaken and not rounds.catalogue.attempts(plan.mapped, self.remote.name):
            rounds.catalogue.event("info", self.remote.name, self._leaves(plan.untaken))
        retrieval = rounds.retriever.retrieve(plan, self._beat)
        if retrieval.result != "complete":
            rounds.catalogue.event("warning", self.remote.name, retrieval.sentence)
        return replace(fetched, retrieval=retrieval)

    def _leaves(self, classes: frozenset[str]) -> str:
        """What is not asked for; a UID that the standard does not know is not repeated."""
        named = {uid: UID(uid).name for uid in classes}
        names = {"a private class" if name == uid else name for uid, name in named.items()}
        return (
            f"{self.remote.name} has more of a study than this box takes: instances of "
            f"{', '.join(sorted(names))} are left there"
        )

    def _lists_nothing(self) -> str:
        return (
            f"{self.remote.name} has a study of a watched patient but lists no images of it; if it "
            "does have images, its administrator must allow queries at series and image level"
        )

    def _may_retry(self, mapped: str) -> bool:
        rounds = self.rounds
        return rounds.catalogue.retrieval_due(
            mapped, rounds.clock(), self.remote.name, longest_pause(rounds.query)
        )

    def _is_down(self, failure: RequestFailed) -> bool:
        """Whether asking for something else is futile, too."""
        if failure.kind not in _PERHAPS_DOWN:
            return failure.kind in _REMOTE_IS_DOWN
        self._beat()
        try:
            self.rounds.planner.requestor.echo(self.remote)
        except RequestFailed as silence:
            return silence.kind not in ("unsupported", "status")
        return False

    def _failure(self, error: Exception) -> RequestFailed:
        """What failed at the remote; a fault of our own is told without its text and values."""
        if isinstance(error, RequestFailed):
            return error
        if isinstance(error, CatalogueFailed | RequestsFailed):
            raise error
        place = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__} at {place.name}, line {place.lineno} of {place.filename}"
        LOGGER.error("%s: %s", self.name, fault)
        sentence = f"{self.remote.name} could not be asked, by a fault of this box: {fault}"
        return RequestFailed("status", sentence)

    def _failed(self, failure: RequestFailed) -> float:
        rounds = self.rounds
        before = rounds.catalogue.remote_state(self.remote.name)
        next_attempt = rounds.clock() + pause(rounds.query, before.failures + 1)
        rounds.catalogue.remote_failed(self.remote.name, failure.sentence, next_attempt)
        if before.failure != failure.sentence:
            rounds.catalogue.event("warning", self.remote.name, failure.sentence)
        LOGGER.warning("%s", failure.sentence)
        return next_attempt

    def _serve_requests(self) -> bool:
        """Serve what was asked by hand of this remote; True when there was something."""
        served = self._serve_searches()
        for request in self.rounds.requests.pending(self.remote.name):
            if self._stopping.is_set():
                return served
            self._serve(request)
            served = True
        return served

    def _serve_searches(self) -> bool:
        """Answer who looks for something at this remote; True when somebody does."""
        searches = self.rounds.requests.pending_searches(self.remote.name)
        for search in searches:
            self._beat()
            try:
                self._answer(search)
            except Exception as error:
                failure = self._failure(error)
                self.rounds.requests.answer_search(search.id, (), failure.sentence)
        return bool(searches)

    def _answer(self, search: Search) -> None:
        requests = self.rounds.requests
        if not self.remote.query or requests.suspended:
            requests.answer_search(search.id, (), self._obstacle())
            return
        found = [
            Found(one.study, one.patient_id, one.accession, one.study_date, one.study_time)
            for one in self._matches(search)
        ]
        self._reached_by_hand()
        requests.answer_search(search.id, found)

    def _serve(self, request: FetchRequest) -> None:
        self._beat()
        if obstacle := self._obstacle():
            self._finish(request, "failed", obstacle)
            return
        fetched: list[Fetched] = []
        try:
            studies = self._asked_for(request)
            for study in studies:
                if self._stopping.is_set():
                    return
                self._beat()
                fetched.append(self._fetch_by_hand(study))
                self._note_progress(request, len(studies), fetched)
        except Exception as error:
            failure = self._failure(error)
            # The watch list's own pause is no longer for how often somebody asks.
            if self._is_down(failure) and not self._is_paused:
                self._wait_until(self._failed(failure))
            self._finish(request, "failed", failure.sentence)
            return
        self._reached_by_hand()
        self._finish(request, *_outcome(self.remote, fetched))

    @property
    def _is_paused(self) -> bool:
        return self.rounds.catalogue.remote_state(self.remote.name).failures > 0

    def _fetch_by_hand(self, study: str) -> Fetched:
        """Fetch what is missing, whatever pause is running; a study that fails stops no other."""
        try:
            return self._fetch(study, by_hand=True)
        except RequestFailed as failure:
            if self._is_down(failure):
                raise
            return Fetched(0, 0, Retrieval("failed", 0, 0, failure.sentence))

    def _reached_by_hand(self) -> None:
        """Somebody has mended what was wrong: the watch list need not wait any longer."""
        catalogue, name = self.rounds.catalogue, self.remote.name
        if catalogue.remote_state(name).failures:
            self._wait_until(self.rounds.clock())
        catalogue.remote_reached(name)

    def _finish(self, request: FetchRequest, outcome: str, sentence: str) -> None:
        with suppress(LookupError):  # Whoever asked has withdrawn it.
            self.rounds.requests.finish(request.id, outcome, sentence)

    def _note_progress(
        self, request: FetchRequest, studies: int, fetched: Sequence[Fetched]
    ) -> None:
        with suppress(LookupError):  # Whoever asked has withdrawn it.
            self.rounds.requests.progress(
                request.id,
                studies=studies,
                listed=sum(one.listed for one in fetched),
                missing=sum(one.missing for one in fetched),
                arrived=sum(one.arrived for one in fetched),
            )

    def _asked_for(self, request: FetchRequest) -> list[str]:
        if request.study:
            return [request.study]
        return list(dict.fromkeys(match.study for match in self._matches(request)))

    def _matches(self, asked: FetchRequest | Search) -> Iterator[Match]:
        """The studies that the remote has under the keys. Raises RequestFailed."""
        keys = {"PatientID": asked.patient_id, "AccessionNumber": asked.accession}
        given = {keyword: value for keyword, value in keys.items() if value}
        found = self.rounds.planner.requestor.find(self.remote, "STUDY", given)
        return (match for match in found if match.study and _answers(asked, match))


def _answers(request: FetchRequest | Search, match: Match) -> bool:
    """Whether the remote kept to the keys; some return everybody."""
    if request.patient_id and match.patient_id != request.patient_id:
        return False
    return not request.accession or match.accession == request.accession


def _outcome(remote: RemoteAE, fetched: Sequence[Fetched]) -> tuple[str, str]:
    unfinished = [
        one.retrieval for one in fetched if one.retrieval and one.retrieval.result != "complete"
    ]
    arrived = sum(one.arrived for one in fetched)
    if unfinished:
        return "partial" if arrived else "failed", unfinished[-1].sentence
    if not any(one.listed for one in fetched):
        return "failed", f"{remote.name} has no such study, or no images of it"
    return "complete", f"{arrived} instances fetched, {len(fetched)} studies complete"
