"""The page in a real browser: every page and state, both languages, any width, light and dark.

What it showed is kept below build/screenshots: somebody has to look at it.
"""

import math
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from appliance.archive.requests import Requests
from appliance.health.verdict import Verdict
from appliance.panel import app
from appliance.panel.pages import UNATTENDED
from appliance.panel.technician import STUDIES_A_PAGE
from tests.panel.houses import PASSWORD, House
from tests.panel.verdicts import NAMES, verdict
from tools.hospital.peers import PeerAbsent

PATIENCE = 120_000.0
"""Milliseconds; a busy machine is slow."""

KEPT = Path(__file__).parents[2] / "build/screenshots"
INK = {
    "green": ((0x1B, 0x6E, 0x47), (0x5F, 0xC7, 0x96)),
    "amber": ((0x9A, 0x5B, 0x00), (0xF0, 0xB0, 0x4F)),
    "red": ((0xB3, 0x26, 0x1E), (0xFF, 0x8A, 0x7D)),
}
"""Of the state's shape and word, on light and on dark paper, as the stylesheet has them."""

EVERY_PICTURE = """Promise.all([...document.images].map(image => {
    image.loading = "eager";
    return image.decode();
}))"""
"""Have those shown that wait to be scrolled to; fails if one cannot be shown."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody looks at the page."""

    language: str
    dark: bool
    width: int
    script: bool = True

    def __str__(self) -> str:
        words = (self.language, "dark" if self.dark else "light", str(self.width))
        return "-".join((*words, *(() if self.script else ("noscript",))))


DESK = Manner("ja", False, 1280)
PHONE = Manner("en", True, 320)
WALL = Manner("ja", True, 2560)
PLAIN = Manner("en", False, 1280, script=False)

THOUSANDS = 2100
"""Studies of a box that has worked for a while."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise PeerAbsent("chromium is not installed")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE)
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@dataclass(slots=True)
class Clinic:
    """A box whose state can be changed, and where its page is."""

    house: House
    plain: str
    secure: str
    searches: tuple[int, int]

    def be(self, name: str) -> None:
        """Be in another state."""
        self.house.look = lambda: verdict(name)
        time.sleep(1.1)  # A look serves for a second.


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    house = House(tmp_path_factory.mktemp("clinic"))
    house.fill(studies=7, pictures=16)
    searches = house.ask()
    house.take_updates()
    with house.serving() as (plain, secure):
        yield Clinic(house, plain, secure, searches)


@pytest.fixture(scope="module")
def technicians(browser: Browser, clinic: Clinic) -> Iterator[dict[Manner, BrowserContext]]:
    """Browsers that have logged in."""
    contexts = {manner: visiting(browser, manner) for manner in (DESK, PHONE, PLAIN)}
    for manner, context in contexts.items():
        page = context.new_page()
        page.goto(f"{clinic.secure}/login?lang={manner.language}")
        log_in(page, PASSWORD)
        expect(page).to_have_url(f"{clinic.secure}/studies")
        page.close()
    yield contexts
    for context in contexts.values():
        context.close()


def log_in(page: Page, password: str) -> None:
    """Send the form, and wait for what the box says."""
    page.fill("#password", password)
    with page.expect_event("load"):
        page.click("main button")


def visiting(browser: Browser, manner: Manner) -> BrowserContext:
    context = browser.new_context(
        ignore_https_errors=True,
        java_script_enabled=manner.script,
        color_scheme="dark" if manner.dark else "light",
        locale=manner.language,
        viewport={"width": manner.width, "height": 1440 if manner.width > 2000 else 900},
    )
    context.set_default_timeout(PATIENCE)
    return context


def judge(page: Page, name: str, manner: Manner) -> Path:
    """Photograph a page as it is, and see that nothing is wrong with it."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    if manner.script:
        page.evaluate(EVERY_PICTURE)
    KEPT.mkdir(parents=True, exist_ok=True)
    picture = KEPT / f"{name}-{manner}.png"
    page.screenshot(path=picture, full_page=True)
    if manner.script:
        results = Axe().run(page)
        assert results.violations_count == 0, f"{name}: {results.generate_report()}"
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{name} is {wider} pixels wider than the window"
    # Chromium says so of every answer that is no success.
    assert [one for one in said if not one.startswith("Failed to load resource")] == []
    return picture


