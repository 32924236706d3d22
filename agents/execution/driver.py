"""Drives one claimed run as a coroutine: asks the engine, does what it says, remembers it.

    decide → remember → do → remember the outcome → decide …

The driver is the run's only writer while its lease holds. It returns when the run is parked,
ended, released or lost; it never raises for a reason that belongs to the run.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from agents.contracts import RunErrorCode, RunState
from agents.engine.debugging import Hold
from agents.engine.history import redacted
from agents.engine.loop import (
    Added,
    AskModel,
    CallTools,
    Command,
    Finish,
    ModelFailed,
    RetryLater,
    Started,
    YieldRun,
    pending,
)
from agents.execution.batch import Batch, Finished
from agents.execution.calls import CallRunner
from agents.execution.completion import Asked, Asker
from agents.execution.context import RunContext
from agents.execution.entries import Draft, outcome
from agents.execution.progress import Progress
from agents.execution.releasing import finish, held, retry_later, stopped, wait_for_money
from agents.execution.spending import Purse
from agents.execution.stepping import judged
from agents.execution.stops import Brake, Stop
from agents.execution.telling import call_settled, model_asked, run_released
from agents.journal.journal import Journal
from agents.journal.records import Committed, Entry
from core.errors import LeaseLostError, UnavailableError
from core.pausepoints import reach
from core.tracing import half
from governance.services.spending import Shortfall
from observability.contracts import EventKind
from plugins.contracts import CallState
from plugins.dispatch import PlannedCall, Settlement
from sandbox.errors import SnapshotGoneError

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Means:
    """What drivers of one process share."""

    journal: Journal
    asker: Asker
    calls: CallRunner
    purse: Purse
    on_released: Callable[[Entry], None]
    on_asked: Callable[[Entry], None]


class RunDriver:
    """One run from claim to release; `brake` stops it on the way."""

    def __init__(self, context: RunContext, means: Means) -> None:
        self._context = context
        self._means = means
        self._progress = Progress(context, means.journal, self._committed)
        self.brake = Brake()
        self._began_ns = time.time_ns()
        self._outcomes: list[tuple[PlannedCall, Settlement]] = []  # told with the next commit

    @property
    def context(self) -> RunContext:
        return self._context

    def begin(self) -> "asyncio.Task[None]":
        task = asyncio.create_task(self.drive(), name=f"run-{self._context.run_id}")
        self.brake.task = task
        return task

    def _committed(self, entry: Entry, committed: Committed) -> None:
        if committed.control:
            self.brake.obey(committed.control)
        if committed.debug_version != self._context.debug_version:
            self.debug_changed()
        is_doubtful = any(move.state == CallState.IN_DOUBT.value for move in entry.moved)
        if entry.approvals or entry.closes or is_doubtful:
            self._means.on_asked(entry)
        for call, settlement in self._outcomes:
            call_settled(self._context, call, settlement)
        self._outcomes.clear()
        if entry.releases:
            run_released(self._context, entry.progress, began_ns=self._began_ns)
            self._means.on_released(entry)

    def debug_changed(self) -> None:
        """Take note that people changed the run's debugger since it was claimed."""
        self._context.debug_has_changed = True
        self.brake.stop(Stop.RELOAD)

    async def drive(self) -> None:
        context = self._context
        structlog.contextvars.bind_contextvars(
            run_id=str(context.run_id),
            workspace_id=str(context.workspace_id),
            trace_id=context.trace_id,
            span_id=f"{half(context.run_id):016x}",
        )
        deadline: asyncio.TimerHandle | None = None
        try:
            deadline = self.brake.arm(self._context.deadline_at)
            self.brake.obey(self._context.control)
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

    async def _park(self, code: RunErrorCode, reason: str) -> None:
        """Let go of a run that cannot go on here; its last checkpoint stands."""
        draft = Draft(self._context, self._progress.state)
        entry = draft.entry(target=RunState.PAUSED, error_code=code, reason=reason)
        try:
            await self._progress.commit(entry)
        except (LeaseLostError, UnavailableError):
            logger.warning("run_left_behind", extra={"run_id": str(self._context.run_id)})

    async def _drive(self) -> None:
        context = self._context
        if context.blocker:
            await self._progress.release(
                RunState.PAUSED, reason=context.blocker, error_code=RunErrorCode.BLOCKED
            )
            return
        if context.state is None and not context.prefix_length:
            command = self._progress.advance(Started(input=context.input))
        else:
            command = pending(self._progress.state, context.limits)
        while True:
            if self.brake.asked is not Stop.NONE:
                await stopped(self._progress, self.brake.asked, self._abandoning)
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
                    await retry_later(self._progress, command)
                    return
                case YieldRun():
                    await self._progress.release(
                        RunState.YIELDED, reason=command.reason, error_code=command.limit
                    )
                    return
                case Finish():
                    await finish(self._progress, command)
                    return

    async def _ask(self) -> Asked | Shortfall | None:
        reach("step.before_model")
        began_ns = time.time_ns()
        asked = await self.brake.interruptible(
            self._means.asker.ask(self._context, self._progress.state, self._progress.history)
        )
        reach("step.after_model")
        if isinstance(asked, Asked):
            model_asked(self._context, asked, self._progress.history, began_ns=began_ns)
        return asked

    async def _turn(self, command: Command) -> Command | None:
        """Ask the model and take its answer in; the same command again when interrupted. None: the
        run was released."""
        hold = judged(self._context, self._progress)
        if isinstance(hold, Hold):
            await held(self._progress, hold)
            return None
        reach("step.let_go")
        self._say_again()
        asked = await self._ask()
        return command if asked is None else await self._answered(asked)

    def _say_again(self) -> None:
        """In a replay, say what people said to the recorded run at this place."""
        recorded = self._context.recorded
        while recorded is not None:
            text = recorded.added.get(self._progress.state.message_count)
            if text is None:
                return
            self._progress.advance(Added(text=text))

    async def _answered(self, asked: Asked | Shortfall) -> Command | None:
        """Take in what the model said. None: the run was let go of."""
        if isinstance(asked, Shortfall):
            await wait_for_money(
                self._progress, asked, await self._means.purse.question(self._context, asked)
            )
            return None
        if isinstance(asked.event, ModelFailed):
            return await self._model_failed(asked.event)
        answer = msgspec.structs.replace(asked.event, message=redacted(asked.event.message))
        asked_at = self._progress.state.message_count
        command = self._progress.advance(answer)
        planned = self._means.calls.plan(self._context, answer.message)
        command = self._refusals(planned, command)
        turn = await self._means.calls.first_turn(self._context, planned)
        draft = self._progress.draft()
        draft.answer(asked, answer)
        if turn is not None:
            draft.files(turn.digest, turn.notes)
        for call in planned:
            draft.plan(asked_at, call)
        draft.checkpoint(self._progress.state)
        if isinstance(command, Finish):
            hold = judged(self._context, self._progress)
            if isinstance(hold, Hold):
                await held(self._progress, hold, draft)
                return None
            # The last answer and the end of the run are one commit.
            await finish(self._progress, command, draft)
            return None
        reach("intent.before_commit")
        await self._progress.commit_turns(draft.entry(), () if turn is None else (turn,))
        reach("intent.after_commit")
        return command

    async def _model_failed(self, failed: ModelFailed) -> Command:
        command = self._progress.advance(failed)
        if not isinstance(command, RetryLater):
            draft = self._progress.draft()
            draft.event(EventKind.RUN_NOTE, {"code": failed.code, "sentence": failed.sentence})
            draft.checkpoint(self._progress.state)
            await self._progress.commit(draft.entry())
        return command

    def _refusals(self, planned: list[PlannedCall], command: Command) -> Command:
        """Answer the calls the door refused; the model sees why."""
        for call in planned:
            if call.settlement is not None:
                self._outcomes.append((call, call.settlement))
                command = self._progress.advance(outcome(call, call.settlement))
        return command

    async def _call(self) -> Command | None:
        """Bring open calls forward. None: the run was released."""
        if unplanned := self._means.calls.unplanned(
            self._context, self._progress.state, self._progress.history
        ):
            await self._plan_again(unplanned)
        going = judged(self._context, self._progress)
        if isinstance(going, Hold):
            await held(self._progress, going)
            return None
        reach("step.let_go")
        state = self._progress.state
        batch = Batch(self._context, self._means.calls, self, state, going.indexes)
        try:
            while batch.is_running and not self.brake.asked.interrupts():
                finished = await self.brake.interruptible(batch.next())
                if finished is not None:
                    await self._settled(finished)
        finally:
            await batch.cancel()
        is_over = not self._progress.state.open_calls or not batch.is_parked
        if is_over or self.brake.asked is not Stop.NONE:
            return pending(self._progress.state, self._context.limits)
        wait = batch.waiting_for()
        await self._progress.release(
            RunState.WAITING,
            wait_kind=wait.kind,
            wake_in_seconds=wait.seconds,
            reason=wait.reason,
            awaits=wait.awaits,
        )
        return None

    async def _plan_again(self, planned: list[PlannedCall]) -> None:
        """Enter calls into this run's ledger that a fork took over from its origin's history."""
        asked_at = self._progress.state.asked_position
        self._refusals(planned, CallTools(()))
        draft = self._progress.draft()
        for call in planned:
            draft.plan(asked_at, call)
        draft.checkpoint(self._progress.state)
        await self._progress.commit(draft.entry())

    async def record(
        self, call: PlannedCall, *, source: CallState, state: CallState, attempt: int
    ) -> None:
        """Make a move of a call durable before the door goes on (the door's `EffectLog`)."""
        draft = self._progress.draft()
        is_new = self._context.open[call.request.index].call.decision != call.decision
        draft.move(
            call,
            source=source,
            state=state,
            attempt=attempt,
            decision=call.decision if is_new else None,
        )
        try:
            await self._progress.commit(draft.entry())
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
                self._progress.advance(event)
                self._outcomes.append((item.call, item.settlement))
        draft = self._progress.draft()
        for item in finished.items:
            if item.source is not None:
                draft.settle(item.call, item.settlement, source=item.source)
        for child in finished.children:
            draft.child(child)
        for approval in finished.approvals:
            draft.approval(approval)
        for turn in finished.turns:
            draft.files(turn.digest if turn.is_open else "", turn.notes)
        draft.checkpoint(self._progress.state)
        reach("result.before_commit")
        await self._progress.commit_turns(draft.entry(), finished.turns)
        reach("result.after_commit")

    def _abandoning(self, cause: str) -> Draft:
        draft = self._progress.draft()
        for call, source, settlement in self._means.calls.abandoned(self._context, cause):
            draft.settle(call, settlement, source=source)
            self._outcomes.append((call, settlement))
        if any(known.is_asked for known in self._context.open.values()):
            draft.close_asked(cause)
        return draft
