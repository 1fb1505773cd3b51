"""The page as an attacker meets it: without login, with forged forms, with too much, too slowly."""

import io
import re
import socket
import ssl
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from appliance.archive.requests import Requests
from appliance.panel import server
from appliance.panel import technician as technician_pages
from appliance.panel.app import HEADERS, OPEN, STREAMS, is_allowed
from appliance.panel.handshakes import OF_ONE_MACHINE
from appliance.panel.pages import SESSION, UNATTENDED, Pages
from appliance.panel.serving import machine_routes
from appliance.panel.sessions import IDLE, WRONG, Attempts, Sessions
from appliance.panel.technician import WAITING, Technician
from appliance.panel.visitors import machine_of
from appliance.settings.shown import Shown
from tests.panel.houses import HASHED, PASSWORD, PATIENT, TOKEN, House

GETS = (
    *("/studies", "/studies/1", "/studies/1/1", "/pictures/1/0", "/pictures/1/0/small"),
    *("/search", "/search/1"),
    *("/fetches", "/watch", "/events", "/service", "/settings", "/tests/1", "/update"),
)
POSTS = ("/search", "/fetch", "/suspension", "/tests", "/bundle", "/update")
FILE = "/update/file"
"""Where a form with a file in it goes; what it must bring is tried in test_uploads."""
PROGRAMS = ("/metrics", "/dicomweb/studies", "/dicomweb/studies/2.25.1/rendered")
SECRETS = (PATIENT, PASSWORD, TOKEN, HASHED, "NET-0001", "00067890")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("house"))
    house.fill()
    house.ask()
    house.take_updates()
    house.machines = machine_routes(house.sources())
    return house


@pytest.fixture
def stranger(house: House) -> TestClient:
    return house.client()


@pytest.fixture(scope="module")
def technician(house: House) -> TestClient:
    return house.technician()


def token_of(client: TestClient) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get("/service").text)
    assert found
    return found[1]


def suspended(house: House) -> bool:
    requests = Requests.open(house.folders.requests)
    try:
        return requests.suspended
    finally:
        requests.close()


# -- without login


def test_the_lists_name_every_route(house: House) -> None:
    """A new route must be thought about."""
    technician = Technician(None, None, None, None, None, None, None)  # type: ignore[arg-type]
    routes = [one for one in technician.routes() if isinstance(one, Route)]
    plain = re.compile(r"\{\w+:int\}")
    for method, known in (("GET", GETS), ("POST", (*POSTS, FILE))):
        there = {plain.sub("1", one.path) for one in routes if method in (one.methods or ())}
        assert there == {re.sub(r"\d", "1", path) for path in known}


