"""How the box is, for Prometheus: the text exposition format, version 0.0.4.

Made of the verdict alone, as page, console and LED are. Labels hold states, versions and the names
of remotes from the settings; nothing in here says anything about a patient.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from appliance.health.reports import RemoteReport, ServiceReport
from appliance.health.state import LIGHTS
from appliance.health.verdict import Verdict

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

STATES: Final = (*LIGHTS, "unknown")

HELD: Final = {
    "studies": ("studies_held", "Studies of which something is held."),
    "series": ("series_held", "Series of which something is held."),
    "instances": ("instances_held", "SOP instances that are durable here, or have expired."),
    "outstanding": ("instances_outstanding", "Instances that a remote lists and we do not hold."),
    "incomplete": ("studies_incomplete", "Studies of which something is outstanding."),
    "missing": ("instances_missing", "Instances whose file was lost; they are fetched again."),
    "expired": ("instances_expired", "Instances that retention removed."),
    "queued": ("instances_queued", "Instances that wait for their pictures."),
    "rendered": ("instances_rendered", "Instances that have their pictures."),
    "without_picture": ("instances_without_picture", "Instances that have nothing to show."),
    "failed": ("instances_failed", "Instances of which no picture could be made."),
    "pictures": ("pictures_held", "Pictures on the disk."),
    "bytes": ("dicom_bytes", "Bytes of the DICOM files on the disk."),
    "picture_bytes": ("picture_bytes", "Bytes of the pictures on the disk."),
}
"""Figures of the catalogue: gauges, by their names in the AE's report."""

COUNTED: Final = {
    "refused": ("stores_refused_total", "Instances answered with a failure."),
    "discarded": ("stores_discarded_total", "Instances that nobody had asked for."),
    "interrupted": ("stores_interrupted_total", "Instances whose sender broke off."),
    "rejected associations": ("associations_rejected_total", "Associations that were rejected."),
}
"""What the AE counts since its archive was made, by its names there."""


@dataclass(frozen=True, slots=True)
class Family:
    """The samples of one name: each the value and, if there is one, its label."""

    name: str
    meaning: str
    kind: Literal["gauge", "counter"]
    samples: tuple[tuple[float, str, str], ...]
    """Value, name of the label, value of the label."""


def exposition(verdict: Verdict, now: float) -> str:
    """What a scrape gets; `now` is in seconds since 1970."""
    families = [*_of_box(verdict), *(_of_service(verdict.service, now) if verdict.service else ())]
    return "".join(line for family in families for line in _lines(family))


def _of_box(verdict: Verdict) -> Iterator[Family]:
    yield _one("build_info", "The software of this box.", 1, "version", verdict.version)
    yield Family(
        "state",
        "1 for the state in which the box is.",
        "gauge",
        tuple((float(name == verdict.name), "state", name) for name in STATES),
    )
    yield _one("provisioned", "Whether the box has settings.", verdict.provisioned)
    yield _one("clock_trusted", "Whether a time server has set the clock.", verdict.clock_trusted)
    yield _one("service_up", "Whether the AE runs and tells how it is.", bool(verdict.service))


def _of_service(service: ServiceReport, now: float) -> Iterator[Family]:
    if service.started is not None:
        yield _one("service_start_time_seconds", "When the AE started.", service.started)
    yield _one("settings_revision", "The revision of its settings.", service.revision)
    yield _one("suspended", "Whether somebody has suspended the box.", service.suspended)
    yield _one("rendering_obstructed", "Whether no pictures can be made.", bool(service.obstacle))
    for name, (metric, meaning) in HELD.items():
        if name in service.counts:
            yield _one(metric, meaning, service.counts[name])
    for name, (metric, meaning) in COUNTED.items():
        samples = ((service.counters.get(name, 0), "", ""),)
        yield Family(metric, meaning, "counter", samples)
    if service.space:
        yield _one("space_free_bytes", "Room above the reserve.", service.space.free)
        yield _one("space_total_bytes", "The size of the data partition.", service.space.total)
        yield _one("space_low", "Whether nothing is taken for want of room.", service.space.low)
    yield from _of_remotes(service.remotes, now)


def _of_remotes(remotes: Iterable[RemoteReport], now: float) -> Iterator[Family]:
    """A remote that was never asked, or never answered, has no sample."""

    def each(value: Callable[[RemoteReport], float | None]) -> tuple[tuple[float, str, str], ...]:
        found = ((value(one), one.name) for one in remotes)
        return tuple((number, "remote", name) for number, name in found if number is not None)

    def up(remote: RemoteReport) -> float | None:
        if remote.failure:
            return 0
        return None if remote.last_reached is None else 1

    def age(remote: RemoteReport) -> float | None:
        return None if remote.last_reached is None else max(0.0, now - remote.last_reached)

    remotes = tuple(remotes)
    yield Family("remote_up", "Whether the remote AE answered when last asked.", "gauge", each(up))
    meaning = "Seconds since the remote AE answered as it should."
    yield Family("remote_answered_seconds_ago", meaning, "gauge", each(age))


def _one(name: str, meaning: str, value: float, label: str = "", labelled: str = "") -> Family:
    return Family(name, meaning, "gauge", ((float(value), label, labelled),))


def _lines(family: Family) -> Iterator[str]:
    name = f"netty_{family.name}"
    yield f"# HELP {name} {family.meaning}\n"
    yield f"# TYPE {name} {family.kind}\n"
    for value, label, labelled in family.samples:
        labels = f'{{{label}="{_escaped(labelled)}"}}' if label else ""
        yield f"{name}{labels} {_number(value)}\n"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
