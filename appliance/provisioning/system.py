"""What others are told of the settings: network, firewall, time servers, time zone, the page.

`files` and `links` are pure; `write` puts them under /run, where they last until the box is
switched off, and says what changed.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from appliance import __version__
from appliance.provisioning.serial import serial_number
from appliance.settings.model import Fleet, Network, Settings
from appliance.settings.shown import shown

NETWORK = "systemd/network/10-netty.network"
VLAN_DEVICE = "systemd/network/10-netty-vlan.netdev"
VLAN_NETWORK = "systemd/network/10-netty-vlan.network"
FIREWALL = "netty/firewall.nft"
TIME_SERVERS = "systemd/timesyncd.conf.d/10-netty.conf"
TIME_ZONE = "netty/localtime"
PANEL = "netty-panel/settings.json"
"""For the page's group alone, by the mark of its folder (setgid); the page looks by itself."""

FLEET = "netty/hawkbit.conf"
"""For root alone: it holds the token by which the server knows this box."""
FLEET_ROOM: Final = "netty-fleet"
"""A folder that seems large to the service which asks the fleet's server (its unit), and is not."""
_MODES: Final = {PANEL: 0o640, FLEET: 0o600}

OWNED = (
    *(NETWORK, VLAN_DEVICE, VLAN_NETWORK, FIREWALL, TIME_SERVERS, TIME_ZONE, PANEL),
    FLEET,
)
"""Every path below /run that is ours."""

ZONES = "/usr/share/zoneinfo"

_NEIGHBOURHOOD = (
    *("nd-neighbor-solicit", "nd-neighbor-advert", "nd-router-advert"),
    "mld-listener-query",
)
"""What IPv6 cannot do without (RFC 4890 Section 4.4.1)."""

_MADE = "# Made from netty.toml by appliance settle; changes here are lost.\n"


@dataclass(frozen=True, slots=True)
class Changes:
    """What `write` found to be different: paths as in OWNED."""

    paths: frozenset[str]

    @property
    def network(self) -> bool:
        """Whether the network is another one."""
        return bool(self.paths & {NETWORK, VLAN_DEVICE, VLAN_NETWORK})

    @property
    def firewall(self) -> bool:
        """Whether other ports are open, or to others."""
        return FIREWALL in self.paths

    @property
    def time_servers(self) -> bool:
        """Whether the time comes from elsewhere."""
        return TIME_SERVERS in self.paths

    @property
    def fleet(self) -> bool:
        """Whether another server tells the box what to run."""
        return FLEET in self.paths

    @property
    def time_zone(self) -> bool:
        """Whether the box is in another time zone."""
        return TIME_ZONE in self.paths


def files(settings: Settings | None) -> Mapping[str, str]:
    """Return the files of the system for `settings`, by their paths below /run.

    None stands for a box without settings: the system's own defaults hold.
    """
    if settings is None:
        return {}
    network = settings.network
    made = {FIREWALL: firewall(settings), PANEL: json.dumps(asdict(shown(settings)))}
    if network.vlan is None:
        made[NETWORK] = _unit(_match(network), *_addressing(network))
    else:
        # Another VLAN gets another interface: that of one which is there cannot change its number.
        interface = f"vlan{network.vlan}"
        trunk = ("[Network]", f"VLAN={interface}", "LinkLocalAddressing=no", "")
        made[NETWORK] = _unit(_match(network), trunk)
        device = ("[NetDev]", f"Name={interface}", "Kind=vlan", "")
        made[VLAN_DEVICE] = _unit(device, ("[VLAN]", f"Id={network.vlan}", ""))
        match = ("[Match]", f"Name={interface}", "")
        made[VLAN_NETWORK] = _unit(match, *_addressing(network))
    if network.ntp:
        servers = " ".join(network.ntp)
        made[TIME_SERVERS] = _unit(("[Time]", f"NTP={servers}", ""))
    if settings.fleet is not None:
        made[FLEET] = _fleet(settings.fleet)
    return made


def links(settings: Settings | None) -> Mapping[str, str]:
    """Return the links of the system for `settings`, by their paths below /run, with targets."""
    return {} if settings is None else {TIME_ZONE: f"{ZONES}/{settings.box.timezone}"}


def write(settings: Settings | None, run: Path) -> Changes:
    """Put the files and links under `run`, each whole, and take away those not wanted any more.

    Raises OSError.
    """
    wanted_files, wanted_links = files(settings), links(settings)
    changed = set()
    for path in OWNED:
        target = run / path
        if path in wanted_files:
            different = _replace_file(target, wanted_files[path], _MODES.get(path, 0o644))
        elif path in wanted_links:
            different = replace_link(target, wanted_links[path])
        else:
            different = _remove(target)
        if different:
            changed.add(path)
    return Changes(frozenset(changed))


