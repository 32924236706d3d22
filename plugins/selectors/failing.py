"""Calls that failed, for those who look for causes."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models.functions import Coalesce, Substr

from core.ids import first_id_at
from governance import access
from governance.contracts import Actor, Perm
from plugins.contracts import CallState
from plugins.models import ToolCall

REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailure:
    """`reason` is None where the actor may not read it."""

    call_id: UUID
    run_id: UUID
    tool: str
    reason: str | None
    at: datetime


def call_failures(*, actor: Actor, since: datetime, most: int) -> list[CallFailure]:
    """Return the newest calls that were asked for since a moment and failed, `most` at most."""
    rows = ToolCall.objects.filter(
        state=CallState.FAILED.value,
        pk__gte=first_id_at(since.timestamp()),
        workspace_id__in=list(access.permitted_workspace_ids(actor, Perm.RUN_VIEW)),
    ).annotate(
        begins=Substr("reason", 1, REASON_CHARACTERS), at=Coalesce("settled_at", "planned_at")
    )
    found = list(
        rows.order_by("-pk").values_list("pk", "run_id", "tool", "begins", "at", "workspace_id")[
            :most
        ]
    )
    readable = access.payload_workspaces(actor, (row[-1] for row in found))
    return [
        CallFailure(
            call_id=call_id,
            run_id=run_id,
            tool=tool,
            reason=reason if workspace_id in readable else None,
            at=at,
        )
        for call_id, run_id, tool, reason, at, workspace_id in found
    ]
