"""Moves of runs that nobody owns, what their owners are asked for, and who is woken after."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from agents.contracts import Control, RunState
from agents.metrics import EndedRun, calls_closed, run_ended, run_errors
from agents.models import Run
from agents.transitions.table import LIVE, RUN_TABLE, TERMINAL, S
from core import clock, tracing
from core.errors import StaleStateError
from core.pausepoints import reach
from observability.contracts import EventKind
from observability.services import event_append
from plugins.contracts import WaitKind
from plugins.selectors import calls_open
from plugins.services.calls import calls_close


def run_move(
    *,
    run_id: UUID,
    target: RunState,
    sources: Collection[RunState] | None = None,
    where: Q | None = None,
    reason: str = "",
    payload: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Run:
    """Move a run that no worker owns to `target`, with its event, and wake what waits for it.

    `sources` narrows the states it may come from (default: every state the table allows, except
    `running`, which only its owner leaves). `where` adds a condition to the same UPDATE.

    Raises:
        StaleStateError: The run was in none of these states when the UPDATE ran.
    """
    allowed = RUN_TABLE.sources(target) - {S.RUNNING}
    chosen = allowed if sources is None else allowed & frozenset(sources)
    changes = _changes(target, reason) | dict(fields or {})
    with transaction.atomic():
        reach("control.before_update")
        before = Run.objects.filter(pk=run_id).values_list("state", flat=True).first()
        query = Run.objects.filter(pk=run_id, state__in=[state.value for state in chosen])
        if before is not None:
            query = query.filter(state=before)
        if not query.filter(where or Q()).update(**changes):
            raise stale(run_id, target.value)
        run = run_told(
            run_id,
            EventKind.RUN_STATE,
            {
                "before": before or "",
                "state": target.value,
                "is_terminal": target in RUN_TABLE.terminal,
                **({"reason": reason} if reason else {}),
                **dict(payload or {}),
            },
        )
        if target in RUN_TABLE.terminal:
            closed: dict[UUID, str] = {}
            if run.message_count:
                if tracing.is_on():
                    closed = calls_open(run.pk)
                calls_close(run.pk, cause=f"The run {target.value} while no worker had it")
            wake_after(run)
            transaction.on_commit(partial(_tell_end, run, closed))
    return run


def _tell_end(run: Run, closed: Mapping[UUID, str]) -> None:
    run_errors(run.error_code)
    ended = msgspec.convert(run, EndedRun, from_attributes=True)
    calls_closed(ended, closed)
    run_ended(ended, {})


def run_told(run_id: UUID, kind: EventKind, payload: Mapping[str, Any]) -> Run:
    """Append the event of an UPDATE that has just raised the run's head; return the run."""
    run = Run.objects.get(pk=run_id)
    event_append(
        workspace_id=run.workspace_id,
        run_id=run.pk,
        sequence=run.head_sequence,
        kind=kind,
        payload=payload,
    )
    return run


def _changes(target: RunState, reason: str) -> dict[str, Any]:
    now = clock.now()
    changes: dict[str, Any] = {
        "state": target.value,
        "wait_kind": WaitKind.NONE.value,
        "wake_at": None,
        "reason": reason,
        "control": Control.NONE.value,
        "updated_at": now,
        "head_sequence": F("head_sequence") + 1,
    }
    if target is S.QUEUED:
        changes["available_at"] = now
    if target in RUN_TABLE.terminal:
        changes["finished_at"] = now
    return changes


def run_cancel_one(run_id: UUID, *, actor: str, reason: str = "") -> bool:
    """Cancel one run: at once when nobody owns it, else by asking its owner.

    Raises:
        StaleStateError: It has ended, or somebody has asked for the same already.
    """
    for _ in range(3):  # between the two forms the run may be claimed or released
        try:
            run_move(
                run_id=run_id,
                target=S.CANCELLED,
                reason=reason or f"Cancelled by {actor}.",
                fields={"control_by": actor, "control": Control.NONE.value},
            )
            return True
        except StaleStateError:
            pass
        try:
            run_ask(
                run_id=run_id,
                control=Control.CANCEL,
                actor=actor,
                reason=reason,
                sources=~Q(control=Control.CANCEL.value),
            )
            return True
        except StaleStateError:
            state = Run.objects.values_list("state", "control").filter(pk=run_id).first()
            if state is None or state[0] in TERMINAL or state[1] == Control.CANCEL.value:
                raise
    raise stale(run_id, "cancel")


