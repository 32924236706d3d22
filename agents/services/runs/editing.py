"""Edit and resume: changing what a paused run is about to do. Nothing is rewritten.

An edit is a row of its own with what was there before, who changed it, and a new checkpoint, so
that what is forked from an earlier one does not know of it. Arguments are checked against the
tool's schema and the policy, and judged once more when the call begins: an approval of what was
asked before does not hold for what is asked now.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import F

from agents.contracts import EditKind, RunState
from agents.engine.debugging import Next
from agents.engine.history import message_of, redacted, with_text
from agents.engine.loop import Added, advance
from agents.engine.state import EngineState
from agents.models import Checkpoint, Run, RunEdit
from agents.models import Message as MessageRow
from agents.selectors.debugging import Standing, passed_of, standing_of
from agents.selectors.history import run_messages
from agents.services.approving import checked_arguments
from agents.services.runs.debugging import overtaken
from agents.services.runs.limits import limits_of_run
from agents.services.runs.rows import controlled
from agents.transitions import run_told
from core import clock
from core.errors import ConflictError, InvalidInputError
from core.pausepoints import reach
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.services.audit import audit_append
from governance.services.known_secrets import secrets_learn
from observability.contracts import EventKind
from plugins.dispatch import arguments_digest
from plugins.services.asked import call_change

MAX_TEXT_CHARS = 1_000_000


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One edit, as it is kept and told."""

    kind: EditKind
    position: int
    after: Any
    before: Any = None
    index: int | None = None
    deed: str
    state: EngineState


def run_edit_message(
    *, actor: Actor, run_id: UUID, version: int, position: int, text: str
) -> RunEdit:
    """Change the text of a message that the model of a paused run has not seen yet.

    Raises:
        InvalidInputError: There is no such message, or nothing is said.
        StaleStateError: The run is not paused, or somebody changed its debugger since `version`.
    """

    def change(run: Run, standing: Standing) -> Change:
        if position not in {message.position for message in standing.messages}:
            known = ", ".join(str(message.position) for message in standing.messages) or "none"
            raise _unfit(
                "position",
                f"The message {position} is not one that the model is about to see ({known}).",
            )
        row = run_messages(run).get(position=position)
        after = with_text(message_of(row.role, row.parts), _said(run, text))
        return Change(
            kind=EditKind.MESSAGE,
            position=position,
            before=row.parts,
            after=msgspec.to_builtins(after.parts),
            deed=f"changed the message {position}",
            state=standing.state,
        )

    return _edited(actor, run_id, version, change)


def run_edit_arguments(
    *,
    actor: Actor,
    run_id: UUID,
    version: int,
    call_id: UUID,
    arguments: Mapping[str, Any],
) -> RunEdit:
    """Change the arguments of a call of a paused run that has not begun.

    What was approved of it, or asked about it, is void; policy is asked anew when it begins.

    Raises:
        ConflictError: The call has begun, or has an outcome.
        InvalidInputError: The arguments do not fit the tool's schema, or hold a secret.
        PermissionDeniedError: The policy denies them.
        StaleStateError: The run is not paused, or somebody changed its debugger since `version`.
    """

    def change(run: Run, standing: Standing) -> Change:
        call = next((each for each in standing.calls if each.id == call_id), None)
        if call is None:
            raise _unfit("call", f"The run has no open call {call_id} where it stands.")
        if not call.is_editable:
            raise ConflictError(
                f"The call of {call.tool} is {call.state}; its arguments cannot change any more.",
                remedy="Step past it and change the message with its result instead.",
                detail={"state": call.state},
            )
        given = checked_arguments(call_id, arguments)
        call_change(call_id, given, by=actor.username)
        return Change(
            kind=EditKind.ARGUMENTS,
            position=standing.state.asked_position,
            index=call.index,
            before=call.arguments,
            after=given,
            deed=f"changed the arguments of {call.tool}",
            state=standing.state,
        )

    return _edited(actor, run_id, version, change)


