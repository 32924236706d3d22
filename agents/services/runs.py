"""What people ask of runs: start, pause, resume, cancel, fork, replay."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Q

from agents.contracts import (
    Control,
    Message,
    Role,
    RunKind,
    RunState,
    SessionStrategy,
    ToolResponsePart,
    user_message,
)
from agents.doorbell import ring
from agents.engine.history import redacted
from agents.engine.state import EngineState, Limits, Phase
from agents.errors import SessionBusyError
from agents.execution.cancelling import cancel_below
from agents.execution.claiming import history_of
from agents.execution.pinning import agent_pinnable, model_chain, pin, store
from agents.models import Agent, AgentVersion, Checkpoint, Run, Session
from agents.models import Message as MessageRow
from agents.snapshot import Snapshot, snapshot_of
from agents.spec import limits_parse
from agents.transitions import (
    LIVE,
    TERMINAL,
    run_ask,
    run_cancel_one,
    run_move,
    run_note,
    run_wake_session,
)
from core import clock
from core.errors import ConflictError, InvalidInputError, NotFoundError, StaleStateError
from core.ids import new_id
from core.pausepoints import reach
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, Perm
from observability.contracts import EventKind
from observability.services import event_append
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
    model: str = "",
) -> Run:
    """Start a run of an agent's published version, pinned to what it is now.

    With `idempotency_key` the same request again returns the same run, whoever was first.

    Raises:
        NotFoundError: No such agent or session here.
        SessionBusyError: The session rejects input while its run is active.
        ConflictError: The key was used for another request, or the agent cannot start.
    """
    access.require(actor, Perm.RUN_START, workspace)
    _check_input(input)
    digest = request_digest(agent, input, variables, session, limits, model)
    if idempotency_key:
        existing = _existing(actor, workspace.pk, idempotency_key, digest)
        if existing is not None:
            return existing
    found, version = agent_pinnable(workspace.pk, agent)
    conversation = _session(workspace, found, session)
    snapshot, snapshot_digest = pin(
        found, version, input_text=input, variables=variables, model=model
    )
    chosen = merged_limits(snapshot.limits, limits)
    run = _new_run(
        actor=actor,
        agent=found,
        version=version,
        snapshot_digest=snapshot_digest,
        input_text=redact_text(input),
        limits=chosen,
        surface=surface,
    )
    run.idempotency_key = idempotency_key
    run.request_digest = digest if idempotency_key else ""
    try:
        return _enter(run, conversation, actor)
    except IntegrityError:
        existing = _existing(actor, workspace.pk, idempotency_key, digest)
        if existing is None:
            raise
        return existing


def run_pause(*, actor: Actor, run_id: UUID) -> Run:
    """Pause a run: at once when nobody drives it, else at its next step boundary.

    Raises:
        StaleStateError: It has ended, is paused, or somebody asked for that already.
    """
    run = _controlled(actor, run_id)
    if run.state == RunState.RUNNING.value:
        return run_ask(
            run_id=run.pk,
            control=Control.PAUSE,
            actor=actor.username,
            sources=Q(control=Control.NONE.value),
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

    Raises:
        InvalidInputError: It yielded at a limit that was not raised.
        StaleStateError: It is neither paused nor yielded, or somebody was first.
    """
    run = _controlled(actor, run_id)
    fields: dict[str, Any] = {"control_by": "", "error_code": "", "crashes": 0}
    now_limits = _limits(run)
    chosen = merged_limits(now_limits, limits)
    if limits:
        fields["limits"] = msgspec.to_builtins(chosen)
        if chosen.wall_seconds != now_limits.wall_seconds:
            fields["deadline_at"] = deadline(run.created_at, chosen)
    if run.state == RunState.YIELDED.value:
        _refuse_same_limit(run, chosen)
    moved = run_move(
        run_id=run.pk,
        target=RunState.QUEUED,
        sources={RunState.PAUSED, RunState.YIELDED},
        payload={"by": actor.username, **({"limits": dict(limits)} if limits else {})},
        fields=fields,
    )
    transaction.on_commit(ring)
    return moved


