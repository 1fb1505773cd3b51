"""The support bundle: what the vendor needs to help, without patients and without secrets.

Everything in it is chosen, nothing is taken because it is there: the figures, the state, events,
retrievals by their numbers, requests without their keys, the settings without secrets and watch
list, and of the journal only what this program and systemd wrote themselves. On its way out each
text loses every value by which a patient is known to the box, and every UID.
"""

import json
import platform
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from appliance.archive.files import Folders
from appliance.archive.reading import CatalogueReader
from appliance.archive.records import CatalogueFailed
from appliance.archive.requests import Requests, RequestsFailed
from appliance.health.verdict import Verdict
from appliance.settings.shown import Shown

EVENTS: Final = 10_000
RETRIEVALS: Final = 1000
REQUESTS: Final = 1000
TESTS: Final = 100
JOURNAL_LINES: Final = 5000

REMOVED: Final = "[removed]"
_SHORTEST: Final = 3
"""Characters of a value that is searched for; a shorter one is in every second number."""
_UID: Final = re.compile(r"(?<![\w.])(?!1\.2\.840\.10008\.)(?:2\.25(?:\.\d+)+|\d+(?:\.\d+){4,})")
"""Those of the standard say nothing about a patient."""
_OURS: Final = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) appliance[\w.]*: ")
"""How a line begins that this program logs; libraries quote values of datasets."""

_UNITS: Final = ("systemctl", "show", "--no-pager", "netty-*", "state.mount", "data.mount")
_UNIT_PROPERTIES: Final = (
    "--property=Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStatus,"
    "ActiveEnterTimestamp,MemoryCurrent"
)
_JOURNAL: Final = ("journalctl", "--no-pager", "--output=json", "--unit=netty-*")
_WITHIN: Final = 20.0

Run = Callable[[Sequence[str]], str]
"""Runs a command, and returns what it prints. Raises OSError or SubprocessError."""


def run(command: Sequence[str]) -> str:
    """What `command` prints. Raises OSError or SubprocessError."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN, check=True)
    return done.stdout


@dataclass(frozen=True, slots=True)
class Subject:
    """The box that the bundle is about; `run_folder` is its /run."""

    version: str
    verdict: Verdict
    told: Shown
    folders: Folders
    run_folder: Path
    run: Run = run


def write_bundle(file: IO[bytes], subject: Subject, now: float | None = None) -> None:
    """Write the bundle into `file`, as a zip. What cannot be had is said in its place."""
    now = time.time() if now is None else now
    scrub = _Scrub(_identifying(subject))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in _parts(subject, now):
            clean = scrub.clean(content)
            entry = zipfile.ZipInfo(f"netty-support/{name}", time.gmtime(now)[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(entry, clean if isinstance(clean, str) else _json(clean))


def name_of(now: float) -> str:
    """A file name for the bundle of `now`, in seconds since 1970."""
    return time.strftime("netty-support-%Y%m%d-%H%M%S.zip", time.gmtime(now))


def _parts(subject: Subject, now: float) -> Iterator[tuple[str, Any]]:
    yield "README.txt", _README
    yield "software.json", _software(subject, now)
    yield "state.json", asdict(subject.verdict)
    yield "settings.json", _settings(subject.told)
    yield from _catalogue(subject.folders)
    yield from _asked(subject.folders)
    if (subject.run_folder / "systemd/system").is_dir():
        yield "units.txt", _said(subject.run, (*_UNITS, _UNIT_PROPERTIES))
        yield "journal.txt", _journal(subject.run)


_README: Final = """\
This is a support bundle of a netty box. It is for whoever helps to mend it.

It holds no patient's name, number, date or image, no UID of a study, series or image, no password,
token, key or certificate. It does hold the names and addresses of machines in your network.
"""


def _software(subject: Subject, now: float) -> dict[str, Any]:
    return {
        "version": subject.version,
        "python": sys.version,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
    }


def _settings(told: Shown) -> dict[str, Any]:
    return {
        "revision": told.revision,
        "keys": [asdict(one) for one in told.applied],
        "remotes": [asdict(one) for one in told.remotes],
        "watched": len(told.watch),
        "password": bool(told.password),
        "token": bool(told.token),
    }


def _catalogue(folders: Folders) -> Iterator[tuple[str, Any]]:
    try:
        with closing(CatalogueReader.of_file(folders.catalogue)) as catalogue:
            status = asdict(catalogue.status())
            del status["events"]
            yield "catalogue.json", status
            yield "events.json", [asdict(event) for event in catalogue.events(EVENTS)]
            retrievals = [asdict(one) for one in catalogue.retrievals(RETRIEVALS)]
            yield "retrievals.json", [_without(one, "study") for one in retrievals]
    except CatalogueFailed as error:
        yield "catalogue.json", {"problem": str(error)}


def _asked(folders: Folders) -> Iterator[tuple[str, Any]]:
    if not folders.requests.exists():
        return
    try:
        with closing(Requests.open(folders.requests)) as requests:
            fetches = [asdict(one) for one in requests.latest(REQUESTS)]
            kept = [_without(one, "patient_id", "accession", "study") for one in fetches]
            yield "requests.json", {"suspended": requests.suspended, "fetches": kept}
            yield "connections.json", [asdict(one) for one in requests.latest_tests(TESTS)]
    except RequestsFailed as error:
        yield "requests.json", {"problem": str(error)}


def _without(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=dict)


def _said(run: Run, command: Sequence[str]) -> str:
    try:
        return run(command)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{command[0]}: {type(error).__name__}\n"


def _journal(run: Run) -> str:
    """The lines of our units that this program or systemd wrote, the oldest first."""
    printed = _said(run, (*_JOURNAL, f"--lines={JOURNAL_LINES}"))
    return "".join(_journal_lines(printed)) or "no line of the journal can be shown\n"


def _journal_lines(printed: str) -> Iterator[str]:
    for line in printed.splitlines():
        try:
            entry = json.loads(line)
            at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
            by, message = entry.get("SYSLOG_IDENTIFIER", ""), entry["MESSAGE"]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if not isinstance(message, str):
            continue  # Bytes that are no text.
        if by == "systemd" or _OURS.match(message):
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
            yield f"{when} {by}: {message.splitlines()[0]}\n"


def _identifying(subject: Subject) -> Iterator[str]:
    """Every value by which a patient is known to this box outside of the images."""
    for watch in subject.told.watch:
        yield from (watch.patient_id, watch.pseudonym, watch.accession)
    if not subject.folders.requests.exists():
        return
    try:
        with closing(Requests.open(subject.folders.requests)) as requests:
            yield from requests.identifying()
    except RequestsFailed:
        return


class _Scrub:
    """Takes values out of texts."""

    def __init__(self, values: Iterable[str]) -> None:
        found = sorted({value for value in values if len(value) >= _SHORTEST}, key=len)
        words = "|".join(re.escape(value) for value in reversed(found))
        self._known = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if words else None

    def clean(self, value: Any) -> Any:
        """`value` without them, however deep they are; names of keys stay."""
        if isinstance(value, str):
            text = _UID.sub(REMOVED, value)
            return self._known.sub(REMOVED, text) if self._known else text
        if isinstance(value, Mapping):
            return {key: self.clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(one) for one in value]
        return value