def run_ask(
    *,
    run_id: UUID,
    control: Control,
    actor: str,
    sources: Q,
    states: Collection[RunState] = (S.RUNNING,),
    reason: str = "",
) -> Run:
    """Ask the owner of a running run for `control`; the first who asks wins.

    `states` adds those in which the run has no owner and what was asked before still stands.

    Raises:
        StaleStateError: It is in none of the states any more, or the same or more was asked
            already.
    """
    with transaction.atomic():
        reach("control.before_update")
        changed = (
            Run.objects.filter(pk=run_id, state__in=[state.value for state in states])
            .filter(sources)
            .update(
                control=control.value,
                control_by=actor,
                reason=reason,
                updated_at=clock.now(),
                head_sequence=F("head_sequence") + 1,
            )
        )
        if not changed:
            raise stale(run_id, control.value)
        return run_told(
            run_id,
            EventKind.RUN_CONTROL,
            {
                "control": control.value,
                "by": actor,
                **({"reason": reason} if reason else {}),
            },
        )


def run_note(*, run: Run, kind: EventKind, payload: Mapping[str, Any]) -> None:
    """Append an event that moves nothing. Safe at any time: the head is raised by an UPDATE."""
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(head_sequence=F("head_sequence") + 1)
        head = Run.objects.values_list("head_sequence", flat=True).get(pk=run.pk)
        event_append(
            workspace_id=run.workspace_id,
            run_id=run.pk,
            sequence=head,
            kind=kind,
            payload=payload,
        )


def wake_after(run: Run) -> None:
    """Queue the parent whose last child ended, and the next run of the session.

    Called inside the transaction that ended `run`. The parent's row is locked first, so that of
    two children ending at once the second sees the first; a sweep covers what slips through.
    """
    if run.parent_id is not None:
        list(Run.objects.select_for_update().filter(pk=run.parent_id).values_list("pk"))
        run_wake_parent(run.parent_id)
    if run.session_id is not None:
        run_wake_session(run.session_id)


def run_wake_parent(run_id: UUID) -> bool:
    """Queue a run that waits for children when none is left alive."""
    if Run.objects.filter(parent_id=run_id, state__in=LIVE).exists():
        return False
    return _woken(run_id, WaitKind.CHILDREN)


def run_wake_session(session_id: UUID) -> bool:
    """Queue the oldest run that waits for its turn when the session is free."""
    runs = Run.objects.filter(session_id=session_id)
    if runs.filter(state__in=LIVE).exclude(wait_kind=WaitKind.TURN.value).exists():
        return False
    waiting = runs.filter(state=S.WAITING.value, wait_kind=WaitKind.TURN.value)
    oldest = waiting.order_by("pk").values_list("pk", flat=True).first()
    return oldest is not None and _woken(oldest, WaitKind.TURN)


def _woken(run_id: UUID, kind: WaitKind) -> bool:
    try:
        run_move(run_id=run_id, target=S.QUEUED, sources={S.WAITING}, where=Q(wait_kind=kind.value))
    except StaleStateError:
        return False
    except IntegrityError:
        # A new run became the session's active one at this moment; this one waits on.
        return False
    return True


# What was wanted, as a participle; states name themselves, and a run is queued by resuming it.
_DEEDS = {"queued": "resumed", "resume": "resumed", "pause": "paused", "cancel": "cancelled"}


def stale(run_id: UUID, wanted: str) -> StaleStateError:
    """Describe who or what won, for the one who came second."""
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        return StaleStateError(f"The run {run_id} does not exist any more.")
    by = f" by {run.control_by}" if run.control_by else ""
    if run.control:
        steered = f" and was already asked to {run.control}{by}"
    elif by and run.state in LIVE and run.state != S.PAUSED.value:
        steered = f", resumed{by}"
    else:
        steered = by if run.state in {S.CANCELLED.value, S.PAUSED.value} else ""
    verb = "has" if run.state in {S.SUCCEEDED.value, S.FAILED.value} else "is"
    remedy = "Look at it again before you decide."
    if run.state in TERMINAL:
        remedy = "Fork it from a checkpoint, or replay it."
    return StaleStateError(
        f"The run {verb} {run.state}{steered}; it cannot be {_DEEDS.get(wanted, wanted)} now.",
        remedy=remedy,
        detail={"state": run.state, "control": run.control, "by": run.control_by},
    )
