"""Who may read the metrics: whoever has the site's token, else only programs of this machine.

Metrics tell names of agents, tools and models and what is spent on them, of all workspaces at
once; so nobody's role in a workspace is enough, and anonymous people get nothing.
"""

import hmac
import ipaddress
from collections.abc import Mapping

from core.errors import PermissionDeniedError

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_PERSONAL = ("cookie", "authorization")
_BEARER = "Bearer "


def scrape_require(
    *, token: str, peer: str, headers: Mapping[str, str], allows_local: bool
) -> None:
    """Return when a request from `peer` may read the metrics; header names in lower case.

    `allows_local`: without a token, programs of this machine may. Who comes through a proxy or
    with credentials of a person is none.

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
    is_forwarded = any(name in headers for name in _FORWARDED)
    is_person = any(headers.get(name) for name in _PERSONAL)
    if allows_local and not is_forwarded and not is_person and _is_loopback(peer):
        return
    where = "programs of the machine itself" if allows_local else "nobody"
    raise PermissionDeniedError(
        f"No token is set for the metrics, so {where} may read them.",
        remedy="Set AGENTRY_METRICS_TOKEN and send it as `Authorization: Bearer …`.",
    )


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
