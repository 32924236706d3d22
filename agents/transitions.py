"""The run state table, and the only moves of a run that its owner does not make.

A worker moves its run through the journal, under its fence. Everybody else (a person, a sweep)
moves it here: one conditional UPDATE that names the states it may come from, with the trace event
in the same transaction. Zero rows changed means somebody else was first.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from agents.contracts import Control, RunErrorCode, RunState, VersionState
from agents.metrics import EndedRun, calls_closed, run_ended, run_errors
from agents.models import AgentVersion, Run
from core import clock, tracing
from core.errors import StaleStateError
from core.pausepoints import reach
from core.state import StateTable
from observability.contracts import EventKind
from observability.services import event_append
from plugins.contracts import WaitKind
from plugins.selectors import calls_open
from plugins.services.calls import calls_close

S = RunState
RUN_TABLE: StateTable[RunState] = StateTable(
    name="run",
    states=RunState,
    initial=S.QUEUED,
    edges={
        S.QUEUED: frozenset({S.RUNNING, S.PAUSED, S.FAILED, S.CANCELLED}),
        S.RUNNING: frozenset(
            {S.QUEUED, S.WAITING, S.PAUSED, S.YIELDED, S.SUCCEEDED, S.FAILED, S.CANCELLED}
        ),
        S.WAITING: frozenset({S.QUEUED, S.PAUSED, S.FAILED, S.CANCELLED}),
        S.PAUSED: frozenset({S.QUEUED, S.FAILED, S.CANCELLED}),
        S.YIELDED: frozenset({S.QUEUED, S.CANCELLED}),
        S.SUCCEEDED: frozenset(),
        S.FAILED: frozenset(),
        S.CANCELLED: frozenset(),
    },
)
LIVE = frozenset(state.value for state in RUN_TABLE.active)
TERMINAL = frozenset(state.value for state in RUN_TABLE.terminal)
# Paused by an owner that had not heard of the pause being withdrawn, and for no other reason.
GOES_ON = Q(state=S.PAUSED.value, control=Control.RESUME.value, error_code="")


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
        run = _told(
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


def _told(run_id: UUID, kind: EventKind, payload: Mapping[str, Any]) -> Run:
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


def run_expire_lease(run_id: UUID, *, max_crashes: int) -> bool:
    """Take a run from a worker that stopped renewing its lease.

    It is queued again; after `max_crashes` such endings it is parked with its reason instead, so
    that a run which kills its workers cannot kill them all.

    Raises:
        StaleStateError: The lease was renewed or the run moved meanwhile.
    """
    now = clock.now()
    with transaction.atomic():
        known = Run.objects.values_list("crashes", flat=True).filter(pk=run_id).first()
        if known is None:
            raise stale(run_id, "expired")
        crashes = known + 1
        is_poison = crashes >= max_crashes
        target = S.PAUSED if is_poison else S.QUEUED
        reason = (
            f"Its worker died {crashes} times while driving it. Look at the last tool call and "
            "the workers' logs, then resume or cancel it."
            if is_poison
            else ""
        )
        changed = Run.objects.filter(
            pk=run_id, state=S.RUNNING.value, lease_until__lt=now, crashes=crashes - 1
        ).update(
            state=target.value,
            reason=reason,
            error_code=RunErrorCode.POISON.value if is_poison else "",
            crashes=crashes,
            worker_id=None,
            lease_until=None,
            available_at=now,
            updated_at=now,
            head_sequence=F("head_sequence") + 1,
        )
        if not changed:
            raise stale(run_id, "expired")
        _told(
            run_id,
            EventKind.RUN_RELEASED,
            {
                "before": S.RUNNING.value,
                "state": target.value,
                "crashes": crashes,
                "reason": reason or "The worker stopped renewing its lease.",
            },
        )
    return True


def leases_end(worker_id: UUID, *, leases: Iterable[tuple[UUID, int]] | None = None) -> None:
    """Let leases of a worker run out now; a sweep does the rest.

    All of them, when the worker is known to be dead, or those of the given (run, fence) pairs.
    """
    held = Run.objects.filter(worker_id=worker_id, state=S.RUNNING.value)
    past = clock.now() - timedelta(seconds=1)
    if leases is None:
        held.update(lease_until=past)
        return
    by_fence: dict[int, list[UUID]] = defaultdict(list)
    for run_id, fence in leases:
        by_fence[fence].append(run_id)
    for fence, run_ids in by_fence.items():
        held.filter(pk__in=run_ids, fence=fence).update(lease_until=past)


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
        return _told(
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


VERSION_TABLE: StateTable[VersionState] = StateTable(
    name="version",
    states=VersionState,
    initial=VersionState.DRAFT,
    edges={
        VersionState.DRAFT: frozenset({VersionState.PUBLISHED}),
        VersionState.PUBLISHED: frozenset(),
    },
)


def version_to_published(version: AgentVersion) -> None:
    """Publish a draft as it was read: its digest is part of the condition.

    Raises:
        StaleStateError: it is published already, or its content changed since.
    """
    drafts = VERSION_TABLE.sources(VersionState.PUBLISHED)
    changed = AgentVersion.objects.filter(
        pk=version.pk, state__in=[state.value for state in drafts], digest=version.digest
    ).update(state=VersionState.PUBLISHED.value, published_at=clock.now())
    if changed:
        return
    state = AgentVersion.objects.values_list("state", flat=True).get(pk=version.pk)
    if state == VersionState.PUBLISHED.value:
        raise StaleStateError(
            f"Version {version.number} is published already.",
            remedy="Save a new draft to change the agent.",
            detail={"state": state},
        )
    raise StaleStateError(
        f"Version {version.number} was changed while it was being published.",
        remedy="Look at the draft again, then publish it.",
        detail={"state": state},
    )
