"""A bundle that a browser sends: taken whole from who may, or nothing is left of it."""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from appliance.health.reports import UPDATE, UpdateReport, write_report
from appliance.panel import server
from appliance.panel.pages import SESSION
from appliance.panel.updating import Updating
from appliance.panel.uploads import LARGEST, Uploads
from appliance.updates.requests import taken
from tests.panel.houses import PASSWORD, House

BUNDLE = b"hsqs" + bytes(range(256)) * 1000


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.fill(0)
    house.ask()
    house.take_updates()
    return house


@pytest.fixture
def technician(house: House) -> TestClient:
    return house.technician()


def token_of(client: TestClient) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get("/update").text)
    assert found
    return found[1]


def send(
    client: TestClient, content: bytes = BUNDLE, *, name: str = "netty.raucb", **fields: str
) -> tuple[int, str]:
    """What comes of a form with its fields in our order: status and page."""
    form = {"token": token_of(client), **fields}
    answer = client.post("/update/file", data=form, files={"bundle": (name, content)})
    return answer.status_code, answer.text


def asked(house: House) -> tuple[str, bool] | None:
    return taken(house.root / "run", house.uploads)


def left(house: House) -> list[str]:
    return sorted(file.name for file in house.uploads.iterdir())


@pytest.mark.parametrize(("field", "told"), [({}, False), ({"while_receiving": "1"}, True)])
def test_a_bundle_is_kept_and_asked_for(
    house: House, technician: TestClient, field: dict[str, str], told: bool
) -> None:
    assert send(technician, **field)[0] == 303
    kept = house.uploads / "page.raucb"
    assert kept.read_bytes() == BUNDLE
    assert kept.stat().st_mode & 0o777 == 0o644, "RAUC has no rights of its own over it"
    assert left(house) == ["page.raucb"]
    assert send(technician, BUNDLE + b"other")[0] == 303
    assert kept.read_bytes() == BUNDLE, "the one that is under way stays"
    assert asked(house) == (str(kept), told)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/shadow", "\0", "更新.raucb", ""])
def test_its_name_does_not_matter(house: House, technician: TestClient, name: str) -> None:
    status, _ = send(technician, name=name)
    assert status in (303, 400)
    assert left(house) == (["page.raucb"] if status == 303 else [])


@pytest.mark.parametrize("content", [b"", b"hsq", b"PK\3\4" + bytes(300_000), b"sqsh"])
def test_what_is_no_bundle_is_refused(house: House, technician: TestClient, content: bytes) -> None:
    status, text = send(technician, content)
    assert status == 400
    assert "更新ファイルではありません" in text
    assert (left(house), asked(house)) == ([], None)


def test_a_bundle_must_leave_room_for_images(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Uploads(house.uploads, kept_free=1 << 60)
    monkeypatch.setattr("appliance.panel.app.Uploads", lambda folder: made)
    status, text = send(house.technician())
    assert status == 400
    assert "ディスクの空きが足りません" in text
    assert (left(house), asked(house)) == ([], None)


def test_nobody_fills_the_disk(house: House, technician: TestClient) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(LARGEST + 1)}
    answer = technician.post("/update/file", content=b"", headers=kind)
    assert answer.status_code == 400
    assert "大きすぎます" in answer.text
    assert left(house) == []


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"token={}", 415),
        ({"Content-Type": "multipart/form-data"}, b"", 415),
        ({"Content-Type": f"multipart/form-data; boundary={'x' * 71}"}, b"", 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\nnothing", 403),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"nothing", 400),
    ],
)
def test_what_is_no_such_form_is_refused(
    house: House, technician: TestClient, headers: dict[str, str], body: bytes, status: int
) -> None:
    assert technician.post("/update/file", content=body, headers=headers).status_code == status
    assert (left(house), asked(house)) == ([], None)


def part(name: str, content: bytes, more: bytes = b"") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"'.encode()
    return head + more + b"\r\n\r\n" + content + b"\r\n"


@pytest.mark.parametrize("wrong", ["missing", "behind", "another's", "another site's"])
def test_a_form_of_another_page_writes_nothing(
    house: House, technician: TestClient, wrong: str
) -> None:
    right = part("token", token_of(technician).encode())
    file = part("bundle", BUNDLE, b'; filename="a"')
    before, behind = {
        "missing": (b"", b""),
        "behind": (b"", right),
        "another's": (part("token", token_of(house.technician()).encode()), b""),
        "another site's": (right, b""),
    }[wrong]
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    if wrong == "another site's":
        headers["Origin"] = "https://evil.example"
    body = before + file + behind + b"--x--\r\n"
    assert technician.post("/update/file", content=body, headers=headers).status_code == 403
    assert (left(house), asked(house)) == ([], None)


