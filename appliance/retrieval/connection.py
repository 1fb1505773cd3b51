"""The connection self-test: hop by hop from the name of a remote to an instance that arrives.

Each hop that fails says what is wrong and who can mend it, and the letter says what the
administrator of the PACS has to enter there. Only what the watch list wants is looked for and
fetched, one instance of it, which is de-identified and kept like any other.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from appliance.archive.catalogue import CatalogueFailed
from appliance.archive.hops import ConnectionTest, Hop, Said, Step
from appliance.archive.requests import Requests, RequestsFailed
from appliance.dicom.matches import Match
from appliance.dicom.scu import OneInstance, RequestFailed, SubOperations
from appliance.dicom.solicitation import Outstanding, Solicitation
from appliance.retrieval import connection_words as words
from appliance.retrieval.planner import Planner
from appliance.retrieval.retriever import methods
from appliance.retrieval.watchlist import WatchList
from appliance.settings.model import LocalAE, RemoteAE

CONNECT_WITHIN: Final = 10.0
"""Seconds that a port gets to open."""
ENTRIES: Final = 5
"""Entries of the watch list that are asked for; the remote need not have anything of the first."""
NOBODY: Final = "2.25.0"
"""The UID of a study that nobody has, to ask for where nobody is watched."""
WITHOUT_PICTURES: Final = frozenset(("SR", "PR", "KO", "DOC", "REG", "SEG"))
"""Modalities whose instances are no good sample."""
TICK: Final = 0.5
LOOK_EVERY: Final = 0.1


class NotTried(Exception):
    """A hop that cannot be tried, which is no failure."""

    def __init__(self, says: Said) -> None:
        super().__init__(says.en)
        self.says = says


class Failed(Exception):
    """A hop that failed; `detail` is for technicians."""

    def __init__(self, says: Said, detail: str = "") -> None:
        super().__init__(says.en)
        self.says = says
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Sample:
    """The instance that is fetched, by the remote's own UIDs; lives in memory alone."""

    study: str
    one: OneInstance
    modality: str


@dataclass(frozen=True, slots=True)
class Connection:
    """Tries connections to remotes; `obstacle` says why nothing may be taken now, if so."""

    planner: Planner
    watch_list: WatchList
    solicitation: Solicitation
    ae: LocalAE
    settle: float
    obstacle: Callable[[], Said | None]

    def test(self, remote: RemoteAE, note: Callable[[Hop], None], beat: Callable[[], None]) -> Said:
        """Try hop after hop until one fails; `note` is told each, and the letter returned."""
        trial = _Trial(self, remote, beat)
        received = False
        for step, attempt in trial.steps():
            if step == "get" and received:
                break
            beat()
            hop = _tried(step, attempt)
            note(hop)
            received = step == "move" and hop.outcome != "failed"
            if hop.outcome == "failed" and step != "move":
                break
        return words.letter(self.ae, remote, trial.own_address)


def _tried(step: Step, attempt: Callable[[], Said]) -> Hop:
    began = time.monotonic()

    def hop(outcome: str, says: Said, detail: str = "") -> Hop:
        return Hop(step, outcome, time.monotonic() - began, says, detail)  # type: ignore[arg-type]

    try:
        return hop("passed", attempt())
    except NotTried as reason:
        return hop("skipped", reason.says)
    except Failed as failure:
        return hop("failed", failure.says, failure.detail)


