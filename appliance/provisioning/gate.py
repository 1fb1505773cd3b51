"""The health gate: what must be true before new settings become current."""

from __future__ import annotations

import errno
import http.client
import ipaddress
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.provisioning import system
from appliance.provisioning.activation import Activation
from appliance.provisioning.apply import TrialFailed
from appliance.settings.model import Settings

LINKS = "systemd/netif/links"
"""Where systemd-networkd tells how each interface is, below /run."""

_LOOK_EVERY = 0.5
_PAGE_WITHIN = 5.0

Check = Callable[[Settings], TrialFailed | None]
"""Returns what is wrong at this moment, or None."""


@dataclass(frozen=True, slots=True)
class BoxTrial:
    """A trial on the box itself: services take the settings, and every check must pass in time.

    `patience` is the number of seconds that each check gets.
    """

    activation: Activation
    checks: Sequence[Check]
    patience: float = 90.0

    def start(self, generation: Path, settings: Settings) -> None:
        """Make a generation the active one. Raises TrialFailed, or OSError."""
        self.activation.take(self.activation.place(generation, settings))

    def gate(self, settings: Settings) -> None:
        """Return when every check has passed. Raises TrialFailed with the first that does not."""
        for check in self.checks:
            deadline = time.monotonic() + self.patience
            while (failure := check(settings)) is not None:
                if time.monotonic() > deadline:
                    raise failure
                time.sleep(_LOOK_EVERY)

    def revert(self, generation: Path | None, settings: Settings | None) -> None:
        """Make an earlier generation the active one again. Raises TrialFailed, or OSError."""
        self.activation.take(self.activation.place(generation, settings))


@dataclass(frozen=True, slots=True)
class NetworkUp:
    """Whether an interface that the settings name has its address."""

    run: Path = Path("/run")
    has_address: Callable[[str], bool] = lambda address: _is_ours(address)

    def __call__(self, settings: Settings) -> TrialFailed | None:
        """Return what is wrong with the network now."""
        network = settings.network
        wanted = system.NETWORK if network.vlan is None else system.VLAN_NETWORK
        path = str(Path("/run") / wanted)
        links = [link for link in self._links() if link.get("NETWORK_FILE") == path]
        if any(map(_works, links)) and (
            network.address is None or self.has_address(network.address.partition("/")[0])
        ):
            return None
        if not links:
            which = f"named {network.interface}" if network.interface else "with a cable"
            return TrialFailed(
                f"There is no network interface {which}.",
                "Correct interface in [network], or leave it out.",
            )
        if all(link.get("CARRIER_STATE") in ("no-carrier", "off") for link in links):
            return TrialFailed(
                "No network cable is plugged in, or the other end of it is switched off.",
                "Plug the network cable in first, then the stick again.",
            )
        if network.by_dhcp:
            return TrialFailed(
                "No DHCP server gave the box an address.",
                "Write a fixed address under [network], or ask who runs the network for DHCP.",
            )
        return TrialFailed(
            f"The box could not take the address {network.address}.",
            "Correct [network]; another machine may have this address already.",
        )

    def _links(self) -> Iterator[Mapping[str, str]]:
        try:
            files = sorted((self.run / LINKS).iterdir())
        except OSError:
            return
        for file in files:
            try:
                lines = file.read_text("utf-8", "replace").splitlines()
            except OSError:
                continue
            yield dict(line.split("=", 1) for line in lines if "=" in line)


@dataclass(frozen=True, slots=True)
class PageAnswers:
    """Whether the status page answers over HTTP on this machine."""

    port: int = 80

    def __call__(self, settings: Settings) -> TrialFailed | None:
        """Return what is wrong with the page now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PAGE_WITHIN)
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            reason = str(error)
        else:
            if status < 500:
                return None
            reason = f"HTTP status {status}"
        finally:
            connection.close()
        return TrialFailed(
            f"The status page does not answer with these settings ({reason}).",
            "Switch the box off and on, and try again; if that does not help, it needs repair.",
        )


def _works(link: Mapping[str, str]) -> bool:
    return link.get("ADMIN_STATE") == "configured" and link.get("OPER_STATE") == "routable"


def _is_ours(address: str) -> bool:
    """Whether this machine has the address, and nobody else on the link (IPv6 DAD) has it."""
    family = socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
    return True
