"""Delegation: the row of a child run, to be born in the commit that records the call."""

from typing import Any
from uuid import UUID

from agents.contracts import RunKind
from agents.execution.context import RunContext
from agents.execution.pinning import agent_pinnable, pin
from agents.journal.records import RunRow
from agents.models import Run
from core import clock
from core.errors import DomainError
from core.ids import new_id
from core.tracing.durable import child_header
from plugins.errors import ToolError

MAX_DEPTH = 8
# Depth alone bounds nothing: a model may ask for a hundred children in each of its turns.
MAX_RUNS_BELOW = 1_000


def child_row(context: RunContext, wish: dict[str, Any], call_id: UUID) -> RunRow:
    """Pin the wanted agent for a child of this run. Synchronous; reads the database.

    Raises:
        ToolError: The agent may not be delegated to, does not exist or cannot start.
    """
    name = str(wish.get("agent", ""))
    allowed = context.snapshot.delegates
    if name not in allowed:
        raise ToolError(
            f"This agent may not delegate to {name!r}. It may delegate to: "
            f"{', '.join(allowed) or 'nobody'}."
        )
    if context.depth + 1 > MAX_DEPTH:
        raise ToolError(f"Delegation is {MAX_DEPTH} levels deep already; do this part yourself.")
    if Run.objects.filter(root_id=context.root_id, depth__gt=0).count() >= MAX_RUNS_BELOW:
        raise ToolError(
            f"This task has been delegated {MAX_RUNS_BELOW} times already, over all its agents; "
            "do this part yourself."
        )
    text = str(wish.get("input", ""))
    try:
        agent, version = agent_pinnable(context.workspace_id, name)
        _, digest = pin(agent, version, input_text=text)
    except DomainError as error:
        raise ToolError(f"The agent {name} cannot start: {error}") from error
    now = clock.now()
    return RunRow(
        id=new_id(),
        workspace_id=context.workspace_id,
        kind=RunKind.AGENT.value,
        agent_id=agent.pk,
        agent_name=agent.name,
        version_id=version.pk,
        snapshot_id=digest,
        parent_id=context.run_id,
        parent_call_id=call_id,
        root_id=context.root_id,
        depth=context.depth + 1,
        input=text,
        limits={},
        deadline_at=context.deadline_at,
        requested_by_id=context.requested_by_id,
        surface="agent",
        trace_parent=child_header(context.place, call_id, trace_parent=context.trace_parent),
        available_at=now,
        created_at=now,
        updated_at=now,
    )
