"""A remote without a network, and the parts of retrieval around it, with a clock that is set."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.archive.catalogue import Catalogue, StoredInstance
from appliance.archive.requests import Requests
from appliance.dicom.matches import Level, Match
from appliance.dicom.scu import OneInstance, RequestFailed, SubOperations
from appliance.dicom.solicitation import Solicitation
from appliance.images.deidentify import Deidentifier
from appliance.retrieval.planner import Planner
from appliance.retrieval.retriever import Retriever
from appliance.retrieval.scheduler import RemoteSchedule, Rounds
from appliance.retrieval.watchlist import WatchList
from appliance.settings.model import LocalAE, Query, RemoteAE, Timeouts, Watch

CT = "1.2.840.10008.5.1.4.1.1.2"
KEY = bytes(range(32))
PACS = RemoteAE(name="main", title="PACS", host="192.0.2.10", retrieve="move")
QUERY = Query(
    every=900, timeouts=Timeouts(5, 5, 5), settle=0, retry_first=60, retry_longest=6 * 3600
)
MORNING = 1_800_000_000.0
"""A time of day to begin at, in seconds since 1970."""


@dataclass
class Clock:
    """Seconds since 1970, as a test sets them."""

    now: float = MORNING

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Image:
    """An instance that the remote has, by its own UIDs."""

    patient: str
    study: str
    series: str
    instance: str
    accession: str = ""
    date: str = "20260401"
    sop_class: str = ""
    """As the remote tells it; few do."""


def images(patient: str, study: str, count: int = 2, series: int = 1) -> list[Image]:
    """`count` instances in each of some series of a study."""
    return [
        Image(patient, study, f"{study}.{place}", f"{study}.{place}.{number}")
        for place in range(1, series + 1)
        for number in range(1, count + 1)
    ]


@dataclass
class FakeRemote:
    """Answers in the place of `Requestor`; what it is asked is in `asked`.

    `failures` are raised by service ("FIND STUDY", "MOVE", "ECHO", …), `sends` tells how many
    instances of a study a C-MOVE or C-GET sends, `before` is called before each answer.
    """

    held: list[Image] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    sends: Callable[[str], int] = lambda study: 1000
    lost: frozenset[str] = frozenset()
    stops: bool = False
    answer: SubOperations = field(default_factory=lambda: SubOperations(0, None, None, None, ""))
    before: Callable[[str], None] = lambda service: None
    deliver: Callable[[RemoteAE, Image], None] = lambda remote, image: None
    asked: list[str] = field(default_factory=list)
    modalities: frozenset[str] = frozenset()

    def find(self, remote: RemoteAE, level: Level, keys: dict[str, str]) -> Iterator[Match]:
        """Match the keys, as a C-FIND does."""
        self._asked(f"FIND {level}", " ".join(keys.values()))
        found: dict[Match, None] = {}
        for image in self.held:
            attributes = {
                "PatientID": image.patient,
                "AccessionNumber": image.accession,
                "StudyInstanceUID": image.study,
                "SeriesInstanceUID": image.series,
            }
            if all(attributes[key] == value for key, value in keys.items()):
                found[self._match(level, image)] = None
        yield from found

    def echo(self, remote: RemoteAE) -> float:
        """Be there."""
        self._asked("ECHO")
        return 0.001

    def move(
        self,
        remote: RemoteAE,
        study: str,
        activity: Callable[[], float],
        progress: Callable[[], None],
        some: Sequence[OneInstance] = (),
    ) -> SubOperations:
        """Send as many instances as `sends` says."""
        return self._send("MOVE", remote, study, activity, some)

    def get(
        self,
        remote: RemoteAE,
        study: str,
        activity: Callable[[], float],
        progress: Callable[[], None],
        modalities: Collection[str] = (),
        some: Sequence[OneInstance] = (),
    ) -> SubOperations:
        """Send as many instances as `sends` says, in the syntaxes of these modalities."""
        self.modalities = frozenset(modalities)
        return self._send("GET", remote, study, activity, some)

    def _send(
        self,
        service: str,
        remote: RemoteAE,
        study: str,
        activity: Callable[[], float],
        some: Sequence[OneInstance],
    ) -> SubOperations:
        """What `lost` names is not sent, nor what comes after it if the remote stops there."""
        named = {one.instance for one in some}
        self._asked(f"PART BY {service}" if some else service, " ".join([study, *sorted(named)]))
        wanted = [image for image in self.held if image.study == study]
        for image in wanted[: self.sends(study)]:
            if named and image.instance not in named:
                continue
            if image.instance in self.lost:
                if self.stops:
                    break
                continue
            self.deliver(remote, image)
            activity()
        return self.answer

    def _asked(self, service: str, about: str = "") -> None:
        self.asked.append(f"{service} {about}".strip())
        self.before(service)
        if service in self.failures:
            raise self.failures[service]

    @staticmethod
    def _match(level: Level, image: Image) -> Match:
        if level == "STUDY":
            return Match(
                level,
                patient_id=image.patient,
                accession=image.accession,
                study=image.study,
                study_date=image.date,
            )
        if level == "SERIES":
            return Match(level, study=image.study, series=image.series, modality="CT")
        return Match(
            level,
            study=image.study,
            series=image.series,
            instance=image.instance,
            sop_class=image.sop_class,
        )


@dataclass
class Stage:
    """Everything around one remote; `restart` is what a power cut and a start do to it."""

    data: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    clock: Clock = field(default_factory=Clock)
    beats: list[str] = field(default_factory=list)
    may_retrieve: bool = True

    def __post_init__(self) -> None:
        self.deidentifier = Deidentifier("basic", KEY)
        self.solicitation = Solicitation()
        self.remote.deliver = self.deliver
        self._open()

    def _open(self) -> None:
        self.catalogue = Catalogue.open(self.data / "catalogue.sqlite", self.clock)
        self.requests = Requests.open(self.data / "requests.sqlite", self.clock)

    def close(self) -> None:
        """Give the files up."""
        self.catalogue.close()
        self.requests.close()

    def restart(self) -> None:
        """Forget all that is in memory."""
        self.close()
        self.solicitation = Solicitation()
        self._open()

    @property
    def planner(self) -> Planner:
        """The planner that asks the fake remote."""
        return Planner(
            self.remote,  # type: ignore[arg-type]
            self.catalogue,
            self.deidentifier,
            frozenset({CT}),
        )

    def retriever(self, query: Query = QUERY) -> Retriever:
        """The retriever that fetches from it."""
        return Retriever(
            self.remote,  # type: ignore[arg-type]
            self.catalogue,
            self.solicitation,
            LocalAE(port=11112),
            query,
            self.clock,
        )

    def schedule(
        self, *watch: Watch, pacs: RemoteAE = PACS, query: Query = QUERY, scheduled: bool = True
    ) -> RemoteSchedule:
        """The schedule of a remote for a watch list."""
        rounds = Rounds(
            planner=self.planner,
            retriever=self.retriever(query),
            watch_list=WatchList(watch, query),
            catalogue=self.catalogue,
            requests=self.requests,
            query=query,
            may_retrieve=lambda: self.may_retrieve,
            beat=self.beats.append,
            scheduled=scheduled,
            clock=self.clock,
        )
        return RemoteSchedule(pacs, rounds)

    def deliver(self, remote: RemoteAE, image: Image) -> None:
        """Have an instance arrive and be durable, as the storage service does."""
        study, series, instance = map(
            self.deidentifier.uid, (image.study, image.series, image.instance)
        )
        self.catalogue.store(
            StoredInstance(
                instance, series, study, CT, "1.2.840.10008.1.2", "CT",
                1, 1, True, 1000, remote.name, None,
            ),
            (),
        )  # fmt: skip
        if outstanding := self.solicitation.find(remote.name, image.study):
            outstanding.instance_arrived(instance)

    def mapped(self, study: str) -> str:
        """How the catalogue knows a study."""
        return self.deidentifier.uid(study)

    def events(self) -> list[str]:
        """What was written for people, the first one first."""
        return [event.text for event in reversed(self.catalogue.status().events)]


def failure(kind: str, sentence: str = "it failed") -> RequestFailed:
    """A failure of a request."""
    return RequestFailed(kind, sentence)  # type: ignore[arg-type]
