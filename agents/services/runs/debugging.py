"""Step mode and breakpoints: setting them, and letting a run that is held go on.

Whoever changes something names the version of the debugger they have seen. Of two who do so at
once one wins, and the other hears who it was and what they did.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import F, Q

from agents.contracts import RunState
from agents.doorbell import ring
from agents.engine.debugging import (
    MAX_BREAKPOINTS,
    MAX_VALUE_CHARS,
    BreakKind,
    Breakpoint,
    Debug,
    Passed,
    Scope,
    StepMode,
    let_go,
)
from agents.models import Run
from agents.selectors.debugging import HELD, debug_of, passed_of, standing_of
from agents.services.runs.rows import controlled
from agents.transitions import LIVE, run_move, run_told, stale
from core import clock
from core.errors import InvalidInputError, StaleStateError
from core.pausepoints import reach
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, Perm
from governance.services.known_secrets import secrets_learn
from observability.contracts import EventKind

_TREE = Scope.TREE.value


def run_debug_set(*, actor: Actor, run_id: UUID, version: int, settings: Mapping[str, Any]) -> Run:
    """Set the step mode and the breakpoints of a run, and of all below it when its scope says so.

    A run that is under way heeds it from its next boundary; one that is held stays held.

    Raises:
        InvalidInputError: A breakpoint means nothing.
        StaleStateError: It has ended, or somebody changed its debugger since `version`.
    """
    run = controlled(actor, run_id)
    debug = checked_debug(actor, run.workspace_id, settings)
    was = debug_of(run)
    deed = f"set {told(debug)}"
    with transaction.atomic():
        run = _set(run, debug, actor, deed, Q(debug_version=version))
        if _TREE in {debug.scope.value, was.scope.value}:
            below = debug if debug.scope is Scope.TREE else Debug()
            _set_below(run, below, actor, deed)
    return run


def checked_debug(actor: Actor, workspace_id: UUID, settings: Mapping[str, Any]) -> Debug:
    """Read settings that somebody gives.

    A breakpoint on text tells whether payload contains it, so it takes seeing payloads.
    """
    points = [
        _breakpoint(each, place) for place, each in enumerate(settings.get("breakpoints", ()))
    ]
    if len(points) > MAX_BREAKPOINTS:
        sentence = f"A run has at most {MAX_BREAKPOINTS} breakpoints."
        raise InvalidInputError(sentence, fields={"breakpoints": [sentence]})
    if any(point.kind is BreakKind.TEXT for point in points):
        access.require(actor, Perm.RUN_PAYLOAD, workspace_id)
        secrets_learn([workspace_id])
        points = [msgspec.structs.replace(each, value=redact_text(each.value)) for each in points]
    return Debug(
        step=StepMode(settings.get("step", StepMode.OFF)),
        breakpoints=tuple({point.name: point for point in points}.values()),
        scope=Scope(settings.get("scope", Scope.RUN)),
    )


def _breakpoint(given: Mapping[str, Any], place: int) -> Breakpoint:
    kind, value = BreakKind(given["kind"]), str(given["value"]).strip()
    complaint = ""
    if not value or len(value) > MAX_VALUE_CHARS:
        complaint = f"has between 1 and {MAX_VALUE_CHARS} characters"
    elif kind is BreakKind.COST:
        try:
            dollars = Decimal(value.removeprefix("$"))
        except InvalidOperation:
            dollars = Decimal(-1)
        if not dollars.is_finite() or dollars < 0:
            complaint = "is dollars, such as 0.50"
        value = str(dollars)
    if complaint:
        raise InvalidInputError(
            f"The value of breakpoint {place + 1} {complaint}.",
            fields={f"breakpoints.{place}.value": [complaint]},
        )
    return Breakpoint(kind=kind, value=value)


def told(debug: Debug) -> str:
    """Say settings in words; what text is looked for is payload, and left out."""
    points = ", ".join(
        "text" if point.kind is BreakKind.TEXT else point.name for point in debug.breakpoints
    )
    step = "no step mode" if debug.step is StepMode.OFF else f"step mode {debug.step.value}"
    whose = " for the whole tree" if debug.scope is Scope.TREE else ""
    return f"{step} and {f'breakpoints {points}' if points else 'no breakpoints'}{whose}"


def stored(debug: Debug) -> dict[str, Any] | None:
    """Return what the row keeps; nothing where nothing is set."""
    is_set = debug.step is not StepMode.OFF or debug.breakpoints
    return msgspec.to_builtins(debug) if is_set else None


def _set(run: Run, debug: Debug, actor: Actor, deed: str, where: Q) -> Run:
    passed = msgspec.structs.replace(passed_of(run), by=actor.username, deed=deed)
    reach("control.before_update")
    changed = (
        Run.objects.filter(pk=run.pk, state__in=LIVE)
        .filter(where)
        .update(
            debug=stored(debug),
            debug_passed=msgspec.to_builtins(passed),
            debug_version=F("debug_version") + 1,
            head_sequence=F("head_sequence") + 1,
            updated_at=clock.now(),
        )
    )
    if not changed:
        raise overtaken(run.pk, "debugged")
    return run_told(run.pk, EventKind.RUN_DEBUG, {"by": actor.username, "debug": stored(debug)})


def _set_below(run: Run, debug: Debug, actor: Actor, deed: str) -> None:
    """Set every live descendant, nearest first. A child that is born meanwhile takes what its
    parent has at that moment, and the parent's row is locked by now."""
    parents = [run.pk]
    while parents:
        children = list(Run.objects.filter(parent_id__in=parents).order_by("pk"))
        for child in children:
            if child.state in LIVE:
                try:
                    _set(child, debug, actor, deed, Q())
                except StaleStateError:
                    continue  # it ended meanwhile
        parents = [child.pk for child in children]


