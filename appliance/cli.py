"""One command, `appliance`, for the box's services and for a technician's PC.

Every command imports what it needs when it runs: most need little, and the AE's own start has
something to do while its parts are loaded.
"""

from __future__ import annotations

import argparse
import grp
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance import __version__
from appliance.settings.problems import Problems

if TYPE_CHECKING:
    from appliance.archive.hops import Hop
    from appliance.archive.place import Place
    from appliance.dicom.matches import Level, Match
    from appliance.dicom.scu import Requestor
    from appliance.images.deidentify import Deidentifier
    from appliance.panel.serving import Serving
    from appliance.provisioning.apply import Generations
    from appliance.service import Service
    from appliance.settings.model import RemoteAE, Settings

LOGGER = logging.getLogger(__name__)

DEFAULT_SETTINGS = Path("netty.toml")
DEFAULT_DATA = Path("data")

READERS = "netty"
"""The group whose members may read the box's settings."""

_EPILOGUE = """\
A new box, step by step:
  appliance settings > netty.toml       an annotated example; write your remotes and patients in
  appliance check netty.toml            says every mistake, with line, column and remedy
  appliance echo PACS                   can the PACS be reached, and does it know us?
  appliance find PACS --patient-id 123  what does it have?
  appliance run --settings netty.toml --data /var/lib/netty
"""


