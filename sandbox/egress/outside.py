"""The way out: look the name up, judge every address, connect to one that was judged.

What is connected to is the judged address itself, so a name that resolves differently a moment
later (DNS rebinding) changes nothing. TLS is verified against the name.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from core.addresses import why_refused
from sandbox.egress.bounds import Bounds
from sandbox.egress.ending import FailedError, RefusedError
from sandbox.egress.ranges import NO_RANGES, Ranges
from sandbox.egress.rules import Place, Rules

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_MOST_TRIED = 4


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Resolve by the system's own means, in the order it prefers."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@lru_cache(maxsize=1)
def system_trust() -> ssl.SSLContext:
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the gateway knows of the world. `ranges` are the site's; the rest is other than by
    default only where a test plays it."""

    ranges: Ranges = NO_RANGES
    resolver: Resolver = system_resolver
    why_refused: Callable[[str], str] = why_refused
    trust: Callable[[], ssl.SSLContext] = field(default=system_trust)

    async def reach(self, place: Place, rules: Rules, bounds: Bounds, *, with_tls: bool) -> Streams:
        """Connect to an allowed place.

        Raises:
            RefusedError: It is not allowed, or not where its name leads.
            FailedError: Nothing came about.
        """
        if not rules.allow(place):
            raise RefusedError("the host and port are not on the list")
        try:
            async with asyncio.timeout(bounds.connect_seconds):
                addresses = await self._addresses(place)
                if why := rules.why_not_at(place, addresses, self.why_refused, self.ranges):
                    raise RefusedError(why)
                return await self._connect(place, addresses, bounds, with_tls=with_tls)
        except TimeoutError:
            raise FailedError(
                f"it could not be reached in {bounds.connect_seconds:g} seconds", status=504
            ) from None

    async def _addresses(self, place: Place) -> Sequence[str]:
        if place.is_address:
            return [place.host]
        try:
            addresses = await self.resolver(place.host, place.port)
        except (OSError, UnicodeError):
            raise FailedError("its name cannot be resolved") from None
        if not addresses:
            raise FailedError("its name has no address")
        return addresses

    async def _connect(
        self, place: Place, addresses: Sequence[str], bounds: Bounds, *, with_tls: bool
    ) -> Streams:
        failure = "nothing listens there"
        for address in addresses[:_MOST_TRIED]:
            try:
                return await asyncio.open_connection(
                    address,
                    place.port,
                    limit=bounds.head_bytes,
                    ssl=self.trust() if with_tls else None,
                    server_hostname=place.host if with_tls else None,
                )
            except ssl.SSLCertVerificationError as error:
                raise FailedError(
                    f"its certificate cannot be verified: {error.verify_message}"
                ) from None
            except OSError as error:
                failure = error.strerror or type(error).__name__
        raise FailedError(f"it could not be reached: {failure}")


async def close(writer: asyncio.StreamWriter) -> None:
    """Close at once; what has not been sent is dropped."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
