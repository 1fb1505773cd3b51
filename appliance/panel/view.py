"""What the page shows of a verdict, ready to be written into the template."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.archive.album import Running
from appliance.health.reports import RemoteReport, ServiceReport
from appliance.health.state import Text
from appliance.health.verdict import Verdict
from appliance.panel.live import Moment
from appliance.panel.words import STATES, STEPS, Language, ago, before_now, counted, phrase, size


@dataclass(frozen=True, slots=True)
class Note:
    """A problem, as it is told."""

    what: str
    who: str
    detail: str


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote AE, as it is told."""

    name: str
    well: bool | None
    """None: it has not been asked yet."""
    says: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its name. `wrong` ones want to be seen."""

    name: str
    value: str
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """A retrieval that runs, as it is told. Counts are of instances."""

    remote: str
    found: int
    missing: int
    arrived: int
    queued: int
    left: str
    """How long it will take; empty while nobody can say."""

    @property
    def rendered(self) -> int:
        """Those that arrived and do not wait for their pictures."""
        return max(0, self.arrived - self.queued)


@dataclass(frozen=True, slots=True)
class Room:
    """How full the disk is."""

    share: int
    """Of a thousand."""
    low: bool
    says: str


@dataclass(frozen=True, slots=True)
class View:
    """The page in one language."""

    language: Language
    other: Language
    name: str
    colour: str
    word: str
    since: str
    box: str
    notes: tuple[Note, ...]
    steps: tuple[str, ...]
    """How to set up a box without settings."""
    runs: bool
    remotes: tuple[Remote, ...]
    fetches: tuple[Fetch, ...]
    today: tuple[str, str] | None
    """Images and studies that came since midnight."""
    figures: tuple[Figure, ...]
    room: Room | None
    facts: tuple[tuple[str, str], ...]
    say: Callable[[str], str]
    """A word of the page, by its name."""


def view_of(moment: Moment, language: Language, monotonic: float, now: float) -> View:
    """The view of `moment`, at `monotonic` (CLOCK_MONOTONIC) and `now` (seconds since 1970)."""

    def text(of: Text) -> str:
        return of.ja if language == "ja" else of.en

    def say(name: str) -> str:
        return phrase(name, language)

    verdict, today = moment.verdict, moment.today
    service = verdict.service
    return View(
        language=language,
        other="en" if language == "ja" else "ja",
        name=verdict.name,
        colour=verdict.colour,
        word=text(STATES[verdict.name]),
        since=""
        if verdict.name == "unknown"
        else say("since").format(_long(monotonic - verdict.since, language)),
        box=service.box if service and service.box else say("box"),
        notes=tuple(Note(text(one.what), text(one.who), one.detail) for one in verdict.problems),
        steps=tuple(map(text, STEPS)) if verdict.name == "unprovisioned" else (),
        runs=service is not None,
        remotes=tuple(_remote(one, say, language, now) for one in service.remotes)
        if service
        else (),
        fetches=tuple(_fetch(one, language, now, say) for one in moment.running),
        today=(
            (
                counted(say, today.instances, "today_image", "today_images"),
                counted(say, today.studies, "today_study", "today_studies"),
            )
            if today
            else None
        ),
        figures=tuple(_figures(service, say)) if service else (),
        room=_room(service, say) if service else None,
        facts=tuple(_facts(verdict, say)),
        say=say,
    )


def _long(seconds: float, language: Language) -> str:
    return before_now(seconds, language) if language == "ja" else ago(seconds, language)


def _remote(
    remote: RemoteReport, say: Callable[[str], str], language: Language, now: float
) -> Remote:
    reached = remote.last_reached
    when = before_now(now - reached, language) if reached is not None else ""
    if remote.failure:
        says = f"{say('failed')}{'、' if language == 'ja' else ', '}{say('last').format(when)}"
        return Remote(remote.name, False, says if when else say("failed"))
    if when:
        return Remote(remote.name, True, say("reached").format(when))
    return Remote(remote.name, None, say("never"))


def _figures(service: ServiceReport, say: Callable[[str], str]) -> list[Figure]:
    counts = service.counts
    figures = [
        Figure(say("held"), f"{counts.get('instances', 0):,}"),
        Figure(say("studies"), f"{counts.get('studies', 0):,}"),
        Figure(say("outstanding"), f"{counts.get('outstanding', 0):,}"),
        Figure(say("queued"), f"{counts.get('queued', 0):,}"),
    ]
    if failed := counts.get("failed", 0):
        figures.append(Figure(say("failed_images"), f"{failed:,}", wrong=True))
    return figures


def _room(service: ServiceReport, say: Callable[[str], str]) -> Room | None:
    if (space := service.space) is None:
        return None
    says = say("space_of").format(size(space.total), size(space.free))
    share = 1000 - 1000 * space.free // max(1, space.total)
    return Room(share, space.low, says)


def _fetch(running: Running, language: Language, now: float, say: Callable[[str], str]) -> Fetch:
    took, left = now - running.begun_at, ""
    if running.arrived and took > 0:
        seconds = took / running.arrived * (running.missing - running.arrived)
        left = say("left").format(ago(seconds, language))
    return Fetch(
        running.remote,
        running.found,
        running.missing,
        running.arrived,
        min(running.queued, running.arrived),
        left,
    )


def _facts(verdict: Verdict, say: Callable[[str], str]) -> list[tuple[str, str]]:
    facts = []
    if service := verdict.service:
        facts += [
            (say("title"), service.title),
            (say("port"), str(service.port)),
            (say("revision"), str(service.revision)),
        ]
    if verdict.addresses:
        facts.append((say("address"), ", ".join(verdict.addresses)))
    if verdict.version:
        facts.append((say("version"), verdict.version))
        facts.append((say("clock"), say("trusted" if verdict.clock_trusted else "untrusted")))
    return facts