@pytest.mark.parametrize("path", GETS)
def test_nothing_is_shown_without_login(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert answer.content == b""


@pytest.mark.parametrize("path", [*POSTS, FILE])
def test_nothing_is_done_without_login(stranger: TestClient, house: House, path: str) -> None:
    answer = stranger.post(path, data={"to": "suspend", "remote": "main", "patient_id": "1"})
    assert answer.status_code == 403
    assert not suspended(house)


@pytest.mark.parametrize("path", PROGRAMS)
def test_programs_need_the_token(stranger: TestClient, technician: TestClient, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        assert stranger.get(path, headers=headers).status_code == 401
    assert technician.get(path).status_code == 401, "a session is for people"
    assert stranger.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("path", [*GETS, "/login", *PROGRAMS])
def test_by_http_there_is_the_state_alone(house: House, path: str) -> None:
    plain = house.client(secure=False)
    plain.cookies.set(SESSION, house.technician().cookies[SESSION])
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for method in ("GET", "POST", "PUT"):
        assert plain.request(method, path, headers=headers).status_code == 404


@pytest.mark.parametrize("path", sorted(OPEN - {"/live"}))
def test_what_everybody_sees_names_nobody(house: House, path: str) -> None:
    for client in (house.client(), house.client(secure=False)):
        text = client.get(path).text
        assert not [secret for secret in SECRETS if secret in text]


# -- forged


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", "." * 500, "\x7f", "null"])
def test_a_forged_cookie_is_worth_nothing(house: House, cookie: str) -> None:
    headers = {"Cookie": f"{SESSION}={cookie}"}
    assert house.client().get("/studies", headers=headers).status_code == 303


def test_a_cookie_that_was_changed_is_worth_nothing(house: House) -> None:
    cookie = house.technician().cookies[SESSION]
    for at in range(0, len(cookie), 3):
        forged = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]
        headers = {"Cookie": f"{SESSION}={forged}"}
        assert house.client().get("/studies", headers=headers).status_code == 303


@pytest.mark.parametrize("path", [*POSTS, "/logout"])
def test_a_form_of_another_page_is_refused(technician: TestClient, house: House, path: str) -> None:
    fields = {"to": "suspend", "remote": "main", "patient_id": "1", "search": "1", "number": "1"}
    good = token_of(technician)
    before = len(Requests.open(house.folders.requests).latest(1000))
    for token in ("", "x", good[:-1], good[::-1], token_of(house.technician())):
        answer = technician.post(path, data={**fields, "token": token})
        assert answer.status_code == 403
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        answer = technician.post(path, data={**fields, "token": good}, headers=headers)
        assert answer.status_code == 403
    assert not suspended(house)
    assert len(Requests.open(house.folders.requests).latest(1000)) == before
    assert technician.get("/studies").status_code == 200, "nobody was logged out"


@pytest.mark.parametrize("origin", ["https://evil.example", "http://[", "https://netty:x"])
def test_another_page_cannot_log_in_either(house: House, origin: str) -> None:
    headers = {"Origin": origin}
    answer = house.client().post("/login", data={"password": PASSWORD}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_cookies_are_strict(house: House) -> None:
    answer = house.client().post("/login", data={"password": PASSWORD})
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-session=")
    for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie


def test_sessions_end() -> None:
    now, password = [0.0], ["one"]
    sessions = Sessions(lambda: password[0], lambda: now[0])
    cookie = sessions.begin()
    session = sessions.find(cookie)
    assert session
    assert not sessions.is_form_token(session, sessions.form_token(sessions.find(sessions.begin())))  # type: ignore[arg-type]
    now[0] += IDLE - 1
    assert sessions.find(cookie)
    now[0] += IDLE - 1
    assert sessions.find(cookie), "whoever works stays"
    password[0] = "two"
    assert not sessions.find(cookie), "another password ends what began with the old one"
    password[0] = "one"
    now[0] += IDLE + 1
    assert not sessions.find(cookie)
    other = sessions.begin()
    sessions.end(sessions.find(other))  # type: ignore[arg-type]
    assert not sessions.find(other)
    assert not Sessions(lambda: "one").find(other), "each process has a secret of its own"


def test_a_page_left_open_keeps_nobody_logged_in(house: House) -> None:
    now = [0.0]
    sessions = Sessions(lambda: HASHED, lambda: now[0])
    pages = Pages(lambda: house.told, sessions, None)
    cookie = sessions.begin()

    def asked(**headers: str) -> Request:
        sent = {"Cookie": f"{SESSION}={cookie}", **headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
        scope = {"type": "http", "method": "GET", "scheme": "https", "path": "/fetches"}
        server = {"server": ("netty", 443), "query_string": b"", "headers": raw}
        return Request({**scope, **server})

    for _ in range(3):
        now[0] += IDLE / 3
        assert pages.visit(asked(**{UNATTENDED: "1"})).session, "it is still shown what it may be"
        assert pages.glance(asked()).session is None
    assert pages.visit(asked()).session, "half an hour is not over"
    now[0] += IDLE
    assert pages.visit(asked(**{UNATTENDED: "1"})).session, "a person came half an hour ago"
    now[0] += 1
    assert pages.visit(asked(**{UNATTENDED: "1"})).session is None


def test_the_stream_of_the_front_page_uses_no_session(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = threading.Event()
    monkeypatch.setattr(Sessions, "find", lambda *_: used.set())
    with house.serving() as (_, secure):
        port = int(secure.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), 60) as plain,
            _trusting().wrap_socket(plain) as connection,
        ):
            cookie = f"Cookie: {SESSION}=x".encode()
            connection.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n" + cookie + b"\r\n\r\n")
            answer = b""
            while b"data:" not in answer:
                answer += connection.recv(65_536)
    assert not used.is_set()


# -- guessing


def test_guessing_is_slow_for_who_guesses_and_for_nobody_else(house: House) -> None:
    guesser = house.client(address="192.0.2.66")
    for _ in range(WRONG):
        assert guesser.post("/login", data={"password": "wrong"}).status_code == 403
    answer = guesser.post("/login", data={"password": PASSWORD})
    assert answer.status_code == 429
    assert "set-cookie" not in answer.headers
    right = house.client(address="192.0.2.67").post("/login", data={"password": PASSWORD})
    assert right.status_code == 303


def test_attempts_are_forgotten_after_a_while_and_counted_by_machine() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for last in range(WRONG):
        assert attempts.wait("2001:db8::1") == 0
        attempts.wrong(f"2001:db8::{last}")
    assert attempts.wait("2001:db8::ffff") > 0, "one machine has a whole network of addresses"
    assert attempts.wait("2001:db8:1::1") == 0
    assert attempts.wait("::ffff:192.0.2.1") == 0
    now[0] += 900
    assert attempts.wait("2001:db8::1") == 0
    for number in range(5000):
        attempts.wrong(f"10.0.{number // 256}.{number % 256}")
    assert len(attempts._wrong) <= 4096


def test_without_a_password_nobody_gets_in(house: House, tmp_path: Path) -> None:
    client = House(tmp_path, told=Shown()).client()
    for password in ("", "password", PASSWORD):
        assert client.post("/login", data={"password": password}).status_code == 403


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("192.0.2.5", True),
        ("::ffff:192.0.2.5", True),
        ("198.51.100.1", False),
        ("127.0.0.1", True),
        ("::1", True),
        ("fe80::1%eth0", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_visitors_from_elsewhere(address: str, allowed: bool) -> None:
    assert is_allowed(address, ("192.0.2.0/24",)) == allowed
    assert is_allowed(address, ())


# -- malformed


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"password=" + b"x" * 9000, FORM, 413),
        (b"password=x", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
        (b'{"password": "x"}', {"Content-Type": "application/json"}, 415),
        (b"password=x", {}, 415),
        (b"password=%ff", FORM, 400),
        (b"password=\xff", FORM, 400),
        (b"password=%00", FORM, 400),
        (b"password=a&password=b", FORM, 400),
        (b"&".join(b"a%d=1" % n for n in range(50)), FORM, 400),
        (b"nonsense", FORM, 400),
        (b"", FORM, 403),
        (b"password=%e3%80%80%09%c2%a0", FORM, 403),
        (b"password=%1b", FORM, 400),
        (b"password=%e2%80%ae", FORM, 400),
    ],
)
def test_malformed_forms(house: House, body: bytes, headers: dict[str, str], status: int) -> None:
    client = house.client(address="198.51.100.9")
    assert client.post("/login", content=body, headers=headers).status_code == status


@pytest.mark.parametrize("around", ["\u3000", "\t", "\u00a0"])
def test_spaces_of_any_kind_around_a_number_do_not_matter(house: House, around: str) -> None:
    client = house.technician()
    keys = {"remote": "main", "patient_id": f"{around}山田\u3000{around}"}
    answer = client.post("/search", data={"token": token_of(client), **keys})
    requests = Requests.open(house.folders.requests)
    search, _ = requests.find_search(int(answer.headers["location"].rpartition("/")[2]))
    requests.close()
    assert search.patient_id == "山田"


@pytest.mark.parametrize(
    "path",
    [
        *("/pictures/1/99", "/pictures/99999999999999999999/0", "/pictures/-1/0", "/pictures/1"),
        *("/pictures/1/99/small", "/pictures/1/0/large", "/pictures/1/0/small/"),
        *("/studies/0", "/studies/1/0", "/studies/1/99999", "/studies/" + "9" * 5000),
        *("/pictures/1/..%2f..%2f..%2fetc%2fpasswd", "/../../etc/passwd", "/static/../app.py"),
        *("/studies/1/%00", "/studies/", "/STUDIES", "/studies//1", "/.git/config"),
    ],
)
def test_there_is_nothing_beside_the_pages(technician: TestClient, path: str) -> None:
    answer = technician.get(path)
    assert answer.status_code in (404, 401)
    assert "root:" not in answer.text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    path=st.sampled_from([*GETS, *POSTS, FILE, *PROGRAMS, "/login", "/logout", "/", "/health"]),
    more=st.text(max_size=20),
    query=st.text(max_size=40),
    body=st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from(["token", "remote", "patient_id", "accession", "search", "number"]),
            st.text(max_size=30),
        ),
    ),
    language=st.text("enja;q=0.1,-*", max_size=20),
    knows=st.booleans(),
)
def test_whatever_is_sent_is_answered(
    house: House,
    technician: TestClient,
    method: str,
    path: str,
    more: str,
    query: str,
    body: bytes | dict[str, str],
    language: str,
    knows: bool,
) -> None:
    client = technician if knows else house.client(address="198.51.100.8")
    if isinstance(body, dict):
        body = "&".join(
            f"{name}={quote(value)}"
            for name, value in {"token": token_of(technician), **body}.items()
        ).encode()
    address = f"{path}{quote(more)}?{quote(query, safe='=&')}"
    answer = client.request(
        method, address, content=body, headers={**FORM, "Accept-Language": language}
    )
    assert answer.status_code < 500, address
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    if not knows:
        assert not [secret for secret in SECRETS if secret in answer.text]


