"""Tool calls of one model answer: all open ones run at once, each is recorded when it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import Message
from agents.engine.state import EngineState
from agents.execution.context import ChildOutcome, LedgerRow, OpenCall, RunContext
from agents.execution.gate import PolicyGate
from agents.execution.secrets import SecretDesk
from agents.execution.tooling import Toolbox
from agents.execution.turns import Turn, Turns
from agents.journal.records import ApprovalRow, RunRow
from core import clock
from plugins.contracts import CallState, EffectClass, FileUse, Park, ToolContext, WaitKind
from plugins.dispatch import (
    CallRequest,
    EffectLog,
    PlannedCall,
    Settlement,
    failure,
)
from plugins.errors import ToolError
from plugins.ledger import LEDGER, REPEATABLE, SETTLED, UNCLAIMED
from sandbox.errors import SnapshotGoneError


class Item(msgspec.Struct, frozen=True):
    """One call that moved. `source` is where the ledger has it now; None: the ledger was settled
    by somebody else and only the message is missing."""

    call: PlannedCall
    settlement: Settlement
    source: CallState | None


class Finished(msgspec.Struct, frozen=True):
    items: tuple[Item, ...]
    children: tuple[RunRow, ...] = ()
    approvals: tuple[ApprovalRow, ...] = ()
    turns: tuple[Turn, ...] = ()  # to be ended when this is committed


class Performed(msgspec.Struct, frozen=True):
    """What became of a call, with the row that is to be born in the same commit, if any."""

    settlement: Settlement
    turn: Turn | None = None
    child: RunRow | None = None
    approval: ApprovalRow | None = None


class Wait(msgspec.Struct, frozen=True):
    kind: WaitKind
    seconds: float | None
    reason: str
    awaits: tuple[UUID, ...] = ()  # calls that a person settles


# Builds the row of a child run, or raises ToolError; runs database work off the loop.
Spawner = Callable[[RunContext, dict[str, Any], UUID], Awaitable[RunRow]]


def folder_of(workspaces: Path, context: RunContext) -> Path:
    """Return the folder that a run shares with everything it delegates to."""
    return workspaces / str(context.workspace_id) / str(context.root_id)


class CallRunner:
    """Shared by all drivers of a process; the state of calls is in the run's context."""

    def __init__(
        self,
        *,
        toolbox: Toolbox,
        spawn: Spawner,
        gate: PolicyGate,
        secrets: SecretDesk,
        turns: Turns,
        workspaces: Path,
    ) -> None:
        self._toolbox = toolbox
        self._spawn = spawn
        self._gate = gate
        self._secrets = secrets
        self._turns = turns
        self._workspaces = workspaces

    def plan(self, context: RunContext, message: Message) -> list[PlannedCall]:
        """Judge the calls of a model's answer and keep the allowed ones open."""
        calls = message.tool_calls
        if not calls:
            return []
        requests = [
            CallRequest(
                index=index,
                provider_call_id=call.id,
                tool=call.name,
                arguments=call.arguments,
                raw_arguments=call.raw_arguments,
            )
            for index, call in enumerate(calls)
        ]
        planned = self._toolbox.door(context).plan(requests, is_governed=context.is_governed)
        context.ledger.clear()
        context.open = {
            call.request.index: OpenCall(call=call, state=call.state)
            for call in planned
            if call.settlement is None
        }
        return planned

    def unplanned(
        self, context: RunContext, state: EngineState, history: Sequence[Message]
    ) -> list[PlannedCall]:
        """Judge open calls that this run's ledger does not know (a fork inherits such)."""
        missing = set(state.open_calls) - set(context.open) - set(context.ledger)
        if not missing:
            return []
        asked = history[context.context_length + state.asked_position]
        known = dict(context.open)
        ledger = dict(context.ledger)
        planned = [call for call in self.plan(context, asked) if call.request.index in missing]
        context.open = known | {
            index: call for index, call in context.open.items() if index in missing
        }
        context.ledger = ledger
        return planned

    def start(self, context: RunContext, state: EngineState, log: EffectLog) -> "Batch":
        """Set every open call of the run going."""
        for index in state.open_calls:
            if index not in context.open:
                context.open[index] = _from_ledger(context.ledger[index])
        batch = Batch(context, self, log, state.asked_position)
        for index in state.open_calls:
            batch.add(context.open[index])
        return batch

    def moved(self, context: RunContext, call: PlannedCall, state: CallState, attempt: int) -> None:
        known = context.open[call.request.index]
        known.state = state
        known.call = msgspec.structs.replace(
            known.call, attempt=attempt, state=state, decision=call.decision
        )

    def abandoned(
        self, context: RunContext, cause: str
    ) -> list[tuple[PlannedCall, CallState, Settlement]]:
        """Say how open calls end when the run ends before them; `cause` is a clause.

        What never began is cancelled. What was under way and may have happened stays in doubt.
        """
        result: list[tuple[PlannedCall, CallState, Settlement]] = []
        for known in context.open.values():
            if known.state is CallState.IN_DOUBT or known.state in SETTLED:
                continue
            if known.is_asked:
                continue  # somebody may be deciding; closed in the commit that ends the run
            is_doubtful = known.state is CallState.DISPATCHED and known.call.effect not in UNCLAIMED
            settlement = Settlement(
                state=CallState.IN_DOUBT if is_doubtful else CallState.CANCELLED,
                reason=f"{cause} while the call was under way." if is_doubtful else f"{cause}.",
            )
            result.append((known.call, known.state, settlement))
        return result

    async def first_turn(self, context: RunContext, planned: Sequence[PlannedCall]) -> Turn | None:
        """Keep the files as they are before the first of a run's calls that needs them.

        So the point from which the calls begin can be forked and gone back to. To be ended when
        the intent is committed; None when there is nothing to do.
        """
        if context.workspace_digest or context.recorded is not None:
            return None
        is_needed = any(
            call.settlement is None and self._files(context, call) is not FileUse.NONE
            for call in planned
        )
        if not is_needed:
            return None
        try:
            return await self._turns.first(context)
        except SnapshotGoneError:
            return None  # the call itself will say so, when the intent is written

    async def perform(
        self, context: RunContext, known: OpenCall, log: EffectLog, position: int
    ) -> Performed:
        """Bring a call to an outcome. Of one that changes files the turn comes with it."""
        door = self._toolbox.door(context)
        use = self._files(context, known.call)
        turn = self._turns.of(context, use, keeps=known.call.effect not in REPEATABLE)
        tool_context = self._tool_context(context, known.call)
        try:
            if known.is_recovered and known.state is CallState.DISPATCHED:
                settlement = await door.recover(known.call, tool_context, log, turn)
            else:
                gate = self._gate.of(context, known, position)
                settlement = await door.perform(known.call, tool_context, log, gate, turn)
        except ToolError as error:  # no turn was to be had; nothing began
            return Performed(failure(str(error)))
        if turn is None or turn.begun is None:
            return Performed(settlement)
        if turn.left is not None and turn.left.told and settlement.is_final:
            text = f"{settlement.text}\n\n[{turn.left.told}]".lstrip()
            settlement = msgspec.structs.replace(settlement, text=text)
        return Performed(settlement, turn)

    def _files(self, context: RunContext, call: PlannedCall) -> FileUse:
        bound = self._toolbox.door(context).bound(call.request.tool)
        return bound.files if bound is not None else FileUse.NONE

    async def spawned(self, context: RunContext, call: PlannedCall, park: Park) -> Performed:
        """Turn the wish for a child run into its row, created in the commit that records it."""
        assert park.spawn is not None
        try:
            row = await self._spawn(context, park.spawn, call.id)
        except ToolError as error:
            return Performed(failure(str(error)))
        park = msgspec.structs.replace(park, spawn=None, child_run_id=row.id)
        return Performed(Settlement(state=CallState.WAITING, park=park), child=row)

    def asked(self, call: PlannedCall, settlement: Settlement) -> Performed:
        """Turn the wish to ask a person into its row, created in the commit that records it."""
        assert settlement.park is not None
        wanted = msgspec.convert(settlement.park.ask, ApprovalRow)
        row = msgspec.structs.replace(wanted, subject_id=call.id, arguments=call.arguments)
        park = msgspec.structs.replace(settlement.park, ask=None, approval_id=row.id)
        return Performed(msgspec.structs.replace(settlement, park=park), approval=row)

    def _tool_context(self, context: RunContext, call: PlannedCall) -> ToolContext:
        workspace = folder_of(self._workspaces, context)
        bound = self._toolbox.door(context).bound(call.request.tool)
        secrets = None
        if bound is not None:
            secrets = self._secrets.reader(
                workspace_id=context.workspace_id,
                run_id=context.run_id,
                call_id=call.id,
                spec=bound.spec,
            )
        return ToolContext(
            run_id=context.run_id,
            workspace_id=context.workspace_id,
            call_id=call.id,
            idempotency_key=f"agentry-{call.id}",
            attempt=call.attempt,
            workspace_path=workspace,
            config=self._toolbox.config(context, call.request.tool),
            secrets=secrets,
            sandbox=self._toolbox.sandbox(context, call.request.tool, workspace),
        )