@pytest.mark.parametrize("manner", [DESK, PHONE], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_every_state(browser: Browser, clinic: Clinic, name: str, manner: Manner) -> None:
    clinic.be(name)
    context = visiting(browser, manner)
    page = context.new_page()
    page.goto(f"{clinic.plain}/?lang={manner.language}")
    picture = Image.open(judge(page, name, manner)).convert("RGB")
    context.close()
    colours = {colour: count for count, colour in picture.getcolors(1 << 22) or []}
    told = INK[verdict(name).colour][manner.dark]
    assert colours.get(told, 0) > 0.005 * picture.width * 900, "the state is seen"
    for ink in (inks[manner.dark] for inks in INK.values()):
        assert ink == told or colours.get(ink, 0) < colours[told] / 20


def test_on_a_wall(browser: Browser, clinic: Clinic) -> None:
    clinic.be("degraded")
    context = visiting(browser, WALL)
    page = context.new_page()
    page.goto(clinic.plain)
    judge(page, "degraded", WALL)
    assert page.locator("h1").bounding_box()["height"] > 70  # type: ignore[index]
    context.close()


PAGES = {
    "front": "/",
    "studies": "/studies",
    "study": "/studies/3",
    "picture": "/studies/3/8",
    "search": "/search",
    "found": "/search/{0}",
    "asking": "/search/{1}",
    "erased": "/search/9999",
    "fetches": "/fetches",
    "watch": "/watch",
    "events": "/events",
    "service": "/service",
    "test": "/tests/1",
    "test-waiting": "/tests/2",
    "update": "/update",
    "settings": "/settings",
    "nothing": "/nothing",
}


@pytest.mark.parametrize("manner", [DESK, PHONE, PLAIN], ids=str)
@pytest.mark.parametrize("name", PAGES)
def test_every_page(
    technicians: dict[Manner, BrowserContext], clinic: Clinic, name: str, manner: Manner
) -> None:
    if name == "front":
        clinic.be("working")
    page = technicians[manner].new_page()
    page.goto(clinic.secure + PAGES[name].format(*clinic.searches))
    judge(page, name, manner)
    page.close()


def test_every_page_of_an_empty_box(browser: Browser, tmp_path: Path) -> None:
    house = House(tmp_path)
    house.folders.data.mkdir()
    with house.serving() as (_, secure):
        context = visiting(browser, DESK)
        page = context.new_page()
        page.goto(f"{secure}/login")
        judge(page, "login", DESK)
        log_in(page, "not the password")
        judge(page, "login-wrong", DESK)
        log_in(page, PASSWORD)
        judge(page, "no-archive", DESK)
        Requests.open(house.folders.requests).close()
        house.fill(0)
        for name in ("studies", "fetches", "events"):
            page.goto(secure + PAGES[name])
            judge(page, f"{name}-empty", DESK)
        context.close()


def test_thousands_of_studies(browser: Browser, tmp_path: Path) -> None:
    house = House(tmp_path)
    house.fill(studies=THOUSANDS, pictures=1)
    with house.serving() as (plain, secure):
        for manner in (DESK, PHONE):
            context = visiting(browser, manner)
            page = context.new_page()
            page.goto(f"{plain}/?lang={manner.language}")
            judge(page, "front-thousands", manner)
            page.goto(f"{secure}/login?lang={manner.language}")
            log_in(page, PASSWORD)
            for number in (1, 40, last := math.ceil(THOUSANDS / STUDIES_A_PAGE)):
                page.goto(f"{secure}/studies?page={number}")
                judge(page, f"studies-{number}-of-{last}", manner)
                shown = min(STUDIES_A_PAGE, THOUSANDS - (number - 1) * STUDIES_A_PAGE)
                assert page.locator(".studies a").count() == shown
            page.locator(".paging input").fill("31")
            page.locator(".paging button").click()
            expect(page).to_have_url(f"{secure}/studies?page=31")
            expect(page.locator(".paging input")).to_have_value("31")
            context.close()


def test_the_front_page_follows_the_box(browser: Browser, clinic: Clinic) -> None:
    clinic.be("working")
    context = visiting(browser, DESK)
    page = context.new_page()
    page.goto(clinic.plain)
    expect(page.locator("h1")).to_have_text("正常に動作しています")
    clinic.be("fault")
    expect(page.locator("h1")).to_have_text("異常があります")
    expect(page.locator("body")).to_have_class("front red")
    assert page.title().startswith("異常があります")
    context.close()


@contextmanager
def silent(clinic: Clinic) -> Iterator[None]:
    """Have the box say nothing and end nothing, as one does that has lost its power."""
    go_on, look = threading.Event(), clinic.house.look

    def wait() -> Verdict:
        go_on.wait()
        return look()

    clinic.house.look = wait
    try:
        yield
    finally:
        go_on.set()
        clinic.house.look = look


@pytest.mark.parametrize("manner", [DESK, PHONE, WALL], ids=str)
def test_the_front_page_says_that_the_box_is_silent(
    browser: Browser, clinic: Clinic, manner: Manner
) -> None:
    clinic.be("working")
    context = visiting(browser, manner)
    page = context.new_page()
    page.goto(clinic.plain)
    state, word = page.locator("h1"), page.locator("h1").inner_text()
    with silent(clinic):
        expect(state).to_have_text({"ja": "応答がありません", "en": "No answer"}[manner.language])
        expect(page.locator("body")).to_have_class("front red")
        assert page.title().startswith(state.inner_text())
        assert page.locator("time").inner_text()
        judge(page, "silent", manner)
    expect(state).to_have_text(word)
    expect(page.locator("body")).to_have_class("front green")
    context.close()


def test_a_box_that_goes_on_as_it_was_is_not_silent(browser: Browser, clinic: Clinic) -> None:
    clinic.be("unknown")  # Its page does not say for how long.
    context = visiting(browser, DESK)
    page = context.new_page()
    page.goto(clinic.plain)
    page.evaluate("""() => {
        const body = document.body;
        new EventSource("/live").addEventListener("unchanged", () => body.dataset.heard = "yes");
    }""")
    expect(page.locator("body")).to_have_attribute("data-heard", "yes")
    context.close()


def test_the_front_page_looks_by_itself_where_streams_are_refused(
    browser: Browser, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.be("working")
    monkeypatch.setattr(app, "STREAMS", 0)
    context = visiting(browser, DESK)
    page = context.new_page()
    with page.expect_request(lambda asked: asked.headers.get(UNATTENDED.lower()) == "1"):
        page.goto(clinic.plain)
    expect(page.locator("h1")).to_have_text("正常に動作しています")
    clinic.be("fault")
    expect(page.locator("h1")).to_have_text("異常があります")
    expect(page.locator("body")).to_have_class("front red")
    assert page.title().startswith("異常があります")
    monkeypatch.undo()
    with page.expect_response(lambda answer: "/live" in answer.url and answer.ok):
        clinic.be("degraded")
    expect(page.locator("h1")).to_have_text("確認が必要です")
    context.close()


@pytest.mark.parametrize("manner", [PHONE, PLAIN], ids=str)
def test_a_technicians_way(
    technicians: dict[Manner, BrowserContext], clinic: Clinic, manner: Manner
) -> None:
    """Search, fetch, suspend, resume, page through pictures: with and without JavaScript."""
    clinic.be("working")
    page = technicians[manner].new_page()
    page.goto(clinic.secure)
    page.get_by_role("link", name="Search and fetch").click()
    page.get_by_label("Patient number").fill("00012345")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("h1")).to_have_text("Asking main")
    requests = Requests.open(clinic.house.folders.requests)
    search = requests.pending_searches("main")[-1]
    assert search.patient_id == "00012345"
    requests.answer_search(search.id, requests.find_search(clinic.searches[0])[1])
    expect(page.locator("h1")).to_have_text("3 studies found")
    page.get_by_role("button", name="Fetch 2").click()
    expect(page).to_have_url(f"{clinic.secure}/fetches")
    assert requests.pending("main")[-1].study == "1.2.3.4"
    page.get_by_role("link", name="Service").click()
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("The box is suspended")).to_be_visible()
    assert requests.suspended
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("The box works")).to_be_visible()
    assert not requests.suspended
    requests.close()
    page.get_by_role("link", name="Studies").click()
    page.get_by_role("link", name="NET-0003").click()
    page.get_by_role("link", name="1 of 16", exact=True).click()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("h1")).to_contain_text("2 of 16")
    page.wait_for_load_state()
    if manner.script:
        page.keyboard.press("ArrowRight")
    else:
        page.get_by_role("link", name="Next").click()
    expect(page.locator("h1")).to_contain_text("3 of 16")
    page.wait_for_load_state()
    assert page.locator("img.large").evaluate("image => image.naturalWidth") == 256
    page.close()


