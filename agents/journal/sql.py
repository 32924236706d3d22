"""Column lists and statements shared by the writers; names follow the models' tables."""

from typing import Final

RUN = "agents_run"
MESSAGE = "agents_message"
CHECKPOINT = "agents_checkpoint"
HEAD = "agents_workspacehead"
EVENT = "observability_traceevent"
CALL = "plugins_toolcall"
BLOB = "observability_blob"
APPROVAL = "governance_approval"
POLICY_VERSION = "governance_policyversion"
BUDGET = "governance_budget"
ACCOUNT = "governance_budgetaccount"
RESERVATION = "governance_reservation"

# name -> PostgreSQL type, in insert order
PROGRESS: Final = {
    "state": "text",
    "wait_kind": "text",
    "wake_at": "timestamptz",
    "reason": "text",
    "error_code": "text",
    "output": "text",
    "message_count": "int",
    "iteration": "int",
    "input_tokens": "bigint",
    "output_tokens": "bigint",
    "cache_read_tokens": "bigint",
    "cost_usd": "numeric",
    "cost_is_partial": "boolean",
    "finished_at": "timestamptz",
}
# What the owner writes of a column, where that is not simply its own view. `{new}` is the owner's
# value, `{old}` what is stored; other columns of the stored row are named plainly through `{row}`.
# A reason given with a request to cancel stands until the run ends and then is the run's; a request
# that the move has honoured, or that came too late, is gone; any other stays for the sweep.
PROGRESS_RULES: Final = {
    "output": "COALESCE({new}, {old})",
    "finished_at": "COALESCE({new}, {old})",
    "reason": "CASE WHEN {state} = 'running' OR ({state} = 'cancelled' AND {row}control = 'cancel'"
    " AND {old} <> '') THEN {old} ELSE {new} END",
}
CONTROL_RULE: Final = (
    "CASE WHEN {state} IN ('succeeded', 'failed', 'cancelled')"
    " OR ({state} = 'paused' AND {row}control = 'pause') THEN '' ELSE {row}control END"
)
MESSAGE_COLUMNS: Final = {
    "run_id": "uuid",
    "position": "int",
    "role": "text",
    "parts": "jsonb",
    "created_at": "timestamptz",
}
CHECKPOINT_COLUMNS: Final = {
    "run_id": "uuid",
    "sequence": "int",
    "message_count": "int",
    "state": "jsonb",
    "created_at": "timestamptz",
    "workspace_digest": "text",
}
HEAD_COLUMNS: Final = {
    "root_id": "uuid",
    "workspace_id": "uuid",
    "digest": "text",
    "updated_at": "timestamptz",
}
CALL_COLUMNS: Final = {
    "id": "uuid",
    "workspace_id": "uuid",
    "run_id": "uuid",
    "position": "int",
    "index": "int",
    "provider_call_id": "text",
    "tool": "text",
    "spec_digest": "text",
    "arguments": "jsonb",
    "arguments_digest": "text",
    "effect": "text",
    "state": "text",
    "attempt": "int",
    "wait": "jsonb",
    "result": "text",
    "result_digest": "text",
    "is_error": "boolean",
    "reason": "text",
    "decision": "jsonb",
    "planned_at": "timestamptz",
    "dispatched_at": "timestamptz",
    "settled_at": "timestamptz",
}
# Columns of a move; dispatched_at and settled_at keep what is stored when the move has none.
MOVE_COLUMNS: Final = {
    "id": "uuid",
    "run_id": "uuid",
    "source": "text",
    "state": "text",
    "attempt": "int",
    "wait": "jsonb",
    "result": "text",
    "result_digest": "text",
    "is_error": "boolean",
    "reason": "text",
    "decision": "jsonb",
    "dispatched_at": "timestamptz",
    "settled_at": "timestamptz",
}
MOVE_SET: Final = ("state", "attempt", "wait", "result", "result_digest", "is_error", "reason")
RUN_COLUMNS: Final = {
    "id": "uuid",
    "workspace_id": "uuid",
    "kind": "text",
    "agent_id": "uuid",
    "agent_name": "text",
    "version_id": "uuid",
    "snapshot_id": "text",
    "parent_id": "uuid",
    "parent_call_id": "uuid",
    "root_id": "uuid",
    "depth": "int",
    "state": "text",
    "input": "text",
    "limits": "jsonb",
    "deadline_at": "timestamptz",
    "priority": "int",
    "replay_of_id": "uuid",
    "requested_by_id": "uuid",
    "surface": "text",
    "client": "text",
    "idempotency_key": "text",
    "request_digest": "text",
    "trace_parent": "text",
    "available_at": "timestamptz",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
}
# Columns of a new run that no birth sets; Django keeps no defaults in the database.
RUN_DEFAULTS: Final = {
    "wait_kind": "''",
    "reason": "''",
    "error_code": "''",
    "control": "''",
    "control_by": "''",
    "fence": "0",
    "crashes": "0",
    "output": "''",
    "head_sequence": "1",
    "message_count": "0",
    "iteration": "0",
    "input_tokens": "0",
    "output_tokens": "0",
    "cache_read_tokens": "0",
    "cost_usd": "0",
    "cost_is_partial": "false",
    "debug_version": "0",
    "prefix_length": "0",
    "is_rolled_back": "false",
}
# A child is born with the debugger of a parent whose whole tree is debugged, as it is by then.
INHERITED_DEBUG: Final = "CASE WHEN {debug} ->> 'scope' = 'tree' THEN {debug} END"
APPROVAL_COLUMNS: Final = {
    "id": "uuid",
    "workspace_id": "uuid",
    "kind": "text",
    "subject_id": "uuid",
    "run_id": "uuid",
    "agent_name": "text",
    "requester_id": "uuid",
    "requester_name": "text",
    "title": "text",
    "question": "text",
    "binding": "jsonb",
    "binding_digest": "text",
    "arguments": "jsonb",
    "approvers": "jsonb",
    "quorum": "int",
    "allow_self": "boolean",
    "rule": "text",
    "policy_version": "text",
    "expires_seconds": "double precision",
    "expires_at": "timestamptz",
    "on_expiry": "text",
    "escalate_to": "jsonb",
    "created_at": "timestamptz",
    "tool": "text",
    "effect": "text",
    "is_privileged": "boolean",
    "is_grantable": "boolean",
    "owner_id": "uuid",
    "allow_owner": "boolean",
    "evidence": "jsonb",
    "choices": "jsonb",
}
APPROVAL_DEFAULTS: Final = {
    "escalations": "0",
    "choice": "''",
    "state": "'pending'",
    "decided_by_name": "''",
    "reason": "''",
    "surface": "''",
}
HEAD_RULE: Final = (
    "ON CONFLICT (root_id) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at"
)
LIVE: Final = "('queued','running','waiting','paused','yielded')"


def quoted(columns: dict[str, str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def prefixed(columns: dict[str, str], alias: str) -> str:
    return ", ".join(f'{alias}."{name}"' for name in columns)


def recordset(alias: str, columns: dict[str, str], parameter: str) -> str:
    """A FROM item that reads rows out of one JSON parameter."""
    types = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    return f"json_to_recordset(%({parameter})s::json) AS {alias}({types})"
