"""Who visits, as far as an address tells."""

import ipaddress


def machine_of(address: str) -> str:
    """What one machine has to itself: an IPv4 address, or a network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
