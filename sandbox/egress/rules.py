"""What one sandbox may reach: the entries of its profile, and what an answer of DNS may be.

An entry is `host:port`, the host a name, an address (version 6 in brackets) or `*.suffix`, which
means every name below the suffix and not the suffix itself. Names are compared in lower case and
without a final dot. A host that could be read as a number in any notation other than plain dotted
decimal is no host here, so that no two parts of the system can read it differently.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from core.addresses import normal_host, why_refused
from sandbox.egress.ranges import NO_RANGES, Ranges
from sandbox.errors import SandboxRefusedError

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MOST_ENTRIES = 256
_REMEDY = "Write it like api.example.com:443, *.example.com:443, 10.0.0.5:5432 or [fd00::5]:5432."


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """One host and port, the host in its normal spelling and without brackets."""

    host: str
    port: int

    @property
    def is_address(self) -> bool:
        return _address_of(self.host) is not None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Rules:
    """The allow-list of one sandbox."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Raises SandboxRefusedError naming the entry that cannot be read."""
        exact: set[Place] = set()
        below: set[Place] = set()
        for entry in entries:
            is_wild = entry.startswith("*.")
            try:
                place = place_of(entry[2:] if is_wild else entry)
            except ValueError as reason:
                raise _wrong(entry, str(reason)) from None
            if is_wild and place.is_address:
                raise _wrong(entry, "an address has nothing below it")
            if place.is_address and _reaches_nobody(place.host):
                raise _wrong(entry, "this address is nobody's")
            (below if is_wild else exact).add(place)
        if len(exact) + len(below) > _MOST_ENTRIES:
            raise SandboxRefusedError(
                f"A profile names {len(exact) + len(below)} hosts; {_MOST_ENTRIES} is the most.",
                remedy="Use *.suffix:port for hosts that belong together.",
            )
        self.exact = frozenset(exact)
        self._below = frozenset(below)

    def allow(self, place: Place) -> bool:
        """Say whether this host and port is on the list."""
        if place in self.exact:
            return True
        if place.is_address:
            return False
        _, _, suffix = place.host.partition(".")
        while suffix:
            if Place(host=suffix, port=place.port) in self._below:
                return True
            _, _, suffix = suffix.partition(".")
        return False

    def why_not_at(
        self,
        place: Place,
        addresses: Sequence[str],
        why_refused: Callable[[str], str] = why_refused,
        ranges: Ranges = NO_RANGES,
    ) -> str:
        """Say why a place may not be reached at these addresses; empty when it may.

        An address on the list is meant as it is. A name must be public: whoever owns it decides
        where it leads, and nobody here agreed to that. An exact name may lead to addresses that
        are not public where each is named beside it, by the list with the same port or by the
        site's `ranges`. One that answers with public addresses too is somebody's attempt to be
        both, and a name below a suffix is public always.
        """
        if place.is_address and place in self.exact:
            return ""
        refused = {address: why for address in addresses if (why := why_refused(address))}
        if not refused:
            return ""
        is_mixed = len(refused) < len(set(addresses))
        if place in self.exact and not is_mixed:
            unnamed = [it for it in refused if not self._is_named(it, place.port, ranges)]
            refused = {address: refused[address] for address in unnamed}
        return next((f"the name leads to {why} ({at})" for at, why in refused.items()), "")

    def _is_named(self, address: str, port: int, ranges: Ranges) -> bool:
        return Place(host=normal_host(address), port=port) in self.exact or ranges.name(address)


def place_of(text: str) -> Place:
    """Read `host:port`. Raises ValueError saying what is wrong with it."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("there is no port")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ValueError("the port is not a number from 1 to 65535")
    return Place(host=host_of(host), port=int(port))


def host_of(text: str) -> str:
    """Return a host in its normal spelling. Raises ValueError saying what is wrong with it."""
    if text.startswith("[") and text.endswith("]"):
        address = _address_of(text[1:-1])
        if not isinstance(address, ipaddress.IPv6Address) or address.scope_id is not None:
            raise ValueError("what stands in brackets is no address of version 6")
        return str(address)
    if _address_of(text) is not None and ":" in text:
        raise ValueError("an address of version 6 stands in brackets")
    plain = text.lower().removesuffix(".")
    if not plain.isascii() or len(plain) > 253 or not _NAME.fullmatch(plain):
        raise ValueError("the host is neither a name nor an address")
    if _NUMBER.fullmatch(plain.rpartition(".")[2]) and _address_of(plain) is None:
        raise ValueError("the host is a number in a notation of its own")
    return normal_host(plain)


def _address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _reaches_nobody(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return address.is_unspecified or address.is_multicast or host == "255.255.255.255"


def _wrong(entry: str, reason: str) -> SandboxRefusedError:
    return SandboxRefusedError(
        f"{entry[:200]!r} in the list of hosts cannot be used: {reason}.", remedy=_REMEDY
    )
