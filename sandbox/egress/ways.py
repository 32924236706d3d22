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
from sandbox.errors import SandboxRefusedError
from sandbox.inside.relay import KEPT_DESCRIPTORS

PROXY = Place(host="127.0.0.1", port=3128)
_FIRST = ipaddress.IPv4Address("127.0.1.1")
_LOW = 1024
_OWN_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """`doors` are pairs of where to listen inside and where that leads.

    `past_the_proxy` are hosts that programs inside reach themselves: servers they have started on
    the sandbox's own loopback. One that is listed is meant outside, and only the proxy leads there.
    """

    proxy: Place
    doors: Sequence[tuple[Place, Place]]
    past_the_proxy: Sequence[str] = _OWN_LOOPBACK

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
        listed = {place.host for place in rules.exact}
        own = [host for host in _OWN_LOOPBACK if host not in listed]
        return cls(proxy=PROXY, doors=tuple(doors), past_the_proxy=tuple(own))

    def check(self, open_files: int) -> None:
        """Raises SandboxRefusedError when the relay inside cannot listen for all of them."""
        room = (open_files - KEPT_DESCRIPTORS) // 2
        if len(self.doors) > room:
            raise SandboxRefusedError(
                f"{len(self.doors)} hosts are to be reached by their names, and {open_files} open "
                f"files leave room for {max(0, room)}.",
                remedy="Allow more open files, list fewer hosts, or use *.suffix:port.",
            )

    @property
    def hosts(self) -> Sequence[str]:
        """Return lines for /etc/hosts."""
        return list(dict.fromkeys(f"{door.host} {place.host}" for door, place in self.doors))

    def for_relay(self, socket: str) -> str:
        """Return what the relay inside is told (JSON); see `sandbox.inside.relay`."""
        listeners = [[self.proxy.host, self.proxy.port, ""]]
        listeners += [[door.host, door.port, str(place)] for door, place in self.doors]
        return json.dumps({"gateway": socket, "listeners": listeners})
