"""The agent loop as a pure function: what happened → what is true now and what to do next.

No clock, no I/O, no Django. `advance` is given a state and one event and returns the next state
with the messages to append; `pending` says what that state asks for. A worker that takes a run
over needs only the stored state: `pending(state, limits)` is the decision that was interrupted.
"""

from decimal import Decimal
from typing import TypeAlias

import msgspec

from agents.contracts import (
    FinishReason,
    Message,
    Role,
    RunErrorCode,
    RunState,
    ToolResponsePart,
    Usage,
    user_message,
)
from agents.engine.state import EngineState, Limits, Phase, Verdict

# Waits between attempts when a model cannot answer for now; the last one repeats.
RETRY_WAITS_SECONDS = (2.0, 10.0, 60.0, 300.0)
MAX_EMPTY_ANSWERS = 2
NUDGE = "Your last answer was empty. Answer the request, or call a tool."


class Started(msgspec.Struct, frozen=True, kw_only=True):
    input: str


class ModelAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """`cost_usd` is None when no price is known for the model."""

    message: Message
    usage: Usage
    finish: FinishReason
    cost_usd: Decimal | None


class ModelFailed(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    sentence: str
    is_retryable: bool
    retry_after_seconds: float | None = None


class ToolSettled(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one call as the model shall see it. `call_id` is the provider's id."""

    index: int
    call_id: str
    text: str
    is_error: bool = False


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """A person said something while the run stood still. One about to end goes on instead."""

    text: str


Event: TypeAlias = Started | ModelAnswered | ModelFailed | ToolSettled | Added


class AskModel(msgspec.Struct, frozen=True):
    pass


class CallTools(msgspec.Struct, frozen=True):
    indexes: tuple[int, ...]


class RetryLater(msgspec.Struct, frozen=True):
    seconds: float
    reason: str


class YieldRun(msgspec.Struct, frozen=True):
    """Stop without an end: a raised limit lets the run go on. `limit` names which."""

    limit: RunErrorCode
    reason: str


class Finish(msgspec.Struct, frozen=True):
    verdict: Verdict


Command: TypeAlias = AskModel | CallTools | RetryLater | YieldRun | Finish


class Step(msgspec.Struct, frozen=True):
    """Result of one decision: the state to store, the messages to append, what to do next."""

    state: EngineState
    messages: tuple[Message, ...]
    command: Command


def advance(state: EngineState, event: Event, limits: Limits) -> Step:
    """Decide what `event` means in `state`.

    Raises:
        ValueError: The event cannot happen in this state; a defect of the caller.
    """
    match event:
        case Started():
            return _started(state, event, limits)
        case ModelAnswered():
            return _answered(state, event, limits)
        case ModelFailed():
            return _failed(state, event, limits)
        case Added():
            return _added(state, event, limits)
        case _:
            return _settled(state, event, limits)


def pending(state: EngineState, limits: Limits) -> Command:
    """Say what `state` asks for; the same answer on every worker and at every time."""
    if state.verdict is not None:
        return Finish(state.verdict)
    if state.phase is Phase.TOOLS:
        return CallTools(state.open_calls)
    return exceeded(state, limits) or AskModel()


def _model_calls(number: int) -> str:
    return "1 model call" if number == 1 else f"{number} model calls"


def exceeded(state: EngineState, limits: Limits) -> YieldRun | None:
    """Name the limit that forbids the next model call, if one does.

    `max_cost_usd` is none of these: whoever asks the model sets the money aside before.
    """
    if state.iteration >= limits.max_iterations:
        return YieldRun(
            RunErrorCode.MAX_ITERATIONS,
            f"The run used its {_model_calls(limits.max_iterations)} without finishing. "
            "Resume it with a higher max_iterations to let it go on.",
        )
    if limits.max_tokens is not None and state.usage.total_tokens >= limits.max_tokens:
        return YieldRun(
            RunErrorCode.MAX_TOKENS,
            f"The run used {state.usage.total_tokens} of its {limits.max_tokens} tokens. "
            "Resume it with a higher max_tokens to let it go on.",
        )
    return None


def _append(state: EngineState, *messages: Message) -> EngineState:
    return msgspec.structs.replace(state, message_count=state.message_count + len(messages))


def _step(state: EngineState, limits: Limits, *messages: Message) -> Step:
    state = _append(state, *messages)
    return Step(state, messages, pending(state, limits))


def _started(state: EngineState, event: Started, limits: Limits) -> Step:
    if state.message_count or state.phase is not Phase.MODEL:
        raise ValueError("A run began that has begun")
    return _step(state, limits, user_message(event.input))


def _added(state: EngineState, event: Added, limits: Limits) -> Step:
    if state.phase is Phase.TOOLS or not state.message_count:
        raise ValueError("A message was added where a history cannot have one")
    state = msgspec.structs.replace(state, phase=Phase.MODEL, verdict=None)
    return _step(state, limits, user_message(event.text))


def _answered(state: EngineState, event: ModelAnswered, limits: Limits) -> Step:
    if state.phase is not Phase.MODEL:
        raise ValueError(f"A model answered in phase {state.phase}")
    state = msgspec.structs.replace(
        state,
        iteration=state.iteration + 1,
        usage=state.usage + event.usage,
        cost_usd=state.cost_usd + (event.cost_usd or Decimal(0)),
        cost_is_partial=state.cost_is_partial or event.cost_usd is None,
        failures=0,
    )
    calls = event.message.tool_calls
    if calls:
        state = msgspec.structs.replace(
            state,
            phase=Phase.TOOLS,
            asked_position=state.message_count,
            open_calls=tuple(range(len(calls))),
            empties=0,
        )
        return _step(state, limits, event.message)
    if event.finish is FinishReason.CONTINUE and event.message.parts:
        return _step(state, limits, event.message)
    if event.finish is FinishReason.CONTENT_FILTER:
        return _end(
            state,
            limits,
            event.message,
            Verdict(
                state=RunState.FAILED,
                output=event.message.text,
                code=RunErrorCode.CONTENT_FILTER,
                reason="The vendor's content filter stopped the answer. Rephrase the request.",
            ),
        )
    if not event.message.text.strip():
        return _empty(state, limits)
    cut = event.finish is FinishReason.LENGTH
    return _end(
        state,
        limits,
        event.message,
        Verdict(
            state=RunState.SUCCEEDED,
            output=event.message.text,
            code=RunErrorCode.OUTPUT_CUT if cut else "",
            reason="The answer was cut at the vendor's output limit. Raise max_output_tokens."
            if cut
            else "",
        ),
    )


def _empty(state: EngineState, limits: Limits) -> Step:
    # The empty answer itself is not kept: some vendors refuse a history that contains one.
    state = msgspec.structs.replace(state, empties=state.empties + 1)
    if state.empties < MAX_EMPTY_ANSWERS:
        return _step(state, limits, user_message(NUDGE))
    verdict = Verdict(
        state=RunState.FAILED,
        code=RunErrorCode.EMPTY_ANSWER,
        reason=f"The model gave {state.empties} empty answers in a row. "
        "Look at the prompt, or try another model by forking the run.",
    )
    state = msgspec.structs.replace(state, phase=Phase.DONE, verdict=verdict)
    return _step(state, limits)


def _end(state: EngineState, limits: Limits, message: Message, verdict: Verdict) -> Step:
    state = msgspec.structs.replace(state, phase=Phase.DONE, verdict=verdict, empties=0)
    # Nothing said is no message: some vendors refuse a history that contains one.
    return _step(state, limits, message) if message.parts else _step(state, limits)


def _failed(state: EngineState, event: ModelFailed, limits: Limits) -> Step:
    if state.phase is not Phase.MODEL:
        raise ValueError(f"A model failed in phase {state.phase}")
    failures = state.failures + 1
    state = msgspec.structs.replace(state, failures=failures)
    if event.is_retryable and failures <= limits.model_retries:
        wait = RETRY_WAITS_SECONDS[min(failures, len(RETRY_WAITS_SECONDS)) - 1]
        if event.retry_after_seconds is not None:
            wait = max(event.retry_after_seconds, 0.0)
        return Step(state, (), RetryLater(wait, event.sentence))
    verdict = Verdict(state=RunState.FAILED, code=event.code, reason=event.sentence)
    state = msgspec.structs.replace(state, phase=Phase.DONE, verdict=verdict)
    return Step(state, (), Finish(verdict))


def _settled(state: EngineState, event: ToolSettled, limits: Limits) -> Step:
    if event.index not in state.open_calls:
        raise ValueError(f"Call {event.index} is not open")
    left = tuple(index for index in state.open_calls if index != event.index)
    state = msgspec.structs.replace(
        state, open_calls=left, phase=Phase.TOOLS if left else Phase.MODEL
    )
    result = Message(
        role=Role.TOOL,
        parts=(ToolResponsePart(event.call_id, event.text, event.is_error),),
    )
    return _step(state, limits, result)
