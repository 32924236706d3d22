"""Pause, resume and cancel."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Q

from agents.contracts import Control, RunErrorCode, RunState
from agents.doorbell import ring
from agents.engine.state import Limits
from agents.execution.cancelling import cancel_below
from agents.models import Run
from agents.selectors.debugging import debug_of
from agents.services.runs.debugging import going_on
from agents.services.runs.limits import deadline, limits_of_run, merged_limits
from agents.services.runs.rows import controlled
from agents.transitions import GOES_ON, run_ask, run_cancel_one, run_move
from core.errors import InvalidInputError, StaleStateError
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, Perm
from governance.services.known_secrets import secrets_learn
from governance.services.spending import run_cap_set
from plugins.contracts import WaitKind

# States in which a request to pause may stand; where the run has no owner, until the sweep sees it.
_ABOUT_TO_PAUSE = (RunState.QUEUED.value, RunState.RUNNING.value, RunState.WAITING.value)


def run_pause(*, actor: Actor, run_id: UUID) -> Run:
    """Pause a run: at once when nobody drives it, else at its next step boundary.

    Raises:
        StaleStateError: It has ended, is paused, or somebody asked for that already.
    """
    run = controlled(actor, run_id)
    if run.state == RunState.RUNNING.value:
        return run_ask(
            run_id=run.pk,
            control=Control.PAUSE,
            actor=actor.username,
            sources=Q(control__in=[Control.NONE.value, Control.RESUME.value]),
        )
    return run_move(
        run_id=run.pk,
        target=RunState.PAUSED,
        sources={RunState.QUEUED, RunState.WAITING},
        where=~Q(wait_kind=WaitKind.TURN.value),
        reason=f"Paused by {actor.username}.",
        fields={"control_by": actor.username},
    )


def run_resume(*, actor: Actor, run_id: UUID, limits: Mapping[str, Any] | None = None) -> Run:
    """Let a paused or yielded run go on, with other limits when given.

    A run that was asked to pause and has not done so yet goes on without pausing. Should its
    worker park it at this very moment, the sweep lets it go on.

    Raises:
        InvalidInputError: It yielded at a limit that was not raised.
        StaleStateError: It is neither paused nor yielded nor about to pause, or somebody was first.
    """
    run = controlled(actor, run_id)
    if run.control == Control.PAUSE.value and run.state in _ABOUT_TO_PAUSE:
        withdrawn = _withdraw_pause(run, actor, limits)
        if withdrawn is not None:
            return withdrawn
    fields: dict[str, Any] = {"control_by": actor.username, "error_code": "", "crashes": 0}
    now_limits = limits_of_run(run)
    chosen = merged_limits(now_limits, limits)
    if limits:
        fields["limits"] = msgspec.to_builtins(chosen)
        if chosen.wall_seconds != now_limits.wall_seconds:
            fields["deadline_at"] = deadline(run.created_at, chosen)
    if run.state == RunState.YIELDED.value:
        _refuse_same_limit(run, chosen)
    elif run.debug is not None:
        fields |= going_on(run, debug_of(run), actor, "resumed it", is_step=False)
    _refuse_more_money(actor, run, now_limits, chosen)
    with transaction.atomic():
        moved = run_move(
            run_id=run.pk,
            target=RunState.QUEUED,
            sources={RunState.PAUSED, RunState.YIELDED},
            where=~GOES_ON,
            payload={"by": actor.username, **({"limits": dict(limits)} if limits else {})},
            fields=fields,
        )
        if chosen.max_cost_usd != now_limits.max_cost_usd:
            run_cap_set(run.pk, chosen.max_cost_usd)
    transaction.on_commit(ring)
    return moved


def _withdraw_pause(run: Run, actor: Actor, limits: Mapping[str, Any] | None) -> Run | None:
    """Take the request to pause back; None when the run paused first, and can be resumed."""
    if limits:
        raise StaleStateError(
            f"The run is {run.state} and has not paused yet; its limits cannot change now.",
            remedy="Resume it without limits, or give them once it is paused.",
            detail={"state": run.state, "control": run.control, "by": run.control_by},
        )
    try:
        return run_ask(
            run_id=run.pk,
            control=Control.RESUME,
            actor=actor.username,
            sources=Q(control=Control.PAUSE.value),
            states=[RunState(state) for state in _ABOUT_TO_PAUSE],
        )
    except StaleStateError:
        run.refresh_from_db()
        if run.state != RunState.PAUSED.value:
            raise
        return None


def run_cancel(*, actor: Actor, run_id: UUID, reason: str = "") -> Run:
    """Cancel a run and everything below it; each child is confirmed by itself.

    Raises:
        StaleStateError: It has ended, or somebody cancelled it first (the error names who).
    """
    run = controlled(actor, run_id)
    if reason.strip():
        secrets_learn([run.workspace_id])
    given = redact_text(reason.strip())
    sentence = (
        f"Cancelled by {actor.username}: {given}" if given else f"Cancelled by {actor.username}."
    )
    run_cancel_one(run.pk, actor=actor.username, reason=sentence)
    cancel_below(run.pk, actor=actor.username)
    transaction.on_commit(ring)
    run.refresh_from_db()
    return run


def _refuse_more_money(actor: Actor, run: Run, before: Limits, chosen: Limits) -> None:
    """What a run may spend is raised by those who keep budgets, not by who steers it."""
    if before.max_cost_usd is None:
        return
    if chosen.max_cost_usd is None or chosen.max_cost_usd > before.max_cost_usd:
        access.require(actor, Perm.BUDGET_EDIT, run.workspace_id)


def _refuse_same_limit(run: Run, limits: Limits) -> None:
    name = run.error_code
    used: dict[str, tuple[Any, Any]] = {
        RunErrorCode.MAX_ITERATIONS: (limits.max_iterations, run.iteration),
        RunErrorCode.MAX_TOKENS: (limits.max_tokens, run.input_tokens + run.output_tokens),
    }
    if name not in used:
        return
    allowed, spent = used[name]
    if allowed is not None and allowed <= spent:
        raise InvalidInputError(
            f"The run yielded at {name} {allowed} and has used {spent}.",
            remedy=f'Resume it with a higher one, such as {{"limits": {{"{name}": …}}}}.',
            fields={f"limits.{name}": [f"must be more than {spent}"]},
        )
