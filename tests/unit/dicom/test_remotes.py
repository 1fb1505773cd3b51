"""Who calls: titles and addresses against the settings."""

import pytest

from appliance.dicom.remotes import (
    RESOLVED_FOR,
    AddressBook,
    Caller,
    Remotes,
    ourselves,
    parse_address,
)
from appliance.settings.model import LocalAE, RemoteAE

PACS = RemoteAE(name="main", title="PACS", host="192.0.2.10")


class Names:
    """A name service of our own; counts how often it is asked."""

    def __init__(self, **addresses: tuple[str, ...]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    def __call__(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        return self.addresses.get(host.split(".")[0], ())


def name_of(caller: Caller | None) -> str | None:
    return caller and caller.name


def calling(remote: RemoteAE, title: str, address: str, **names: tuple[str, ...]) -> str | None:
    known = Remotes("HAPPY_netty", (remote,), "", AddressBook(Names(**names)))
    return name_of(known.caller(title, address))


@pytest.mark.parametrize(
    ("title", "address", "name"),
    [
        ("PACS", "192.0.2.10", "main"),
        ("PACS            ", "192.0.2.10", "main"),
        ("  PACS", "192.0.2.10", "main"),
        ("PACS", "::ffff:192.0.2.10", "main"),
        ("PACS", "192.0.2.11", None),
        ("pacs", "192.0.2.10", None),
        ("PACS2", "192.0.2.10", None),
        ("", "192.0.2.10", None),
        ("PACS", "2001:db8::10", None),
    ],
)
def test_its_title_from_its_host(title: str, address: str, name: str | None) -> None:
    assert calling(PACS, title, address) == name


@pytest.mark.parametrize(
    ("origins", "address", "name"),
    [
        (("192.0.2.0/24",), "192.0.2.255", "main"),
        (("192.0.2.0/24",), "::ffff:192.0.2.255", "main"),
        (("192.0.2.77/24",), "192.0.2.1", "main"),
        (("192.0.2.0/24",), "192.0.3.0", None),
        (("192.0.2.0/24",), "2001:db8::1", None),
        (("2001:db8::/32",), "2001:db8:1::1", "main"),
        (("2001:db8::/32",), "2001:db9::1", None),
        (("2001:db8::/32",), "192.0.2.10", None),
        (("198.51.100.1", "203.0.113.0/30"), "203.0.113.3", "main"),
        (("198.51.100.1", "203.0.113.0/30"), "198.51.100.1", "main"),
        (("198.51.100.1", "203.0.113.0/30"), "192.0.2.10", None),
        (("fe80::1",), "fe80::1%eth0", "main"),
        (("0.0.0.0/0",), "198.51.100.200", "main"),
    ],
)
def test_origins_take_the_place_of_the_host(
    origins: tuple[str, ...], address: str, name: str | None
) -> None:
    remote = RemoteAE(name="main", title="PACS", host="192.0.2.10", calls_from=origins)
    assert calling(remote, "PACS", address) == name


def test_other_titles_take_the_place_of_its_own() -> None:
    remote = RemoteAE(name="main", title="PACS", host="192.0.2.10", calls_as=("SEND1", "SEND2"))
    assert calling(remote, "SEND2", "192.0.2.10") == "main"
    assert calling(remote, "PACS", "192.0.2.10") is None


def test_a_host_name_is_resolved() -> None:
    remote = RemoteAE(name="main", title="PACS", host="pacs.example.org")
    names = {"pacs": ("192.0.2.7", "2001:db8::7")}
    assert calling(remote, "PACS", "192.0.2.7", **names) == "main"
    assert calling(remote, "PACS", "::ffff:192.0.2.7", **names) == "main"
    assert calling(remote, "PACS", "2001:db8::7", **names) == "main"
    assert calling(remote, "PACS", "192.0.2.8", **names) is None
    assert calling(remote, "PACS", "192.0.2.7") is None


def test_one_title_at_several_addresses_is_several_remotes() -> None:
    remotes = tuple(
        RemoteAE(name=f"site {number}", title="PACS", host=f"192.0.2.{number}")
        for number in (1, 2, 3)
    )
    known = Remotes("HAPPY_netty", remotes)
    assert name_of(known.caller("PACS", "192.0.2.2")) == "site 2"
    assert known.caller("PACS", "192.0.2.4") is None


def test_a_name_is_only_looked_up_for_a_title_that_has_it() -> None:
    names = Names()
    slow = RemoteAE(name="slow", title="SLOW", host="name.that.takes.long")
    known = Remotes("HAPPY_netty", (slow, PACS), "", AddressBook(names))
    assert name_of(known.caller("PACS", "192.0.2.10")) == "main"
    assert names.asked == []


@pytest.mark.parametrize(
    ("title", "address", "own", "name"),
    [
        ("HAPPY_netty", "127.0.0.1", "", "self"),
        ("HAPPY_netty", "::1", "", "self"),
        ("HAPPY_netty", "::ffff:127.0.0.1", "", "self"),
        ("HAPPY_netty", "192.0.2.1", "", None),
        ("HAPPY_netty", "192.0.2.1", "192.0.2.1", "self"),
        ("HAPPY_netty", "192.0.2.2", "192.0.2.1", None),
        ("PACS", "127.0.0.1", "", None),
    ],
)
def test_the_box_itself(title: str, address: str, own: str, name: str | None) -> None:
    assert name_of(Remotes("HAPPY_netty", (PACS,), own).caller(title, address)) == name


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("appliance.dicom.remotes.time", clock)
    return clock


def test_an_answer_is_remembered_for_a_minute(clock: Clock) -> None:
    names = Names(pacs=("192.0.2.7",))
    book = AddressBook(names)
    for _ in range(3):
        assert book.addresses("pacs") == (parse_address("192.0.2.7"),)
    assert names.asked == ["pacs"]
    names.addresses["pacs"] = ("192.0.2.8",)
    clock.now += RESOLVED_FOR - 1
    assert book.addresses("pacs") == (parse_address("192.0.2.7"),)
    clock.now += 2
    assert book.addresses("pacs") == (parse_address("192.0.2.8"),)
    assert names.asked == ["pacs", "pacs"]


def test_the_last_answer_holds_while_the_name_service_is_down(clock: Clock) -> None:
    names = Names(pacs=("192.0.2.7",))
    book = AddressBook(names)
    book.addresses("pacs")
    names.addresses.clear()
    clock.now += 10 * RESOLVED_FOR
    assert book.addresses("pacs") == (parse_address("192.0.2.7"),)
    assert book.addresses("never-known") == ()


def test_the_systems_own_resolver() -> None:
    book = AddressBook()
    assert parse_address("127.0.0.1") in book.addresses("localhost")
    assert book.addresses("no-such-host.invalid") == ()


@pytest.mark.parametrize(
    ("listens", "reached"),
    [
        ("", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("192.0.2.5", "192.0.2.5"),
    ],
)
def test_our_own_ae_is_called_where_it_listens(listens: str, reached: str) -> None:
    ae = LocalAE(title="OURS", address=listens, port=11112)
    assert ourselves(ae) == RemoteAE("self", "OURS", reached, 11112)
    assert ourselves(ae, port=2762) == RemoteAE("self", "OURS", reached, 2762)
