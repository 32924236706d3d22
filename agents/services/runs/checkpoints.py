"""Points of a run to go on from: reading them, and giving a new run its first one."""

import msgspec

from agents.contracts import Message
from agents.engine.state import EngineState
from agents.models import Checkpoint, Run, WorkspaceHead
from agents.models import Message as MessageRow
from core import clock
from core.errors import InvalidInputError


def checkpoint_of(run: Run, sequence: int | None) -> Checkpoint:
    rows = Checkpoint.objects.filter(run=run)
    row = (
        rows.order_by("-sequence").first()
        if sequence is None
        else rows.filter(sequence=sequence).first()
    )
    if row is None:
        raise InvalidInputError(
            f"The run has no checkpoint {sequence}."
            if sequence
            else "The run has no checkpoint yet.",
            remedy="List its checkpoints.",
            fields={"checkpoint": ["no such checkpoint"]},
        )
    return row


def state_of(row: Checkpoint) -> EngineState:
    return msgspec.json.decode(msgspec.json.encode(row.state), type=EngineState)


def insert_history(
    run: Run, prefix: int, own: list[Message], state: EngineState, *, files: str = ""
) -> None:
    """Give a new run its first messages and checkpoint; `files` is the digest of what its workspace
    is to hold, brought there before its first call that needs it."""
    now = clock.now()
    MessageRow.objects.bulk_create(
        MessageRow(
            run=run,
            position=prefix + offset,
            role=message.role.value,
            parts=msgspec.to_builtins(message.parts),
            created_at=now,
        )
        for offset, message in enumerate(own)
    )
    Checkpoint.objects.create(
        run=run,
        sequence=1,
        message_count=state.message_count,
        state=msgspec.to_builtins(state),
        workspace_digest=files,
        created_at=now,
    )
    if files:
        WorkspaceHead.objects.create(
            root_id=run.root_id, workspace_id=run.workspace_id, digest=files, updated_at=now
        )
