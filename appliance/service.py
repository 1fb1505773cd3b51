"""The composition root of the AE: builds the parts, runs them, stops them in order.

This is the only place that knows all parts. An image travels: schedule → requestor → remote AE →
listener → storage → archive → rendering.
"""

import logging
import os
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from appliance.archive.catalogue import CatalogueFailed, RemoteState, Severity
from appliance.archive.hops import Said
from appliance.archive.place import Place
from appliance.archive.recovery import open_recovered
from appliance.archive.requests import Requests, RequestsFailed
from appliance.archive.space import Retention, Space
from appliance.archive.vouched import VouchedClock
from appliance.dicom.remotes import Remotes, ourselves
from appliance.dicom.scp import Admission, Listener, supported_contexts
from appliance.dicom.scu import RequestFailed, Requestor
from appliance.dicom.solicitation import Solicitation
from appliance.dicom.sop_classes import UNCOMPRESSED, storage_classes
from appliance.dicom.storage import Intake, Storage
from appliance.dicom.tls import client_context, server_context
from appliance.health.heartbeats import Heartbeats, Loop
from appliance.health.reports import (
    REPORT_EVERY,
    RemoteReport,
    ServiceReport,
    SpaceReport,
    write_report,
)
from appliance.health.watchdog import Watchdog
from appliance.images.decoders import Proving
from appliance.images.deidentify import Deidentifier, Recipients
from appliance.images.rendering import Rendering
from appliance.retrieval import connection_words
from appliance.retrieval.connection import Connection, SelfTests
from appliance.retrieval.planner import Planner
from appliance.retrieval.retriever import Retriever
from appliance.retrieval.scheduler import RemoteSchedule, Rounds
from appliance.retrieval.watchlist import WatchList, pseudonyms
from appliance.settings.model import Settings, Timeouts

LOGGER = logging.getLogger(__name__)

STOP_WITHIN = 10.0
"""Seconds that running stores and pictures get to end when the service stops."""

HOUSEKEEPING_EVERY = 60.0
"""Seconds between two rounds of retention."""

REPORTS_WITHIN = 300.0
"""Seconds within which a report must be made; a disk may be that slow."""

COUNTED = (
    *("studies", "series", "instances", "bytes", "pictures", "picture_bytes", "outstanding"),
    *("incomplete", "missing", "expired", "rendered", "queued", "without_picture", "failed"),
)
"""The figures of the catalogue that a report tells."""

SEARCHES_LAST = 900.0
"""Seconds after which what somebody looked for, and found, is erased."""

REPEAT_AFTER = 600.0
"""Seconds after which the same rejected association is an event again."""

REJECTIONS_REMEMBERED = 1000

ECHO_TIMEOUTS = Timeouts(association=10, response=10, total=10)
"""How fast the box answers a C-ECHO to itself, in seconds."""

_LISTENER_POLL = 0.2

_DESCRIBED_AT_ONCE = 20
_DESCRIBED_EVERY = 0.5
"""Seconds between two such rounds: receiving goes first."""


