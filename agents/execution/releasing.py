"""Letting go of a run: because it is over, held, out of money, due later, or was told to stop."""

from collections.abc import Callable

from agents.contracts import RunErrorCode, RunState
from agents.engine.debugging import Hold
from agents.engine.loop import Finish, RetryLater
from agents.execution.entries import Draft
from agents.execution.progress import Progress
from agents.execution.spending import shortfall_sentence
from agents.execution.stepping import code_of
from agents.execution.stops import Stop
from agents.journal.records import ApprovalRow
from core.pausepoints import reach
from governance.services.spending import Shortfall
from observability.contracts import EventKind
from plugins.contracts import WaitKind


async def finish(progress: Progress, command: Finish, draft: Draft | None = None) -> None:
    reach("run.before_finish")
    verdict = command.verdict
    await progress.release(
        verdict.state,
        reason=verdict.reason,
        error_code=verdict.code,
        output=verdict.output,
        draft=draft,
    )


async def held(progress: Progress, hold: Hold, draft: Draft | None = None) -> None:
    """Pause before what comes next; a person lets it go."""
    reach("step.before_hold")
    await progress.release(
        RunState.PAUSED, error_code=code_of(hold), reason=hold.sentence, draft=draft
    )


async def wait_for_money(progress: Progress, shortfall: Shortfall, question: ApprovalRow) -> None:
    """Park the run and ask people to raise the limit that is full."""
    is_ahead = progress.is_ahead
    draft = progress.draft()
    if is_ahead:
        draft.checkpoint(progress.state)
    draft.approval(question)
    reach("budget.before_park")
    await progress.release(
        RunState.WAITING,
        wait_kind=WaitKind.BUDGET,
        reason=shortfall_sentence(shortfall),
        draft=draft,
    )


async def retry_later(progress: Progress, command: RetryLater) -> None:
    draft = progress.draft()
    draft.event(EventKind.STEP_RETRY, {"in_seconds": command.seconds, "sentence": command.reason})
    draft.checkpoint(progress.state)
    await progress.release(
        RunState.WAITING,
        wait_kind=WaitKind.TIMER,
        wake_in_seconds=command.seconds,
        reason=f"Will ask the model again in {command.seconds:g} s. {command.reason}",
        draft=draft,
    )


async def stopped(progress: Progress, asked: Stop, abandoning: Callable[[str], Draft]) -> None:
    """Release the run the way it was asked for; the state says what is open.

    `abandoning` settles the calls that are open, for the reason it is given.
    """
    match asked:
        case Stop.CANCEL:
            await progress.release(
                RunState.CANCELLED,
                reason="Cancelled.",
                draft=abandoning("The run was cancelled"),
            )
        case Stop.DEADLINE:
            await progress.release(
                RunState.FAILED,
                error_code=RunErrorCode.DEADLINE_EXCEEDED,
                reason="The run's wall time ran out. Start it again with a higher "
                "wall_seconds, or fork it from its last checkpoint.",
                draft=abandoning("The run's wall time ran out"),
            )
        case Stop.PAUSE:
            await progress.release(RunState.PAUSED, reason="Paused.")
        case Stop.RELOAD:
            await progress.release(RunState.QUEUED, reason="Its debugger was changed.")
        case _:
            await progress.release(RunState.QUEUED, reason="Its worker is stopping.")
