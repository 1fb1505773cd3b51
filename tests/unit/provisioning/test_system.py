"""What the operating system is told: every file for every kind of settings; nftables agrees."""

import json
import os
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from appliance.provisioning.system import (
    FIREWALL,
    FLEET,
    FLEET_ROOM,
    NETWORK,
    OWNED,
    PANEL,
    TIME_SERVERS,
    TIME_ZONE,
    VLAN_DEVICE,
    VLAN_NETWORK,
    files,
    firewall,
    links,
    write,
)
from appliance.settings.reader import read
from tests.unit.settings.files import (
    ANOTHER_CERTIFICATE,
    ANOTHER_KEY,
    CERTIFICATE,
    KEY,
    PASSWORD,
    TOKEN,
    WHOLE,
)

OVERLAY = Path(__file__).parents[3] / "overlay"

FIXED = """\
revision = 1
[network]
address = "192.0.2.5/24"
gateway = "192.0.2.1"
dns = ["192.0.2.53", "2001:db8::53"]
interface = "eth1"
"""


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_a_box_without_settings_is_left_to_the_system() -> None:
    assert files(None) == {}
    assert links(None) == {}


def test_by_dhcp_everything_wired_takes_part() -> None:
    made = files(read("revision = 1"))
    assert set(made) == {NETWORK, FIREWALL, PANEL}
    assert lines(made[NETWORK]) == [
        "[Match]",
        "Type=ether",
        "Kind=!*",
        "[Network]",
        "DHCP=yes",
        "LinkLocalAddressing=ipv6",
        "LLMNR=no",
        "MulticastDNS=no",
        "[DHCPv4]",
        "ClientIdentifier=mac",
        "UseDNS=yes",
        "UseNTP=yes",
        "UseHostname=no",
        "[DHCPv6]",
        "UseDNS=yes",
        "UseNTP=yes",
        "UseHostname=no",
    ]


def test_a_fixed_address() -> None:
    assert lines(files(read(FIXED))[NETWORK]) == [
        "[Match]",
        "Name=eth1",
        "[Network]",
        "DHCP=no",
        "DNS=192.0.2.53",
        "DNS=2001:db8::53",
        "Address=192.0.2.5/24",
        "IPv6AcceptRA=no",
        "Gateway=192.0.2.1",
        "LinkLocalAddressing=ipv6",
        "LLMNR=no",
        "MulticastDNS=no",
    ]


def test_own_name_and_time_servers_are_preferred_to_those_of_dhcp() -> None:
    made = files(read('revision = 1\n[network]\ndns = ["192.0.2.53"]\nntp = ["a", "192.0.2.9"]'))
    assert made[NETWORK].count("UseDNS=no") == made[NETWORK].count("UseNTP=no") == 2
    assert lines(made[TIME_SERVERS]) == ["[Time]", "NTP=a 192.0.2.9"]


def test_in_a_vlan_the_address_is_that_of_its_own_interface() -> None:
    made = files(read(FIXED + "vlan = 20\n"))
    assert lines(made[NETWORK]) == [
        "[Match]",
        "Name=eth1",
        "[Network]",
        "VLAN=vlan20",
        "LinkLocalAddressing=no",
    ]
    assert lines(made[VLAN_DEVICE]) == ["[NetDev]", "Name=vlan20", "Kind=vlan", "[VLAN]", "Id=20"]
    assert lines(made[VLAN_NETWORK])[:4] == ["[Match]", "Name=vlan20", "[Network]", "DHCP=no"]


REMOTES = """\
revision = 1
[ae]
port = 11112
[[remote]]
name = "a"
title = "A"
host = "192.0.2.10"
[[remote]]
name = "b"
title = "B"
host = "somewhere"
calls_from = ["192.0.2.0/28", "2001:db8::/64", "192.0.2.77"]
"""


def test_the_dicom_port_is_open_to_the_registered_alone() -> None:
    made = firewall(read(REMOTES))
    assert "ip saddr { 192.0.2.0/28, 192.0.2.77/32 } tcp dport { 11112 } accept" in made
    assert "ip6 saddr { 2001:db8::/64 } tcp dport { 11112 } accept" in made
    assert "policy drop" in made


def test_a_remote_by_name_leaves_the_port_to_the_ae() -> None:
    made = firewall(read(REMOTES + '[[remote]]\nname = "c"\ntitle = "C"\nhost = "pacs"\n'))
    assert "    tcp dport { 11112 } accept" in made
    assert "ip saddr" not in made


def test_without_remotes_nobody_calls() -> None:
    assert "104" not in firewall(read("revision = 1"))


