"""Drives one claimed run as a coroutine: asks the engine, does what it says, remembers it.

    decide → remember → do → remember the outcome → decide …

The driver is the run's only writer while its lease holds. It returns when the run is parked,
ended, released or lost; it never raises for a reason that belongs to the run.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog

from agents.contracts import Control, Message, RunErrorCode, RunState
from agents.engine.history import redacted
from agents.engine.loop import (
    AskModel,
    CallTools,
    Command,
    Finish,
    ModelFailed,
    RetryLater,
    Started,
    Step,
    YieldRun,
    advance,
    pending,
)
from agents.engine.state import EngineState
from agents.execution.batch import Batch, Finished
from agents.execution.calls import CallRunner
from agents.execution.completion import Asked, Asker
from agents.execution.context import RunContext
from agents.execution.entries import Draft, outcome
from agents.execution.stops import Stop
from agents.execution.turns import Turn
from agents.journal.journal import Journal
from agents.journal.records import Committed, Entry
from core import clock
from core.errors import LeaseLostError, UnavailableError
from core.pausepoints import reach
from observability.contracts import EventKind
from plugins.contracts import CallState, WaitKind
from plugins.dispatch import PlannedCall
from sandbox.errors import SnapshotGoneError

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Means:
    """What drivers of one process share."""

    journal: Journal
    asker: Asker
    calls: CallRunner
    on_released: Callable[[Entry], None]
    on_asked: Callable[[Entry], None]


class RunDriver:
    """One run from claim to release. `stop` may be called from the loop's thread at any time."""

    def __init__(self, context: RunContext, means: Means) -> None:
        self._context = context
        self._means = means
        self._state = context.state or EngineState(message_count=context.prefix_length)
        self._history: list[Message] = list(context.history)
        self._unwritten: list[tuple[int, Message]] = []
        self._stop = Stop.NONE
        self.task: asyncio.Task[None] | None = None
        self._can_interrupt = False

    @property
    def context(self) -> RunContext:
        return self._context

    def begin(self) -> "asyncio.Task[None]":
        self.task = asyncio.create_task(self.drive(), name=f"run-{self._context.run_id}")
        return self.task

    def stop(self, stop: Stop) -> None:
        """Ask the run to stop. Grave reasons interrupt what it waits for, others wait for a
        step boundary."""
        if stop.gravity <= self._stop.gravity:
            return
        self._stop = stop
        if stop.interrupts() and self._can_interrupt and self.task is not None:
            self._can_interrupt = False
            self.task.cancel()

    def obey(self, control: str) -> None:
        """Take note of what somebody asked of the run."""
        if control == Control.CANCEL:
            self.stop(Stop.CANCEL)
        elif control == Control.PAUSE:
            self.stop(Stop.PAUSE)

    async def drive(self) -> None:
        structlog.contextvars.bind_contextvars(run_id=str(self._context.run_id))
        deadline: asyncio.TimerHandle | None = None
        try:
            deadline = self._arm_deadline()
            self.obey(self._context.control)
            await self._drive()
        except LeaseLostError:
            logger.info("lease_lost", extra={"run_id": str(self._context.run_id)})
        except SnapshotGoneError as error:
            await self._park(RunErrorCode.BLOCKED, str(error))
        except UnavailableError:
            # Nothing can be written; the lease runs out and another worker takes the run up.
            logger.warning("run_left_behind", extra={"run_id": str(self._context.run_id)})
        except Exception:
            logger.exception("driver_broke", extra={"run_id": str(self._context.run_id)})
            await self._park(
                RunErrorCode.ENGINE_DEFECT,
                "The engine broke while driving this run; the worker's log has the cause. "
                "Resume it after an update, or cancel it.",
            )
        finally:
            if deadline is not None:
                deadline.cancel()

    def _arm_deadline(self) -> asyncio.TimerHandle | None:
        if self._context.deadline_at is None:
            return None
        left = (self._context.deadline_at - clock.now()).total_seconds()
        loop = asyncio.get_running_loop()
        return loop.call_later(max(left, 0.0), self.stop, Stop.DEADLINE)

    async def _park(self, code: RunErrorCode, reason: str) -> None:
        """Let go of a run that cannot go on here; its last checkpoint stands."""
        draft = Draft(self._context, self._state)
        entry = draft.entry(target=RunState.PAUSED, error_code=code, reason=reason)
        try:
            await self._commit(entry)
        except (LeaseLostError, UnavailableError):
            logger.warning("run_left_behind", extra={"run_id": str(self._context.run_id)})

    async def _drive(self) -> None:
        context = self._context
        if context.blocker:
            await self._release(
                RunState.PAUSED, reason=context.blocker, error_code=RunErrorCode.BLOCKED
            )
            return
        if context.state is None and not context.prefix_length:
            command = self._take(advance(self._state, Started(input=context.input), context.limits))
        else:
            command = pending(self._state, context.limits)
        while True:
            if self._stop is not Stop.NONE:
                await self._stopped()
                return
            match command:
                case AskModel():
                    after = await self._turn(command)
                    if after is None:
                        return
                    command = after
                case CallTools():
                    after = await self._call()
                    if after is None:
                        return
                    command = after
                case RetryLater():
                    await self._retry_later(command)
                    return
                case YieldRun():
                    await self._release(
                        RunState.YIELDED, reason=command.reason, error_code=command.limit
                    )
                    return
                case Finish():
                    await self._finish(command)
                    return

    def _take(self, step: Step) -> Command:
        """Adopt a decision; its messages, redacted already, are written with the next commit."""
        position = step.state.message_count - len(step.messages)
        for message in step.messages:
            self._history.append(message)
            self._unwritten.append((position, message))
            position += 1
        self._state = step.state
        return step.command

    def _draft(self) -> Draft:
        draft = Draft(self._context, self._state)
        for position, message in self._unwritten:
            draft.message(position, message)
        self._unwritten.clear()
        return draft

    async def _commit(self, entry: Entry) -> Committed:
        """Write an entry; being cancelled waits for the write, so its outcome is never unknown."""
        committed = await self._means.journal.commit(entry)
        self._context.head_sequence = committed.head_sequence
        if committed.control:
            self.obey(committed.control)
        is_doubtful = any(move.state == CallState.IN_DOUBT.value for move in entry.moved)
        if entry.approvals or entry.closes or is_doubtful:
            self._means.on_asked(entry)
        if entry.releases:
            self._means.on_released(entry)
        return committed

    async def _commit_turns(self, entry: Entry, turns: tuple[Turn, ...]) -> None:
        """Write an entry and end the turns it is about; a turn ends with the write, or is void."""
        try:
            await self._commit(entry)
            for turn in turns:
                await turn.end()
        finally:
            for turn in turns:
                turn.drop()

    async def _release(
        self,
        target: RunState,
        *,
        wait_kind: WaitKind = WaitKind.NONE,
        wake_in_seconds: float | None = None,
        reason: str = "",
        error_code: str = "",
        output: str | None = None,
        draft: Draft | None = None,
        awaits: tuple[UUID, ...] = (),
    ) -> None:
        if draft is None:
            is_ahead = bool(self._unwritten)
            draft = self._draft()
            if is_ahead:
                # What is written without a checkpoint would be decided, and written, once more.
                draft.checkpoint(self._state)
        await self._commit(
            draft.entry(
                target=target,
                wait_kind=wait_kind,
                wake_in_seconds=wake_in_seconds,
                reason=reason,
                error_code=error_code,
                output=output,
                awaits=awaits,
            )
        )

    async def _interruptible(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Await `work`, which a grave stop may cancel; None when that happened."""
        if self._stop.interrupts():
            work.close()
            return None
        self._can_interrupt = True
        try:
            return await work
        except asyncio.CancelledError:
            if self._stop.interrupts() and not self._can_interrupt:
                current = asyncio.current_task()
                if current is not None:
                    current.uncancel()
                return None
            raise
        finally:
            self._can_interrupt = False

    async def _ask(self) -> Asked | None:
        reach("step.before_model")
        asked = await self._interruptible(
            self._means.asker.ask(self._context, self._state, self._history)
        )
        reach("step.after_model")
        return asked

    async def _turn(self, command: Command) -> Command | None:
        """Ask the model and take its answer in; the same command again when interrupted."""
        asked = await self._ask()
        return command if asked is None else await self._answered(asked)

    async def _answered(self, asked: Asked) -> Command | None:
        """Take in what the model said. None: that ended the run."""
        if isinstance(asked.event, ModelFailed):
            return await self._model_failed(asked.event)
        answer = msgspec.structs.replace(asked.event, message=redacted(asked.event.message))
        asked_at = self._state.message_count
        command = self._take(advance(self._state, answer, self._context.limits))
        planned = self._means.calls.plan(self._context, answer.message)
        command = self._refusals(planned, command)
        turn = await self._means.calls.first_turn(self._context, planned)
        draft = self._draft()
        draft.answer(asked, answer)
        if turn is not None:
            draft.files(turn.digest, turn.notes)
        for call in planned:
            draft.plan(asked_at, call)
        draft.checkpoint(self._state)
        if isinstance(command, Finish):
            # The last answer and the end of the run are one commit.
            await self._finish(command, draft)
            return None
        reach("intent.before_commit")
        await self._commit_turns(draft.entry(), () if turn is None else (turn,))
        reach("intent.after_commit")
        return command

    async def _model_failed(self, failed: ModelFailed) -> Command:
        command = self._take(advance(self._state, failed, self._context.limits))
        if not isinstance(command, RetryLater):
            draft = self._draft()
            draft.event(EventKind.RUN_NOTE, {"code": failed.code, "sentence": failed.sentence})
            draft.checkpoint(self._state)
            await self._commit(draft.entry())
        return command

    def _refusals(self, planned: list[PlannedCall], command: Command) -> Command:
        """Answer the calls the door refused; the model sees why."""
        for call in planned:
            if call.settlement is not None:
                command = self._take(
                    advance(self._state, outcome(call, call.settlement), self._context.limits)
                )
        return command

    async def _finish(self, command: Finish, draft: Draft | None = None) -> None:
        reach("run.before_finish")
        verdict = command.verdict
        await self._release(
            verdict.state,
            reason=verdict.reason,
            error_code=verdict.code,
            output=verdict.output,
            draft=draft,
        )

    async def _call(self) -> Command | None:
        """Bring open calls forward. None: the run was released."""
        if unplanned := self._means.calls.unplanned(self._context, self._state, self._history):
            await self._plan_again(unplanned)
        batch = Batch(self._context, self._means.calls, self, self._state)
        try:
            while batch.is_running and not self._stop.interrupts():
                finished = await self._interruptible(batch.next())
                if finished is not None:
                    await self._settled(finished)
        finally:
            await batch.cancel()
        if not self._state.open_calls or self._stop is not Stop.NONE:
            return pending(self._state, self._context.limits)
        wait = batch.waiting_for()
        await self._release(
            RunState.WAITING,
            wait_kind=wait.kind,
            wake_in_seconds=wait.seconds,
            reason=wait.reason,
            awaits=wait.awaits,
        )
        return None

    async def _plan_again(self, planned: list[PlannedCall]) -> None:
        """Enter calls into this run's ledger that a fork took over from its origin's history."""
        asked_at = self._state.asked_position
        self._refusals(planned, CallTools(()))
        draft = self._draft()
        for call in planned:
            draft.plan(asked_at, call)
        draft.checkpoint(self._state)
        await self._commit(draft.entry())

    async def record(
        self, call: PlannedCall, *, source: CallState, state: CallState, attempt: int
    ) -> None:
        """Make a move of a call durable before the door goes on (the door's `EffectLog`)."""
        draft = self._draft()
        is_new = self._context.open[call.request.index].call.decision is None
        draft.move(
            call,
            source=source,
            state=state,
            attempt=attempt,
            decision=call.decision if is_new else None,
        )
        try:
            await self._commit(draft.entry())
        except asyncio.CancelledError:
            # The journal has awaited the write all the same: the call is where it was going.
            self._means.calls.moved(self._context, call, state, attempt)
            raise
        self._means.calls.moved(self._context, call, state, attempt)

    async def _settled(self, finished: Finished) -> None:
        """Commit outcomes with the messages that carry them."""
        for item in finished.items:
            if item.settlement.is_final:
                event = outcome(item.call, item.settlement)
                self._take(advance(self._state, event, self._context.limits))
        draft = self._draft()
        for item in finished.items:
            if item.source is not None:
                draft.settle(item.call, item.settlement, source=item.source)
        for child in finished.children:
            draft.child(child)
        for approval in finished.approvals:
            draft.approval(approval)
        for turn in finished.turns:
            draft.files(turn.digest if turn.is_open else "", turn.notes)
        draft.checkpoint(self._state)
        reach("result.before_commit")
        await self._commit_turns(draft.entry(), finished.turns)
        reach("result.after_commit")

    async def _retry_later(self, command: RetryLater) -> None:
        draft = self._draft()
        draft.event(
            EventKind.STEP_RETRY, {"in_seconds": command.seconds, "sentence": command.reason}
        )
        draft.checkpoint(self._state)
        await self._release(
            RunState.WAITING,
            wait_kind=WaitKind.TIMER,
            wake_in_seconds=command.seconds,
            reason=f"Will ask the model again in {command.seconds:g} s. {command.reason}",
            draft=draft,
        )

    async def _stopped(self) -> None:
        """Release the run the way it was asked for; the state says what is open."""
        match self._stop:
            case Stop.CANCEL:
                await self._release(
                    RunState.CANCELLED,
                    reason="Cancelled.",
                    draft=self._abandoning("The run was cancelled"),
                )
            case Stop.DEADLINE:
                await self._release(
                    RunState.FAILED,
                    error_code=RunErrorCode.DEADLINE_EXCEEDED,
                    reason="The run's wall time ran out. Start it again with a higher "
                    "wall_seconds, or fork it from its last checkpoint.",
                    draft=self._abandoning("The run's wall time ran out"),
                )
            case Stop.PAUSE:
                await self._release(RunState.PAUSED, reason="Paused.")
            case _:
                await self._release(RunState.QUEUED, reason="Its worker is stopping.")

    def _abandoning(self, cause: str) -> Draft:
        draft = self._draft()
        for call, source, settlement in self._means.calls.abandoned(self._context, cause):
            draft.settle(call, settlement, source=source)
        if any(known.is_asked for known in self._context.open.values()):
            draft.close_asked(cause)
        return draft