def test_no_address_and_no_log_names_a_patient(
    house: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    client = house.technician()
    token = token_of(client)
    answer = client.post(
        "/search", data={"token": token, "remote": "main", "patient_id": "SUZUKI-99"}
    )
    assert answer.status_code == 303
    assert re.fullmatch(r"/search/\d+", answer.headers["location"])
    for path in GETS:
        text = client.get(path).text
        for address in re.findall(r'(?:href|src|action)="([^"]*)"', text):
            assert not [secret for secret in (*SECRETS, "SUZUKI") if secret in address]
    said = capfd.readouterr()
    assert "SUZUKI" not in caplog.text + said.out + said.err


def test_the_support_bundle_names_no_patient(technician: TestClient) -> None:
    answer = technician.post("/bundle", data={"token": token_of(technician)})
    assert answer.status_code == 200
    assert re.fullmatch(
        r'attachment; filename="netty-support-\d{8}-\d{6}\.zip"',
        answer.headers["content-disposition"],
    )
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        texts = [bundle.read(name).decode() for name in bundle.namelist()]
    assert len(texts) > 3
    assert not [secret for secret in SECRETS for text in texts if secret in text]


def test_a_fault_is_told_without_values(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = House(tmp_path)

    def broken() -> None:
        raise RuntimeError(f"the patient is {PATIENT}")

    house.look = broken  # type: ignore[assignment]
    answer = house.client(secure=False).get("/")
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert PATIENT not in answer.text + caplog.text
    assert "RuntimeError at broken" in caplog.text


def test_the_end_of_a_stream_is_noticed(house: House) -> None:
    with house.serving() as (plain, _):
        port = int(plain.rpartition(":")[2])
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"text/event-stream" in connection.recv(4096)


# -- too slow, too many


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SENT_WITHIN", 1.0)


@pytest.fixture
def served(house: House, impatient: None) -> Iterator[tuple[int, int]]:
    with house.serving() as addresses:
        plain, secure = (int(one.rpartition(":")[2]) for one in addresses)
        yield plain, secure


def is_ended(connection: socket.socket) -> bool:
    """Whether the other side ends it, sooner or later."""
    connection.settimeout(60)
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
        b"\x16\x03\x01\x02\x00",
    ],
    ids=["nothing", "a line", "headers", "a body", "TLS by HTTP"],
)
def test_who_is_slow_is_given_up(served: tuple[int, int], begun: bytes) -> None:
    for port in served:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(begun)
            assert is_ended(connection)


