"""Which remote AE is calling: titles and addresses against the settings (PS3.7 D.3.3, PS3.8 9.3.4).

An association is accepted when the called AE title is ours, the calling AE title is registered, and
it calls from an address that is registered for that title.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from appliance.settings.model import LocalAE, RemoteAE

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str], Sequence[str]]

RESOLVED_FOR = 60.0
"""Seconds for which the addresses of a host name are remembered."""

_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""Under which address a listener on each of these is reached from this machine."""


def ourselves(ae: LocalAE, port: int | None = None) -> RemoteAE:
    """Return our own AE as one to call from this machine: at `port`, or the one in its settings."""
    return RemoteAE(
        name="self",
        title=ae.title,
        host=_LOOPBACK.get(ae.address, ae.address),
        port=ae.port if port is None else port,
    )


@dataclass(frozen=True, slots=True)
class Caller:
    """A calling AE that was recognised.

    `remote` is None for the box itself: its own title from loopback, for the self-test by C-ECHO.
    """

    remote: RemoteAE | None

    @property
    def name(self) -> str:
        """The remote's name in the settings; "self" for the box."""
        return self.remote.name if self.remote else "self"


@dataclass(slots=True)
class AddressBook:
    """Resolves the host names of the settings and remembers the answers for a minute."""

    resolve: Resolver = field(default_factory=lambda: _addresses_of)
    _known: dict[str, tuple[float, tuple[Address, ...]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def addresses(self, host: str) -> tuple[Address, ...]:
        """Return the addresses of `host`; the last known ones while it cannot be resolved."""
        now = time.monotonic()
        with self._lock:
            known = self._known.get(host)
        if known and now - known[0] < RESOLVED_FOR:
            return known[1]
        found = tuple(parse_address(text) for text in self.resolve(host))
        if not found and known:
            found = known[1]
        with self._lock:
            self._known[host] = (now, found)
        return found


@dataclass(frozen=True, slots=True)
class Remotes:
    """The remote AEs of the settings, as seen from an incoming association request.

    `own_address` is the one address that we listen on, empty for all: from there and from loopback
    we call ourselves.
    """

    own_title: str
    remotes: tuple[RemoteAE, ...]
    own_address: str = ""
    book: AddressBook = field(default_factory=AddressBook)

    def caller(self, calling_title: str, address: str) -> Caller | None:
        """Return who calls, or None when the title is not registered for this address."""
        parsed = parse_address(address)
        title = calling_title.strip()
        for remote in self.remotes:
            if title in (remote.calls_as or (remote.title,)) and self._may_call(remote, parsed):
                return Caller(remote)
        if title == self.own_title and self._is_ours(parsed):
            return Caller(None)
        return None

    def _is_ours(self, address: Address) -> bool:
        own = self.own_address
        return address.is_loopback or (bool(own) and address == parse_address(own))

    def _may_call(self, remote: RemoteAE, address: Address) -> bool:
        return any(self._matches(entry, address) for entry in (remote.calls_from or (remote.host,)))

    def _matches(self, entry: str, address: Address) -> bool:
        network = _network(entry)
        if network is not None:
            return address in network
        return address in self.book.addresses(entry)


def parse_address(text: str) -> Address:
    """Return an IP address; an IPv4 address mapped into IPv6 becomes the IPv4 address."""
    address = ipaddress.ip_address(text.split("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None


def _addresses_of(host: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple({str(entry[4][0]) for entry in found})