class Failed(Exception):
    """A command that cannot be done; the text says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("pynetdicom").setLevel(logging.DEBUG if options.verbose else logging.CRITICAL)
    try:
        return int(options.command(options))
    except Problems as problems:
        for problem in problems.problems:
            file = options.patients if problem.file else options.settings
            print(f"{file}:{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not isinstance(error, _told()):
            LOGGER.exception("a fault of this program")
            return _fault()
        print(f"appliance: {error}", file=sys.stderr)
        return 1


def _told() -> tuple[type[Exception], ...]:
    """What is no fault of this program: the text says what is wrong, and no trace is shown."""
    from appliance.archive.catalogue import CatalogueFailed
    from appliance.archive.requests import RequestsFailed
    from appliance.archive.secret import KeyProblem
    from appliance.asking import NobodyServes
    from appliance.dicom.scu import RequestFailed
    from appliance.dicom.tls import TLSProblem
    from appliance.images.deidentify import EnvelopeFailed

    return (
        *(Failed, OSError, RequestFailed, CatalogueFailed, RequestsFailed),
        *(NobodyServes, KeyProblem, TLSProblem, EnvelopeFailed),
    )


def _fault() -> int:
    """The exit status that counts against the restart budget."""
    from appliance.health.budget import FAULT

    return FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="appliance",
        description="The netty box: fetches the studies it lacks from a PACS, removes the "
        "patient's identity, and makes pictures of them.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"appliance {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log every protocol step")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_running(commands)
    _add_settings(commands)
    _add_remote(commands)
    _add_single_file(commands)
    _add_box(commands)
    _add_health(commands)
    _add_updates(commands)
    return parser


Commands = Any
"""argparse gives the object that makes subcommands no public type."""


def _command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(command=run, settings=DEFAULT_SETTINGS)
    return parser


def _settings_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings",
        type=Path,
        default=DEFAULT_SETTINGS,
        metavar="FILE",
        help=f"the settings (default: {DEFAULT_SETTINGS})",
    )


def _patients_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--patients",
        type=Path,
        default=None,
        metavar="FILE",
        help="a patients.csv, whose patients are watched, too",
    )


def _place_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        default=DEFAULT_DATA,
        metavar="DIR",
        help=f"where the archive is (default: {DEFAULT_DATA})",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=None,
        metavar="DIR",
        help="where the box's key is (default: DATA/state)",
    )


def _add_running(commands: Commands) -> None:
    run = _command(
        commands, "run", _run, "Run the DICOM AE in the foreground, as systemd does, until SIGTERM."
    )
    _settings_option(run)
    _patients_option(run)
    _place_options(run)
    run.add_argument(
        "--generation",
        type=Path,
        default=None,
        metavar="DIR",
        help="a folder with netty.toml and perhaps patients.csv, in place of the two options",
    )
    run.add_argument(
        "--report",
        type=Path,
        default=None,
        metavar="DIR",
        help="write report.json there every few seconds: how the AE is, for other programs "
        "(default: DATA/run/netty-ae)",
    )
    status = _command(commands, "status", _status, "Show what is held, outstanding and rendered.")
    _place_options(status)
    status.add_argument("--json", action="store_true", help="for programs")
    for name, summary in (
        ("suspend", "Suspend the service: remotes are not asked, associations are refused."),
        ("resume", "End a suspension."),
    ):
        _place_options(_command(commands, name, _switch(name), summary))


def _add_settings(commands: Commands) -> None:
    check = _command(
        commands, "check", _check, "Say every mistake of a settings file; nothing if it is right."
    )
    check.add_argument("settings", type=Path, metavar="FILE")
    _patients_option(check)
    _command(commands, "settings", _settings, "Print an annotated example of netty.toml.")
    conformance = _command(
        commands,
        "conformance",
        _conformance,
        "Print the DICOM conformance statement of this build and these settings.",
    )
    _settings_option(conformance)


def _add_remote(commands: Commands) -> None:
    echo = _command(commands, "echo", _echo, "C-ECHO: is the remote there, and does it know us?")
    find = _command(commands, "find", _find, "C-FIND: what does the remote have?")
    fetching = _command(
        commands, "fetch", _fetch, "Fetch studies now, through the running AE or by itself."
    )
    testing = _command(
        commands,
        "test",
        _test,
        "Test the connection hop by hop, up to an image that arrives; say who can mend what fails.",
    )
    for parser in (echo, find, fetching, testing):
        parser.add_argument("remote", metavar="REMOTE", help="its name in the settings")
        _settings_option(parser)
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
        _place_options(parser)


def _add_single_file(commands: Commands) -> None:
    render = _command(commands, "render", _render, "Make a picture of one DICOM file.")
    render.add_argument("source", type=Path, metavar="IN.dcm")
    render.add_argument("target", type=Path, metavar="OUT.jpg", help=".jpg, .png or .webp")
    render.add_argument("--quality", type=int, default=90, metavar="1-100")
    deidentify = _command(
        commands, "deidentify", _deidentify, "Remove the identity from one DICOM file."
    )
    deidentify.add_argument("source", type=Path, metavar="IN.dcm")
    deidentify.add_argument("target", type=Path, metavar="OUT.dcm")
    deidentify.add_argument("--profile", choices=("basic", "clear"), default="basic")
    deidentify.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME",
        help="an option of basic, as images.options of the settings names it; may be repeated",
    )
    deidentify.add_argument(
        "--recipient",
        type=Path,
        action="append",
        default=[],
        metavar="CERTIFICATE.pem",
        help="who may undo it: what is removed goes along, encrypted; may be repeated",
    )
    deidentify.add_argument(
        "--explain", action="store_true", help="print what was done to each element"
    )
    deidentify.add_argument(
        "--html", action="store_true", help="with --explain: as a page of HTML, not as text"
    )
    _place_options(deidentify)
    reidentify = _command(
        commands, "reidentify", _reidentify, "Undo deidentify, for a recipient, with their key."
    )
    reidentify.add_argument("source", type=Path, metavar="IN.dcm")
    reidentify.add_argument("target", type=Path, metavar="OUT.dcm")
    reidentify.add_argument("--key", type=Path, required=True, metavar="KEY.pem")


def _add_box(commands: Commands) -> None:
    settle = _command(
        commands, "settle", _settle, "Make the settings that the box holds the active ones."
    )
    settle.add_argument(
        "--restart", action="store_true", help="have the services take them now, if they changed"
    )
    provision = _command(
        commands, "provision", _provision, "Take the settings that a USB stick brings, and answer."
    )
    provision.add_argument("stick", type=Path, metavar="DEVICE", help="or a folder in its place")
    provision.add_argument(
        "--unplugged", action="store_true", help="only note that this stick was pulled"
    )
    provision.add_argument(
        "--data",
        type=Path,
        default=Path("/data"),
        metavar="DIR",
        help="where the archive's disk is mounted; without it the AE is not tried",
    )
    for parser in (settle, provision):
        parser.add_argument(
            "--generations",
            type=Path,
            default=Path("/state/settings"),
            metavar="DIR",
            help="where the box holds its settings",
        )
        parser.add_argument(
            "--run", type=Path, default=Path("/run"), metavar="DIR", help="in place of /run"
        )


def _add_health(commands: Commands) -> None:
    recover = _command(
        commands, "recover", _recover, "Bring the archive in order after a crash; run does so, too."
    )
    _place_options(recover)
    led = _command(
        commands, "led", _led, "Judge how the box is; show it by LED and console, tell others."
    )
    led.add_argument("--lost", action="store_true", help="only show that it is not known")
    health = _command(commands, "health", _health, "Say how the box is; exit status 0: it works.")
    health.add_argument("--json", action="store_true", help="for programs")
    budget = _command(
        commands,
        "budget",
        _budget,
        "The restart budget: exit status 0 while the AE may be started.",
    )
    budget.add_argument(
        "--count",
        action="store_true",
        help="count the end of the AE that systemd tells of (ExecStopPost=)",
    )
    clock = _command(
        commands,
        "clock",
        _clock,
        "Set the clock forward to the last time seen, if it is before that.",
    )
    panel = _command(
        commands,
        "panel",
        _panel,
        "Serve the status page until SIGTERM: by HTTP how the box is, by HTTPS the rest.",
    )
    panel.add_argument(
        "--port", type=int, default=8080, metavar="N", help="for HTTP (default: 8080)"
    )
    panel.add_argument(
        "--secure-port", type=int, default=8443, metavar="N", help="for HTTPS (default: 8443)"
    )
    support = _command(
        commands,
        "support",
        _support,
        "Write a bundle for whoever helps: how the box is, without patients and secrets.",
    )
    support.add_argument(
        "--out", type=Path, default=None, metavar="FILE", help="(default: named by the time)"
    )
    for parser in (panel, support):
        _serving_options(parser)
    for name, secret, summary in (
        ("password", _password, "Ask for a password; print what stands for it in netty.toml."),
        ("token", _token, "Make a token for programs; print it, and what stands for it."),
    ):
        _command(commands, name, secret, summary)
    for parser in (led, health, budget, clock, panel, support):
        parser.add_argument(
            "--root",
            type=Path,
            default=Path("/"),
            metavar="DIR",
            help="where the box's files are (default: /)",
        )


def _serving_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings", type=Path, default=None, metavar="FILE", help="on a PC: the settings"
    )
    _patients_option(parser)
    parser.add_argument(
        "--data",
        type=Path,
        default=None,
        metavar="DIR",
        help=f"on a PC: where the archive is (default: {DEFAULT_DATA})",
    )


def _add_updates(commands: Commands) -> None:
    states = _command(
        commands, "boot-state", _boot_state, "Which slot starts next (RAUC's boot-loader backend)."
    )
    states.add_argument("words", nargs="*", metavar="WORD", help="RAUC's call")
    update = _command(
        commands, "update", _update, "Another version of the box: install, try, keep."
    )
    update.add_argument(
        "what",
        choices=("install", "stick", "fetch", "request", "admit", "settle", "confirm", "reset"),
        help="install a bundle; serve a stick that may bring one; look where the settings say; do "
        "what the page was asked for; answer RAUC whether it may; find out what became of the "
        "last one; try the one that runs, and keep it; restore the factory state that was asked "
        "for",
    )
    update.add_argument(
        "source", nargs="?", metavar="SOURCE", help="a path or an address; the stick's device"
    )
    update.add_argument(
        "--while-receiving", action="store_true", help="install even if images are arriving"
    )
    update.add_argument(
        "--patience",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="that each check of a trial gets (default: 600)",
    )
    prove = _command(
        commands, "prove", _prove, "Take an image and make a picture of it, apart from the archive."
    )
    prove.add_argument("folder", type=Path, metavar="DIR", help="where there is room for it")
    for parser in (states, update):
        parser.add_argument(
            "--run", type=Path, default=Path("/run"), metavar="DIR", help="in place of /run"
        )


def _place(options: argparse.Namespace) -> Place:
    from appliance.archive.place import Place

    return Place(options.data, options.state or options.data / "state")


def _run(options: argparse.Namespace) -> int:
    from appliance.health.reports import ServiceReport, write_report

    asked = _stop_asked()
    if options.generation:
        options.settings = options.generation / "netty.toml"
        patients = options.generation / "patients.csv"
        options.patients = patients if patients.exists() else None
    report = options.report / "report.json" if options.report else _own_report(options.data)
    try:
        service = _started(options, report)
    except Exception as error:
        if report and isinstance(error, (Problems, *_told())):
            with suppress(OSError):  # What is wrong is printed, too.
                write_report(report, ServiceReport(time.monotonic(), failure=str(error)))
        raise
    os.read(asked, 8)
    service.stop()
    return 0


def _own_report(data: Path) -> Path:
    """Where an AE on a PC tells the page how it is."""
    from appliance.health.places import Places
    from appliance.health.reports import SERVICE

    report = Places(data).run / SERVICE
    report.parent.mkdir(parents=True, exist_ok=True)
    return report


def _started(options: argparse.Namespace, report: Path | None) -> Service:
    from appliance.images.decoders import Proving
    from appliance.settings.patients import read_files

    settings = read_files(options.settings, options.patients)
    proving = Proving(settings.ae.profile)
    # The decoders prove themselves in another process while these are loaded.
    from appliance.service import Service

    service = Service(settings, _place(options), report=report, proving=proving)
    service.start()
    return service


def _stop_asked() -> int:
    """A descriptor from which 8 bytes can be read once SIGTERM or SIGINT has come."""
    # A lock taken in a signal's handler could be the one that the signal interrupted.
    asked = os.eventfd(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.eventfd_write(asked, 1))
    return asked


def _recover(options: argparse.Namespace) -> int:
    from appliance.archive.recovery import open_recovered

    place = _place(options)
    place.folders.prepare()
    open_recovered(place.folders).close()
    return 0


def _led(options: argparse.Namespace) -> int:
    from appliance.health.daemon import Daemon, show_lost
    from appliance.health.places import Places

    places = Places(options.root)
    if options.lost:
        # Told to stop, as at a shutdown, it has not died.
        if os.environ.get("SERVICE_RESULT") != "success":
            show_lost(places)
        return 0
    Daemon.of(places, __version__).run(_stop_asked())
    return 0


def _health(options: argparse.Namespace) -> int:
    from appliance.health.banner import banner
    from appliance.health.places import Places
    from appliance.health.verdict import read_verdict

    verdict = read_verdict(Places(options.root))
    if options.json:
        print(json.dumps(asdict(verdict), ensure_ascii=False, default=dict))
    else:
        print(banner(verdict), end="")
    return 0 if verdict.colour == "green" else 1


def _budget(options: argparse.Namespace) -> int:
    from appliance.health.budget import Budget, cause_of
    from appliance.health.places import Places

    budget = Budget(Places(options.root))
    if options.count:
        if cause := cause_of(os.environ):
            budget.count(cause)
        return 0
    try:
        budget.begin()
    except OSError as error:
        LOGGER.warning("the restart budget cannot be kept: %s", error)
    if budget.spent():
        raise Failed(
            "the restart budget is spent: the AE crashed again and again, and is left alone; "
            "switch the box off and on, or apply other settings"
        )
    return 0


def _serving(options: argparse.Namespace) -> Serving:
    from appliance.panel.serving import of_box, of_pc
    from appliance.settings.patients import read_files

    if options.settings is None and options.data is None:
        return of_box(options.root)
    settings = read_files(options.settings or DEFAULT_SETTINGS, options.patients)
    return of_pc(settings, options.data or DEFAULT_DATA, __version__)


def _panel(options: argparse.Namespace) -> int:
    _serving(options).run(options.port, options.secure_port)
    return 0


def _support(options: argparse.Namespace) -> int:
    from appliance.panel.support import Subject, name_of, write_bundle

    serving = _serving(options)
    subject = Subject(
        version=__version__,
        verdict=serving.look(),
        told=serving.tell(),
        folders=serving.shelf.folders,
        run_folder=options.root / "run",
    )
    target = options.out or Path(name_of(time.time()))
    with target.open("xb") as file:
        write_bundle(file, subject)
    print(target)
    return 0


def _password(options: argparse.Namespace) -> int:
    from getpass import getpass

    from appliance.settings.passwords import SHORTEST, hash_password

    if sys.stdin.isatty():
        password = getpass("Password: ")
        if getpass("Again: ") != password:
            raise Failed("the two are not the same; nothing was printed")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST:
        raise Failed(f"a password needs {SHORTEST} characters or more")
    print(f'password = "{hash_password(password)}"')
    return 0


def _token(options: argparse.Namespace) -> int:
    from appliance.settings.passwords import hash_token, new_token

    token = new_token()
    print(f'# For the program that reads: {token}\ntoken = "{hash_token(token)}"')
    return 0


def _clock(options: argparse.Namespace) -> int:
    from appliance.health.clock import set_forward
    from appliance.health.places import Places

    if seconds := set_forward(Places(options.root)):
        print(f"the clock was {seconds:.0f} s before the last time seen, and was set to that")
    return 0


def _check(options: argparse.Namespace) -> int:
    from appliance.settings.patients import read_files

    read_files(options.settings, options.patients)
    return 0


def _settings(options: argparse.Namespace) -> int:
    from appliance.settings.example import example

    print(example(), end="")
    return 0


def _conformance(options: argparse.Namespace) -> int:
    from appliance.dicom.conformance import conformance_statement
    from appliance.settings.reader import read_file

    settings = read_file(options.settings)
    print(conformance_statement(settings, _proven(settings)), end="")
    return 0


def _proven(settings: Settings) -> tuple[str, ...]:
    from appliance.dicom.sop_classes import UNCOMPRESSED
    from appliance.images.decoders import prove_in_subprocess

    if settings.ae.profile == "strict":
        return UNCOMPRESSED
    return tuple(proof.transfer_syntax for proof in prove_in_subprocess() if proof.works)


def _status(options: argparse.Namespace) -> int:
    from appliance import terminal
    from appliance.archive.catalogue import Catalogue

    place = _place(options)
    if not place.folders.catalogue.exists():
        raise Failed(f"{options.data} holds no archive: nothing has run there yet")
    catalogue = Catalogue.open_read_only(place.folders.catalogue)
    try:
        status = catalogue.status()
    finally:
        catalogue.close()
    free = terminal.free_bytes(place.data)
    suspended = _suspended(place)
    if options.json:
        print(json.dumps({**asdict(status), "free": free, "suspended": suspended}, default=dict))
    else:
        print(terminal.status_table(status, free, suspended), end="")
    return 0


def _suspended(place: Place) -> bool:
    from appliance.archive.requests import Requests

    if not place.folders.requests.exists():
        return False
    with closing(Requests.open(place.folders.requests)) as requests:
        return requests.suspended


def _switch(name: str) -> Callable[[argparse.Namespace], int]:
    def switch(options: argparse.Namespace) -> int:
        from appliance.archive.requests import Requests

        folders = _place(options).folders
        if not folders.data.is_dir():
            raise Failed(f"{options.data} is no folder: nothing has run there yet")
        with closing(Requests.open(folders.requests)) as requests:
            requests.suspend() if name == "suspend" else requests.resume()
        return 0

    return switch


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
    wanted = Fetch(remote.name, options.patient_id, options.accession, options.study)
    show = terminal.Progress(sys.stderr, enabled=sys.stderr.isatty() and not options.json)
    outcome = fetch(settings, _place(options), wanted, show.update)
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

    test = try_connection(settings, _place(options), remote.name, show)
    if options.json:
        print(json.dumps({**asdict(test), "works": test.works}, ensure_ascii=False))
    elif not test.works:
        print(f"\n{test.letter.en}")
    return 0 if test.works else 1


def _render(options: argparse.Namespace) -> int:
    from appliance.images.single import NotRendered, render_apart

    try:
        for path in render_apart(options.source, options.target, options.quality):
            print(path)
    except NotRendered as error:
        raise Failed(f"{options.source}: {error}") from None
    return 0


def _deidentify(options: argparse.Namespace) -> int:
    from appliance.dicom.associations import (
        IMPLEMENTATION_CLASS_UID,
        IMPLEMENTATION_VERSION_NAME,
    )
    from appliance.images.deidentify import Malformed, deidentify_file

    try:
        data = deidentify_file(
            options.source,
            deidentifier=_deidentifier(options),
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        )
    except Malformed as error:
        raise Failed(f"{options.source}: {error}") from None
    before = options.source.read_bytes() if options.explain or options.html else b""
    _write(options.target, data)
    if before:
        _explain(options, before, data)
    return 0


def _explain(options: argparse.Namespace, before: bytes, after: bytes) -> None:
    from appliance.images.deidentify import as_html, as_text, explain

    chosen = options.option
    lines = tuple(explain(before, after, chosen))
    if options.html:
        print(as_html(lines, " ".join((options.source.name, options.profile, *chosen))), end="")
    else:
        print(as_text(lines), end="")


def _deidentifier(options: argparse.Namespace) -> Deidentifier:
    from appliance.images.deidentify import Deidentifier, Recipients

    recipients = [path.read_text("utf-8") for path in options.recipient]
    try:
        return Deidentifier(
            options.profile,
            _place(options).key,
            options=options.option,
            recipients=Recipients(recipients) if recipients else None,
        )
    except ValueError as error:
        raise Failed(str(error)) from None


def _reidentify(options: argparse.Namespace) -> int:
    from appliance.images.deidentify import EnvelopeFailed, Malformed, reidentified

    try:
        data = reidentified(options.source.read_bytes(), options.key.read_bytes())
    except (EnvelopeFailed, Malformed) as error:
        raise Failed(f"{options.source}: {error}") from None
    _write(options.target, data)
    return 0


def _write(target: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    from appliance.archive.files import PendingFile, sync_directories

    with PendingFile.create(target) as pending:
        pending.write([data])
        sync_directories(pending.settle())


def _settle(options: argparse.Namespace) -> int:
    from appliance.provisioning.activation import Activation, settle
    from appliance.provisioning.apply import Damaged

    try:
        settled = settle(_generations(options), Activation(options.run), restart=options.restart)
    except Damaged as error:
        raise Failed(f"{error}; a stick with netty.toml brings new settings") from None
    logging.info("the settings are active" if settled else "no settings yet: waiting for a stick")
    return 0


def _provision(options: argparse.Namespace) -> int:
    from appliance.provisioning.activation import Activation
    from appliance.provisioning.visit import unplugged

    if options.unplugged:
        unplugged(options.stick, options.run)
        return 0
    # What was begun is taken back before the process ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    from appliance.trial import visit

    activation = Activation(options.run, serves=os.path.ismount(options.data))
    visit(_generations(options), activation).of(options.stick)
    return 0


def _generations(options: argparse.Namespace) -> Generations:
    from appliance.provisioning.apply import Generations

    try:
        group = grp.getgrnam(READERS).gr_gid
    except KeyError:  # A PC has no such group.
        group = None
    return Generations(options.generations, group=group)


def _boot_state(options: argparse.Namespace) -> int:
    from appliance.updates.boot_state import BootStateFailed, answer
    from appliance.updates.slots import UnknownSlot
    from appliance.updating import UpdatingBox

    box = UpdatingBox(run=options.run)
    try:
        box.primary_changes(options.words)
        said = answer(box.boot_states, options.words)
    except (BootStateFailed, UnknownSlot) as error:
        raise Failed(str(error)) from None
    if said:
        print(said)
    return 0


def _update(options: argparse.Namespace) -> int:
    from appliance.provisioning.activation import CommandFailed
    from appliance.updates.admission import Refused
    from appliance.updates.release import NoRelease
    from appliance.updates.slots import UnknownSlot
    from appliance.updating import NotGood, UpdatingBox, restart

    box = UpdatingBox(run=options.run)
    if options.what in ("install", "stick") and not options.source:
        raise Failed(f"update {options.what}: say what from")
    try:
        match options.what:
            case "admit":
                box.admit(os.environ)
            case "settle":
                logging.info("update: %s", box.settle().phase or "none under way")
            case "confirm":
                box.confirm(options.patience)
            case "reset":
                box.carry_out_reset()
                restart()
            case "stick" if box.take(Path(options.source)):
                restart()
            case "fetch" if box.fetch():
                restart()
            case "request" if box.do_as_asked():
                restart()
            case "install" if box.install(options.source, told=options.while_receiving):
                restart()
    except (Refused, NoRelease, UnknownSlot, NotGood, CommandFailed) as error:
        raise Failed(str(error)) from None
    return 0


def _prove(options: argparse.Namespace) -> int:
    from appliance.proof import NotProved, prove

    try:
        prove(options.folder)
    except NotProved as error:
        raise Failed(str(error)) from None
    return 0