def test_there_is_one_file_and_fields_may_follow_it(house: House, technician: TestClient) -> None:
    token = part("token", token_of(technician).encode())
    file = part("bundle", BUNDLE, b'; filename="a"')
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    twice = token + file + file + b"--x--\r\n"
    assert technician.post("/update/file", content=twice, headers=headers).status_code == 400
    assert (left(house), asked(house)) == ([], None)
    told = token + file + part("while_receiving", b"1") + b"--x--\r\n"
    assert technician.post("/update/file", content=told, headers=headers).status_code == 303
    assert asked(house) == (str(house.uploads / "page.raucb"), True)
    assert (house.uploads / "page.raucb").read_bytes() == BUNDLE


@pytest.mark.parametrize("cut", [0.3, 0.999])
def test_of_a_bundle_that_was_cut_short_nothing_is_left(
    house: House, technician: TestClient, cut: float
) -> None:
    whole = part("token", token_of(technician).encode())
    whole += part("bundle", BUNDLE, b'; filename="a"') + b"--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    short = whole[: round(len(whole) * cut)]
    assert technician.post("/update/file", content=short, headers=headers).status_code == 400
    assert (left(house), asked(house)) == ([], None)


def test_a_pc_takes_none(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.fill(0)
    house.ask()
    technician = house.technician()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert technician.post("/update/file", content=b"", headers=headers).status_code == 404


def test_a_box_without_its_disk_offers_the_address_alone(
    house: House, technician: TestClient
) -> None:
    house.uploads.rmdir()
    text = technician.get("/update").text
    assert 'name="address"' in text
    assert 'type="file"' not in text


def test_what_an_earlier_page_left_is_removed_unless_it_is_being_installed(house: House) -> None:
    updating = Updating(house.root / "run", Uploads(house.uploads))
    for name in ("page.raucb", "page.raucb.part"):
        (house.uploads / name).write_bytes(BUNDLE)
    report = house.root / "run" / UPDATE
    write_report(report, UpdateReport("writing"))
    updating.begin()
    assert left(house) == ["page.raucb", "page.raucb.part"]
    report.unlink()
    updating.begin()
    assert left(house) == []


@pytest.fixture
def secure(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a page that waits a second only."""
    monkeypatch.setattr(server, "SENT_WITHIN", 1.0)
    with house.serving() as (_, address):
        yield int(address.rpartition(":")[2])


def connect(port: int) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 30))


def trickle(port: int, cookie: str, fields: bytes) -> bytes:
    """Send a bundle in five parts, 0.6 s between them; the first bytes of what is answered."""
    body = fields + part("bundle", BUNDLE, b'; filename="a"') + b"--x--\r\n"
    head = (
        f"POST /update/file HTTP/1.1\r\nHost: netty\r\nCookie: {SESSION}={cookie}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with connect(port) as connection:
        try:
            connection.sendall(head + fields)
            rest, step = body[len(fields) :], len(BUNDLE) // 4
            for at in range(0, len(rest), step):
                time.sleep(0.6)
                connection.sendall(rest[at : at + step])
            return connection.recv(12)
        except OSError:
            return b""


def login(port: int) -> str:
    """The cookie of a session."""
    body = f"password={PASSWORD.replace(' ', '+')}"
    with connect(port) as connection:
        connection.sendall(
            f"POST /login HTTP/1.1\r\nHost: netty\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}".encode()
        )
        found = re.search(rf"{SESSION}=([^;]+)", connection.recv(65_536).decode())
    assert found
    return found[1]


def form_token(port: int, cookie: str) -> str:
    said = b""
    with connect(port) as connection:
        connection.sendall(
            f"GET /update HTTP/1.1\r\nHost: netty\r\nConnection: close\r\n"
            f"Cookie: {SESSION}={cookie}\r\n\r\n".encode()
        )
        while more := connection.recv(65_536):
            said += more
    found = re.search(r'name="token" value="([^"]+)"', said.decode())
    assert found
    return found[1]


def test_a_slow_line_is_waited_for_as_soon_as_the_form_is_ours(house: House, secure: int) -> None:
    cookie = login(secure)
    right = part("token", form_token(secure, cookie).encode())
    assert trickle(secure, cookie, right) == b"HTTP/1.1 303"
    assert (house.uploads / "page.raucb").read_bytes() == BUNDLE
    (house.uploads / "page.raucb").unlink()
    asked(house)
    # A form without end that says nothing of whose it is.
    assert trickle(secure, cookie, part("more", bytes(900))) in (b"", b"HTTP/1.1 403")
    assert left(house) == []