@pytest.mark.parametrize("script", [True, False])
def test_a_narrow_strip_begins_at_the_picture_shown(
    browser: Browser, clinic: Clinic, script: bool
) -> None:
    context = visiting(browser, replace(PHONE, script=script))
    page = context.new_page()
    page.goto(f"{clinic.secure}/login?lang=en")
    log_in(page, PASSWORD)
    for place in (1, 8, 16):
        page.goto(f"{clinic.secure}{PAGES['study']}/{place}")
        shown = page.locator(".strip [aria-current]").bounding_box()
        strip = page.locator(".strip").bounding_box()
        assert shown is not None and strip is not None
        assert 0 <= strip["x"] <= shown["x"] + 1, "to the pixel"
        assert shown["x"] + shown["width"] <= strip["x"] + strip["width"] <= PHONE.width
        assert page.evaluate("scrollY") == 0
    context.close()


def test_who_logs_out_is_out(browser: Browser, clinic: Clinic) -> None:
    context = visiting(browser, PLAIN)
    page = context.new_page()
    page.goto(f"{clinic.secure}/login?lang=en")
    log_in(page, PASSWORD)
    kept = context.cookies()
    assert kept
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{clinic.secure}/")
    context.add_cookies(kept)  # type: ignore[arg-type]
    page.goto(f"{clinic.secure}/studies")
    expect(page).to_have_url(f"{clinic.secure}/login")
    context.close()
