"""The pages behind the login. Nothing of a patient is in their addresses."""

import io
import math
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from appliance.archive.album import AlbumPicture
from appliance.archive.records import CatalogueFailed
from appliance.archive.requests import RequestsFailed
from appliance.panel.forms import read_form
from appliance.panel.live import Live, zone
from appliance.panel.pages import SESSION, Endpoint, Pages, Visit, forget_cookie, go, set_cookie
from appliance.panel.sessions import Attempts, Sessions
from appliance.panel.shelf import Shelf
from appliance.panel.shrinking import shrunk
from appliance.panel.support import Subject, name_of, write_bundle
from appliance.panel.told import Tell
from appliance.panel.updating import Updating
from appliance.panel.uploads import NotTaken
from appliance.panel.words import ago
from appliance.settings.passwords import is_password

STUDIES_A_PAGE = 24
PICTURES_A_PAGE = 60
AROUND = 4
"""Pictures on either side of the one that is looked at."""
SMALL = (320, 320)
"""Pixels within which a picture of a list or strip is: sharp on a dense screen."""
SMALL_QUALITY = 80
SHRUNK_AT_ONCE = 2
"""Pictures that are shrunk at the same time: each may be held in memory whole."""
FETCHES = 30
TESTS = 10
LONGEST_KEY = 64
WAITING = 8
"""Logins that may wait for their turn; each one takes 16 MiB while it is checked."""


