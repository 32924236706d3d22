"""Replay: a finished run again, from its record."""

from uuid import UUID

from django.db import transaction

from agents.doorbell import ring
from agents.execution.claiming import history_of
from agents.models import Run
from agents.services.runs.checkpoints import checkpoint_of, insert_history, state_of
from agents.services.runs.rows import insert, run_like, visible
from agents.transitions import TERMINAL
from core.errors import ConflictError
from governance import access
from governance.contracts import Actor, Perm


def run_replay(*, actor: Actor, run_id: UUID, client: str = "") -> Run:
    """Run a finished run again against its recorded answers and outcomes; nothing is done.

    Raises:
        ConflictError: It has not ended yet.
    """
    origin = visible(actor, run_id)
    access.require(actor, Perm.RUN_START, origin.workspace_id)
    if origin.state not in TERMINAL:
        raise ConflictError(
            f"The run is {origin.state}; only a finished run can be replayed.",
            remedy="Wait until it ends, or fork it.",
        )
    run = run_like(origin, actor=actor, surface="replay", client=client)
    run.replay_of = origin
    with transaction.atomic():
        if origin.prefix_run_id is None:
            insert(run, {"replay_of": str(origin.pk)})
        else:
            first = checkpoint_of(origin, 1)
            state = state_of(first)
            own = history_of(origin.pk, state.message_count, upto=0)[origin.prefix_length :]
            run.prefix_run_id, run.prefix_length = origin.prefix_run_id, origin.prefix_length
            run.forked_from_sequence = origin.forked_from_sequence
            run.message_count = state.message_count
            insert(run, {"replay_of": str(origin.pk)})
            insert_history(run, origin.prefix_length, own, state)
    transaction.on_commit(ring)
    return run
