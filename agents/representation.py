"""A run as the API shows it: one shape for the REST views, the lean lane and the console."""

from typing import Any

import msgspec

from agents.journal.records import RunRow
from agents.models import Run
from core.tracing.durable import trace_id

RUN_URL = "/api/v1/workspaces/{workspace}/runs/{run}"


def run_document(run: Run, *, workspace: str, payload: bool = True) -> dict[str, Any]:
    """Describe a run. Without `payload` its input, output and reason are withheld."""
    document: dict[str, Any] = {
        "id": str(run.pk),
        "workspace": workspace,
        "agent": run.agent_name,
        "version": run.version.number if run.version is not None else None,
        "session": _text(run.session_id),
        "parent": _text(run.parent_id),
        "root": str(run.root_id),
        "depth": run.depth,
        "state": run.state,
        "wait_kind": run.wait_kind,
        "wake_at": _time(run.wake_at),
        "reason": run.reason if payload else None,
        "error_code": run.error_code,
        "control": run.control,
        "control_by": run.control_by,
        "input": run.input if payload else None,
        "output": run.output if payload else None,
        "payload_hidden": not payload,
        "limits": run.limits,
        "usage": {
            "input_tokens": run.input_tokens,
            "output_tokens": run.output_tokens,
            "cache_read_tokens": run.cache_read_tokens,
            "total_tokens": run.input_tokens + run.output_tokens,
        },
        "cost_usd": f"{run.cost_usd:.8f}",
        "cost_is_partial": run.cost_is_partial,
        "iteration": run.iteration,
        "message_count": run.message_count,
        "head_sequence": run.head_sequence,
        "crashes": run.crashes,
        "priority": run.priority,
        "forked_from": {"run": str(run.prefix_run_id), "sequence": run.forked_from_sequence}
        if run.forked_from_sequence is not None
        else None,
        "replay_of": _text(run.replay_of_id),
        "trace_id": trace_id(root_id=run.root_id, trace_parent=run.trace_parent),
        "surface": run.surface,
        "client": run.client,
        "requested_by": _text(run.requested_by_id),
        "requested_by_name": None if run.requested_by is None else run.requested_by.get_username(),
        "created_at": _time(run.created_at),
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
        "updated_at": _time(run.updated_at),
        "url": RUN_URL.format(workspace=workspace, run=run.pk),
    }
    return document


def run_json(run: Run, *, workspace: str, payload: bool = True) -> bytes:
    return msgspec.json.encode(run_document(run, workspace=workspace, payload=payload))


def accepted_template(row: RunRow, *, workspace: str, version: int) -> dict[str, Any]:
    """Describe runs like `row` that were just born: what all of them share.

    Describing a run costs more than accepting it, so a lane does it once for each agent and then
    fills in what differs with `accepted_json`.
    """
    left_out = {"version_id", "requested_by_id"}  # to describe them, they would be looked up
    fields = {name: getattr(row, name) for name in RunRow.__struct_fields__ if name not in left_out}
    document = run_document(Run(**fields, head_sequence=1), workspace=workspace)
    return document | {"version": version}


def accepted_json(
    template: dict[str, Any], row: RunRow, *, requested_by_name: str, payload: bool
) -> bytes:
    """Describe a run that was just born, without reading it back; equal to `run_json` of it."""
    run_id, born_at = str(row.id), _time(row.created_at)
    return msgspec.json.encode(
        template
        | {
            "id": run_id,
            "root": run_id,
            "trace_id": trace_id(root_id=row.root_id, trace_parent=row.trace_parent),
            "input": row.input if payload else None,
            "output": "" if payload else None,
            "reason": "" if payload else None,
            "payload_hidden": not payload,
            "client": row.client,
            "requested_by": _text(row.requested_by_id),
            "requested_by_name": requested_by_name,
            "created_at": born_at,
            "updated_at": born_at,
            "url": RUN_URL.format(workspace=template["workspace"], run=run_id),
        }
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _time(value: Any) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")
