"""Where a request may go: which addresses are public, and which exceptions were granted.

One set of rules for requests of this process (`plugins.http`) and for those of sandboxes
(`sandbox.egress`).

An address is judged after the name was resolved and before the connection, and it is the judged
address that is connected to. Not allowed are all that reach into our own network or machine, or
that carry such an address inside (IPv4-mapped and translated IPv6, 6to4, Teredo). For IPv6 only
the global unicast range is allowed at all. Ranges: IANA special-purpose address registries
(RFC 6890 and updates).
"""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

from core.errors import InvalidInputError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_REFUSED_V4 = tuple(
    (ipaddress.IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier-grade NAT address"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud's metadata address"),
        ("169.254.0.0/16", "a link-local or cloud metadata address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.31.196.0/24", "a reserved address"),
        ("192.52.193.0/24", "a reserved address"),
        ("192.88.99.0/24", "a relay address"),
        ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "a reserved address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved or broadcast address"),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    (ipaddress.IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "a reserved or tunnel address"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "an IPv4 address inside IPv6"),
        ("2620:4f:8000::/48", "a reserved address"),
        ("3fff::/20", "a documentation address"),
    )
)
_NAMED_V6 = tuple(
    (ipaddress.IPv6Network(network), why)
    for network, why in (
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("::ffff:0:0/96", "an IPv4 address inside IPv6"),
        ("64:ff9b::/96", "an IPv4 address inside IPv6"),
        ("64:ff9b:1::/48", "an IPv4 address inside IPv6"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("ff00::/8", "a multicast address"),
    )
)


# Where clouds keep a machine's own credentials: in every range, and meant by none.
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "168.63.129.16",
        "192.0.0.192",
        "100.100.100.200",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)


def is_metadata(address: Address) -> bool:
    """Say whether a cloud's metadata service has this address."""
    return address in _METADATA


def why_refused(text: str) -> str:
    """Say why an address is not public ("a loopback address"); empty when it is."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return "not an IP address"
    if isinstance(address, ipaddress.IPv4Address):
        return next((why for network, why in _REFUSED_V4 if address in network), "")
    if address.scope_id is not None:
        return "a link-local address"
    if address not in _GLOBAL_V6:
        return next((why for network, why in _NAMED_V6 if address in network), "not public")
    return next((why for network, why in _REFUSED_V6 if address in network), "")


def allowed_hosts(entries: Iterable[str]) -> frozenset[tuple[str, int]]:
    """Read `host:port` entries, the hosts that may be reached although they are not public.

    An IPv6 address stands in brackets. Raises `InvalidInputError` naming the wrong entry.
    """
    found: set[tuple[str, int]] = set()
    for entry in entries:
        host, colon, port = entry.strip().rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if (
            not colon
            or not bare
            or (":" in host and bare == host)
            or not (port.isascii() and port.isdigit())
            or not 0 < int(port) < 65536
        ):
            raise InvalidInputError(
                f"{entry[:200]!r} in the list of allowed hosts is not host:port.",
                remedy="Write it like api.internal:8080 or [fd00::1]:8080.",
            )
        found.add((normal_host(bare), int(port)))
    return frozenset(found)


def normal_host(host: str) -> str:
    """Write a host the way hosts are compared: lower case, no final dot, addresses shortened."""
    plain = host.rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(plain))
    except ValueError:
        return plain