class Batch:
    """The open calls of one turn while they run."""

    def __init__(
        self, context: RunContext, runner: CallRunner, log: EffectLog, asked_at: int
    ) -> None:
        self._context = context
        self._asked_at = asked_at
        self._runner = runner
        self._log = log
        self._tasks: dict[asyncio.Task[Performed], OpenCall] = {}
        self._ready: list[Item] = []
        self._parked: list[OpenCall] = []

    @property
    def is_running(self) -> bool:
        return bool(self._tasks or self._ready)

    def add(self, known: OpenCall) -> None:
        """Start a call, or note how it stands when nothing is to be done now."""
        recorded = self._recorded(known)
        if recorded is not None:
            self._ready.append(Item(known.call, recorded, known.state))
            return
        if known.state in SETTLED:
            row = self._context.ledger[known.call.request.index]
            self._ready.append(Item(known.call, _settled_elsewhere(row), None))
            return
        if known.state is CallState.IN_DOUBT:
            self._parked.append(known)
            return
        if known.state is CallState.WAITING:
            settlement = self._awaited(known)
            if settlement is None:
                self._parked.append(known)
            else:
                self._ready.append(Item(known.call, settlement, CallState.WAITING))
            return
        self._tasks[asyncio.create_task(self._perform(known))] = known

    async def next(self) -> Finished:
        """Wait until something ended; returns all that has."""
        if not self._ready:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        else:
            done = {task for task in self._tasks if task.done()}
        items, self._ready = self._ready, []
        if (recorded := self._context.recorded) is not None:
            items.sort(
                key=lambda item: recorded.order.get((self._asked_at, item.call.request.index), 0)
            )
        children, approvals, turns = [], [], []
        broken = [task for task in done if task.cancelled() or task.exception() is not None]
        if broken and len(broken) == len(done) and not items:
            broken[0].result()  # raises, once nothing else is left to be recorded
        for task in done:
            if task in broken:
                continue
            known = self._tasks.pop(task)
            performed = task.result()
            settlement = performed.settlement
            if performed.turn is not None:
                turns.append(performed.turn)
            items.append(Item(known.call, settlement, known.state))
            if performed.child is not None:
                children.append(performed.child)
            if performed.approval is not None:
                approvals.append(performed.approval)
            if not settlement.is_final:
                known.park = settlement.park
                self._parked.append(known)
            known.state = settlement.state
        for item in items:
            if item.settlement.is_final:
                self._context.open.pop(item.call.request.index, None)
        return Finished(tuple(items), tuple(children), tuple(approvals), tuple(turns))

    async def cancel(self) -> None:
        """End what still runs and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for task in self._tasks:
            # Retrieved, so that it is not reported as forgotten.
            if not task.cancelled() and task.exception() is None:
                performed = task.result()
                if performed.turn is not None:
                    performed.turn.drop()
        self._tasks.clear()

    def waiting_for(self) -> Wait:
        """Say what the parked calls wait for; the gravest kind names the run's."""
        kinds = {
            WaitKind.IN_DOUBT if known.state is CallState.IN_DOUBT else _kind(known)
            for known in self._parked
        }
        now = clock.now().timestamp()
        times = [
            known.park.until - now for known in self._parked if known.park and known.park.until
        ]
        seconds = max(min(times), 0.0) if times else None
        asked = tuple(known.call.id for known in self._parked if known.is_asked)
        for kind, reason in _REASONS:
            if kind in kinds:
                return Wait(kind, seconds, reason, asked)
        raise ValueError("No call waits for anything, yet the run has nothing to do")

    async def _perform(self, known: OpenCall) -> Performed:
        performed = await self._runner.perform(self._context, known, self._log, self._asked_at)
        settlement = performed.settlement
        if settlement.park is not None and settlement.park.spawn is not None:
            return await self._runner.spawned(self._context, known.call, settlement.park)
        if settlement.park is not None and settlement.park.ask is not None:
            return self._runner.asked(known.call, settlement)
        return performed

    def _recorded(self, known: OpenCall) -> Settlement | None:
        """In a replay, answer from the record; nothing is ever done."""
        if self._context.recorded is None:
            return None
        row = self._context.recorded.outcomes.get((self._asked_at, known.call.request.index))
        if row is None or _asked_digest(row) != known.call.arguments_digest:
            return failure("The recorded run made no such call here; the replay has diverged.")
        settled = _settled_elsewhere(row)
        is_kept = settled.state in _KEPT_IN_REPLAYS
        if is_kept and LEDGER.allows(known.state, settled.state):
            return settled
        return msgspec.structs.replace(settled, state=CallState.FAILED)

    def _awaited(self, known: OpenCall) -> Settlement | None:
        park = known.park
        assert park is not None
        if park.kind is WaitKind.TIMER:
            if park.until is not None and park.until > clock.now().timestamp():
                return None
            return Settlement(state=CallState.COMMITTED, text="The wait is over.")
        if known.is_asked:
            return None  # it is settled in the ledger by whoever decides
        child = self._context.children.get(park.child_run_id) if park.child_run_id else None
        if child is None or not child.is_terminal:
            return None
        return _child_settlement(child)


