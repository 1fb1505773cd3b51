"""The page without a browser: words, languages, headers, and what it must not do."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from appliance.health.reports import HEALTH, write_report
from appliance.health.verdict import Verdict, read_verdict
from appliance.panel.app import HEADERS, OPEN, Sources, application
from appliance.panel.live import Look
from appliance.panel.shelf import Shelf
from appliance.panel.words import (
    STATES,
    STEPS,
    TECHNICIAN,
    WORDS,
    ago,
    before_now,
    chosen,
    size,
)
from appliance.settings.shown import Shown
from tests.panel.verdicts import NAMES, SENTENCE, service, verdict

NOWHERE = Path("/nonexistent")


def seen(look: Look) -> TestClient:
    """By HTTP, without settings and without an archive."""
    sources = Sources(look, Shown, Shelf(NOWHERE), NOWHERE, secure_port=443)
    return TestClient(application(sources), base_url="http://netty")


def client(name: str = "working") -> TestClient:
    return seen(lambda: verdict(name))


class Elements(HTMLParser):
    """The tags of a page that loads nothing foreign and is closed in order."""

    VOID = frozenset(("meta", "link", "circle", "path", "rect", "br", "input", "img"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("name", NAMES)
def test_every_state_is_said(name: str, language: str) -> None:
    answer = client(name).get("/", params={"lang": language})
    assert answer.status_code == 200
    assert answer.headers["content-language"] == language
    assert re.search(r"<h1[^>]*>(.*)</h1>", answer.text)[1] == getattr(STATES[name], language)  # type: ignore[index]
    for problem in verdict(name).problems:
        assert getattr(problem.what, language) in answer.text
        assert getattr(problem.who, language).replace("'", "&#39;") in answer.text
    shown = re.sub("<template.*</template>", "", answer.text, flags=re.DOTALL)
    elements = Elements(shown).seen
    assert sum(tag == "svg" and one["class"] == "shape" for tag, one in elements) == 1, (
        "one shape for the state"
    )
    assert ("html", {"lang": language}) in elements


@pytest.mark.parametrize("name", NAMES)
def test_every_state_has_a_shape(name: str) -> None:
    shapes = {
        other: re.search(r"<svg.*?</svg>", client(other).get("/").text, re.S)[0]  # type: ignore[index]
        for other in NAMES
    }
    alike = {other for other, shape in shapes.items() if shape == shapes[name]}
    assert alike in ({name}, {"working", "accepted"}, {"fault", "rejected"})


@pytest.mark.parametrize(
    "path", [*sorted(OPEN - {"/live"}), "/nothing", "/../x", "/studies", "/login"]
)
def test_every_answer_is_guarded(path: str) -> None:
    answer = client("degraded").get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "server" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] in ("no-store", "max-age=300")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_inline_and_nothing_foreign(name: str) -> None:
    for path in ("/", "/nothing"):
        for tag, attributes in Elements(client(name).get(path).text).seen:
            assert tag not in ("style", "iframe", "form", "img", "object")
            assert tag != "script" or attributes["src"] == "/page.js"
            assert not {one for one in attributes if one == "style" or one.startswith("on")}
            target = attributes.get("href") or attributes.get("src") or "/"
            assert re.match(r"/(?!/)|#main$|https://netty/login$", target)


def test_what_others_say_is_text_and_nothing_else() -> None:
    text = client("rejected").get("/").text
    assert "line 3: &lt;b&gt;prot&lt;/b&gt; is no key" in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/health", "/style.css"])
def test_nobody_can_do_anything(method: str, path: str) -> None:
    answer = client().request(method, path, content=b"a=b")
    assert answer.status_code == 405


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/style.css", "/%2e%2e/app.py", "/style.css/..%2f", "//etc/passwd"]
)
def test_there_is_nothing_else(path: str) -> None:
    answer = client().get(path, headers={"Accept-Language": "en"})
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


def test_head_says_what_get_would() -> None:
    answer = client().head("/")
    assert (answer.status_code, answer.text) == (200, "")


def test_without_settings_it_says_what_to_do() -> None:
    text = client("unprovisioned").get("/?lang=en").text
    assert all(step.en in text for step in STEPS)


def test_figures_and_remotes() -> None:
    text = client("degraded").get("/?lang=en").text
    for said in ("48,213", "312", "812 GB", "answered 2 minutes ago", "not asked yet", SENTENCE):
        assert said in text
    assert "HAPPY_netty" in text
    assert "no answer, last answered" in text


def test_an_ae_that_is_down_leaves_the_page_up() -> None:
    text = client("fault").get("/?lang=en").text
    assert "Receiving images does not run" in text
    assert "port 104 is taken" in text


# -- for machines


@pytest.mark.parametrize("name", NAMES)
def test_health_for_machines(name: str) -> None:
    answer = client(name).get("/health")
    assert answer.status_code == (503 if name in ("fault", "unknown") else 200)
    said = answer.json()
    assert said["name"] == name
    assert said["word"]["en"] == STATES[name].en
    assert 0 <= said["age"] < 5
    assert len(said["problems"]) == len(verdict(name).problems)
    if said["service"]:
        assert said["service"]["counts"]["instances"] == 48_213


def test_what_is_not_said_any_more_is_not_believed(tmp_path: Path) -> None:
    places = SimpleNamespace(run=tmp_path)
    (tmp_path / HEALTH).parent.mkdir()
    told = verdict("working")
    app = seen(lambda: read_verdict(places))  # type: ignore[arg-type]
    assert app.get("/health").json()["name"] == "unknown"
    write_report(tmp_path / HEALTH, told)
    assert app.get("/health").json()["name"] == "working"
    write_report(tmp_path / HEALTH, Verdict(**{**_fields(told), "written": told.written - 30}))
    assert app.get("/health").json()["name"] == "unknown"
    (tmp_path / HEALTH).write_text(json.dumps({"name": "fine"}))
    assert app.get("/health").json()["name"] == "unknown"


def _fields(told: Verdict) -> dict[str, object]:
    return {name: getattr(told, name) for name in told.__dataclass_fields__}


def test_the_service_tells_no_patient() -> None:
    """A new field must be thought about: the page is for everybody on the network."""
    assert set(service().__dataclass_fields__) == {
        *("written", "started", "failure", "box", "language", "revision", "title", "port"),
        *("suspended", "obstacle", "space", "remotes", "counts", "counters"),
    }


# -- words


@pytest.mark.parametrize(
    ("asked", "accepted", "own", "language"),
    [
        (None, "", "", "ja"),
        (None, "", "en", "en"),
        (None, "fr, de;q=0.5", "en", "en"),
        (None, "en-GB,en;q=0.9,ja;q=0.8", "ja", "en"),
        (None, "en;q=0.5, ja-JP", "en", "ja"),
        (None, "en;q=0, fr", "ja", "ja"),
        (None, "EN", "ja", "en"),
        ("en", "ja", "ja", "en"),
        ("ja", "en", "en", "ja"),
        ("fr", "en", "ja", "en"),
        (None, "en;q=nonsense, ;;, q=1", "ja", "ja"),
    ],
)
def test_the_language(asked: str | None, accepted: str, own: str, language: str) -> None:
    assert chosen(asked, accepted, own) == language


@given(st.text("enja-;q=.019, *\t", max_size=40))
def test_any_language_header_has_an_answer(accepted: str) -> None:
    assert chosen(None, accepted, "") in ("ja", "en")


@pytest.mark.parametrize(
    ("seconds", "ja", "en"),
    [
        (0, "1 分未満", "less than a minute"),
        (60, "1 分", "1 minute"),
        (3599, "59 分", "59 minutes"),
        (7200, "2 時間", "2 hours"),
        (86_400 * 3, "3 日", "3 days"),
    ],
)
def test_lengths_of_time(seconds: float, ja: str, en: str) -> None:
    assert (ago(seconds, "ja"), ago(seconds, "en")) == (ja, en)
    if seconds >= 60:
        assert (before_now(seconds, "ja"), before_now(seconds, "en")) == (f"{ja}前", f"{en} ago")


def test_the_future_is_now() -> None:
    assert (before_now(-500, "ja"), before_now(-500, "en")) == ("たった今", "just now")


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (8.12e11, "812 GB"), (2e16, "20000 TB")],
)
def test_sizes(count: float, said: str) -> None:
    assert size(int(count)) == said


def test_every_word_is_there_twice() -> None:
    assert not set(WORDS) & set(TECHNICIAN)
    for text in (*STATES.values(), *WORDS.values(), *TECHNICIAN.values(), *STEPS):
        assert text.ja
        assert text.en
        assert text.ja.count("{") == text.en.count("{")


def test_the_page_is_light() -> None:
    files = ("/", "/style.css", "/page.js", "/icon.svg")
    assert sum(len(client("degraded").get(path).content) for path in files) < 60 * 1024


def test_the_way_to_the_technicians_pages_is_by_https() -> None:
    assert 'href="https://netty/login"' in client().get("/").text
