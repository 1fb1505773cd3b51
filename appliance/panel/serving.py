"""Puts the page together: on a box, where netty-led judges, or on a PC, where nobody else does."""

import logging
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from starlette.routing import BaseRoute

from appliance.health.daemon import judge
from appliance.health.facts import Watch
from appliance.health.places import Places
from appliance.health.verdict import Verdict, read_verdict
from appliance.panel import metrics
from appliance.panel.app import Sources, application
from appliance.panel.certificates import Certificates
from appliance.panel.dicomweb import services
from appliance.panel.dicomweb.services import Archive
from appliance.panel.live import Look
from appliance.panel.server import listening, serve
from appliance.panel.shelf import Shelf
from appliance.panel.support import Subject
from appliance.panel.tokens import with_token
from appliance.panel.told import Tell, ToldByFile
from appliance.settings.model import Settings
from appliance.settings.shown import shown
from appliance.updates.requests import UPLOADS

LOGGER = logging.getLogger(__name__)


def machine_routes(sources: Sources) -> Sequence[BaseRoute]:
    """The routes for programs: each module of them adds its own here."""
    guard = partial(with_token, sources.tell)
    archive = Archive(sources.shelf.folders, sources.shelf.album)
    return [*metrics.routes(sources.look, guard), *services.routes(archive, guard)]


@dataclass(frozen=True, slots=True)
class Serving:
    """A page that can be served; `certificates` is the folder of its own one."""

    look: Look
    tell: Tell
    shelf: Shelf
    certificates: Path
    run_folder: Path
    uploads: Path

    def run(self, port: int, secure_port: int) -> None:
        """Serve until SIGTERM. Raises OSError if a port is taken.

        Where there can be no certificate, as on a broken disk, HTTP alone tells how the box is.
        """
        certificates = self._certificates()
        sources = self._sources(secure_port if certificates else None)
        sources.updating.begin()
        app = application(sources, machine_routes(sources))
        with ExitStack() as stack:
            listeners = [stack.enter_context(listening(port))]
            if certificates is None:
                serve(app, listeners)
                return
            listeners.append(stack.enter_context(listening(secure_port)))
            serve(
                app,
                listeners,
                certificates.context,
                lambda: certificates.follow(self.tell()),
            )

    def subject(self) -> Subject:
        """What a support bundle made now is about."""
        return self._sources().subject()

    def _sources(self, secure_port: int | None = None) -> Sources:
        return Sources(self.look, self.tell, self.shelf, self.run_folder, self.uploads, secure_port)

    def _certificates(self) -> Certificates | None:
        try:
            certificates = Certificates(self.certificates)
        except (OSError, subprocess.SubprocessError) as error:
            LOGGER.error("no HTTPS, as there is no certificate: %s", error)
            return None
        certificates.follow(self.tell())
        return certificates


def of_box(root: Path) -> Serving:
    """The page of the box whose files are below `root`."""
    places = Places(root)
    return Serving(
        lambda: read_verdict(places),
        ToldByFile(places.run),
        Shelf(root / "data/archive"),
        places.certificate.parent,
        places.run,
        root / UPLOADS.relative_to("/"),
    )


def of_pc(settings: Settings, data: Path, version: str) -> Serving:
    """The page of an AE on a PC, with the archive in `data`."""
    told = shown(settings)
    places = Places(data)
    return Serving(
        _Judge(places, version),
        lambda: told,
        Shelf(data),
        places.certificate.parent,
        places.run,
        data / "uploads",
    )


class _Judge:
    """Judges by itself how an AE is that runs with settings from the command line."""

    def __init__(self, places: Places, version: str) -> None:
        self._places = places
        self._version = version
        self._watch = Watch(places)
        self._before: Verdict | None = None

    def __call__(self) -> Verdict:
        look = self._watch.look()
        look = replace(look, facts=replace(look.facts, provisioned=True))
        now = time.monotonic()
        self._before = judge(look, self._places, self._version, now, self._before)
        return self._before
