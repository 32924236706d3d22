"""Who may read the metrics: whoever has the site's token, else only programs of this machine.

Metrics tell names of agents, tools and models and what is spent on them, of all workspaces at
once; so nobody's role in a workspace is enough, and anonymous people get nothing.
"""

import hmac
import ipaddress
from collections.abc import Mapping

from core.errors import PermissionDeniedError

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_BEARER = "Bearer "


def scrape_require(*, token: str, peer: str, headers: Mapping[str, str]) -> None:
    """Return when a request from `peer` may read the metrics; header names in lower case.

    Raises:
        PermissionDeniedError: It may not; the sentence says what is missing.
    """
    if token:
        given = headers.get("authorization", "")
        if given.startswith(_BEARER) and hmac.compare_digest(
            given.removeprefix(_BEARER).encode(), token.encode()
        ):
            return
        raise PermissionDeniedError(
            "The metrics are told to whoever has the site's metrics token.",
            remedy="Send it as `Authorization: Bearer …`; it is AGENTRY_METRICS_TOKEN.",
        )
    if _is_loopback(peer) and not any(name in headers for name in _FORWARDED):
        return
    raise PermissionDeniedError(
        "The metrics are told on the machine itself only, because no token is set for them.",
        remedy="Set AGENTRY_METRICS_TOKEN and send it as a bearer token.",
    )


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
