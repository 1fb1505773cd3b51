"""The gate: what passes, what is waited for, and what each failure says."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.provisioning.activation import Activation
from appliance.provisioning.apply import TrialFailed
from appliance.provisioning.gate import LINKS, BoxTrial, NetworkUp, PageAnswers
from appliance.settings.model import Settings
from appliance.settings.reader import read

DHCP = read("revision = 1")
FIXED = read('revision = 1\n[network]\naddress = "192.0.2.5/24"\n')
VLAN = read("revision = 1\n[network]\nvlan = 20\n")
NAMED = read('revision = 1\n[network]\ninterface = "eth7"\n')

UNIT = "/run/systemd/network/10-netty.network"
GOOD = {
    "ADMIN_STATE": "configured",
    "OPER_STATE": "routable",
    "CARRIER_STATE": "carrier",
    "NETWORK_FILE": UNIT,
}


def network(run: Path, *links: dict[str, str], ours: bool = True) -> NetworkUp:
    folder = run / LINKS
    folder.mkdir(parents=True)
    for index, link in enumerate(links, 2):
        text = "# comment\n" + "".join(f"{key}={value}\n" for key, value in link.items())
        (folder / str(index)).write_text(text)
    return NetworkUp(run, lambda address: ours and address == "192.0.2.5")


def failure(check: NetworkUp, settings: Settings) -> str:
    found = check(settings)
    return found.sentence if found else ""


def test_one_interface_that_works_is_enough(tmp_path: Path) -> None:
    idle = GOOD | {"OPER_STATE": "no-carrier", "CARRIER_STATE": "no-carrier"}
    check = network(tmp_path, idle, GOOD)
    assert failure(check, DHCP) == ""
    assert failure(check, FIXED) == ""


@pytest.mark.parametrize(
    ("settings", "change", "words"),
    [
        (DHCP, {"OPER_STATE": "degraded", "ADMIN_STATE": "configuring"}, "No DHCP server"),
        (DHCP, {"CARRIER_STATE": "no-carrier", "OPER_STATE": "no-carrier"}, "No network cable"),
        (DHCP, {"CARRIER_STATE": "off", "OPER_STATE": "off"}, "No network cable"),
        (DHCP, {"NETWORK_FILE": "/usr/lib/other.network"}, "no network interface with a cable"),
        (FIXED, {"ADMIN_STATE": "configuring"}, "could not take the address 192.0.2.5/24"),
        (NAMED, {"NETWORK_FILE": "/usr/lib/other.network"}, "no network interface named eth7"),
    ],
)
def test_what_is_wrong_with_the_network(
    tmp_path: Path, settings: Settings, change: dict[str, str], words: str
) -> None:
    assert words in failure(network(tmp_path, GOOD | change), settings)


def test_an_address_that_the_box_does_not_have(tmp_path: Path) -> None:
    assert "could not take the address" in failure(network(tmp_path, GOOD, ours=False), FIXED)


def test_in_a_vlan_its_own_interface_counts(tmp_path: Path) -> None:
    check = network(tmp_path, GOOD)
    assert "no network interface" in failure(check, VLAN)
    vlan = GOOD | {"NETWORK_FILE": "/run/systemd/network/10-netty-vlan.network"}
    text = "".join(f"{key}={value}\n" for key, value in vlan.items())
    (tmp_path / LINKS / "9").write_text(text)
    assert failure(check, VLAN) == ""


def test_a_machine_without_networkd_has_no_interface(tmp_path: Path) -> None:
    assert "no network interface" in failure(NetworkUp(tmp_path), DHCP)


def test_an_address_is_looked_for_on_this_machine(tmp_path: Path) -> None:
    has = NetworkUp(tmp_path).has_address
    assert has("127.0.0.1")
    assert not has("192.0.2.5")


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    server.status = 200  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "passes"), [(200, True), (302, True), (500, False)])
def test_the_page(server: http.server.HTTPServer, status: int, passes: bool) -> None:
    server.status = status  # type: ignore[attr-defined]
    found = PageAnswers(server.server_port)(DHCP)
    assert (found is None) is passes
    assert passes or (found is not None and "HTTP status 500" in found.sentence)


def test_a_page_that_is_not_there(server: http.server.HTTPServer) -> None:
    port = server.server_port
    server.shutdown()
    server.server_close()
    found = PageAnswers(port)(DHCP)
    assert found is not None and "refused" in found.sentence


class Slow:
    """Passes from the third look on."""

    def __init__(self, passes: bool = True) -> None:
        self.looks, self.passes = 0, passes

    def __call__(self, settings: Settings) -> TrialFailed | None:
        self.looks += 1
        return None if self.passes and self.looks >= 3 else TrialFailed("Not yet.", "Wait.")


def test_what_comes_in_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.provisioning.gate._LOOK_EVERY", 0.001)
    checks = (Slow(), Slow())
    BoxTrial(Activation(), checks, patience=60).gate(DHCP)
    assert [check.looks for check in checks] == [3, 3]


def test_what_does_not_come_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.provisioning.gate._LOOK_EVERY", 0.001)
    never, after = Slow(passes=False), Slow()
    with pytest.raises(TrialFailed, match="Not yet"):
        BoxTrial(Activation(), (never, after), patience=0.05).gate(DHCP)
    assert never.looks > 1
    assert after.looks == 0