def test_a_request_in_crumbs_is_given_up(served: tuple[int, int]) -> None:
    with socket.create_connection(("127.0.0.1", served[0])) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError):
            for _ in range(600):
                connection.sendall(b"X: y\r\n")
                time.sleep(0.1)


def test_who_does_not_take_what_it_asked_for_is_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TAKEN_WITHIN", 1.0)
    with house.serving() as (plain, _), socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.connect(("127.0.0.1", int(plain.rpartition(":")[2])))
        asked = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        length = len(_answer(plain, HEALTH.replace(b"/health", b"/")))
        wanted = -(-40_000_000 // length)
        idle.settimeout(60)
        with pytest.raises(ConnectionError):
            # More than the buffers between the two take; it reads nothing of it.
            for _ in range(wanted):
                idle.sendall(asked)
            while idle.send(asked):
                time.sleep(0.1)
        assert b" 200 " in _answer(plain, HEALTH)


HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def _answer(address: str, asked: bytes) -> bytes:
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(asked)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


def test_no_more_pages_are_kept_up_to_date_than_the_box_can(house: House) -> None:
    asked = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
    with house.serving() as (plain, _), ExitStack() as open_ones:
        port = int(plain.rpartition(":")[2])

        def visit() -> bytes:
            connection = socket.create_connection(("127.0.0.1", port), timeout=60)
            open_ones.enter_context(connection)
            connection.sendall(asked)
            answer = b""
            while b"retry:" not in answer and b" 503 " not in answer:
                answer += connection.recv(4096)
            return answer

        assert all(b" 200 " in visit() for _ in range(STREAMS))
        assert b" 503 " in visit()
        assert b" 200 " in _answer(plain, HEALTH)
        open_ones.pop_all().close()
        deadline = time.monotonic() + 60
        while b" 200 " not in visit():
            assert time.monotonic() < deadline, "places are not given back"
            time.sleep(0.2)


def test_logins_wait_for_each_other_and_few_may(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check of a password takes 16 MiB: whoever sends a thousand must not cost the box its AE."""
    go_on, turned_away = threading.Event(), 5

    def slowly(password: str, _: str) -> bool:
        assert go_on.wait(60)
        return password == PASSWORD

    monkeypatch.setattr(technician_pages, "is_password", slowly)
    with house.serving() as (_, secure), ThreadPoolExecutor(20) as pool:
        port = int(secure.rpartition(":")[2])

        def enter(last: int) -> int:
            """From an address of its own, so that no count of attempts is in the way."""
            body = f"password={quote(PASSWORD)}".encode()
            head = f"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            kind = "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n"
            with (
                socket.create_connection(("127.0.0.1", port), 60, (f"127.0.0.{last}", 0)) as plain,
                _trusting().wrap_socket(plain) as connection,
            ):
                connection.sendall((head + kind).encode() + body)
                return int(connection.recv(4096).split()[1])

        asked = [pool.submit(enter, 2 + number) for number in range(WAITING + 1 + turned_away)]
        first = list(islice(as_completed(asked, timeout=60), turned_away))
        assert [each.result() for each in first] == [503] * turned_away
        go_on.set()
        rest = [each.result(60) for each in asked if each not in first]
        assert rest == [303] * (WAITING + 1)


def _trusting() -> ssl.SSLContext:
    """The page's certificate is its own."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_two_hundred_at_once_are_answered(house: House) -> None:
    with house.serving() as (plain, _):
        port = int(plain.rpartition(":")[2])
        ready = threading.Barrier(200)

        def visit(_: int) -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
                ready.wait(120)
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = b""
                while part := connection.recv(65_536):
                    answer += part
            return answer

        with ThreadPoolExecutor(200) as pool:
            answers = list(pool.map(visit, range(200)))
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_one_machine_cannot_take_all_connections(house: House) -> None:
    with house.serving() as (plain, _):
        port = int(plain.rpartition(":")[2])
        taken = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        try:
            # Another address of this machine stands for another machine.
            with socket.socket() as other:
                other.bind(("127.0.0.2", 0))
                other.settimeout(60)
                other.connect(("127.0.0.1", port))
                other.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert other.recv(100).startswith(b"HTTP/1.1 200")
        finally:
            for one in taken:
                one.close()


def test_silent_handshakes_of_one_machine_are_cut_off(house: House) -> None:
    """Each costs memory for TLS before it is a connection that could be counted."""
    with house.serving() as (_, secure):
        port = int(secure.rpartition(":")[2])
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        try:
            visitor = ssl.create_default_context()
            visitor.check_hostname, visitor.verify_mode = False, ssl.CERT_NONE
            with socket.socket() as other:
                # Another address of this machine stands for another machine.
                other.bind(("127.0.0.2", 0))
                other.settimeout(60)
                other.connect(("127.0.0.1", port))
                with visitor.wrap_socket(other) as seen:
                    seen.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    assert seen.recv(100).startswith(b"HTTP/1.1 ")
            assert len([one for one in silent if _waits(one)]) == OF_ONE_MACHINE
        finally:
            for one in silent:
                one.close()
        again = ssl.get_server_certificate(("127.0.0.1", port), timeout=60)
        assert "BEGIN CERTIFICATE" in again, "their places are free"


def _waits(connection: socket.socket) -> bool:
    """Whether the other side keeps a connection, and has said nothing."""
    connection.setblocking(False)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    except ConnectionResetError:
        pass
    return False


def test_a_machine_has_an_ipv6_network_to_itself() -> None:
    assert machine_of("2001:db8::1") == machine_of("2001:db8::ffff:2%eth0")
    assert machine_of("2001:db8::1") != machine_of("2001:db8:0:1::1")
    assert machine_of("::ffff:192.0.2.1") == machine_of("192.0.2.1")
