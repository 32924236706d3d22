"""Where a provider may connect: base URLs, and the addresses that are never reached.

Cloud metadata services hand credentials to whoever asks from inside the machine, so they are
refused by name, by every way of writing their address, and once more after the name was resolved
(a public name may point there). Private and loopback addresses are allowed: local model servers
live there.
"""

import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from core.errors import InvalidInputError

_METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
    }
)
_METADATA_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local: AWS, Azure, GCP, Oracle, ECS and EKS credentials
        "fe80::/10",
        "fd00:ec2::/32",  # AWS over IPv6
        "fd20:ce::/64",  # GCP over IPv6
        "100.100.100.200/32",  # Alibaba
        "192.0.0.192/32",  # Oracle
        "168.63.129.16/32",  # Azure host agent
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def checked_base_url(url: str, *, provider: str) -> str:
    """Return `url` without trailing slashes; raise InvalidInputError when it may not be used."""

    def refuse(why: str, remedy: str) -> InvalidInputError:
        return InvalidInputError(
            f"The base URL of provider {provider} {why}.",
            remedy=remedy,
            fields={"base_url": [f"{why[:1].upper()}{why[1:]}."]},
        )

    example = "Give one such as https://api.example.com/v1."
    if url != url.strip() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise refuse("holds blanks, control characters or backslashes", example)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise refuse("is not a valid URL", example) from None
    if parts.scheme not in ("http", "https"):
        raise refuse("must begin with http:// or https://", example)
    if not host:
        raise refuse("names no host", example)
    if parts.username is not None or parts.password is not None:
        raise refuse("holds a user name or password", "Put the key into api_key instead.")
    if parts.query or parts.fragment:
        raise refuse("holds a query or a fragment", "Leave out everything from `?` or `#` on.")
    if is_metadata_host(host):
        raise refuse(
            "points at a cloud metadata service",
            "Such addresses are never reached; give the address of a model server.",
        )
    try:
        name = httpx2.URL(url).raw_host
    except httpx2.InvalidURL:
        raise refuse("is not a valid URL", example) from None
    if not all(0 < len(label) < 64 for label in name.removesuffix(b".").split(b".")):
        raise refuse("is not a valid URL", example)
    return url.rstrip("/")


def is_metadata_host(host: str) -> bool:
    """Tell whether `host`, a name or an address in any notation, is a metadata service."""
    name = host.lower().rstrip(".")
    if name in _METADATA_NAMES:
        return True
    address = _literal_address(name)
    return address is not None and is_metadata_address(address)


def is_metadata_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            address = inner
    return any(
        address.version == network.version and address in network for network in _METADATA_NETWORKS
    )


def _literal_address(host: str) -> str | None:
    """Read an address as the C library does: also decimal, octal, hexadecimal and short forms."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    if not re.fullmatch(r"[0-9a-fx.]+", host):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


class _GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects, then looks whom it reached, before a single byte of the request is sent."""

    def __init__(self, inner: httpcore2.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        stream = await self._inner.connect_tcp(
            host, port, timeout, local_address=local_address, socket_options=socket_options
        )
        peer = stream.get_extra_info("server_addr")
        if peer is None or is_metadata_address(str(peer[0])):
            await stream.aclose()
            raise httpcore2.ConnectError("the name points at a cloud metadata service: refused")
        return stream

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Loading the certificate bundle costs tens of milliseconds; SSL_CERT_FILE is honoured.
    return httpx2.create_ssl_context()


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """The network as providers see it: no metadata services, no proxies from the environment."""

    def __init__(self, *, max_connections: int) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_tls(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=30.0,
            network_backend=_GuardedNetwork(httpcore2.AnyIOBackend()),
        )
