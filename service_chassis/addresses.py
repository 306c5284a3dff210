"""Which addresses are public, and which hosts can be known to be private without a look-up.

The API's check of URLs and the transport that dials use these rules. Only the transport sees the addresses
of a name, so it has the last word: see `dialling.py`.
"""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from typing import Final

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that a translator dials."""
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
# `ipaddress.is_global` says of some of these, in some versions of Python, that they are global.
_RESERVED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # shared by carriers (CGNAT)
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "198.18.0.0/15",  # benchmarks
        "2001::/23",  # protocol assignments, among them Teredo, which wraps an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which wraps an IPv4 address
        "3fff::/20",  # documentation
    )
)
_FULL_STOPS: Final = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
"""What IDNA takes for a full stop between labels."""


def is_public(address: IpAddress) -> bool:
    """Whether the address is a host's on the public internet.

    An IPv6 address that wraps an IPv4 address (IPv4-mapped, NAT64) is public if that one is. The other
    tunnels (6to4, Teredo, IPv4-compatible) are out of use, and never public.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in _GLOBAL_UNICAST:
            return False
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _RESERVED if network.version == address.version)
    )


def plain_host(host: str) -> str:
    """A URL's host in lower case, with ASCII in place of letters, digits and full stops that stand for it."""
    return unicodedata.normalize("NFKC", host).translate(_FULL_STOPS).lower().rstrip(".")


def address_in(host: str) -> IpAddress | None:
    """The address that a host writes out; None for a name.

    Resolvers take more notations than four decimal numbers: 127.1, 0x7f.1, 0177.0.0.1 and 2130706433.
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def is_private_host(host: str) -> bool:
    """Whether the host is a private address, or a name that always means this machine."""
    host = plain_host(host)
    address = address_in(host)
    if address is not None:
        return not is_public(address)
    return host == "localhost" or host.endswith(".localhost")


def is_loopback_host(host: str) -> bool:
    """Whether a service that listens on this host can be reached from this machine alone."""
    address = address_in(host)
    return host == "localhost" if address is None else address.is_loopback
