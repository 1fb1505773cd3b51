"""Mistakes that no value shows alone: settings that contradict each other."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from appliance.settings.kinds import did_you_mean, quoted
from appliance.settings.model import TLS, Images, LocalAE, Panel, Query, RemoteAE
from appliance.settings.model import Network as NetworkSettings
from appliance.settings.problems import Path

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read without a mistake, values and whole tables, and the paths of what was not."""

    values: dict[Path, Any]
    faulty: set[Path]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A value that is right alone and wrong beside another, `beside`, where there is one."""

    path: Path
    expected: str
    found: str
    remedy: str
    beside: Path | None = None


def contradictions(reading: Reading) -> tuple[Contradiction, ...]:
    """Return all contradictions between settings; what was not read is not judged."""
    checks: tuple[Callable[[Reading], Iterator[Contradiction]], ...] = (
        _two_ways_to_an_address,
        _gateway_elsewhere,
        _same_port_twice,
        _half_a_certificate,
        _another_ones_key,
        _nobody_to_trust,
        _tls_without_certificate,
        _names_twice,
        _remotes_that_call_alike,
        _pauses_that_shrink,
        _remotes_not_there,
        _two_pseudonyms,
        _number_as_pseudonym,
        _options_that_exclude,
    )
    return tuple(found for check in checks for found in check(reading))


def _entries(reading: Reading, table: str, key: str) -> list[tuple[Path, Any]]:
    """Return the values of one key in all tables of a list, by path."""
    return [
        (path, value)
        for path, value in reading.values.items()
        if len(path) == 3 and path[0] == table and path[2] == key
    ]


def _two_ways_to_an_address(reading: Reading) -> Iterator[Contradiction]:
    network = reading.values.get(("network",))
    if not isinstance(network, NetworkSettings):
        return
    if network.dhcp and network.address is not None:
        yield Contradiction(
            ("network", "address"),
            "no fixed address beside dhcp = true",
            quoted(network.address),
            "keep one of the two: the address, or dhcp = true",
        )
    elif network.dhcp is False and network.address is None:
        yield Contradiction(
            ("network", "dhcp"),
            "true, as no address is given",
            "false",
            'add a line such as address = "192.0.2.5/24", or write dhcp = true',
        )


def _gateway_elsewhere(reading: Reading) -> Iterator[Contradiction]:
    network = reading.values.get(("network",))
    if not isinstance(network, NetworkSettings) or network.gateway is None:
        return
    at: Path = ("network", "gateway")
    if network.address is None:
        yield Contradiction(
            at,
            "a gateway beside a fixed address only",
            quoted(network.gateway),
            "add address, or remove gateway: DHCP names it",
        )
        return
    own = ipaddress.ip_interface(network.address)
    gateway = ipaddress.ip_address(network.gateway)
    if gateway == own.ip:
        yield Contradiction(
            at,
            "the address of the router",
            "the box's own address",
            "write the router's, or remove gateway",
        )
    elif gateway not in own.network and not gateway.is_link_local:
        yield Contradiction(
            at,
            f"an address in the box's network {own.network}",
            quoted(network.gateway),
            "correct the gateway, or the address and its length",
        )


def _same_port_twice(reading: Reading) -> Iterator[Contradiction]:
    ae, tls = reading.values.get(("ae",), LocalAE()), reading.values.get(("tls",))
    if isinstance(tls, TLS) and isinstance(ae, LocalAE) and tls.port == ae.port:
        yield Contradiction(
            ("tls", "port"),
            "a port of its own",
            f"the port of [ae], {ae.port}",
            "give one of them another port",
        )


def _half_a_certificate(reading: Reading) -> Iterator[Contradiction]:
    panel = reading.values.get(("panel",))
    if not isinstance(panel, Panel) or (panel.certificate is None) == (panel.key is None):
        return
    there, lacks = ("key", "certificate") if panel.certificate is None else ("certificate", "key")
    yield Contradiction(
        ("panel", there),
        "certificate and key together, or neither: then the box makes its own",
        f"no {lacks}",
        f"add the {lacks}, or remove the {there}",
    )


def _another_ones_key(reading: Reading) -> Iterator[Contradiction]:
    for name in ("panel", "tls"):
        table = reading.values.get((name,))
        if not isinstance(table, Panel | TLS) or not (table.certificate and table.key):
            continue
        # Most boxes have none: they need not load TLS to read their settings.
        from appliance.settings.chains import flaw

        if found := flaw(table.certificate, table.key):
            yield Contradiction(
                (name, "key"),
                "the private key of this table's certificate",
                found,
                "paste the two of one pair; the certificate of the box itself comes first",
                (name, "certificate"),
            )


def _nobody_to_trust(reading: Reading) -> Iterator[Contradiction]:
    tls = reading.values.get(("tls",))
    if isinstance(tls, TLS) and tls.require_certificate and tls.authorities is None:
        yield Contradiction(
            ("tls", "authorities"),
            "the certificates of the authorities whose remotes we trust",
            "nothing",
            "add the key authorities, or require_certificate = false",
        )


def _tls_without_certificate(reading: Reading) -> Iterator[Contradiction]:
    if ("tls",) in reading.values or any(path[0] == "tls" for path in reading.faulty):
        return
    for path, tls in _entries(reading, "remote", "tls"):
        if tls:
            yield Contradiction(
                path,
                "false, as there is no [tls] with a certificate of ours",
                "true",
                "add [tls] with the keys certificate, key and authorities",
            )


def _names_twice(reading: Reading) -> Iterator[Contradiction]:
    first: dict[str, Path] = {}
    for path, name in _entries(reading, "remote", "name"):
        if name in first:
            yield Contradiction(
                path, "a name of its own", quoted(name), "choose another name", first[name]
            )
        first.setdefault(name, path)


def _remotes_that_call_alike(reading: Reading) -> Iterator[Contradiction]:
    callers: dict[str, list[tuple[Network | str, Path]]] = {}
    for path, remote in reading.values.items():
        if len(path) != 2 or not isinstance(remote, RemoteAE):
            continue
        origins = [_origin(each) for each in remote.origins]
        for title in remote.calling_titles:
            clash = next(
                (
                    at
                    for known, at in callers.get(title, ())
                    if any(_meet(known, origin) for origin in origins)
                ),
                None,
            )
            if clash is not None:
                yield Contradiction(
                    path,
                    "remotes that differ in the AE title or in the address from which they call",
                    f"{quoted(title)} from the same address",
                    "put them together, or give each its own calls_as or calls_from",
                    clash,
                )
                break
        for title in remote.calling_titles:
            callers.setdefault(title, []).extend((origin, path) for origin in origins)


def _origin(text: str) -> Network | str:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return text.casefold().removesuffix(".")


def _meet(one: Network | str, other: Network | str) -> bool:
    if isinstance(one, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return one.overlaps(other)
    if isinstance(one, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return one.overlaps(other)
    return one == other


def _pauses_that_shrink(reading: Reading) -> Iterator[Contradiction]:
    query = reading.values.get(("query",))
    if isinstance(query, Query) and query.retry_longest < query.retry_first:
        yield Contradiction(
            ("query", "retry_longest"),
            "at least the time of retry_first",
            "a shorter time",
            "write a longer time here, or a shorter one for retry_first",
        )


def _remotes_not_there(reading: Reading) -> Iterator[Contradiction]:
    if any(path[0] == "remote" and path[2:] in ((), ("name",)) for path in reading.faulty):
        return  # Some remote has a name that could not be read.
    queried = {
        name: reading.values.get((*path[:2], "query"), True)
        for path, name in _entries(reading, "remote", "name")
    }
    for path, name in reading.values.items():
        if len(path) != 4 or (path[0], path[2]) != ("watch", "remotes"):
            continue
        if name not in queried:
            meant = did_you_mean(name, queried)
            known = ", ".join(map(quoted, queried)) or "there is none yet"
            remedy = f"did you mean {quoted(meant)}?" if meant else f"write one of these: {known}"
            yield Contradiction(path, "the name of a [[remote]]", quoted(name), remedy)
        elif not queried[name]:
            yield Contradiction(
                path,
                "a remote that may be queried",
                f"{quoted(name)}, which has query = false",
                "write query = true there, or remove it here",
            )


def _two_pseudonyms(reading: Reading) -> Iterator[Contradiction]:
    pseudonyms = dict(_entries(reading, "watch", "pseudonym"))
    first: dict[str, tuple[Path, str]] = {}
    for path, patient in _entries(reading, "watch", "patient_id"):
        at: Path = (*path[:2], "pseudonym")
        if at not in pseudonyms:
            continue
        beside, pseudonym = first.setdefault(patient, (at, pseudonyms[at]))
        if pseudonym != pseudonyms[at]:
            yield Contradiction(
                at,
                "the pseudonym that this patient has already",
                "another one",
                "write the same pseudonym in all entries of a patient",
                beside,
            )


def _number_as_pseudonym(reading: Reading) -> Iterator[Contradiction]:
    pseudonyms = dict(_entries(reading, "watch", "pseudonym"))
    for path, patient in _entries(reading, "watch", "patient_id"):
        at: Path = (*path[:2], "pseudonym")
        if pseudonyms.get(at) == patient:
            yield Contradiction(
                at,
                "a pseudonym",
                "the patient's own number",
                "write one that does not tell who the patient is, or leave the key out",
            )


def _options_that_exclude(reading: Reading) -> Iterator[Contradiction]:
    images = reading.values.get(("images",))
    if not isinstance(images, Images):
        return
    for key in ("options", "recipients"):
        if getattr(images, key) and images.deidentify != "basic":
            yield Contradiction(
                ("images", key),
                f'{key} beside deidentify = "basic" only',
                f"deidentify = {quoted(images.deidentify)}",
                f'remove {key}, or write deidentify = "basic"',
            )
    at: Path = ("images", "options")
    dates = "retain_long_full_dates", "retain_long_modified_dates"
    if set(dates) <= set(images.options):
        yield Contradiction(
            at,
            f"{quoted(dates[0])} or {quoted(dates[1])}",
            "both",
            "keep one of the two: dates stay what they are, or are moved",
        )
