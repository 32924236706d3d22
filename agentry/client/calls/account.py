"""Requests about who we are, our tokens, the server itself, and applying documents."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from agentry.client.calls.shape import (
    body,
    checked_id,
    in_workspace,
    new_key,
    nothing,
    query,
    reads,
)
from agentry.client.flow import API, Call
from agentry.client.records import Applied, Cost, Me, Page, Token

_ME = reads(Me)
_TOKEN = reads(Token)
_TOKENS = reads(Page[Token])
_APPLIED = reads(Applied)
_COST = reads(Cost)
_OBJECT = reads(dict[str, Any])
_OBJECTS = reads(Page[dict[str, Any]])


def me() -> Call[Me]:
    return Call(method="GET", path=f"{API}/me", read=_ME)


def tokens(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Token]]:
    return Call(
        method="GET", path=f"{API}/tokens", query=query(limit=limit, cursor=cursor), read=_TOKENS
    )


def token_create(
    name: str,
    *,
    workspace: str | None = None,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> Call[Token]:
    """A new credential, never more than its owner may. Its secret is shown in this answer only.

    The answer is never stored, so this is not repeated: revoke what a lost answer was about.
    """
    return Call(
        method="POST",
        path=f"{API}/tokens",
        body=body(name=name, workspace=workspace, scopes=scopes, expires_at=expires_at),
        read=_TOKEN,
    )


def token_revoke(token_id: str) -> Call[None]:
    return Call(
        method="DELETE", path=f"{API}/tokens/{checked_id('tokens', token_id)}", read=nothing
    )


def apply(documents: Sequence[Mapping[str, Any]], *, dry_run: bool = False) -> Call[Applied]:
    """Make the workspace as the documents say; applying the same twice changes nothing."""
    return Call(
        method="POST",
        path=f"{in_workspace()}/apply",
        body={"documents": list(documents), "dry_run": dry_run},
        read=_APPLIED,
        idempotency_key="" if dry_run else new_key(),
        timeout_seconds=60.0,
    )


def sandbox_doctor() -> Call[Page[dict[str, Any]]]:
    """Ask what each sandbox engine of the server can hold, best first."""
    return Call(
        method="GET",
        path=in_workspace("sandbox", "doctor"),
        read=_OBJECTS,
        timeout_seconds=90.0,  # the first question has every engine tried
    )


def workers() -> Call[Page[dict[str, Any]]]:
    return Call(method="GET", path=in_workspace("workers"), read=_OBJECTS)


def worker_drain(worker_id: str) -> Call[dict[str, Any]]:
    """Ask a worker to take no more runs and to give back those it has. Twice is as once."""
    return Call(
        method="POST",
        path=f"{API}/workers/{quote(worker_id, safe='')}/drain",
        body={},
        read=_OBJECT,
        idempotency_key=new_key(),
    )


def worker_undrain(worker_id: str) -> Call[dict[str, Any]]:
    """Take a drain back: the worker takes runs again."""
    return Call(
        method="DELETE", path=f"{API}/workers/{quote(worker_id, safe='')}/drain", read=_OBJECT
    )


def cost(*, period: str | None = None, by: Sequence[str] = ()) -> Call[Cost]:
    """What the workspace spent: `period` is 24h, 7d or 30d, `by` up to three dimensions."""
    return Call(
        method="GET",
        path=in_workspace("cost"),
        query=query(period=period, by=",".join(by) or None),
        read=_COST,
    )


def version() -> Call[dict[str, Any]]:
    return Call(method="GET", path="/version", read=_OBJECT)


def readiness() -> Call[dict[str, Any]]:
    """The server's own checks; raises `ServerError` with them in `problem` when one fails."""
    return Call(method="GET", path="/readyz", read=_OBJECT)