def run_cancel(*, actor: Actor, run_id: UUID, reason: str = "") -> Run:
    """Cancel a run and everything below it; each child is confirmed by itself.

    Raises:
        StaleStateError: It has ended, or somebody cancelled it first (the error names who).
    """
    run = _controlled(actor, run_id)
    sentence = redact_text(reason.strip()) or f"Cancelled by {actor.username}."
    run_cancel_one(run.pk, actor=actor.username, reason=sentence)
    cancel_below(run.pk, actor=actor.username)
    transaction.on_commit(ring)
    run.refresh_from_db()
    return run


def run_fork(
    *,
    actor: Actor,
    run_id: UUID,
    checkpoint: int | None = None,
    model: str = "",
    message: str | None = None,
) -> Run:
    """Start a new run from a checkpoint of another one; the origin is untouched.

    The history up to the checkpoint is referred to, not copied. `message` replaces the last user
    message when the history ends with one, and continues the conversation otherwise; calls that
    were open at the checkpoint are then answered as not done. Effects are never repeated by
    forking: calls that had a result keep it.

    Raises:
        InvalidInputError: No such checkpoint or model, or the checkpoint is the run's end.
    """
    origin = _visible(actor, run_id)
    access.require(actor, Perm.RUN_CONTROL, origin.workspace_id)
    access.require(actor, Perm.RUN_START, origin.workspace_id)
    row = _checkpoint(origin, checkpoint)
    state = _state(row)
    snapshot = snapshot_of(origin.snapshot.content)
    snapshot_digest = origin.snapshot_id
    if model:
        chain = model_chain(origin.workspace_id, model, origin.input)
        snapshot = msgspec.structs.replace(snapshot, models=chain)
        snapshot_digest = store(origin.workspace_id, snapshot)
    prefix, own, state = _forked(origin, state, message)
    run = _new_run(
        actor=actor,
        agent=origin.agent,
        version=origin.version,
        snapshot_digest=snapshot_digest,
        input_text=redact_text(message) if message is not None else origin.input,
        limits=_limits(origin),
        surface="fork",
        name=origin.agent_name,
        workspace_id=origin.workspace_id,
    )
    run.prefix_run, run.prefix_length = origin, prefix
    run.forked_from_sequence = row.sequence
    run.message_count = state.message_count
    with transaction.atomic():
        reach("fork.before_insert")
        _insert(run, {"forked_from": {"run": str(origin.pk), "sequence": row.sequence}})
        _insert_history(run, prefix, own, state)
    transaction.on_commit(ring)
    return run


def run_replay(*, actor: Actor, run_id: UUID) -> Run:
    """Run a finished run again against its recorded answers and outcomes; nothing is done.

    Raises:
        ConflictError: It has not ended yet.
    """
    origin = _visible(actor, run_id)
    access.require(actor, Perm.RUN_START, origin.workspace_id)
    if origin.state not in TERMINAL:
        raise ConflictError(
            f"The run is {origin.state}; only a finished run can be replayed.",
            remedy="Wait until it ends, or fork it.",
        )
    run = _new_run(
        actor=actor,
        agent=origin.agent,
        version=origin.version,
        snapshot_digest=origin.snapshot_id,
        input_text=origin.input,
        limits=_limits(origin),
        surface="replay",
        name=origin.agent_name,
        workspace_id=origin.workspace_id,
    )
    run.replay_of = origin
    with transaction.atomic():
        if origin.prefix_run_id is None:
            _insert(run, {"replay_of": str(origin.pk)})
        else:
            first = _checkpoint(origin, 1)
            state = _state(first)
            own = history_of(origin.pk, state.message_count)[origin.prefix_length :]
            run.prefix_run_id, run.prefix_length = origin.prefix_run_id, origin.prefix_length
            run.message_count = state.message_count
            _insert(run, {"replay_of": str(origin.pk)})
            _insert_history(run, origin.prefix_length, own, state)
    transaction.on_commit(ring)
    return run


def request_digest(*parts: object) -> str:
    """Name a request by its content, to tell a repeated key from a reused one."""
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted", enc_hook=str)).hexdigest()


def merged_limits(base: Limits, given: Mapping[str, Any] | None) -> Limits:
    """Put given limits over the agent's; raises InvalidInputError by field."""
    if not given:
        return base
    document = {**msgspec.to_builtins(base), **dict(given)}
    return msgspec.convert(limits_parse(document).model_dump(mode="json"), Limits)