class Login:
    """In and out."""

    def __init__(self, pages: Pages, sessions: Sessions, attempts: Attempts, tell: Tell) -> None:
        self._pages = pages
        self._sessions = sessions
        self._attempts = attempts
        self._tell = tell
        self._turn = anyio.Semaphore(1)

    def routes(self) -> list[BaseRoute]:
        """Where these pages are."""
        return [
            Route("/login", self.show, methods=["GET"]),
            Route("/login", self.enter, methods=["POST"]),
            Route("/logout", self.leave, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The form."""
        visit = self._pages.visit(request)
        return go("/studies") if visit.session else self._form(visit, "")

    async def enter(self, request: Request) -> Response:
        """A password."""
        visit = self._pages.visit(request)
        _check_origin(request)
        password = (await read_form(request)).get("password", "")
        if wait := self._attempts.wait(visit.address):
            when = ago(wait + 59, visit.language)
            return self._form(visit, visit.say("wait").format(when), 429)
        if self._turn.statistics().tasks_waiting >= WAITING:
            return self._form(visit, visit.say("busy"), 503)
        # Noted before it is known: many at once must not all be free.
        self._attempts.wrong(visit.address)
        async with self._turn:
            right = await anyio.to_thread.run_sync(is_password, password, self._tell().password)
        if not right:
            return self._form(visit, visit.say("wrong"), 403)
        self._attempts.right(visit.address)
        answer = go("/studies")
        set_cookie(answer, SESSION, self._sessions.begin())
        return answer

    async def leave(self, request: Request) -> Response:
        """The end of a session."""
        visit = self._pages.visit(request)
        if visit.session:
            await _checked_form(request, visit, self._sessions)
            self._sessions.end(visit.session)
        answer = go("/")
        forget_cookie(answer, SESSION)
        return answer

    def _form(self, visit: Visit, wrong: str, status: int = 200) -> Response:
        can = bool(self._tell().password)
        return self._pages.page(
            "login.html", visit, here="login", status=status, wrong=wrong, can=can
        )


class Technician:
    """What one sees and does after login."""

    def __init__(
        self,
        pages: Pages,
        sessions: Sessions,
        tell: Tell,
        shelf: Shelf,
        live: Live,
        subject: Callable[[], Subject],
        updating: Updating,
    ) -> None:
        self._pages = pages
        self._sessions = sessions
        self._tell = tell
        self._shelf = shelf
        self._live = live
        self._subject = subject
        self._updating = updating
        self._shrinking = threading.BoundedSemaphore(SHRUNK_AT_ONCE)

    def routes(self) -> list[BaseRoute]:
        """Where these pages are."""
        return [
            self._get("/studies", self.studies),
            self._get("/studies/{study:int}", self.study),
            self._get("/studies/{study:int}/{place:int}", self.picture),
            self._get("/pictures/{instance:int}/{frame:int}", self.file),
            self._get("/pictures/{instance:int}/{frame:int}/small", self.small),
            self._get("/search", self.search),
            self._post("/search", self.ask),
            self._get("/search/{search:int}", self.found),
            self._post("/fetch", self.fetch),
            self._get("/fetches", self.fetches),
            self._get("/watch", self.watch),
            self._get("/events", self.events),
            self._get("/service", self.service),
            self._post("/suspension", self.suspension),
            self._post("/tests", self.begin_test),
            self._get("/tests/{test:int}", self.test),
            self._post("/bundle", self.bundle),
            self._get("/update", self.update),
            self._post("/update", self.ask_for_update),
            Route("/update/file", self.upload, methods=["POST"]),
            self._get("/settings", self.settings),
        ]

    def _get(self, path: str, endpoint: Endpoint) -> Route:
        async def answer(request: Request) -> Response:
            visit = self._pages.visit(request)
            if visit.session is None:
                return go("/login")
            return await self._answered(visit, endpoint)

        return Route(path, answer, methods=["GET"])

    def _post(self, path: str, endpoint: Endpoint) -> Route:
        async def answer(request: Request) -> Response:
            visit = self._pages.visit(request)
            if visit.session is None:
                raise HTTPException(403)
            checked = await _checked_form(request, visit, self._sessions)
            return await self._answered(checked, endpoint)

        return Route(path, answer, methods=["POST"])

    async def _answered(self, visit: Visit, endpoint: Endpoint) -> Response:
        """The answer, made in a thread: the archive's disk may be slow."""
        try:
            return await anyio.to_thread.run_sync(endpoint, visit)
        except (CatalogueFailed, RequestsFailed):
            return self._pages.error(visit, 503)
        except (LookupError, OverflowError):
            return self._pages.error(visit, 404)

    def _when(self, visit: Visit, moment: float) -> str:
        """A moment at the place of the box, in words."""
        there = datetime.fromtimestamp(moment, zone(self._tell().timezone))
        form = "%-m月%-d日 %H:%M" if visit.language == "ja" else "%-d %b %H:%M"
        return there.strftime(form)

    # -- pictures

    def studies(self, visit: Visit) -> Response:
        """All studies, the latest first."""
        album = self._shelf.album()
        at, count = _page_number(visit.request), album.count()
        return self._pages.page(
            "studies.html",
            visit,
            here="studies",
            count=count,
            studies=[
                (study, self._when(visit, study.last_stored))
                for study in album.latest(STUDIES_A_PAGE, (at - 1) * STUDIES_A_PAGE)
            ],
            at=at,
            last=max(1, math.ceil(count / STUDIES_A_PAGE)),
        )

    def study(self, visit: Visit) -> Response:
        """All pictures of a study."""
        album, number = self._shelf.album(), visit.request.path_params["study"]
        study, at = album.study(number), _page_number(visit.request)
        first = (at - 1) * PICTURES_A_PAGE
        return self._pages.page(
            "study.html",
            visit,
            here="studies",
            study=study,
            when=self._when(visit, study.last_stored),
            pictures=list(
                enumerate(album.pictures(number, PICTURES_A_PAGE, first), start=first + 1)
            ),
            at=at,
            last=max(1, math.ceil(study.pictures / PICTURES_A_PAGE)),
        )

    def picture(self, visit: Visit) -> Response:
        """One picture of a study, with those around it."""
        album, params = self._shelf.album(), visit.request.path_params
        study, place = album.study(params["study"]), params["place"]
        first = max(1, place - AROUND)
        around = album.pictures(study.id, place - first + AROUND + 1, first - 1)
        if not 1 <= place < first + len(around):
            raise LookupError
        return self._pages.page(
            "picture.html",
            visit,
            here="studies",
            study=study,
            place=place,
            picture=around[place - first],
            caption=_caption(visit, around[place - first]),
            around=list(enumerate(around, start=first)),
        )

    def file(self, visit: Visit) -> Response:
        """The picture itself."""
        return self._pictured(visit, FileResponse)

    def small(self, visit: Visit) -> Response:
        """The picture as lists and strips of pictures show it: still, and light to load."""
        with self._shrinking:
            return self._pictured(visit, _small)

    def _pictured(self, visit: Visit, shown: Callable[[Path], Response]) -> Response:
        """A picture, `shown` unless the browser has it already (RFC 9110, 13.1.2)."""
        params = visit.request.path_params
        path = self._shelf.file(params["instance"], params["frame"])
        try:
            status = path.stat()
            tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
            known = visit.request.headers.get("if-none-match") == tag
            answer = Response(status_code=304) if known else shown(path)
        except OSError:
            raise LookupError(f"{path.name}: the picture is gone or broken") from None
        answer.headers.update({"Cache-Control": "private, max-age=600", "ETag": tag})
        return answer

    # -- search and fetch

    def search(self, visit: Visit) -> Response:
        """The form."""
        return self._search(visit, "")

    def _search(self, visit: Visit, wrong: str) -> Response:
        remotes = [one for one in self._tell().remotes if one.query]
        return self._pages.page(
            "search.html",
            visit,
            here="search",
            status=400 if wrong else 200,
            remotes=remotes,
            wrong=wrong,
            runs=self._live.moment().verdict.service is not None,
        )

    def ask(self, visit: Visit) -> Response:
        """Ask a remote for what it has, or to send all of it."""
        remote = visit.form.get("remote", "")
        keys = {name: visit.form.get(name, "").strip() for name in ("patient_id", "accession")}
        if wrong := self._mistake(remote, keys):
            return self._search(visit, visit.say(wrong))
        with self._shelf.requests() as requests:
            if "all" in visit.form:
                requests.ask_fetch(remote, **keys)
                return go("/fetches")
            return go(f"/search/{requests.ask_search(remote, **keys)}")

    def _mistake(self, remote: str, keys: dict[str, str]) -> str:
        """The word for what is wrong; empty if nothing is."""
        if remote not in {one.name for one in self._tell().remotes if one.query}:
            return "no_such_remote"
        if not any(keys.values()):
            return "one_of"
        if any(len(key) > LONGEST_KEY or set(key) & set("*?\\\t") for key in keys.values()):
            return "no_wildcards"
        return ""

    def found(self, visit: Visit) -> Response:
        """What a search found."""
        try:
            with self._shelf.requests() as requests:
                search, studies = requests.find_search(visit.request.path_params["search"])
        except LookupError:
            return self._search(visit, visit.say("erased"))
        return self._pages.page("found.html", visit, here="search", search=search, studies=studies)

    def fetch(self, visit: Visit) -> Response:
        """Have a study fetched that a search found."""
        try:
            number, place = (int(visit.form.get(name, "")) for name in ("search", "number"))
        except ValueError:
            raise LookupError from None
        with self._shelf.requests() as requests:
            search, studies = requests.find_search(number)
            if not 1 <= place <= len(studies):
                raise LookupError
            requests.ask_fetch(search.remote, study=studies[place - 1].study)
        return go("/fetches")

    def fetches(self, visit: Visit) -> Response:
        """What was fetched by hand."""
        with self._shelf.requests() as requests:
            latest = requests.latest(FETCHES)
        return self._pages.page(
            "fetches.html",
            visit,
            here="search",
            fetches=[(one, self._when(visit, one.asked_at)) for one in latest],
            unfinished=any(one.state != "finished" for one in latest),
        )

    # -- the box

    def watch(self, visit: Visit) -> Response:
        """Whose images are wanted."""
        return self._pages.page("watch.html", visit, here="watch", entries=self._tell().watch)

    def events(self, visit: Visit) -> Response:
        """What the box noted."""
        events = self._shelf.album().status().events
        return self._pages.page(
            "events.html",
            visit,
            here="events",
            events=[(event, self._when(visit, event.at)) for event in events],
        )

    def service(self, visit: Visit) -> Response:
        """What a technician can do to the box."""
        with self._shelf.requests() as requests:
            suspended, tests = requests.suspended, requests.latest_tests(TESTS)
        return self._pages.page(
            "service.html",
            visit,
            here="service",
            suspended=suspended,
            remotes=self._tell().remotes,
            tests=[(one, self._when(visit, one.asked_at)) for one in tests],
            updates=self._updating.state is not None,
        )

    def update(self, visit: Visit) -> Response:
        """Another version of the box: the form, or how far the one is that was asked for."""
        return self._update(visit, "")

    def _update(self, visit: Visit, wrong: str) -> Response:
        state = self._updating.state
        if state is None:
            raise LookupError
        return self._pages.page(
            "update.html",
            visit,
            here="service",
            status=400 if wrong else 200,
            wrong=wrong,
            state=state,
            version=self._live.verdict().version,
        )

    def ask_for_update(self, visit: Visit) -> Response:
        """Have another version installed."""
        state = self._updating.state
        if state is None:
            raise LookupError
        address = visit.form.get("address", "").strip()
        told = visit.form.get("while_receiving") == "1"
        if not state.under_way and not self._updating.ask(address, while_receiving=told):
            return self._update(visit, visit.say("update_no_address"))
        return go("/update")

    async def upload(self, request: Request) -> Response:
        """Have a version installed that the browser sends itself."""
        visit = self._pages.visit(request)
        session = visit.session
        if session is None:
            raise HTTPException(403)
        _check_origin(request)
        state = await anyio.to_thread.run_sync(lambda: self._updating.state)
        if state is None or not state.takes_files:
            raise HTTPException(404)
        if state.under_way:
            return go("/update")
        is_token = partial(self._sessions.is_form_token, session)
        try:
            form = await self._updating.uploads.take(request, is_token)
        except NotTaken as not_taken:
            sentence = visit.say(not_taken.word)
            return await anyio.to_thread.run_sync(self._update, visit, sentence)
        told = form.get("while_receiving") == "1"
        await anyio.to_thread.run_sync(partial(self._updating.ask_for_upload, while_receiving=told))
        return go("/update")

    def begin_test(self, visit: Visit) -> Response:
        """Have the connection to a remote tested."""
        remote = visit.form.get("remote", "")
        if remote not in {one.name for one in self._tell().remotes}:
            raise LookupError
        with self._shelf.requests() as requests:
            return go(f"/tests/{requests.ask_test(remote)}")

    def test(self, visit: Visit) -> Response:
        """What a test found so far."""
        with self._shelf.requests() as requests:
            test = requests.find_test(visit.request.path_params["test"])
        return self._pages.page("test.html", visit, here="service", test=test)

    def bundle(self, visit: Visit) -> Response:
        """What the vendor needs to help."""
        file = io.BytesIO()
        write_bundle(file, self._subject())
        headers = {"Content-Disposition": f'attachment; filename="{name_of(time.time())}"'}
        return Response(file.getvalue(), media_type="application/zip", headers=headers)

    def suspension(self, visit: Visit) -> Response:
        """Suspend the box, or end that."""
        wanted = visit.form.get("to")
        if wanted not in ("suspend", "resume"):
            raise LookupError
        with self._shelf.requests() as requests:
            requests.suspend() if wanted == "suspend" else requests.resume()
        return go("/service")

    def settings(self, visit: Visit) -> Response:
        """The settings that hold."""
        return self._pages.page("settings.html", visit, here="settings", told=self._tell())


async def _checked_form(request: Request, visit: Visit, sessions: Sessions) -> Visit:
    """The visit with its form, which must be one of ours. Raises HTTPException."""
    _check_origin(request)
    form = await read_form(request)
    assert visit.session is not None
    if not sessions.is_form_token(visit.session, form.get("token", "")):
        raise HTTPException(403)
    return Visit(request, visit.language, visit.session, form)


def _check_origin(request: Request) -> None:
    """Refuse a form that another site's page sends; browsers say which one it is (Origin)."""
    origin = request.headers.get("origin")
    if origin is not None and _host(origin) != request.headers.get("host", ""):
        raise HTTPException(403)
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403)


def _host(origin: str) -> str | None:
    """The host of an origin, with its port; None if it is written as none can be."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _page_number(request: Request) -> int:
    """The page that is asked for: from 1, and no more than anybody pages through."""
    text = request.query_params.get("page", "1")
    return max(1, int(text)) if re.fullmatch("[0-9]{1,6}", text) else 1


def _small(path: Path) -> Response:
    return Response(shrunk(path, SMALL, "JPEG", SMALL_QUALITY), media_type="image/jpeg")


def _caption(visit: Visit, picture: AlbumPicture) -> str:
    parts = [picture.modality]
    if picture.number is not None:
        parts.append(visit.say("instance").format(picture.number))
    if picture.frame:
        parts.append(visit.say("frame").format(picture.frame))
    return ("、" if visit.language == "ja" else ", ").join(filter(None, parts))