def _fleet(fleet: Fleet) -> str:
    """rauc-hawkbit-updater's configuration. The bundle streams: nothing of it is kept here.

    Its release 1.3 does not start without a place for downloads, and asks that place for room
    even where it streams; no release starts without a group about the device.
    """
    client = {
        "hawkbit_server": fleet.server.removeprefix("https://").rstrip("/"),
        "ssl": "true",
        "ssl_verify": "true",
        "tenant_id": fleet.tenant,
        "target_name": serial_number(),
        "auth_token": fleet.token,
        "stream_bundle": "true",
        "bundle_download_location": f"/run/{FLEET_ROOM}/bundle.raucb",
        # It would pull the box up short; who started it restarts the box in order.
        "post_update_reboot": "false",
        "connect_timeout": "30",
        "log_level": "message",
    }
    device = {"product": "netty box", "serial": serial_number(), "version": __version__}
    return _MADE + "\n".join((*_group("client", client), *_group("device", device)))


def _group(name: str, values: Mapping[str, str]) -> tuple[str, ...]:
    return f"[{name}]", *(f"{key} = {value}" for key, value in values.items()), ""


def replace_link(path: Path, target: str) -> bool:
    """Let a link lead to `target`, at once; return whether it did not yet. Raises OSError."""
    if path.is_symlink() and os.readlink(path) == target:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    os.symlink(target, temporary)
    os.rename(temporary, path)
    return True


def firewall(settings: Settings) -> str:
    """Return the nftables ruleset: nothing comes in but what the settings name.

    It replaces the ruleset that the box starts with, in one transaction.
    """
    ae, tls, visitors = settings.ae, settings.tls, settings.panel.allow_from
    callers = [origin for remote in settings.remotes for origin in remote.origins]
    ports = [ae.port, *([tls.port] if tls else [])]
    # A name may get another address at any time: then the AE alone tells who may call.
    named = any(not _is_address(each) for each in callers)
    return "\n".join(
        (
            "#!/usr/sbin/nft -f",
            _MADE + "table inet netty {}",
            "delete table inet netty",
            "table inet netty {",
            *_chain(
                *_opened(ports, [] if named else callers, bool(callers)),
                *_opened([80, 443], visitors, True),
            ),
            "}",
            "",
        )
    )


def _chain(*rules: str) -> Iterator[str]:
    yield "  chain input {"
    yield "    type filter hook input priority filter; policy drop;"
    yield "    ct state established,related accept"
    yield "    ct state invalid drop"
    yield '    iif "lo" accept'
    yield "    meta l4proto icmp icmp type { echo-request } limit rate 10/second accept"
    yield f"    icmpv6 type {{ {', '.join(_NEIGHBOURHOOD)} }} accept"
    yield "    icmpv6 type echo-request limit rate 10/second accept"
    yield "    udp sport 67 udp dport 68 accept"
    yield "    udp sport 547 udp dport 546 accept"
    yield from (f"    {rule}" for rule in rules)
    yield "  }"
    yield "  chain forward {"
    yield "    type filter hook forward priority filter; policy drop;"
    yield "  }"


def _opened(ports: list[int], sources: tuple[str, ...] | list[str], wanted: bool) -> Iterator[str]:
    """Yield the rules that open TCP ports to sources; to everybody if none is named."""
    if not wanted:
        return
    listed = ", ".join(map(str, ports))
    if not sources:
        yield f"tcp dport {{ {listed} }} accept"
        return
    networks = [ipaddress.ip_network(each) for each in sources]
    for version, family in ((4, "ip"), (6, "ip6")):
        own = [each for each in networks if each.version == version]
        # nftables refuses a set whose intervals overlap.
        merged = ", ".join(map(str, ipaddress.collapse_addresses(own)))  # type: ignore[type-var]
        if merged:
            yield f"{family} saddr {{ {merged} }} tcp dport {{ {listed} }} accept"


def _is_address(origin: str) -> bool:
    try:
        ipaddress.ip_network(origin)
    except ValueError:
        return False
    return True


def _match(network: Network) -> tuple[str, ...]:
    if network.interface:
        return ("[Match]", f"Name={network.interface}", "")
    return ("[Match]", "Type=ether", "Kind=!*", "")


def _addressing(network: Network) -> Iterator[tuple[str, ...]]:
    lines = ["[Network]", f"DHCP={'yes' if network.by_dhcp else 'no'}"]
    lines.extend(f"DNS={server}" for server in network.dns)
    if network.address:
        lines.append(f"Address={network.address}")
        lines.append("IPv6AcceptRA=no")
    if network.gateway:
        lines.append(f"Gateway={network.gateway}")
    yield (*lines, "LinkLocalAddressing=ipv6", "LLMNR=no", "MulticastDNS=no", "")
    if network.by_dhcp:
        # The same identity as before there were settings, and so the same address.
        for section, identity in (("[DHCPv4]", ("ClientIdentifier=mac",)), ("[DHCPv6]", ())):
            yield (
                section,
                *identity,
                f"UseDNS={'no' if network.dns else 'yes'}",
                f"UseNTP={'no' if network.ntp else 'yes'}",
                "UseHostname=no",
                "",
            )


def _unit(*sections: tuple[str, ...]) -> str:
    return _MADE + "\n" + "\n".join(line for section in sections for line in section)


def _replace_file(path: Path, text: str, mode: int) -> bool:
    try:
        if path.read_text() == text:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(descriptor, mode)
    os.rename(temporary, path)
    return True


def _remove(path: Path) -> bool:
    there = path.is_symlink() or path.exists()
    path.unlink(missing_ok=True)
    return there
