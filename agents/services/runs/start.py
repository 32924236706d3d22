"""Starting runs: pinned, once per idempotency key, by the rule of their session."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction

from agents.contracts import RunState, SessionStrategy
from agents.doorbell import ring
from agents.engine.state import Limits
from agents.errors import SessionBusyError
from agents.execution.cancelling import cancel_below
from agents.execution.pinning import agent_pinnable, pin
from agents.models import Agent, Run, Session
from agents.services.runs.debugging import checked_debug, stored
from agents.services.runs.limits import is_raised, merged_limits
from agents.services.runs.rows import insert, new_run
from agents.transitions import LIVE, run_cancel_one, run_note, run_wake_session
from core.errors import ConflictError, InvalidInputError, NotFoundError, StaleStateError
from core.ids import new_id
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, Perm
from governance.services.known_secrets import secrets_learn
from observability.contracts import EventKind
from plugins.contracts import WaitKind

if TYPE_CHECKING:
    from governance.models import Workspace

MAX_INPUT_CHARS = 1_000_000


def run_start(
    *,
    actor: Actor,
    workspace: "Workspace",
    agent: str,
    input: str,  # noqa: A002  # the field's word for it
    variables: Mapping[str, str] | None = None,
    session: UUID | None = None,
    limits: Mapping[str, Any] | None = None,
    idempotency_key: str = "",
    surface: str = "api",
    client: str = "",
    model: str = "",
    debug: Mapping[str, Any] | None = None,
) -> Run:
    """Start a run of an agent's published version, pinned to what it is now.

    With `idempotency_key` the same request again returns the same run, whoever was first.

    Raises:
        NotFoundError: No such agent or session here.
        SessionBusyError: The session rejects input while its run is active.
        ConflictError: The key was used for another request, or the agent cannot start.
        PermissionDeniedError: It may not be started, or not with more than the agent's limits.
    """
    access.require(actor, Perm.RUN_START, workspace)
    _check_input(input)
    debugged = _debug(actor, workspace, debug)
    more = [debugged] if debugged else []
    digest = request_digest(agent, input, variables, session, limits, model, *more)
    if idempotency_key:
        existing = _existing(actor, workspace.pk, idempotency_key, digest)
        if existing is not None:
            return existing
    secrets_learn([workspace.pk])
    found, version = agent_pinnable(workspace.pk, agent)
    conversation = _session(workspace, found, session)
    snapshot, snapshot_digest = pin(
        found, version, input_text=input, variables=variables, model=model
    )
    run = new_run(
        actor=actor,
        agent=found,
        version=version,
        snapshot_digest=snapshot_digest,
        input_text=redact_text(input),
        limits=_chosen_limits(actor, workspace, snapshot.limits, limits),
        surface=surface,
        client=client,
        workspace_id=workspace.pk,
    )
    run.debug, run.idempotency_key = debugged, idempotency_key
    run.request_digest = digest if idempotency_key else ""
    try:
        return _enter(run, conversation, actor)
    except IntegrityError:
        existing = _existing(actor, workspace.pk, idempotency_key, digest)
        if existing is None:
            raise
        return existing


def _debug(
    actor: Actor, workspace: "Workspace", settings: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Read with which debugger a run is to start; that takes steering it."""
    if not settings:
        return None
    access.require(actor, Perm.RUN_CONTROL, workspace)
    return stored(checked_debug(actor, workspace.pk, settings))


def _chosen_limits(
    actor: Actor, workspace: "Workspace", allowed: Limits, wanted: Mapping[str, Any] | None
) -> Limits:
    """Whoever may only start runs stays within what the agent's author allowed."""
    chosen = merged_limits(allowed, wanted)
    if is_raised(allowed, chosen):
        access.require(actor, Perm.RUN_CONTROL, workspace)
    return chosen


def request_digest(*parts: object) -> str:
    """Name a request by its content, to tell a repeated key from a reused one."""
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted", enc_hook=str)).hexdigest()


