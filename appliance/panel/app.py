"""The page as an ASGI application: by HTTP the state alone, by HTTPS the rest, after login.

Programs read with a token what `machines` adds; people log in for the pages of `technician`.
"""

import ipaddress
import json
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import anyio
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance import __version__
from appliance.panel.live import Live, Look
from appliance.panel.pages import Pages
from appliance.panel.sessions import Attempts, Sessions
from appliance.panel.shelf import Shelf
from appliance.panel.support import Subject
from appliance.panel.technician import Login, Technician
from appliance.panel.told import Tell
from appliance.panel.updating import Updating
from appliance.panel.uploads import Uploads
from appliance.panel.view import view_of
from appliance.panel.words import STATES
from appliance.updates.requests import UPLOADS

LOGGER = logging.getLogger(__name__)

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Of every answer: nothing may be loaded but what is our own, and nothing of it inline."""

_STATIC: Final = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

OPEN: Final = frozenset(("/", "/health", "/live", *(f"/{name}" for name in _STATIC)))
"""What is there by HTTP, without login."""

LONGEST_PATH: Final = 1000
"""Characters; every address of ours is shorter."""

STREAMS: Final = 64
"""Pages that are kept up to date at the same time; any further one looks by itself."""
STREAM_EVERY: Final = 2.0
"""Seconds between two looks for a page that is kept up to date."""
SILENT_WITHIN: Final = 10.0
"""Seconds without a word of the box after which such a page says so."""

_UNCHANGED: Final = "event: unchanged\ndata: -\n\n"
"""An event, as scripts hear nothing of comments."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the page takes what it shows."""

    look: Look
    tell: Tell
    shelf: Shelf
    run_folder: Path = Path("/run")
    uploads: Path = UPLOADS
    secure_port: int | None = None
    """Where HTTPS is, for the links of pages that came by HTTP; None: on the same port."""

    def subject(self) -> Subject:
        """What a support bundle made now is about."""
        return Subject(__version__, self.look(), self.tell(), self.shelf.folders, self.run_folder)

    @property
    def updating(self) -> Updating:
        """The page's side of updates."""
        return Updating(self.run_folder, Uploads(self.uploads))


def application(sources: Sources, machines: Sequence[BaseRoute] = ()) -> ASGIApp:
    """The page of a box; `machines` are the routes for programs, each with its own check."""
    sessions = Sessions(lambda: sources.tell().password)
    pages = Pages(sources.tell, sessions, sources.secure_port)
    live = Live(sources.look, sources.tell, sources.shelf)
    front = _Front(pages, live)
    login = Login(pages, sessions, Attempts(), sources.tell)
    technician = Technician(
        pages,
        sessions,
        sources.tell,
        sources.shelf,
        live,
        sources.subject,
        sources.updating,
    )
    app = Starlette(
        routes=[
            Route("/", front.page),
            Route("/health", front.health),
            Route("/live", front.stream),
            *(Route(f"/{name}", _static(name, kind)) for name, kind in _STATIC.items()),
            *login.routes(),
            *technician.routes(),
            *machines,
        ],
        exception_handlers={HTTPException: front.error},
    )
    app.router.redirect_slashes = False
    return guarded(_allowed(_divided(app), sources.tell))


class _Front:
    """What everybody may see."""

    def __init__(self, pages: Pages, live: Live) -> None:
        self._pages = pages
        self._live = live
        self._streams = 0

    async def page(self, request: Request) -> Response:
        moment = await anyio.to_thread.run_sync(self._live.moment)
        service = moment.verdict.service
        visit = self._pages.visit(request, service.language if service else "")
        view = view_of(moment, visit.language, time.monotonic(), time.time())
        return self._pages.page(
            "front.html", visit, here="front", view=view, box=view.box, within=SILENT_WITHIN
        )

    async def health(self, request: Request) -> Response:
        """200 while the box does its work, 503 when a fault keeps it from that."""
        verdict = self._live.verdict()
        said = asdict(verdict)
        said["age"] = round(time.monotonic() - verdict.written, 1)
        said["word"] = asdict(STATES[verdict.name])
        return JSONResponse(said, 503 if verdict.name in ("fault", "unknown") else 200)

    async def stream(self, request: Request) -> Response:
        """The front page's content whenever it changes, as server-sent events."""
        if self._streams >= STREAMS:
            return Response(status_code=503, headers={"Retry-After": "60"})
        kind = "text/event-stream; charset=utf-8"
        return StreamingResponse(self._changes(request), media_type=kind)

    async def _changes(self, request: Request) -> AsyncIterator[str]:
        self._streams += 1
        try:
            yield "retry: 5000\n\n"
            last = ""
            while True:
                text = await anyio.to_thread.run_sync(self._now, request)
                yield f"data: {text}\n\n" if text != last else _UNCHANGED
                last = text
                await anyio.sleep(STREAM_EVERY)
        finally:
            self._streams -= 1

    def _now(self, request: Request) -> str:
        moment = self._live.moment()
        service = moment.verdict.service
        visit = self._pages.glance(request, service.language if service else "")
        view = view_of(moment, visit.language, time.monotonic(), time.time())
        said = {
            "kind": f"front {view.colour}",
            "title": f"{view.word} – {view.box}",
            "main": self._pages.text("live.html", visit, {"view": view}),
        }
        return json.dumps(said, ensure_ascii=False)

    async def error(self, request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        return self._pages.error(self._pages.visit(request), status)


def guarded(app: ASGIApp) -> ASGIApp:
    """`app`, with `HEADERS` in every answer, an error's too, and no values in the log."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await app(scope, receive, send_with_headers)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            LOGGER.error(
                "a fault of this program: %s at %s, line %d of %s",
                *(type(error).__name__, place.name, place.lineno, place.filename),
            )
            if not begun:
                plain = Response("A fault of this box. Try again.\n", 500, media_type="text/plain")
                await plain(scope, receive, send_with_headers)

    return answer


def _divided(app: ASGIApp) -> ASGIApp:
    """`app`, of which only `OPEN` is there by HTTP; the rest is where HTTPS is."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path, secure = scope["path"], scope["scheme"] == "https"
        if len(path) > LONGEST_PATH or not (secure or path in OPEN):
            scope = {**scope, "path": "/nothing"}
        await app(scope, receive, send)

    return answer


def _allowed(app: ASGIApp, tell: Tell) -> ASGIApp:
    """`app`, for visitors from where the settings allow them; on the box, the firewall is first."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client and not is_allowed(client[0], tell().allow_from):
            await Response(status_code=403)(scope, receive, send)
            return
        await app(scope, receive, send)

    return answer


def is_allowed(address: str, networks: Sequence[str]) -> bool:
    """Whether a visitor from `address` may see the page: this machine always may."""
    if not networks:
        return True
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return parsed.is_loopback or any(parsed in ipaddress.ip_network(one) for one in networks)


def _static(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("appliance.panel").joinpath("static", name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "max-age=300"})

    return answer