def test_visitors_of_the_page_may_be_limited() -> None:
    assert "    tcp dport { 80, 443 } accept" in firewall(read("revision = 1"))
    made = firewall(read('revision = 1\n[panel]\nallow_from = ["192.0.2.0/24"]'))
    assert "ip saddr { 192.0.2.0/24 } tcp dport { 80, 443 } accept" in made
    assert "    tcp dport { 80" not in made


@pytest.mark.skipif(
    shutil.which("nft") is None or os.geteuid() != 0, reason="nft is not installed, or not for us"
)
@pytest.mark.parametrize("text", ["revision = 1", REMOTES, WHOLE], ids=["least", "some", "whole"])
def test_nftables_takes_the_rules(tmp_path: Path, text: str) -> None:
    rules = tmp_path / "rules.nft"
    rules.write_text(firewall(read(text)))
    for file in (rules, OVERLAY / "usr/lib/netty/firewall.nft"):
        done = subprocess.run(["nft", "--check", "--file", file], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


def test_the_rules_of_the_start_and_of_the_settings_differ_in_what_they_open_alone() -> None:
    start = (OVERLAY / "usr/lib/netty/firewall.nft").read_text()
    assert lines(start) == lines(firewall(read("revision = 1")))


def test_what_is_written_is_whole_and_told_once(tmp_path: Path) -> None:
    settings = read(WHOLE)
    changes = write(settings, tmp_path)
    assert changes.paths == set(OWNED)
    assert changes.network and changes.firewall and changes.time_servers and changes.time_zone
    assert os.readlink(tmp_path / TIME_ZONE) == "/usr/share/zoneinfo/Europe/Berlin"
    assert write(settings, tmp_path).paths == frozenset()
    files_there = [each for each in tmp_path.rglob("*") if not each.is_dir() or each.is_symlink()]
    assert len(files_there) == len(OWNED), "no temporary file is left"
    assert (tmp_path / NETWORK).stat().st_mode & 0o777 == 0o644


def test_what_is_not_wanted_any_more_goes(tmp_path: Path) -> None:
    write(read(WHOLE), tmp_path)
    changes = write(read("revision = 8"), tmp_path)
    assert changes.paths == set(OWNED)
    assert not (tmp_path / VLAN_DEVICE).exists()
    assert not (tmp_path / TIME_SERVERS).exists()
    assert write(None, tmp_path).paths == {NETWORK, FIREWALL, TIME_ZONE, PANEL}
    assert not any((tmp_path / path).is_symlink() or (tmp_path / path).exists() for path in OWNED)


def test_the_page_is_told_for_its_group_alone_and_without_foreign_keys(tmp_path: Path) -> None:
    # Those of [panel] come first.
    text = WHOLE.replace(CERTIFICATE, ANOTHER_CERTIFICATE, 1).replace(KEY, ANOTHER_KEY, 1)
    assert text.count(KEY) == text.count(ANOTHER_KEY) == 1
    write(read(text), tmp_path)
    file = tmp_path / PANEL
    assert file.stat().st_mode & 0o777 == 0o640
    told = json.loads(file.read_text())
    assert (told["password"], told["token"], told["key"]) == (PASSWORD, TOKEN, ANOTHER_KEY)
    assert json.dumps(KEY)[1:-1] not in file.read_text()
    shown = {(one["table"], one["key"]): one for one in told["applied"]}
    for name in ("password", "token", "key", "certificate"):
        assert shown["panel", name]["secret"] and not shown["panel", name]["value"]
    assert shown["tls", "key"]["secret"] and not shown["tls", "key"]["value"]
    assert shown["ae", "title"] == {
        "table": "ae",
        "key": "title",
        "value": '"NETTY_2"',
        "secret": False,
        "own": True,
    }


def test_the_fleets_server_is_told_only_where_there_is_one() -> None:
    told = files(read(WHOLE))[FLEET]
    assert "hawkbit_server = hawkbit.example:8443\n" in told
    assert "tenant_id = CLINICS\n" in told
    assert "auth_token = abc\n" in told
    assert "ssl_verify = true\n" in told
    assert FLEET not in files(read("revision = 1"))


def test_the_client_of_the_fleets_server_starts(tmp_path: Path) -> None:
    """What rauc-hawkbit-updater 1.3 and 1.4 refuse to start without (src/config-file.c)."""
    write(read(WHOLE), tmp_path)
    file = tmp_path / FLEET
    told = ConfigParser()
    told.read_string(file.read_text())
    assert {"hawkbit_server", "target_name", "auth_token"} <= set(told["client"])
    assert told["client"]["bundle_download_location"].startswith(f"/run/{FLEET_ROOM}/")
    assert told["client"]["post_update_reboot"] == "false"
    assert told["device"]
    assert file.stat().st_mode & 0o777 == 0o600
