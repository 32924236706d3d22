"""Requests about audit chains; `site` means the site's own instead of the workspace's."""

from datetime import datetime
from typing import Any

import msgspec

from agentry.client.calls.shape import in_workspace, new_key, query, reads
from agentry.client.flow import API, Call
from agentry.client.records import Page

_OBJECT = reads(dict[str, Any])
_OBJECTS = reads(Page[dict[str, Any]])


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key that a server signs with, in PEM."""

    key_id: str
    public_key: str


_KEY = reads(PublicKey)


def entries(
    *, site: bool = False, limit: int | None = None, cursor: str | None = None
) -> Call[Page[dict[str, Any]]]:
    """The entries of a chain, newest first."""
    return Call(
        method="GET", path=_chain(site), query=query(limit=limit, cursor=cursor), read=_OBJECTS
    )


def checkpoint(*, site: bool = False) -> Call[dict[str, Any]]:
    """Have the server sign the chain as it is now."""
    return Call(
        method="POST",
        path=f"{_chain(site)}/checkpoints",
        body={},
        read=_OBJECT,
        idempotency_key=new_key(),
    )


def export(
    *, site: bool = False, since: datetime | None = None, until: datetime | None = None
) -> Call[bytes]:
    """The chain as a file; large, so better streamed than read."""
    return Call(
        method="GET",
        path=f"{_chain(site)}/export",
        query=query(since=since, until=until),
        read=bytes,
    )


def evidence(run_id: str) -> Call[bytes]:
    """The evidence of a run that has ended; large, so better streamed than read."""
    return Call(method="GET", path=in_workspace(f"runs/{run_id}/evidence"), read=bytes)


def public_key() -> Call[PublicKey]:
    return Call(method="GET", path=f"{API}/audit/key", read=_KEY)


def _chain(site: bool) -> str:
    return f"{API}/audit" if site else in_workspace("audit")
