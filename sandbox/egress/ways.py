"""How programs inside reach the gateway: as a proxy, or as the host itself on a loopback address.

Each listed host has a loopback address of its own and a line in /etc/hosts, so that a client that
knows no proxy (a database's, a mail program's) works unchanged. Addresses, names below a suffix and
ports nobody inside may listen on are reached by the proxy only.
"""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.egress.rules import Place, Rules

PROXY = Place(host="127.0.0.1", port=3128)
_FIRST = ipaddress.IPv4Address("127.0.1.1")
_LOW = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """`doors` are pairs of where to listen inside and where that leads."""

    proxy: Place
    doors: Sequence[tuple[Place, Place]]

    @classmethod
    def to(cls, rules: Rules, *, has_low_ports: bool) -> "Ways":
        named = [
            place
            for place in sorted(rules.exact)
            if not place.is_address
            and (has_low_ports or place.port >= _LOW)
            and place.host != "localhost"
        ]
        hosts = list(dict.fromkeys(place.host for place in named))
        addresses = {host: str(_FIRST + number) for number, host in enumerate(hosts)}
        doors = [(Place(host=addresses[place.host], port=place.port), place) for place in named]
        return cls(proxy=PROXY, doors=tuple(doors))

    @property
    def hosts(self) -> Sequence[str]:
        """Return lines for /etc/hosts."""
        return list(dict.fromkeys(f"{door.host} {place.host}" for door, place in self.doors))

    def for_relay(self, socket: str) -> str:
        """Return what the relay inside is told (JSON); see `sandbox.inside.relay`."""
        listeners = [[self.proxy.host, self.proxy.port, ""]]
        listeners += [[door.host, door.port, str(place)] for door, place in self.doors]
        return json.dumps({"gateway": socket, "listeners": listeners})
