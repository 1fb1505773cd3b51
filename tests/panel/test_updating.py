"""Another version of the box, asked for on the page."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from appliance.health.reports import UPDATE, UpdateReport, write_report
from appliance.updates.installation import RESULT, Result
from appliance.updates.requests import taken
from tests.panel.houses import House

ADDRESS = "https://updates.example/netty-1.3.0.raucb?board=x86_64"


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


def ask(client: TestClient, **fields: str) -> tuple[int, str]:
    found = re.search(r'name="token" value="([^"]+)"', client.get("/service").text)
    assert found
    answer = client.post("/update", data={"token": found[1], **fields})
    return answer.status_code, answer.text


def run(house: House) -> Path:
    return house.root / "run"


@pytest.mark.parametrize(("field", "told"), [({}, False), ({"while_receiving": "1"}, True)])
def test_an_address_is_handed_on_once(
    house: House, technician: TestClient, field: dict[str, str], told: bool
) -> None:
    assert ask(technician, address=f" {ADDRESS} ", **field)[0] == 303
    assert "更新しています" in technician.get("/update").text
    assert ask(technician, address="https://other.example/x.raucb")[0] == 303
    assert taken(run(house)) == (ADDRESS, told), "the one that is under way stays"
    assert taken(run(house)) is None


@pytest.mark.parametrize(
    "address",
    [
        *("", "http://updates.example/x.raucb", "file:///data/uploads/x.raucb", "/etc/shadow"),
        *("https://", "https://a b", "https://" + "a" * 1000, "x.raucb"),
    ],
)
def test_what_is_no_address_is_refused(house: House, technician: TestClient, address: str) -> None:
    status, text = ask(technician, address=address)
    assert status == 400
    assert "https:// で始まるアドレスを入力してください" in text
    assert taken(run(house)) is None


def test_what_it_changes_is_shown_while_it_is_written(house: House, technician: TestClient) -> None:
    sentence = "Version 1.3.0 takes the place of 1.2.0."
    write_report(run(house) / UPDATE, UpdateReport("writing", sentence))
    text = technician.get("/update").text
    assert sentence in text
    assert "<form" not in text[text.index("<main") :], "one at a time"


def test_what_came_of_it_is_shown(house: House, technician: TestClient) -> None:
    result = Result("rejected", "The update is for another kind of box.", "Get the one for this.")
    write_report(run(house) / RESULT, result)
    text = technician.get("/update").text
    assert result.sentence in text and result.remedy in text
    assert 'name="address"' in text


def test_a_pc_is_not_updated_by_its_page(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.fill(0)
    house.ask()
    technician = house.technician()
    assert "/update" not in technician.get("/service").text
    assert technician.get("/update").status_code == 404
    assert ask(technician, address=ADDRESS)[0] == 404
