"""Ranges of addresses that are not public and that a site lets exactly listed names lead to.

An administrator of the host writes them. A range says nothing of the metadata addresses in it:
those are meant only where one is written by itself.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from core.addresses import is_metadata
from core.env import ConfigurationError

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_WIDEST = {4: 8, 6: 7}  # the widest ranges that are private: 10.0.0.0/8 and fc00::/7


@dataclass(frozen=True, slots=True)
class Ranges:
    """Addresses by the networks they are in."""

    networks: tuple[_Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str], *, setting: str) -> "Ranges":
        """Read what a setting lists. Raises ConfigurationError naming it and the wrong entry."""
        return cls(tuple(_network_of(entry, setting) for entry in entries))

    def name(self, text: str) -> bool:
        """Say whether an address is among them."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
            return False
        found = [network for network in self.networks if address in network]
        if is_metadata(address):
            return any(network.num_addresses == 1 for network in found)
        return bool(found)


def _network_of(entry: str, setting: str) -> _Network:
    try:
        network = ipaddress.ip_network(entry)
    except ValueError as reason:
        raise _wrong(entry, setting, str(reason)) from None
    if network.prefixlen < _WIDEST[network.version]:
        raise _wrong(entry, setting, f"it is wider than a /{_WIDEST[network.version]}")
    return network


def _wrong(entry: str, setting: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{setting} cannot be used, {entry[:200]!r}: {reason}. Write ranges and addresses like "
        "10.20.0.0/16, 192.168.7.5 or fd12:3456::/32, with commas between them."
    )


NO_RANGES = Ranges()
