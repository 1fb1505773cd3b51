"""Addresses, networks, zones and serials: what is taken, and what each mistake is told."""

import zoneinfo

import pytest

from appliance.settings.kinds import Mistake
from appliance.settings.places import (
    Address,
    Interface,
    InterfaceAddress,
    Link,
    Serial,
    SourceNetwork,
    Zone,
)
from appliance.settings.reader import Problems, read


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Address(), "192.0.2.1"),
        (Address(), "2001:db8::1"),
        (InterfaceAddress(), "192.0.2.5/24"),
        (InterfaceAddress(), "192.0.2.4/31"),
        (InterfaceAddress(), "2001:db8::5/64"),
        (SourceNetwork(), "192.0.2.0/24"),
        (SourceNetwork(), "192.0.2.7"),
        (Interface(), "enp0s3"),
        (Serial(), "NB-2025 0001"),
        (Zone(), "Asia/Tokyo"),
        (Zone(), "UTC"),
        (Link(), "https://updates.example"),
        (Link(), "https://[2001:db8::1]:8443/netty-1.2.raucb?box=7"),
    ],
)
def test_what_is_right_is_taken_as_written(kind, text):
    assert kind.read(text) == text


@pytest.mark.parametrize(
    ("kind", "written", "remedy"),
    [
        (Address(), "192.0.2.1/24", 'did you mean "192.0.2.1"?'),
        (Address(), "１９２．０．２．１", 'did you mean "192.0.2.1"?'),
        (Address(), "router", "names do not work"),
        (Address(), "0.0.0.0", "a single machine"),
        (Address(), "224.0.0.1", "a single machine"),
        (Address(), 7, "double quotes"),
        (InterfaceAddress(), "192.0.2.5", '"192.0.2.5/24" for mask 255.255.255.0'),
        (InterfaceAddress(), "192.0.2.5/255.255.255.0", 'did you mean "192.0.2.5/24"?'),
        (InterfaceAddress(), "192.0.2.5/33", "behind a slash, the length"),
        (InterfaceAddress(), "192.0.2.5/-1", "behind a slash, the length"),
        (InterfaceAddress(), "192.0.2.5 /24", 'did you mean "192.0.2.5/24"?'),
        (InterfaceAddress(), "192.0.2.0/24", "the network itself"),
        (InterfaceAddress(), "192.0.2.255/24", "the broadcast address"),
        (InterfaceAddress(), "127.0.0.1/8", "a single machine"),
        (InterfaceAddress(), "box", "write it like 192.0.2.5/24"),
        (InterfaceAddress(), True, "double quotes"),
        (SourceNetwork(), "192.0.2.7/24", 'did you mean "192.0.2.0/24"?'),
        (SourceNetwork(), "clinic", "names do not work"),
        (SourceNetwork(), 7, "double quotes"),
        (Interface(), "eth0:1", "has none"),
        (Interface(), "a" * 16, "shorten it to 15"),
        (Serial(), "", "or leave the key out"),
        (Zone(), "Tokyo", 'did you mean "Asia/Tokyo"?'),
        (Link(), "http://updates.example/", "write https://"),
        (Link(), "updates.example", "write the whole address"),
        (Link(), "https://updates.example/a b", "write the whole address"),
        (Zone(), "JST", 'did you mean "Asia/Tokyo"?'),
        (Zone(), "Asia/Tokio", 'did you mean "Asia/Tokyo"?'),
        (Zone(), "../../etc/passwd", "write area and city"),
        (Zone(), 9, "double quotes"),
    ],
)
def test_what_is_wrong_is_told_what_to_do(kind, written, remedy):
    with pytest.raises(Mistake) as caught:
        kind.read(written)
    assert remedy in caught.value.remedy


def test_a_path_is_no_zone_even_where_there_is_no_database(monkeypatch):
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    assert Zone().read("Asia/Tokyo") == "Asia/Tokyo"
    for path in ("../secret", "/etc/passwd", ".."):
        with pytest.raises(Mistake):
            Zone().read(path)


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('dhcp = true\naddress = "192.0.2.5/24"', "network.address", "keep one of the two"),
        ("dhcp = false", "network.dhcp", "or write dhcp = true"),
        ('gateway = "192.0.2.1"', "network.gateway", "DHCP names it"),
        (
            'address = "192.0.2.5/24"\ngateway = "192.0.3.1"',
            "network.gateway",
            "an address in the box's network 192.0.2.0/24",
        ),
        (
            'address = "192.0.2.5/24"\ngateway = "192.0.2.5"',
            "network.gateway",
            "the box's own address",
        ),
    ],
)
def test_a_network_that_contradicts_itself(text, key, words):
    with pytest.raises(Problems) as caught:
        read(f"revision = 1\n[network]\n{text}\n")
    (only,) = caught.value.problems
    assert only.key == key
    assert words in str(only)


@pytest.mark.parametrize(
    ("text", "by_dhcp"),
    [("", True), ("dhcp = true", True), ('address = "192.0.2.5/24"', False)],
)
def test_an_address_is_by_dhcp_unless_one_is_given(text, by_dhcp):
    assert read(f"revision = 1\n[network]\n{text}\n").network.by_dhcp is by_dhcp


def test_a_router_may_be_known_by_its_link_local_address():
    text = 'address = "2001:db8::5/64"\ngateway = "fe80::1"'
    assert read(f"revision = 1\n[network]\n{text}\n").network.gateway == "fe80::1"
