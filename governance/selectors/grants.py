"""Grants: which there are, which answer a question, and what one would look like."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from core import clock
from governance import access
from governance.contracts import Actor, GrantState, Perm
from governance.models import Grant


def grant_list(actor: Actor) -> QuerySet[Grant]:
    """Return the grants of the workspaces where the actor may see approvals, newest first."""
    rows = Grant.objects.select_related("workspace")
    return access.scope(actor, Perm.APPROVAL_VIEW, rows)


def grants_for(
    *,
    workspace_id: UUID,
    tool: str,
    agent: str,
    requester_id: UUID | None,
    owner_id: UUID | None,
    rule: str,
) -> list[Grant]:
    """Return the grants that answer a rule's question about such a call, soonest to end first.

    Nobody's own grant answers for them, or for agents they wrote where the policy keeps these from
    them, unless the policy lets them agree to themselves.
    """
    now = clock.now()
    rows = Grant.objects.filter(
        workspace_id=workspace_id, tool=tool, rule=rule, state=GrantState.ACTIVE.value
    ).filter(agent_name__in=("", agent), expires_at__gt=now)
    return [
        row
        for row in rows.order_by("expires_at", "pk")
        if row.requester_id in (None, requester_id)
        and (row.allow_self or row.granted_by_id != requester_id)
        and (row.allow_owner or row.granted_by_id != owner_id)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantProposal:
    """The narrowest grant that an approval could be given with, before anybody gives it.

    `refusal` says why this actor cannot give one. `unnamed` are arguments that the proposed
    pattern could not name or compare; a test for each must be written by hand.
    """

    tool: str
    agent: str
    requester: str
    pattern: dict[str, Any]
    arguments: dict[str, Any]
    unnamed: tuple[str, ...]
    facts: dict[str, str]
    refusal: str = ""