def _check_input(text: str) -> None:
    if not text.strip():
        raise InvalidInputError(
            "The input is empty.", remedy="Say what the agent shall do.",
            fields={"input": ["may not be empty"]},
        )  # fmt: skip
    if len(text) > MAX_INPUT_CHARS:
        raise InvalidInputError(
            f"The input has {len(text)} characters; at most {MAX_INPUT_CHARS} are accepted.",
            remedy="Put large material into a file of the run's workspace.",
            fields={"input": ["is too long"]},
        )


def _existing(actor: Actor, workspace_id: UUID, key: str, digest: str) -> Run | None:
    run = Run.objects.filter(
        workspace_id=workspace_id, requested_by_id=actor.user_id, idempotency_key=key
    ).first()
    if run is None or not key:
        return None
    if run.request_digest != digest:
        raise ConflictError(
            "This Idempotency-Key was used for another request.",
            remedy="Use a new key for a new request.",
            detail={"run": str(run.pk)},
        )
    return run


def _session(workspace: "Workspace", agent: Agent, session_id: UUID | None) -> Session | None:
    if session_id is None:
        return None
    session = Session.objects.filter(pk=session_id, workspace=workspace).first()
    if session is None:
        raise NotFoundError(f"There is no session {session_id} in this workspace.")
    if session.agent_id != agent.pk:
        raise InvalidInputError(
            "The session belongs to another agent.",
            remedy="Start a session with this agent.",
            fields={"session": ["belongs to another agent"]},
        )
    return session


def _enter(run: Run, session: Session | None, actor: Actor) -> Run:
    """Insert a run, by its session's rule when it has one."""
    if session is None:
        with transaction.atomic():
            insert(run)
        transaction.on_commit(ring)
        return run
    run.session = session
    strategy = SessionStrategy(session.strategy)
    try:
        with transaction.atomic():
            _line_up(run, session)
            if _line(session).exists():
                raise IntegrityError("the session is busy")
            insert(run)
    except IntegrityError:
        if run.idempotency_key and _taken(run):
            raise
        return _enter_busy(run, session, strategy, actor)
    transaction.on_commit(ring)
    return run


def _line_up(run: Run, session: Session) -> None:
    """Give the run its place: ids are the order of a session, so they are given out one by one."""
    Session.objects.select_for_update().get(pk=session.pk)
    run.pk = run.root_id = new_id()


def _line(session: Session) -> Any:
    return Run.objects.filter(session=session, state__in=LIVE)


def _taken(run: Run) -> bool:
    return Run.objects.filter(
        workspace_id=run.workspace_id,
        requested_by_id=run.requested_by_id,
        idempotency_key=run.idempotency_key,
    ).exists()


def _enter_busy(run: Run, session: Session, strategy: SessionStrategy, actor: Actor) -> Run:
    active = _line(session).exclude(wait_kind=WaitKind.TURN.value).first()
    if strategy is SessionStrategy.REJECT:
        raise SessionBusyError(
            f"The session is busy with the run {active.pk if active else 'before this one'}.",
            remedy="Wait until it ends, or use a session whose strategy is enqueue or interrupt.",
            detail={"run": str(active.pk) if active else ""},
        )
    run.state, run.wait_kind = RunState.WAITING.value, WaitKind.TURN.value
    run.reason = "Waits for its turn in the session."
    with transaction.atomic():
        _line_up(run, session)
        insert(run)
    if strategy in {SessionStrategy.INTERRUPT, SessionStrategy.ROLLBACK} and active is not None:
        _interrupt(active, run, strategy, actor)
    run_wake_session(session.pk)
    transaction.on_commit(ring)
    run.refresh_from_db()
    return run


def _interrupt(active: Run, newer: Run, strategy: SessionStrategy, actor: Actor) -> None:
    is_rollback = strategy is SessionStrategy.ROLLBACK
    if is_rollback:
        Run.objects.filter(pk=active.pk).update(is_rolled_back=True)
    kind = EventKind.SESSION_ROLLED_BACK if is_rollback else EventKind.SESSION_INTERRUPTED
    run_note(run=active, kind=kind, payload={"by_run": str(newer.pk)})
    try:
        run_cancel_one(
            active.pk, actor=actor.username, reason="Interrupted by newer input in its session."
        )
    except StaleStateError:
        return  # it ended by itself meanwhile
    cancel_below(active.pk, actor=actor.username)