_REASONS = (
    (WaitKind.IN_DOUBT, "A tool call may or may not have happened; a person must say which."),
    (WaitKind.APPROVAL, "A tool call waits for approval."),
    (WaitKind.QUESTION, "A question waits for an answer."),
    (WaitKind.CHILDREN, "Waiting for child runs."),
    (WaitKind.TIMER, "Waiting for a timer."),
)


_KEPT_IN_REPLAYS = frozenset({CallState.COMMITTED, CallState.FAILED, CallState.DENIED})


def _kind(known: OpenCall) -> WaitKind:
    return known.park.kind if known.park is not None else WaitKind.NONE


def _asked_digest(row: LedgerRow) -> str:
    """The digest of what the model asked for, also where an approver changed it."""
    return str((row.decision or {}).get("asked_digest") or row.arguments_digest)


def _child_settlement(child: ChildOutcome) -> Settlement:
    if child.state == "succeeded":
        return Settlement(state=CallState.COMMITTED, text=child.output)
    return failure(
        f"The delegated run {child.run_id} {child.state}: {child.reason or 'no reason was given.'}"
    )


def _settled_elsewhere(row: LedgerRow) -> Settlement:
    state = CallState(row.state)
    is_whole = state is CallState.COMMITTED  # then also an empty result is the result
    return Settlement(
        state=state,
        text=row.result if is_whole else row.result or row.reason or f"The call was {row.state}.",
        is_error=row.is_error or state is not CallState.COMMITTED,
        reason=row.reason,
    )


def _from_ledger(row: LedgerRow) -> OpenCall:
    """Read a call back that another worker, or this one before it stopped, had open."""
    state = CallState(row.state)
    call = PlannedCall(
        id=row.id,
        request=CallRequest(
            index=row.index,
            provider_call_id=row.provider_call_id,
            tool=row.tool,
            arguments=row.arguments,
        ),
        state=state,
        effect=EffectClass(row.effect),
        spec_digest=row.spec_digest,
        arguments=row.arguments,
        arguments_digest=row.arguments_digest,
        decision=row.decision,
        attempt=row.attempt,
    )
    park = msgspec.convert(row.wait, Park) if row.wait else None
    return OpenCall(call=call, state=state, park=park, is_recovered=True)