@dataclass(slots=True)
class _Trial:
    """One run through the hops of one remote, with what each found for the next."""

    connection: Connection
    remote: RemoteAE
    beat: Callable[[], None]
    own_address: str = ""
    addresses: list[tuple[str, int]] = field(default_factory=list)
    sample: Sample | None = None

    def steps(self) -> Iterator[tuple[Step, Callable[[], Said]]]:
        yield "name", self._resolve
        yield "port", self._connect
        yield "association", self._associate
        yield "echo", self._echo
        yield "find", self._find
        for method in methods(self.remote):
            yield method, self._move if method == "move" else self._get

    def _resolve(self) -> Said:
        remote = self.remote
        try:
            found = socket.getaddrinfo(remote.host, remote.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Failed(words.no_name(remote), str(error)) from None
        self.addresses = list(dict.fromkeys((str(one[4][0]), remote.port) for one in found))
        return words.name(remote, self.addresses[0][0])

    def _connect(self) -> Said:
        failures = []
        for address in self.addresses:
            try:
                with socket.create_connection(address, CONNECT_WITHIN) as connection:
                    self.own_address = str(connection.getsockname()[0])
                    return words.port(self.remote, self.own_address)
            except OSError as error:
                failures.append(error)
        refused = any(isinstance(error, ConnectionRefusedError) for error in failures)
        raise Failed(words.no_port(self.remote, refused), "; ".join(map(str, failures)))

    def _associate(self) -> Said:
        try:
            self.connection.planner.requestor.associate(self.remote)
        except RequestFailed as failure:
            if failure.kind != "unsupported":
                raise Failed(
                    words.no_association(self.remote, self._title, failure.kind), failure.sentence
                ) from None
        return words.association(self.remote)

    def _echo(self) -> Said:
        try:
            self.connection.planner.requestor.echo(self.remote)
        except RequestFailed as failure:
            raise Failed(words.no_echo(self.remote), failure.sentence) from None
        return words.echo(self.remote)

    def _find(self) -> Said:
        """Ask for watched patients, and go down to one instance of the first study that is there.

        Where nobody is watched, ask for a study that nobody has: whether it may be asked is known.
        """
        connection, remote = self.connection, self.remote
        if not remote.query:
            raise NotTried(words.may_not_query(remote))
        entries = connection.watch_list.for_remote(remote)
        try:
            for entry in entries[:ENTRIES]:
                self.beat()
                studies = connection.planner.wanted_studies(remote, connection.watch_list, entry)
                if studies:
                    self.sample = self._sample(studies[0])
                    return words.found(remote)
            if not entries:
                list(connection.planner.requestor.find(remote, "STUDY", _study(NOBODY)))
        except RequestFailed as failure:
            raise Failed(
                words.no_find(remote, self._title, failure.kind), failure.sentence
            ) from None
        return words.found_nothing(remote, watched=bool(entries))

    def _sample(self, study: str) -> Sample:
        find = self.connection.planner.requestor.find
        self.beat()
        series = [one for one in find(self.remote, "SERIES", _study(study)) if one.series]
        for candidate in sorted(series, key=lambda one: one.modality in WITHOUT_PICTURES):
            self.beat()
            keys = {**_study(study), "SeriesInstanceUID": candidate.series}
            instances = [
                one
                for one in find(self.remote, "IMAGE", keys)
                if one.instance and self.connection.planner.takes(one)
            ]
            if instances:
                chosen = self._not_here_yet(study, instances)
                return Sample(study, OneInstance(candidate.series, chosen), candidate.modality)
        raise Failed(words.lists_nothing(self.remote))

    def _not_here_yet(self, study: str, instances: list[Match]) -> str:
        """The UID of the first instance that we do not hold; the first one if we hold them all."""
        planner = self.connection.planner
        held = planner.catalogue.held(planner.deidentifier.uid(study))
        for one in instances:
            if planner.deidentifier.uid(one.instance) not in held:
                return one.instance
        return instances[0].instance

    def _move(self) -> Said:
        def ask(sample: Sample, outstanding: Outstanding) -> SubOperations:
            return self.connection.planner.requestor.move(
                self.remote, sample.study, self._activity(outstanding), some=(sample.one,)
            )

        return self._receive("move", ask)

    def _get(self) -> Said:
        def ask(sample: Sample, outstanding: Outstanding) -> SubOperations:
            return self.connection.planner.requestor.get(
                self.remote,
                sample.study,
                self._activity(outstanding),
                modalities=(sample.modality,),
                some=(sample.one,),
            )

        return self._receive("get", ask)

    def _receive(self, step: Step, ask: Callable[[Sample, Outstanding], SubOperations]) -> Said:
        if obstacle := self.connection.obstacle():
            raise NotTried(obstacle)
        if self.sample is None:
            raise NotTried(words.nothing_to_fetch(self.remote))
        with_us = self._rejected()
        outstanding, ours = self._solicited(self.sample)
        began = time.monotonic()
        status: int | None = None
        try:
            try:
                status = ask(self.sample, outstanding).status
                problem = f"status 0x{status:04X}"
            except RequestFailed as failure:
                problem = failure.sentence
            if self._arrived(self.sample, outstanding, began):
                return words.received(self.remote, step)
        finally:
            if ours:
                self.connection.solicitation.end(outstanding)
        if outstanding.refusal and outstanding.last_activity > began:
            raise Failed(words.refused_by_us(self.remote), outstanding.refusal)
        rejected = self._rejected() > with_us
        says = words.not_received(self.remote, self.connection.ae, step, status, rejected=rejected)
        raise Failed(says, problem)

    def _solicited(self, sample: Sample) -> tuple[Outstanding, bool]:
        """The record under which the instance is taken, and whether it is for this test alone."""
        solicitation, name = self.connection.solicitation, self.remote.name
        running = solicitation.find(name, sample.study)
        if running is not None:
            return running, False
        mapped = self.connection.planner.deidentifier.uid(sample.one.instance)
        return solicitation.ask(name, sample.study, frozenset((mapped,))), True

    def _arrived(self, sample: Sample, outstanding: Outstanding, began: float) -> bool:
        """Wait for the instance to be durable; it may come after the final response."""
        mapped = self.connection.planner.deidentifier.uid(sample.one.instance)
        end = time.monotonic() + self.connection.settle
        while not (mapped in outstanding.arrived and outstanding.last_activity > began):
            if time.monotonic() > end:
                return False
            self.beat()
            time.sleep(LOOK_EVERY)
        return True

    def _activity(self, outstanding: Outstanding) -> Callable[[], float]:
        def activity() -> float:
            self.beat()
            return outstanding.last_activity

        return activity

    def _rejected(self) -> int:
        """Associations that this box has rejected so far."""
        counters = self.connection.planner.catalogue.status().counters
        return counters.get("rejected associations", 0)

    @property
    def _title(self) -> str:
        return self.connection.ae.title


def _study(uid: str) -> dict[str, str]:
    return {"StudyInstanceUID": uid}


@dataclass(slots=True, eq=False)
class SelfTests:
    """Serves the self-tests that are asked for: `run` is the loop, `stop` ends it."""

    requests: Requests
    connection: Connection
    remotes: tuple[RemoteAE, ...]
    beat: Callable[[], None]
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look for tests until stopped."""
        while not self._stopping.wait(TICK):
            self.beat()
            try:
                self.turn()
            except (CatalogueFailed, RequestsFailed):
                # The disk is full or broken, which others tell; the test is still asked for.
                self._stopping.wait(10 * TICK)

    def stop(self) -> None:
        """End the loop after what it is doing now."""
        self._stopping.set()

    def turn(self) -> None:
        """Serve what is asked for. Raises CatalogueFailed or RequestsFailed."""
        for test in self.requests.pending_tests():
            if self._stopping.is_set():
                return
            self._serve(test)

    def _serve(self, test: ConnectionTest) -> None:
        self.requests.begin_test(test.id)

        def note(hop: Hop) -> None:
            self.requests.note_hop(test.id, hop)

        remote = next((one for one in self.remotes if one.name == test.remote), None)
        if remote is None:
            note(Hop("name", "failed", 0.0, words.unknown_remote(test.remote)))
            letter = Said("", "")
        else:
            letter = self.connection.test(remote, note, self.beat)
        self.requests.finish_test(test.id, letter)
