"""Taking runs: one conditional UPDATE, then everything their drivers need, in bulk.

Synchronous ORM code; the host runs it in its database thread.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection

from agents.contracts import Message as HistoryMessage
from agents.engine.debugging import Debug, Passed
from agents.engine.history import message_of, repaired
from agents.engine.state import EngineState, Limits
from agents.execution.context import NOTHING_PASSED, ChildOutcome, LedgerRow, RunContext
from agents.execution.recordings import recording_of
from agents.execution.spending import payers_load
from agents.journal.taking import Taken, take
from agents.models import Checkpoint, Message, Run, RunSnapshot, WorkspaceHead
from agents.selectors.edits import amended
from agents.selectors.history import PREFIX
from agents.snapshot import Snapshot, snapshot_of
from agents.transitions import TERMINAL
from core.pausepoints import reach
from governance.services.known_secrets import secrets_learn
from plugins.selectors import calls_of_runs


def claim(*, worker_id: UUID, count: int, lease_seconds: float) -> list[RunContext]:
    """Take up to `count` queued runs for this worker and load them.

    Safe against any number of claimers: PostgreSQL skips rows another one is taking, SQLite has
    one writer. The fence grows with every claim, so an earlier owner's writes are refused.
    """
    runs = take(
        worker_id=worker_id,
        count=count,
        lease_seconds=lease_seconds,
        max_crashes=settings.MAX_CRASHES,
    )
    reach("run.after_claim")
    # What these runs write is redacted of all their workspaces' secrets, opened here or not.
    secrets_learn({run.workspace_id for run in runs})
    return _loaded(runs)


def _is_postgres() -> bool:
    return connection.vendor == "postgresql"


_limits = msgspec.json.Decoder(Limits)
_state = msgspec.json.Decoder(EngineState)
_debug = msgspec.json.Decoder(Debug)
_passed = msgspec.json.Decoder(Passed)


def _loaded(runs: Sequence[Taken]) -> list[RunContext]:
    snapshots = _snapshots_of({run.snapshot_id for run in runs})
    contexts = {run.id: _context(run, snapshots[run.snapshot_id]) for run in runs}
    begun = [run for run in runs if run.message_count or run.prefix_run_id or run.crashes]
    if begun:
        _load_checkpoints(contexts, begun)
        _load_messages(contexts, begun)
        _load_ledger(contexts, [run.id for run in begun])
    _load_heads(contexts, [run for run in runs if run.depth or run in begun])
    for run in runs:
        if run.session_id is not None:
            _load_session(contexts[run.id], run.session_id, before=run.id)
        elif run.prefix_run_id is not None:
            _load_session_of_origin(contexts[run.id], run.prefix_run_id)
        if run.replay_of_id is not None:
            contexts[run.id].recorded = recording_of(run.replay_of_id)
    payers_load(contexts, [run.id for run in runs if run.is_capped])
    return list(contexts.values())


def _context(run: Taken, snapshot: Snapshot) -> RunContext:
    return RunContext(
        run_id=run.id,
        workspace_id=run.workspace_id,
        fence=run.fence,
        agent=run.agent_name,
        snapshot=snapshot,
        snapshot_digest=run.snapshot_id,
        limits=snapshot.limits if run.limits == "{}" else _limits.decode(run.limits),
        input=run.input,
        parent_id=run.parent_id,
        session_id=run.session_id,
        root_id=run.root_id,
        depth=run.depth,
        requested_by_id=run.requested_by_id,
        deadline_at=run.deadline_at,
        head_sequence=run.head_sequence,
        control=run.control,
        prefix_length=run.prefix_length,
        is_governed=run.policy_id is not None,
        is_budgeted=run.is_budgeted,
        checkpoint_sequence=0,
        state=None,
        parent_call_id=run.parent_call_id,
        trace_parent=run.trace_parent,
        debug=None if run.debug is None else _debug.decode(run.debug),
        passed=NOTHING_PASSED if run.debug_passed is None else _passed.decode(run.debug_passed),
        debug_version=run.debug_version,
    )


_snapshots: dict[str, Snapshot] = {}


def _snapshots_of(digests: Collection[str]) -> dict[str, Snapshot]:
    """Read each snapshot once per process; they never change under their digest."""
    missing = [digest for digest in digests if digest not in _snapshots]
    if missing:
        if len(_snapshots) > 4096:
            _snapshots.clear()
            missing = list(digests)
        for row in RunSnapshot.objects.filter(pk__in=missing):
            _snapshots[row.digest] = snapshot_of(row.content)
    return {digest: _snapshots[digest] for digest in digests}


def _load_checkpoints(contexts: dict[UUID, RunContext], runs: Iterable[Taken]) -> None:
    latest: dict[UUID, Checkpoint] = {}
    rows = Checkpoint.objects.filter(run_id__in=[run.id for run in runs])
    # The newest of each run; DISTINCT ON is not on SQLite, and a run has few checkpoints to pass.
    newest = rows.order_by("run_id", "-sequence")
    if _is_postgres():
        newest = newest.distinct("run_id")
    for row in newest:
        latest.setdefault(row.run_id, row)
    for run_id, row in latest.items():
        context = contexts[run_id]
        context.checkpoint_sequence = row.sequence
        context.state = _state.decode(msgspec.json.encode(row.state))


def _load_heads(contexts: dict[UUID, RunContext], runs: Sequence[Taken]) -> None:
    """Read what the files are now; a run without tools has none to know about."""
    wanted = [run for run in runs if contexts[run.id].snapshot.tools]
    if not wanted:
        return
    heads = WorkspaceHead.objects.filter(root_id__in={run.root_id for run in wanted})
    found = dict(heads.values_list("root_id", "digest"))
    for run in wanted:
        contexts[run.id].workspace_digest = found.get(run.root_id, "")


def _load_messages(contexts: dict[UUID, RunContext], runs: Sequence[Taken]) -> None:
    for run in runs:
        if run.prefix_run_id is not None:
            contexts[run.id].history += history_of(
                run.prefix_run_id, run.prefix_length, upto=run.forked_from_sequence
            )
    rows = Message.objects.filter(run_id__in=[run.id for run in runs]).order_by(
        "run_id", "position"
    )
    for row in rows:
        context = contexts[row.run_id]
        if context.state is None or row.position < context.state.message_count:
            context.history.append(message_of(row.role, row.parts))
    for run in runs:
        if run.debug_version:
            contexts[run.id].history = amended(run.id, contexts[run.id].history)


def history_of(run_id: UUID, length: int, *, upto: int | None = None) -> list[HistoryMessage]:
    """Return the first `length` messages of a run, through all the prefixes it refers to, as they
    were edited by its checkpoint `upto`; None: by now."""
    run = Run.objects.only(*PREFIX).get(pk=run_id)
    before: list[HistoryMessage] = []
    if run.prefix_run_id is not None:
        before = history_of(
            run.prefix_run_id, min(run.prefix_length, length), upto=run.forked_from_sequence
        )
    own = Message.objects.filter(run_id=run_id, position__lt=length).order_by("position")
    messages = before + [message_of(row.role, row.parts) for row in own]
    return amended(run_id, messages, upto=upto) if run.debug_version else messages


def _load_ledger(contexts: dict[UUID, RunContext], run_ids: Sequence[UUID]) -> None:
    children: dict[UUID, list[UUID]] = defaultdict(list)
    for run_id, row in calls_of_runs(run_ids):
        context = contexts[run_id]
        if context.state is not None and row.position == context.state.asked_position:
            context.ledger[row.index] = msgspec.convert(row, LedgerRow, from_attributes=True)
            if row.wait and row.wait.get("child_run_id"):
                children[run_id].append(UUID(row.wait["child_run_id"]))
    wanted = [child for ids in children.values() for child in ids]
    outcomes = {
        run.pk: ChildOutcome(
            run_id=run.pk,
            state=run.state,
            output=run.output,
            reason=run.reason,
            is_terminal=run.state in TERMINAL,
        )
        for run in Run.objects.filter(pk__in=wanted).only("pk", "state", "output", "reason")
    }
    for run_id, ids in children.items():
        contexts[run_id].children = {pk: outcomes[pk] for pk in ids if pk in outcomes}


def _load_session(context: RunContext, session_id: UUID, *, before: UUID) -> None:
    """Prepend what earlier runs of the session said, as far as it makes a valid history."""
    earlier = Run.objects.filter(
        session_id=session_id, pk__lt=before, is_rolled_back=False, state__in=TERMINAL
    ).order_by("pk")
    messages = []
    for row in earlier.only("pk", "message_count"):
        messages += history_of(row.pk, row.message_count)
    messages = repaired(messages)  # here, so that places in the run's own history stay right
    context.history = [*messages, *context.history]
    context.context_length = len(messages)


def _load_session_of_origin(context: RunContext, origin_id: UUID) -> None:
    """A fork belongs to no session, but it knows what the run it comes from knew."""
    origin = Run.objects.only("pk", "session_id", "prefix_run_id").get(pk=origin_id)
    while origin.session_id is None and origin.prefix_run_id is not None:
        origin = Run.objects.only("pk", "session_id", "prefix_run_id").get(pk=origin.prefix_run_id)
    if origin.session_id is not None:
        _load_session(context, origin.session_id, before=origin.pk)