def run_step(*, actor: Actor, run_id: UUID, version: int) -> Run:
    """Let exactly one model call, or one tool call, of a paused run go.

    Raises:
        StaleStateError: It is not paused, or somebody changed its debugger since `version`.
    """
    return _go(actor, run_id, version, is_step=True)


def run_continue(*, actor: Actor, run_id: UUID, version: int) -> Run:
    """Let a paused run go on to its next breakpoint: its step mode ends.

    Where its scope is the tree, held runs below go on too.

    Raises:
        StaleStateError: It is not paused, or somebody changed its debugger since `version`.
    """
    return _go(actor, run_id, version, is_step=False)


def _go(actor: Actor, run_id: UUID, version: int, *, is_step: bool) -> Run:
    run = controlled(actor, run_id)
    if run.state == RunState.YIELDED.value:
        raise overtaken(run.pk, "stepped" if is_step else "continued", version)
    debug = debug_of(run)
    after = debug if is_step else msgspec.structs.replace(debug, step=StepMode.OFF)
    with transaction.atomic():
        moved = _move(run, actor, version, after, is_step=is_step)
        if not is_step and debug.scope is Scope.TREE:
            _set_below(moved, after, actor, "continued it")
            _continue_below(moved, actor)
    transaction.on_commit(ring)
    moved.refresh_from_db()
    return moved


def _move(run: Run, actor: Actor, version: int, after: Debug, *, is_step: bool) -> Run:
    deed = "stepped it" if is_step else "continued it"
    try:
        return run_move(
            run_id=run.pk,
            target=RunState.QUEUED,
            sources={RunState.PAUSED},
            where=Q(debug_version=version),
            payload={"by": actor.username, "deed": "step" if is_step else "continue"},
            fields={
                "control_by": actor.username,
                "error_code": "",
                "crashes": 0,
                **going_on(run, after, actor, deed, is_step=is_step),
            },
        )
    except StaleStateError:
        raise overtaken(run.pk, "stepped" if is_step else "continued", version) from None


def going_on(run: Run, after: Debug, actor: Actor, deed: str, *, is_step: bool) -> dict[str, Any]:
    """Return the columns of a run that a person lets go on from where it is held."""
    passed: Passed = let_go(after, passed_of(run), standing_of(run).place, is_step=is_step)
    passed = msgspec.structs.replace(passed, by=actor.username, deed=deed)
    # With a step and nothing else set, the run has a debugger for as long as that step takes.
    kept = stored(after) or (msgspec.to_builtins(after) if passed.is_once else None)
    return {
        "debug": kept,
        "debug_passed": msgspec.to_builtins(passed),
        "debug_version": F("debug_version") + 1,
    }


def _continue_below(run: Run, actor: Actor) -> None:
    """Let every held run below go on."""
    parents = [run.pk]
    while parents:
        children = list(Run.objects.filter(parent_id__in=parents).order_by("pk"))
        for child in children:
            if child.state == RunState.PAUSED.value and child.error_code in HELD:
                try:
                    _move(child, actor, child.debug_version, debug_of(child), is_step=False)
                except StaleStateError:
                    continue  # somebody else has moved it
        parents = [child.pk for child in children]


def overtaken(run_id: UUID, wanted: str, seen: int | None = None) -> StaleStateError:
    """Say who was first and what they did, to whoever saw the run with its debugger at version
    `seen`; where nobody was, that the run does not stand still."""
    run = Run.objects.filter(pk=run_id).first()
    if run is None or run.state not in LIVE:
        return stale(run_id, wanted)
    passed = passed_of(run)
    detail = {
        "state": run.state, "version": run.debug_version, "by": passed.by, "deed": passed.deed,
        "control": run.control,
    }  # fmt: skip
    if seen == run.debug_version and run.state != RunState.PAUSED.value:
        return StaleStateError(
            f"The run is {run.state}; only a paused run can be {wanted}.",
            remedy=f"`agentry runs why {run_id}` says what it waits for. A step mode or a"
            " breakpoint holds it before its next call.",
            detail=detail,
        )
    is_changed = f" {passed.by} {passed.deed}." if passed.by else ""
    return StaleStateError(
        f"The run is {run.state} and its debugger is at version {run.debug_version} now;"
        f" it was not {wanted}.{is_changed}",
        remedy="Look at it again before you decide.",
        detail=detail,
    )
