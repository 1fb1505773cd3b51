"""A remote by hand: is it there, what has it, fetch it, and what stands between."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from appliance.cli.options import (
    Commands,
    Failed,
    command,
    place_of,
    place_options,
    settings_option,
)

if TYPE_CHECKING:
    from appliance.archive.hops import Hop
    from appliance.dicom.matches import Level, Match
    from appliance.dicom.scu import Requestor
    from appliance.settings.model import RemoteAE, Settings


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    echo = command(commands, "echo", _echo, "C-ECHO: is the remote there, and does it know us?")
    find = command(commands, "find", _find, "C-FIND: what does the remote have?")
    fetching = command(
        commands, "fetch", _fetch, "Fetch studies now, through the running AE or by itself."
    )
    testing = command(
        commands,
        "test",
        _test,
        "Test the connection hop by hop, up to an image that arrives; say who can mend what fails.",
    )
    for parser in (echo, find, fetching, testing):
        parser.add_argument("remote", metavar="REMOTE", help="its name in the settings")
        settings_option(parser)
        parser.add_argument("--json", action="store_true", help="for programs")
    for parser in (find, fetching):
        parser.add_argument("--patient-id", metavar="ID")
        parser.add_argument("--accession", metavar="NUMBER")
        parser.add_argument("--study", metavar="UID", help="Study Instance UID")
    find.add_argument("--series", metavar="UID", help="Series Instance UID")
    find.add_argument(
        "--level", choices=("study", "series", "image"), help="default: the level below the keys"
    )
    for parser in (fetching, testing):
        place_options(parser)


def _requestor(settings: Settings) -> Requestor:
    from appliance.dicom.scu import Requestor
    from appliance.dicom.tls import client_context

    tls = client_context(settings.tls) if settings.tls else None
    return Requestor(settings.ae, settings.query.timeouts, tls)


def _remote(settings: Settings, name: str) -> RemoteAE:
    try:
        return settings.remote(name)
    except LookupError as error:
        raise Failed(str(error.args[0])) from None


def _echo(options: argparse.Namespace) -> int:
    from appliance.settings.reader import read_file

    settings = read_file(options.settings)
    remote = _remote(settings, options.remote)
    seconds = _requestor(settings).echo(remote)
    if options.json:
        print(json.dumps({"remote": remote.name, "seconds": round(seconds, 4)}))
    else:
        print(
            f"{remote.name} ({remote.title} at {remote.host}:{remote.port}) answers a C-ECHO "
            f"in {seconds * 1000:.0f} ms"
        )
    return 0


def _find(options: argparse.Namespace) -> int:
    from appliance import terminal
    from appliance.settings.reader import read_file

    settings = read_file(options.settings)
    remote = _remote(settings, options.remote)
    level, keys = _query(options)
    matches: list[Match] = []
    for match in _requestor(settings).find(remote, level, keys):
        matches.append(match)
        if options.json:
            print(json.dumps(asdict(match), ensure_ascii=False))
    if not options.json:
        print(terminal.match_table(level, matches), end="")
    return 0


def _query(options: argparse.Namespace) -> tuple[Level, dict[str, str]]:
    """Return level and keys of a query by hand (Study Root: unique keys above the level)."""
    levels: dict[str, Level] = {"study": "STUDY", "series": "SERIES", "image": "IMAGE"}
    implied: Level = "IMAGE" if options.series else "SERIES" if options.study else "STUDY"
    level = levels[options.level] if options.level else implied
    given = {
        "PatientID": options.patient_id,
        "AccessionNumber": options.accession,
        "StudyInstanceUID": options.study,
        "SeriesInstanceUID": options.series,
    }
    keys = {keyword: value for keyword, value in given.items() if value}
    if not keys:
        raise Failed("say what to look for: --patient-id, --accession or --study")
    if level != "STUDY" and not options.study:
        raise Failed(f"at {level.lower()} level, --study is needed: look for the studies first")
    if level != "STUDY" and (options.patient_id or options.accession):
        raise Failed(f"at {level.lower()} level only --study and --series are keys")
    if level == "IMAGE" and not options.series:
        raise Failed("at image level, --series is needed: look at series level first")
    return level, keys


def _fetch(options: argparse.Namespace) -> int:
    from appliance import terminal
    from appliance.fetching import Fetch, fetch
    from appliance.settings.reader import read_file

    settings = read_file(options.settings)
    remote = _remote(settings, options.remote)
    if not (options.patient_id or options.accession or options.study):
        raise Failed("say what to fetch: --patient-id, --accession or --study")
    if options.study and (options.patient_id or options.accession):
        raise Failed("--study is one study, whoever it is of: give it alone, or the other keys")
    wanted = Fetch(remote.name, options.patient_id, options.accession, options.study)
    show = terminal.Progress(sys.stderr, enabled=sys.stderr.isatty() and not options.json)
    outcome = fetch(settings, place_of(options), wanted, show.update)
    show.end()
    if options.json:
        print(json.dumps(asdict(outcome), ensure_ascii=False))
    else:
        print(f"{outcome.outcome}: {outcome.sentence}")
    return 0 if outcome.outcome == "complete" else 1


def _test(options: argparse.Namespace) -> int:
    from appliance import terminal
    from appliance.connecting import try_connection
    from appliance.settings.reader import read_file

    settings = read_file(options.settings)
    remote = _remote(settings, options.remote)

    def show(hop: Hop) -> None:
        if not options.json:
            print(terminal.hop_line(hop), flush=True)

    test = try_connection(settings, place_of(options), remote.name, show)
    if options.json:
        print(json.dumps({**asdict(test), "works": test.works}, ensure_ascii=False))
    elif not test.works:
        print(f"\n{test.letter.en}")
    return 0 if test.works else 1
