"""The kinds of values that say where a box is: addresses in its network, its clock, its serial."""

from __future__ import annotations

import ipaddress
import re
import zoneinfo

from appliance.settings.kinds import Kind, Text, did_you_mean, halfwidth, quoted

_IN_QUOTES = "write it in double quotes"
_UNUSABLE = "write an address that a single machine can have"


class Address(Kind[str]):
    """The IP address of one machine."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "an IP address"

    def read(self, written: object) -> str:
        """Return the address as written."""
        if not isinstance(written, str):
            raise self.mistake(written, _IN_QUOTES)
        try:
            address = ipaddress.ip_address(written)
        except ValueError:
            raise self.mistake(written, self._remedy(written)) from None
        if address.is_unspecified or address.is_multicast:
            raise self.mistake(written, _UNUSABLE)
        return written

    def _remedy(self, written: str) -> str:
        plain = halfwidth(written).strip()
        for meant in (plain, plain.partition("/")[0]):
            try:
                return f"did you mean {quoted(str(ipaddress.ip_address(meant)))}?"
            except ValueError:
                continue
        return "write the numbers, such as 192.0.2.1; names do not work here"


class InterfaceAddress(Kind[str]):
    """An IP address of the box with the length of its network's prefix (RFC 4632 Section 3.1)."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "an IP address and the length of its network, such as 192.0.2.5/24"

    def read(self, written: object) -> str:
        """Return the address as written."""
        if not isinstance(written, str):
            raise self.mistake(written, _IN_QUOTES)
        host, slash, length = written.partition("/")
        if not slash:
            raise self.mistake(written, self._without_length(written))
        if not (length.isascii() and length.isdigit()):
            raise self.mistake(written, self._with_mask(written))
        try:
            interface = ipaddress.ip_interface(f"{host}/{length}")
        except ValueError:
            raise self.mistake(written, self._with_mask(written)) from None
        return self._usable(written, interface)

    def _usable(
        self, written: str, interface: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    ) -> str:
        address, network = interface.ip, interface.network
        if address.is_unspecified or address.is_multicast or address.is_loopback:
            raise self.mistake(written, _UNUSABLE)
        if network.num_addresses > 2 and address == network.network_address:
            raise self.mistake(written, "this is the network itself: write the box's own address")
        if address.version == 4 and network.num_addresses > 2 and address == network[-1]:
            raise self.mistake(written, "this is the broadcast address: write the box's own")
        return written

    def _without_length(self, written: str) -> str:
        try:
            address = ipaddress.ip_address(halfwidth(written).strip())
        except ValueError:
            return "write it like 192.0.2.5/24"
        return f"add the length of the network: {quoted(f'{address}/24')} for mask 255.255.255.0"

    def _with_mask(self, written: str) -> str:
        try:
            meant = ipaddress.ip_interface(halfwidth(written).replace(" ", ""))
        except ValueError:
            return (
                "write four numbers up to 255 and, behind a slash, the length, as in 192.0.2.5/24"
            )
        return f"did you mean {quoted(str(meant))}?"


class SourceNetwork(Kind[str]):
    """Where visitors come from: an IP address, or a network in CIDR notation."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "an IP address or a network such as 192.0.2.0/24"

    def read(self, written: object) -> str:
        """Return the source as written."""
        if not isinstance(written, str):
            raise self.mistake(written, _IN_QUOTES)
        try:
            ipaddress.ip_network(written)
        except ValueError:
            raise self.mistake(written, self._remedy(written)) from None
        return written

    def _remedy(self, written: str) -> str:
        try:
            network = ipaddress.ip_network(halfwidth(written).strip(), strict=False)
        except ValueError:
            return "write numbers as in 192.0.2.0/24; names do not work here"
        return f"did you mean {quoted(str(network))}?"


class Interface(Text):
    """The name of a network interface, as Linux has it (at most 15 characters)."""

    __slots__ = ()
    what = "the name of a network interface"
    longest = 15
    refused = "/:% *?![]"
    because = "the name of an interface has none"


class Serial(Text):
    """The serial number of a box, as it stands on the case and in the names of its answers."""

    __slots__ = ()
    what = "a serial number"
    longest = 64


class Zone(Kind[str]):
    """A time zone of the IANA time zone database (RFC 6557)."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "a time zone by its IANA name, such as Asia/Tokyo or UTC"

    def read(self, written: object) -> str:
        """Return the name of the zone."""
        if not isinstance(written, str):
            raise self.mistake(written, _IN_QUOTES)
        # A PC may have no database; a box has one, and its answer then is the better one.
        known = zoneinfo.available_timezones() or {written}
        if written in known and not written.startswith(("/", ".")) and ".." not in written:
            return written
        raise self.mistake(written, self._remedy(written, known))

    def _remedy(self, written: str, known: set[str]) -> str:
        plain = halfwidth(written).strip().replace(" ", "_")
        city = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(known)}
        common = {"jst": "Asia/Tokyo", "japan": "Asia/Tokyo", "日本": "Asia/Tokyo"}
        meant = (
            common.get(plain.casefold())
            or city.get(plain.casefold())
            or did_you_mean(plain, sorted(known))
        )
        if meant and meant != written:
            return f"did you mean {quoted(meant)}?"
        return "write area and city, such as Asia/Tokyo"


class Link(Kind[str]):
    """An address of the web (RFC 3986) by which something is fetched, over TLS alone."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        """What may be written."""
        return "an address that begins with https://"

    def read(self, written: object) -> str:
        """Return the address as written."""
        if not isinstance(written, str):
            raise self.mistake(written, _IN_QUOTES)
        found = re.fullmatch(r"https://[A-Za-z0-9.\[\]:-]+(/[!-~]*)?", written)
        if found is None:
            raise self.mistake(written, self._remedy(written))
        return written

    def _remedy(self, written: str) -> str:
        plain = halfwidth(written).strip()
        if plain.startswith("http://"):
            return "write https://: what is not encrypted is not fetched"
        return "write the whole address, such as https://updates.example/netty.raucb"


class Token(Text):
    """What a server knows a box by. It is as secret as a password."""

    __slots__ = ()
    what = "a token"
    longest = 256
    confidential = True