def deadline(created_at: datetime, limits: Limits) -> datetime | None:
    if limits.wall_seconds is None:
        return None
    return created_at + timedelta(seconds=limits.wall_seconds)


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


def _new_run(
    *,
    actor: Actor,
    agent: Agent | None,
    version: AgentVersion | None,
    snapshot_digest: str,
    input_text: str,
    limits: Limits,
    surface: str,
    name: str = "",
    workspace_id: UUID | None = None,
) -> Run:
    now, run_id = clock.now(), new_id()
    return Run(
        pk=run_id,
        workspace_id=workspace_id or (agent.workspace_id if agent else None),
        kind=RunKind.AGENT.value,
        agent=agent,
        agent_name=name or (agent.name if agent else ""),
        version=version,
        snapshot_id=snapshot_digest,
        root_id=run_id,
        input=input_text,
        limits=msgspec.to_builtins(limits),
        deadline_at=deadline(now, limits),
        head_sequence=1,
        available_at=now,
        created_at=now,
        updated_at=now,
        requested_by_id=actor.user_id,
        surface=surface,
    )


def _insert(run: Run, payload: Mapping[str, Any] | None = None) -> None:
    run.save(force_insert=True)
    event_append(
        workspace_id=run.workspace_id,
        run_id=run.pk,
        sequence=1,
        kind=EventKind.RUN_CREATED,
        payload={
            "state": run.state,
            "agent": run.agent_name,
            "input": run.input[:2000],
            **dict(payload or {}),
        },
    )


def _enter(run: Run, session: Session | None, actor: Actor) -> Run:
    """Insert a run, by its session's rule when it has one."""
    if session is None:
        with transaction.atomic():
            _insert(run)
        transaction.on_commit(ring)
        return run
    run.session = session
    strategy = SessionStrategy(session.strategy)
    try:
        with transaction.atomic():
            if _line(session).exists():
                raise IntegrityError("the session is busy")
            _insert(run)
    except IntegrityError:
        if run.idempotency_key and _taken(run):
            raise
        return _enter_busy(run, session, strategy, actor)
    transaction.on_commit(ring)
    return run


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
        _insert(run)
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


def _visible(actor: Actor, run_id: UUID) -> Run:
    runs = access.scope(actor, Perm.RUN_VIEW, Run.objects.select_related("snapshot"))
    run = runs.filter(pk=run_id).first()
    if run is None:
        raise NotFoundError(f"There is no run {run_id}.", remedy="List the runs of the workspace.")
    return run


def _controlled(actor: Actor, run_id: UUID) -> Run:
    run = _visible(actor, run_id)
    access.require(actor, Perm.RUN_CONTROL, run.workspace_id)
    return run


def _limits(run: Run) -> Limits:
    if run.limits:
        return msgspec.convert(run.limits, Limits, strict=False)
    snapshot: Snapshot = snapshot_of(run.snapshot.content)
    return snapshot.limits


def _refuse_same_limit(run: Run, limits: Limits) -> None:
    name = run.error_code
    used: dict[str, tuple[Any, Any]] = {
        "max_iterations": (limits.max_iterations, run.iteration),
        "max_tokens": (limits.max_tokens, run.input_tokens + run.output_tokens),
        "max_cost_usd": (limits.max_cost_usd, run.cost_usd),
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


def _checkpoint(run: Run, sequence: int | None) -> Checkpoint:
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


def _state(row: Checkpoint) -> EngineState:
    return msgspec.json.decode(msgspec.json.encode(row.state), type=EngineState)


def _forked(
    origin: Run, state: EngineState, message: str | None
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
        return state.message_count, [], fresh
    history = history_of(origin.pk, state.message_count)
    prefix, own = state.message_count, [redacted(user_message(message))]
    if history and history[-1].role is Role.USER:
        prefix -= 1
    elif state.open_calls:
        asked = history[state.asked_position].tool_calls
        own = [_not_done(asked[index].id) for index in state.open_calls] + own
    fresh = EngineState(phase=Phase.MODEL, message_count=prefix + len(own))
    return prefix, own, fresh


def _not_done(call_id: str) -> Message:
    sentence = "The conversation was forked before this call had an outcome."
    return Message(role=Role.TOOL, parts=(ToolResponsePart(call_id, sentence, True),))


def _insert_history(run: Run, prefix: int, own: list[Message], state: EngineState) -> None:
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
        created_at=now,
    )
