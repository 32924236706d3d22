"""Forking: a new run from a checkpoint of another, which stays as it is."""

from uuid import UUID

import msgspec
from django.db import transaction

from agents.contracts import Message, Role, ToolResponsePart, user_message
from agents.doorbell import ring
from agents.engine.history import redacted, with_arguments
from agents.engine.state import EngineState, Phase
from agents.execution.claiming import history_of
from agents.execution.pinning import model_chain, store
from agents.models import Run
from agents.selectors.edits import calls_changed
from agents.services.files import files_renew
from agents.services.runs.checkpoints import checkpoint_of, insert_history, state_of
from agents.services.runs.rows import insert, run_like, visible
from agents.snapshot import snapshot_of
from core.errors import InvalidInputError
from core.pausepoints import reach
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, Perm
from governance.services.known_secrets import secrets_learn


def run_fork(
    *,
    actor: Actor,
    run_id: UUID,
    checkpoint: int | None = None,
    model: str = "",
    message: str | None = None,
    client: str = "",
) -> Run:
    """Start a new run from a checkpoint of another one; the origin is untouched.

    The history up to the checkpoint is referred to, not copied. `message` replaces the last user
    message when the history ends with one, and continues the conversation otherwise; calls that
    were open at the checkpoint are then answered as not done. Effects are never repeated by
    forking: calls that had a result keep it. The workspace begins with the files the checkpoint
    names.

    Raises:
        InvalidInputError: No such checkpoint or model, or the checkpoint is the run's end.
        SnapshotGoneError: The files of the checkpoint are not kept (any more).
    """
    origin = visible(actor, run_id)
    access.require(actor, Perm.RUN_CONTROL, origin.workspace_id)
    access.require(actor, Perm.RUN_START, origin.workspace_id)
    row = checkpoint_of(origin, checkpoint)
    state = state_of(row)
    snapshot = snapshot_of(origin.snapshot.content)
    snapshot_digest = origin.snapshot_id
    if model:
        chain = model_chain(origin.workspace_id, model, origin.input)
        snapshot = msgspec.structs.replace(snapshot, models=chain)
        snapshot_digest = store(origin.workspace_id, snapshot)
    prefix, own, state = _forked(origin, row.sequence, state, message)
    run = run_like(origin, actor=actor, surface="fork", client=client)
    run.snapshot_id = snapshot_digest
    secrets_learn([origin.workspace_id])
    if message is not None:
        run.input = redact_text(message)
    run.prefix_run, run.prefix_length = origin, prefix
    run.forked_from_sequence = row.sequence
    run.message_count = state.message_count
    files_renew(origin.workspace_id, row)
    with transaction.atomic():
        reach("fork.before_insert")
        insert(run, {"forked_from": {"run": str(origin.pk), "sequence": row.sequence}})
        insert_history(run, prefix, own, state, files=row.workspace_digest)
    transaction.on_commit(ring)
    return run


def _forked(
    origin: Run, sequence: int, state: EngineState, message: str | None
) -> tuple[int, list[Message], EngineState]:
    """Return how much history to refer to, the fork's own first messages, and its state."""
    fresh = EngineState(
        phase=state.phase,
        message_count=state.message_count,
        asked_position=state.asked_position,
        open_calls=state.open_calls,
    )
    if message is None:
        if state.phase is Phase.DONE:
            raise InvalidInputError(
                "This checkpoint is the end of the run.",
                remedy="Give a `message` to go on from it, or choose an earlier checkpoint.",
                fields={"checkpoint": ["is the end of the run"]},
            )
        return *_changed_calls(origin, sequence, state), fresh
    history = history_of(origin.pk, state.message_count, upto=sequence)
    prefix, own = state.message_count, [redacted(user_message(message))]
    if history and history[-1].role is Role.USER:
        prefix -= 1
    elif state.open_calls:
        asked = history[state.asked_position].tool_calls
        own = [_not_done(asked[index].id) for index in state.open_calls] + own
    fresh = EngineState(phase=Phase.MODEL, message_count=prefix + len(own))
    return prefix, own, fresh


def _changed_calls(origin: Run, sequence: int, state: EngineState) -> tuple[int, list[Message]]:
    """Where a person changed arguments of calls that were open then, the fork has them changed."""
    changed = calls_changed(origin, state.asked_position, state.open_calls, upto=sequence)
    if not changed:
        return state.message_count, []
    history = history_of(origin.pk, state.message_count, upto=sequence)
    asked = with_arguments(history[state.asked_position], changed)
    return state.asked_position, [asked, *history[state.asked_position + 1 :]]


def _not_done(call_id: str) -> Message:
    sentence = "The conversation was forked before this call had an outcome."
    return Message(role=Role.TOOL, parts=(ToolResponsePart(call_id, sentence, True),))
