"""The row of a new run with its first event, and finding a run that somebody may see."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import RunKind
from agents.engine.state import Limits
from agents.models import Agent, AgentVersion, Run
from agents.services.runs.limits import deadline, limits_of_run
from core import clock, tracing
from core.errors import NotFoundError
from core.ids import new_id
from governance import access
from governance.contracts import Actor, Perm
from observability.contracts import EventKind
from observability.services import event_append


def new_run(
    *,
    actor: Actor,
    agent: Agent | None,
    version: AgentVersion | None,
    snapshot_digest: str,
    input_text: str,
    limits: Limits,
    surface: str,
    client: str = "",
    name: str = "",
    workspace_id: UUID,
) -> Run:
    now, run_id = clock.now(), new_id()
    return Run(
        pk=run_id,
        workspace_id=workspace_id,
        kind=RunKind.AGENT.value,
        agent=agent,
        agent_name=name or (agent.name if agent else ""),
        version=version,
        snapshot_id=snapshot_digest,
        root_id=run_id,
        input=input_text,
        limits=msgspec.to_builtins(limits),
        deadline_at=deadline(now, limits),
        head_sequence=1,
        available_at=now,
        created_at=now,
        updated_at=now,
        requested_by_id=actor.user_id,
        surface=surface,
        client=client,
        trace_parent=tracing.header_here(),
    )


def run_like(origin: Run, *, actor: Actor, surface: str, client: str = "") -> Run:
    """Return a new run of what `origin` ran, with its input and its limits."""
    return new_run(
        actor=actor,
        agent=origin.agent,
        version=origin.version,
        snapshot_digest=origin.snapshot_id,
        input_text=origin.input,
        limits=limits_of_run(origin),
        surface=surface,
        client=client,
        name=origin.agent_name,
        workspace_id=origin.workspace_id,
    )


def insert(run: Run, payload: Mapping[str, Any] | None = None) -> None:
    run.save(force_insert=True)
    event_append(
        workspace_id=run.workspace_id,
        run_id=run.pk,
        sequence=1,
        kind=EventKind.RUN_CREATED,
        payload={
            "state": run.state,
            "agent": run.agent_name,
            "input": run.input[:2000],
            **dict(payload or {}),
        },
    )


def visible(actor: Actor, run_id: UUID) -> Run:
    runs = access.scope(actor, Perm.RUN_VIEW, Run.objects.select_related("snapshot"))
    run = runs.filter(pk=run_id).first()
    if run is None:
        raise NotFoundError(f"There is no run {run_id}.", remedy="List the runs of the workspace.")
    return run


def controlled(actor: Actor, run_id: UUID) -> Run:
    run = visible(actor, run_id)
    access.require(actor, Perm.RUN_CONTROL, run.workspace_id)
    return run
