"""Requests about standing approvals, and about who decides for whom while they are away."""

from datetime import datetime
from typing import Any

from agentry.client.calls.shape import body, in_workspace, new_key, of, query, reads
from agentry.client.flow import Call
from agentry.client.records import Delegation, Grant, GrantProposal, GrantUse, Page

_GRANT = reads(Grant)
_GRANTS = reads(Page[Grant])
_PROPOSAL = reads(GrantProposal)
_USES = reads(Page[GrantUse])
_DELEGATION = reads(Delegation)
_DELEGATIONS = reads(Page[Delegation])


def grant_proposal(approval_id: str) -> Call[GrantProposal]:
    """What a grant given with this approval would cover at least; changes nothing."""
    return Call(method="GET", path=of("approvals", approval_id, "grant"), read=_PROPOSAL)


def grant(
    approval_id: str,
    pattern: dict[str, Any],
    *,
    any_agent: bool | None = None,
    any_requester: bool | None = None,
    uses: int | None = None,
    seconds: float | None = None,
    reason: str | None = None,
) -> Call[Grant]:
    """Approve, where it still waits, and let calls alike go unasked.

    `seconds`: a week if not said. Raises `Conflict` when it was decided otherwise.
    """
    return Call(
        method="POST",
        path=of("approvals", approval_id, "grant"),
        body=body(
            pattern=pattern,
            any_agent=any_agent,
            any_requester=any_requester,
            uses=uses,
            seconds=seconds,
            reason=reason,
        ),
        read=_GRANT,
        idempotency_key=new_key(),
    )


def grants(
    *,
    state: str | None = None,
    tool: str | None = None,
    agent: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Grant]]:
    """Standing approvals, newest first; `state="active"` are those that hold."""
    return Call(
        method="GET",
        path=in_workspace("grants"),
        query=query(state=state, tool=tool, agent=agent, limit=limit, cursor=cursor),
        read=_GRANTS,
    )


def grant_get(grant_id: str) -> Call[Grant]:
    return Call(method="GET", path=of("grants", grant_id), read=_GRANT)


def grant_uses(
    grant_id: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[GrantUse]]:
    """The calls it let go unasked, newest first."""
    return Call(
        method="GET",
        path=of("grants", grant_id, "uses"),
        query=query(limit=limit, cursor=cursor),
        read=_USES,
    )


def grant_revoke(grant_id: str, *, reason: str | None = None) -> Call[Grant]:
    """End it at once. Raises `Conflict` when it has ended."""
    return Call(
        method="POST",
        path=of("grants", grant_id, "revoke"),
        body=body(reason=reason),
        read=_GRANT,
        idempotency_key=new_key(),
    )


def delegations(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Delegation]]:
    """Who decides for whom, newest first."""
    return Call(
        method="GET",
        path=in_workspace("delegations"),
        query=query(limit=limit, cursor=cursor),
        read=_DELEGATIONS,
    )


def delegation_create(
    delegate: str,
    until_at: datetime,
    *,
    from_at: datetime | None = None,
    delegator: str | None = None,
    reason: str | None = None,
) -> Call[Delegation]:
    """Let somebody decide for you; with `delegator`, as an admin, for somebody else."""
    return Call(
        method="POST",
        path=in_workspace("delegations"),
        body=body(
            delegate=delegate,
            until_at=until_at,
            from_at=from_at,
            delegator=delegator,
            reason=reason,
        ),
        read=_DELEGATION,
        idempotency_key=new_key(),
    )


def delegation_end(delegation_id: str) -> Call[Delegation]:
    """End it before its time. Raises `Conflict` when it has ended."""
    return Call(
        method="POST",
        path=of("delegations", delegation_id, "end"),
        body={},
        read=_DELEGATION,
        idempotency_key=new_key(),
    )