def run_add_message(*, actor: Actor, run_id: UUID, version: int, text: str) -> RunEdit:
    """Say something to the model of a paused run before it is asked next.

    A run that is held with its last answer goes on with this instead of ending.

    Raises:
        ConflictError: It has not begun, or tool calls are open, which must be answered first.
        StaleStateError: The run is not paused, or somebody changed its debugger since `version`.
    """

    def change(run: Run, standing: Standing) -> Change:
        if standing.place is None or standing.place.next is Next.TOOLS:
            what = "has not begun" if standing.place is None else "has tool calls open"
            raise ConflictError(
                f"The run {what}; a message can be added where its model is asked next.",
                remedy="Step it until it is held before a model call, then add the message.",
            )
        step = advance(standing.state, Added(text=_said(run, text)), limits_of_run(run))
        message = redacted(step.messages[0])
        parts = msgspec.to_builtins(message.parts)
        position = standing.state.message_count
        MessageRow.objects.create(
            run=run,
            position=position,
            role=message.role.value,
            parts=parts,
            created_at=clock.now(),
        )
        return Change(
            kind=EditKind.ADDED,
            position=position,
            after=parts,
            deed=f"added the message {position}",
            state=step.state,
        )

    return _edited(actor, run_id, version, change)


def _edited(
    actor: Actor, run_id: UUID, version: int, change: Callable[[Run, Standing], Change]
) -> RunEdit:
    """Make an edit with its checkpoint, its event and its entry of the audit chain, at once."""
    run = controlled(actor, run_id)
    access.require(actor, Perm.RUN_PAYLOAD, run.workspace_id)
    with transaction.atomic():
        reach("control.before_update")
        # The run first, as its owner's writes and deciders do.
        run = Run.objects.select_for_update().get(pk=run.pk)
        if run.state != RunState.PAUSED.value or run.debug_version != version:
            raise overtaken(run.pk, "edited", version)
        standing = standing_of(run)
        made = change(run, standing)
        row = _kept(run, standing.checkpoint, made, actor)
        passed = msgspec.structs.replace(passed_of(run), by=actor.username, deed=made.deed)
        Run.objects.filter(pk=run.pk).update(
            debug_passed=msgspec.to_builtins(passed),
            debug_version=F("debug_version") + 1,
            head_sequence=F("head_sequence") + 1,
            message_count=made.state.message_count,
            updated_at=clock.now(),
        )
        payload = {
            "by": actor.username, "kind": made.kind.value, "position": made.position,
            "index": made.index, "before": made.before, "after": made.after,
            "checkpoint": row.sequence,
        }  # fmt: skip
        run_told(run.pk, EventKind.RUN_EDITED, payload)
        _audited(run, made, actor)
        reach("edit.before_commit")
    return row


def _kept(run: Run, last: Checkpoint | None, made: Change, actor: Actor) -> RunEdit:
    now = clock.now()
    sequence = 1 if last is None else last.sequence + 1
    Checkpoint.objects.create(
        run=run,
        sequence=sequence,
        message_count=made.state.message_count,
        state=msgspec.to_builtins(made.state),
        workspace_digest="" if last is None else last.workspace_digest,
        created_at=now,
    )
    return RunEdit.objects.create(
        run=run,
        sequence=sequence,
        kind=made.kind.value,
        position=made.position,
        index=made.index,
        before=made.before,
        after=made.after,
        edited_by_id=actor.user_id,
        edited_by_name=actor.username,
        created_at=now,
    )


def _audited(run: Run, made: Change, actor: Actor) -> None:
    """Note who changed what; the contents by their digests, because the chain is read by others."""
    audit_append(
        actor,
        action=AuditAction.DECISION,
        workspace_id=run.workspace_id,
        subject=AuditSubject(kind="run", id=str(run.pk), label=run.agent_name),
        payload={
            "edited": made.kind.value,
            "position": made.position,
            "index": made.index,
            "before": arguments_digest({"value": made.before}),
            "after": arguments_digest({"value": made.after}),
        },
    )


def _said(run: Run, text: str) -> str:
    if not text.strip() or len(text) > MAX_TEXT_CHARS:
        raise _unfit("text", f"The text has between 1 and {MAX_TEXT_CHARS} characters.")
    secrets_learn([run.workspace_id])
    return redact_text(text)


def _unfit(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(
        sentence, remedy="Look at what the run is about to do.", fields={field: [sentence]}
    )
