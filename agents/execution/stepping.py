"""Holding a run for a person: where it stands, by what its driver knows."""

from agents.contracts import RunErrorCode
from agents.engine.debugging import (
    Go,
    HeldCall,
    Hold,
    Place,
    arguments_text,
    judge,
    place_of,
)
from agents.engine.state import Phase
from agents.execution.context import OpenCall, RunContext, is_answer
from agents.execution.ledgered import open_call
from agents.execution.progress import Progress
from plugins.ledger import may_be_held


def judged(context: RunContext, progress: Progress) -> Hold | Go:
    """Say whether the run is held where it stands now, or which of its calls may go."""
    if context.debug is None:
        return Go(indexes=progress.state.open_calls)
    return judge(context.debug, context.passed, _place(context, progress))


def code_of(hold: Hold) -> RunErrorCode:
    return RunErrorCode.BREAKPOINT if hold.breakpoint else RunErrorCode.STEP


def _place(context: RunContext, progress: Progress) -> Place:
    state = progress.state
    if state.phase is not Phase.TOOLS:
        last = progress.history[-1] if progress.history else None
        said = last.text if last is not None and is_answer(last) else ""
        return place_of(state, agent=context.agent, said=said)
    asked = progress.history[context.context_length + state.asked_position]
    calls = tuple(
        _held_call(context.open.get(index) or open_call(context.ledger[index]))
        for index in state.open_calls
    )
    return place_of(state, agent=context.agent, said=asked.text, calls=calls)


def _held_call(known: OpenCall) -> HeldCall:
    return HeldCall(
        index=known.call.request.index,
        tool=known.call.request.tool,
        arguments=arguments_text(known.call.arguments),
        has_begun=not may_be_held(known.state, known.call.effect),
    )