class Service:
    """The running AE. `start`, then `wait` or `stop`.

    `scheduled` False leaves the watch list alone and serves only what is asked by hand. `report`
    names the file in which it tells others how it is; `proving` is the proof of the decoders, if
    it has begun already.
    """

    def __init__(
        self,
        settings: Settings,
        place: Place,
        scheduled: bool = True,
        report: Path | None = None,
        proving: Proving | None = None,
    ) -> None:
        self._settings = settings
        self._folders = place.folders
        self._folders.prepare()
        self._report = report
        self._started = time.time()
        self._stopped = threading.Event()
        proving = proving or Proving(settings.ae.profile)
        self.catalogue = open_recovered(self._folders)
        self.requests = Requests.open(self._folders.requests)
        self.space = Space(self._folders.data, settings.storage.reserve)
        self._retention = Retention(
            self.catalogue,
            settings.storage.keep_days,
            settings.storage.quota,
            VouchedClock(self._folders.vouched_time, self.catalogue.last_stored()),
        )
        self._deidentifier = Deidentifier(
            settings.images.deidentify,
            place.key,
            pseudonyms(settings.watch),
            settings.images.options,
            Recipients([settings.images.recipients]) if settings.images.recipients else None,
        )
        self._solicitation = Solicitation()
        self._intake = Intake(suspended=self._suspended)
        self._heartbeats = Heartbeats()
        self._rejections: dict[str, float] = {}
        self._rendering = Rendering.of(
            self.catalogue,
            self._folders,
            settings.images,
            settings.masks,
            receiving=lambda: self._intake.running,
            leave=settings.storage.reserve // 2,
        )
        self._storage = Storage(
            self._folders,
            self.catalogue,
            self.space,
            self._deidentifier,
            self._solicitation,
            settings.ae,
            self._intake,
            self._rendering.wake,
            settings.masks,
        )
        self.proven = self._accepted_syntaxes(proving)
        self._remotes = Remotes(settings.ae.title, settings.remotes, settings.ae.address)
        self._admission = Admission(
            settings.ae, self._remotes, self._suspended, self._note_rejection
        )
        self._listeners = self._listen()
        accepted = frozenset(row.uid for row in storage_classes(settings.ae.profile))
        self._planner = Planner(self._requestor(), self.catalogue, self._deidentifier, accepted)
        self._schedules = self._plan_schedules(scheduled)
        self._self_tests = self._plan_self_tests()
        self._watchdog = Watchdog(
            self._heartbeats,
            (self._catalogue_works, self._rendering.problem, self._answers_echo),
            self.describe,
        )

    def _accepted_syntaxes(self, proving: Proving) -> tuple[str, ...]:
        """The transfer syntaxes that are decoded; what is not is told as an event.

        The uncompressed ones need no decoder: they are taken whatever could be proved.
        """
        compressed = [
            proof for proof in proving.result() if proof.transfer_syntax not in UNCOMPRESSED
        ]
        for proof in compressed:
            if not proof.works:
                self._tell("info", "decoders", f"{proof.name} is not accepted: {proof.reason}")
        return (*UNCOMPRESSED, *(proof.transfer_syntax for proof in compressed if proof.works))

    @property
    def port(self) -> int:
        """The port on which associations without TLS are accepted."""
        return self._listeners[0].port

    def start(self) -> None:
        """Start every loop and tell systemd."""
        for listener in self._listeners:
            self._thread(
                f"listener {listener.port}", partial(listener.serve_forever, _LISTENER_POLL)
            )
        self._rendering.start()
        for schedule in self._schedules:
            self._heartbeats.expect(Loop(schedule.name, self._longest_round()))
            self._thread(schedule.name, schedule.run)
        self._heartbeats.expect(Loop("self-tests", self._longest_round()))
        self._thread("self-tests", self._self_tests.run)
        self._heartbeats.expect(Loop("housekeeping", 10 * HOUSEKEEPING_EVERY))
        self._thread("housekeeping", self._keep_house)
        if self._report:
            self._heartbeats.expect(Loop("report", REPORTS_WITHIN))
            write_report(self._report, self.report())
            self._thread("report", partial(self._keep_reporting, self._report))
        self._thread("watchdog", self._watchdog.run)
        self._watchdog.ready()
        LOGGER.info("listening on port %d", self.port)
        self._tell("info", "box", f"started, listening on port {self.port}")

    def wait(self) -> None:
        """Return when `stop` was called."""
        self._stopped.wait()

    def stop(self) -> None:
        """Stop in order: no new work, running stores end, then everything closes."""
        self._watchdog.stopping()
        for schedule in self._schedules:
            schedule.stop()
        self._self_tests.stop()
        if not self._intake.stop(STOP_WITHIN):
            LOGGER.warning("some stores did not end in time; they are cut off unacknowledged")
        for listener in self._listeners:
            listener.shutdown()
            listener.cut_all()
        self._rendering.stop(STOP_WITHIN)
        self.requests.close()
        self.catalogue.close()
        self._stopped.set()

    def describe(self) -> str:
        """Return one line on how the service is, for systemd's STATUS."""
        if self._suspended():
            return "suspended"
        if self.space.low:
            return "no space left above the reserve: nothing is taken until there is"
        if self._rendering.obstacle:
            return f"pictures wait: {self._rendering.obstacle}"
        running = self._admission.running()
        return f"working, {running} association{'' if running == 1 else 's'}"

    def report(self) -> ServiceReport:
        """Return how the service is, for other processes. Raises CatalogueFailed, or OSError."""
        status = self.catalogue.status()
        figures = os.statvfs(self._folders.data)
        states = {state.name: state for state in status.remotes}
        remotes = (
            states.get(remote.name, RemoteState(remote.name)) for remote in self._settings.remotes
        )
        return ServiceReport(
            written=time.monotonic(),
            started=self._started,
            box=self._settings.box.name,
            language=self._settings.box.language,
            revision=self._settings.revision,
            title=self._settings.ae.title,
            port=self.port,
            suspended=self._suspended(),
            obstacle=self._rendering.obstacle,
            space=SpaceReport(
                self.space.free(), figures.f_blocks * figures.f_frsize, self.space.low
            ),
            remotes=tuple(
                RemoteReport(one.name, one.last_reached, one.last_failed, one.failure)
                for one in remotes
            ),
            counts={name: getattr(status, name) for name in COUNTED},
            counters=status.counters,
        )

    def _keep_reporting(self, file: Path) -> None:
        while not self._stopped.wait(REPORT_EVERY):
            try:
                write_report(file, self.report())
                self._heartbeats.beat("report")
            except (CatalogueFailed, OSError) as error:
                # Whoever reads it sees it grow old.
                if not self._stopped.is_set():
                    LOGGER.warning("no report: %s", error)

    def _listen(self) -> list[Listener]:
        ae, tls = self._settings.ae, self._settings.tls
        contexts = supported_contexts(ae, self.proven)
        ports: list[tuple[int, ssl.SSLContext | None]] = [(ae.port, None)]
        if tls is not None:
            ports.append((tls.port, server_context(tls)))
        return [
            Listener(ae, self._admission, self._storage, self._remotes, contexts, port, context)
            for port, context in ports
        ]

    def _plan_schedules(self, scheduled: bool) -> list[RemoteSchedule]:
        settings = self._settings
        rounds = Rounds(
            planner=self._planner,
            retriever=Retriever(
                self._planner.requestor,
                self.catalogue,
                self._solicitation,
                settings.ae,
                settings.query,
            ),
            watch_list=WatchList.of(settings),
            catalogue=self.catalogue,
            requests=self.requests,
            query=settings.query,
            may_retrieve=lambda: not self.space.low,
            beat=self._heartbeats.beat,
            scheduled=scheduled,
        )
        return [RemoteSchedule(remote, rounds) for remote in settings.remotes]

    def _plan_self_tests(self) -> SelfTests:
        settings = self._settings
        connection = Connection(
            planner=self._planner,
            watch_list=WatchList.of(settings),
            solicitation=self._solicitation,
            ae=settings.ae,
            settle=settings.query.settle,
            obstacle=self._obstacle,
        )
        beat = partial(self._heartbeats.beat, "self-tests")
        return SelfTests(self.requests, connection, settings.remotes, beat)

    def _obstacle(self) -> Said | None:
        """Why nothing can be taken now, if so."""
        if self._suspended():
            return connection_words.suspended()
        return connection_words.full() if self.space.low else None

    def _requestor(self) -> Requestor:
        settings = self._settings
        return Requestor(
            settings.ae,
            settings.query.timeouts,
            client_context(settings.tls) if settings.tls else None,
            self.proven,
            self._storage,
        )

    def _longest_round(self) -> float:
        """The longest that a schedule may be silent: one C-FIND that runs into its last timer."""
        timeouts = self._settings.query.timeouts
        return timeouts.association + timeouts.total + self._settings.query.settle + 60.0

    def _keep_house(self) -> None:
        known = frozenset(remote.name for remote in self._settings.remotes)
        retained = False
        while not self._stopped.is_set():
            self._heartbeats.beat("housekeeping")
            try:
                if not retained:
                    self.catalogue.retain_remotes(known)
                    retained = True
                self._refuse_strays(known)
                self.requests.forget_searches(SEARCHES_LAST)
                self._describe_series()
                self._retention.run(partial(self._heartbeats.beat, "housekeeping"))
            except (CatalogueFailed, RequestsFailed, OSError) as error:
                if not self._stopped.is_set():
                    LOGGER.warning("housekeeping waits: %s", error)
            except Exception:  # What one instance brought about must not end the care of all.
                LOGGER.exception("housekeeping waits")
            self._stopped.wait(HOUSEKEEPING_EVERY)

    def _describe_series(self) -> None:
        """Read the attributes of series that came with an earlier version, or were rebuilt."""
        while self.catalogue.describe_series(_DESCRIBED_AT_ONCE):
            self._heartbeats.beat("housekeeping")
            if self._stopped.wait(_DESCRIBED_EVERY):
                return

    def _refuse_strays(self, known: frozenset[str]) -> None:
        """Answer what was asked of a remote that came into the settings after we started."""
        unknown = "{} is not known to the AE that runs; restart it"
        for request in self.requests.pending():
            if request.remote not in known:
                with suppress(LookupError):  # Whoever asked has withdrawn it.
                    self.requests.finish(request.id, "failed", unknown.format(request.remote))
        for search in self.requests.pending_searches():
            if search.remote not in known:
                self.requests.answer_search(search.id, (), unknown.format(search.remote))

    def _suspended(self) -> bool:
        """Whether the operator has suspended the box; what cannot be read suspends nothing."""
        try:
            return self.requests.suspended
        except RequestsFailed as error:
            LOGGER.warning("not known whether the box is suspended: %s", error)
            return False

    def _tell(self, severity: Severity, subject: str, text: str) -> None:
        """Note an event; where that cannot be written, as on a full disk, the rest goes on."""
        try:
            self.catalogue.event(severity, subject, text)
        except CatalogueFailed as error:
            LOGGER.warning("%s: %s; an event that could not be kept: %s", subject, text, error)

    def _note_rejection(self, subject: str, text: str) -> None:
        """Count a rejected association; the same one is an event once in a while only."""
        self.catalogue.count("rejected associations")
        now = time.monotonic()
        if now - self._rejections.get(text, -REPEAT_AFTER) < REPEAT_AFTER:
            return
        if len(self._rejections) >= REJECTIONS_REMEMBERED:
            self._rejections.clear()
        self._rejections[text] = now
        self._tell("warning", subject, text)

    def _catalogue_works(self) -> str:
        if self.catalogue.alive:
            return ""
        return f"the catalogue fails: {self.catalogue.failure or 'it is stuck in one batch'!r}"

    def _answers_echo(self) -> str:
        """C-ECHO to ourselves over loopback, as a remote would."""
        ae = self._settings.ae
        try:
            Requestor(ae, ECHO_TIMEOUTS).echo(ourselves(ae, self.port))
        except RequestFailed as failure:
            return f"no answer to a C-ECHO to ourselves: {failure.sentence}"
        return ""

    def _thread(self, name: str, run: Callable[[], None]) -> None:
        threading.Thread(target=run, name=name, daemon=True).start()
