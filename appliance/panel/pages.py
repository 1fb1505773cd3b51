"""Templates, languages and errors: what every page has in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from appliance.panel.sessions import Session, Sessions
from appliance.panel.told import Tell
from appliance.panel.words import Language, chosen, counted, phrase

SESSION: Final = "__Host-session"
LANGUAGE: Final = "__Host-language"
LANGUAGE_LASTS: Final = 365 * 86_400
UNATTENDED: Final = "X-Unattended"
"""The header of a request that a page makes by itself: nobody uses the session by that."""

NAVIGATION: Final = (
    ("front", "/"),
    ("studies", "/studies"),
    ("search", "/search"),
    ("watch", "/watch"),
    ("events", "/events"),
    ("service", "/service"),
    ("settings", "/settings"),
)
"""The pages behind the login, by name and address."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request with what is known of who sent it."""

    request: Request
    language: Language
    session: Session | None = None
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def secure(self) -> bool:
        """Whether it came over HTTPS."""
        return self.request.url.scheme == "https"

    @property
    def address(self) -> str:
        """Of the visitor."""
        return self.request.client.host if self.request.client else ""

    def say(self, name: str) -> str:
        """A word of the page in the visitor's language."""
        return phrase(name, self.language)


class Pages:
    """Makes pages of templates."""

    def __init__(self, tell: Tell, sessions: Sessions, secure_port: int | None) -> None:
        self._tell = tell
        self._sessions = sessions
        self._secure_port = secure_port
        self._environment = Environment(
            loader=PackageLoader("appliance.panel"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["counted"] = counted

    def visit(self, request: Request, own: str = "") -> Visit:
        """The visit that a request is; `own` is the language of a box that tells no settings."""
        visit = self.glance(request, own)
        if not visit.secure:
            return visit
        find = self._sessions.look if UNATTENDED in request.headers else self._sessions.find
        return replace(visit, session=find(request.cookies.get(SESSION, "")))

    def glance(self, request: Request, own: str = "") -> Visit:
        """The visit that a request is, whoever sent it: a session is neither known nor used."""
        asked = request.query_params.get("lang") or request.cookies.get(LANGUAGE)
        accepted = request.headers.get("accept-language", "")
        return Visit(request, chosen(asked, accepted, self._tell().language or own))

    def text(self, template: str, visit: Visit, values: Mapping[str, object]) -> str:
        """The text of a template."""
        return self._environment.get_template(template).render(values)

    def page(
        self,
        template: str,
        visit: Visit,
        *,
        here: str = "",
        status: int = 200,
        **values: object,
    ) -> Response:
        """A whole page."""
        language = visit.language
        other: Language = "en" if language == "ja" else "ja"
        settled = status == 200 and visit.request.method in ("GET", "HEAD")
        common = {
            "language": language,
            "other": other,
            "other_address": f"{visit.request.url.path}?lang={other}" if settled else "",
            "say": visit.say,
            "box": self._tell().name or visit.say("box"),
            "here": here,
            "navigation": NAVIGATION,
            "signed_in": visit.session is not None,
            "form_token": self._sessions.form_token(visit.session) if visit.session else "",
            "login_address": self._login_address(visit),
        }
        text = self._environment.get_template(template).render({**common, **values})
        headers = {"Content-Language": language, "Vary": "Accept-Language, Cookie"}
        answer = HTMLResponse(text, status, headers)
        if visit.secure and visit.request.query_params.get("lang") == language:
            set_cookie(answer, LANGUAGE, language, LANGUAGE_LASTS)
        return answer

    def error(self, visit: Visit, status: int) -> Response:
        """The page for what cannot be had or done."""
        what, why = {
            404: ("nothing", ""),
            405: ("nothing", ""),
            500: ("broken", "sorry"),
            503: ("broken", "no_archive"),
        }.get(status, ("refused", "refused_why"))
        return self.page("error.html", visit, status=status, what=what, why=why)

    def _login_address(self, visit: Visit) -> str:
        if visit.secure or self._secure_port is None:
            return "/login"
        host = visit.request.url.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = "" if self._secure_port == 443 else f":{self._secure_port}"
        return f"https://{host}{port}/login"


def set_cookie(answer: Response, name: str, value: str, seconds: int | None = None) -> None:
    """Have the browser keep a cookie, for this host, over HTTPS and from our own pages alone."""
    answer.set_cookie(
        name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict"
    )


def forget_cookie(answer: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    answer.delete_cookie(name, path="/", secure=True, httponly=True, samesite="strict")


def go(address: str) -> Response:
    """Send the browser to a page of ours (RFC 9110, 15.4.4)."""
    return RedirectResponse(address, 303)


Endpoint = Callable[[Visit], Response]
