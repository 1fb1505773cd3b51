"""The page as an ASGI application: health alone, no patient data, no action."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.health.verdict import Verdict
from appliance.panel.view import view_of
from appliance.panel.words import STATES, WORDS, Language, chosen

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Of every answer: nothing may be loaded but our own stylesheet and pictures."""

_STATIC: Final = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}

Look = Callable[[], Verdict]
"""How the box is now."""


def application(look: Look) -> Starlette:
    """The page of a box on which `look` says how it is."""
    pages = _Pages(look)
    return Starlette(
        routes=[
            Route("/", pages.front),
            Route("/health", pages.health),
            *(Route(f"/{name}", _static(name, kind)) for name, kind in _STATIC.items()),
        ],
        middleware=[],
        exception_handlers={404: pages.nothing, 405: pages.nothing},
    )


def guarded(app: ASGIApp) -> ASGIApp:
    """`app`, with `HEADERS` in every answer, an error's too."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await app(scope, receive, send_with_headers)

    return answer


class _Pages:
    def __init__(self, look: Look) -> None:
        self._look = look
        environment = Environment(
            loader=PackageLoader("appliance.panel"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._front = environment.get_template("health.html")
        self._nothing = environment.get_template("nothing.html")

    async def front(self, request: Request) -> Response:
        verdict = self._look()
        language = _language(request, verdict)
        view = view_of(verdict, language, time.monotonic(), time.time())
        return _page(self._front.render(view=view, say=view.say), language)

    async def health(self, request: Request) -> Response:
        """200 while the box does its work, 503 when a fault keeps it from that."""
        verdict = self._look()
        said = asdict(verdict)
        said["age"] = round(time.monotonic() - verdict.written, 1)
        said["word"] = asdict(STATES[verdict.name])
        return JSONResponse(said, 503 if verdict.name in ("fault", "unknown") else 200)

    async def nothing(self, request: Request, error: Exception) -> Response:
        language = _language(request, None)

        def say(name: str) -> str:
            return WORDS[name].ja if language == "ja" else WORDS[name].en

        text = self._nothing.render(language=language, say=say)
        return _page(text, language, getattr(error, "status_code", 404))


def _page(text: str, language: Language, status: int = 200) -> Response:
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return HTMLResponse(text, status, headers)


def _language(request: Request, verdict: Verdict | None) -> Language:
    own = verdict.service.language if verdict and verdict.service else ""
    accepted = request.headers.get("accept-language", "")
    return chosen(request.query_params.get("lang"), accepted, own)


def _static(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files("appliance.panel").joinpath("static", name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "max-age=300"})

    return answer
