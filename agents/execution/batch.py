"""The open calls of one turn: all run at once, and each is recorded when it ends."""

import asyncio
from uuid import UUID

import msgspec

from agents.engine.state import EngineState
from agents.execution.calls import CallRunner, Performed
from agents.execution.context import OpenCall, RunContext
from agents.execution.ledgered import awaited, open_call, recorded, settled
from agents.execution.turns import Turn
from agents.journal.records import ApprovalRow, RunRow
from core import clock
from plugins.contracts import CallState, WaitKind
from plugins.dispatch import EffectLog, PlannedCall, Settlement
from plugins.ledger import SETTLED


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


class Wait(msgspec.Struct, frozen=True):
    kind: WaitKind
    seconds: float | None
    reason: str
    awaits: tuple[UUID, ...] = ()  # calls that a person settles


_REASONS = (
    (WaitKind.IN_DOUBT, "A tool call may or may not have happened; a person must say which."),
    (WaitKind.APPROVAL, "A tool call waits for approval."),
    (WaitKind.QUESTION, "A question waits for an answer."),
    (WaitKind.CHILDREN, "Waiting for child runs."),
    (WaitKind.TIMER, "Waiting for a timer."),
)


class Batch:
    """The open calls of one turn while they run."""

    def __init__(
        self,
        context: RunContext,
        runner: CallRunner,
        log: EffectLog,
        state: EngineState,
        indexes: tuple[int, ...],
    ) -> None:
        """Set open calls of the run going; others stay held."""
        self._context = context
        self._asked_at = state.asked_position
        self._runner = runner
        self._log = log
        self._tasks: dict[asyncio.Task[Performed], OpenCall] = {}
        self._ready: list[Item] = []
        self._parked: list[OpenCall] = []
        for index in indexes:
            if index not in context.open:
                context.open[index] = open_call(context.ledger[index])
        for index in indexes:
            self._add(context.open[index])

    @property
    def is_running(self) -> bool:
        return bool(self._tasks or self._ready)

    @property
    def is_parked(self) -> bool:
        return bool(self._parked)

    def _add(self, known: OpenCall) -> None:
        """Start a call, or note how it stands when nothing is to be done now."""
        from_record = recorded(self._context, known, self._asked_at)
        if from_record is not None:
            self._ready.append(Item(known.call, from_record, known.state))
            return
        if known.state in SETTLED:
            row = self._context.ledger[known.call.request.index]
            self._ready.append(Item(known.call, settled(row), None))
            return
        if known.state is CallState.IN_DOUBT:
            self._parked.append(known)
            return
        if known.state is CallState.WAITING:
            settlement = awaited(self._context, known)
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
        if (record := self._context.recorded) is not None:
            items.sort(
                key=lambda item: record.order.get((self._asked_at, item.call.request.index), 0)
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


def _kind(known: OpenCall) -> WaitKind:
    return known.park.kind if known.park is not None else WaitKind.NONE
