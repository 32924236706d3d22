"""Each event in each phase: exactly what is decided, appended and asked for."""

from decimal import Decimal

import msgspec
import pytest

from agents.contracts import (
    FinishReason,
    Message,
    Part,
    ReasoningPart,
    Role,
    RunErrorCode,
    RunState,
    TextPart,
    ToolCallPart,
    ToolResponsePart,
    Usage,
    user_message,
)
from agents.engine.loop import (
    NUDGE,
    AskModel,
    CallTools,
    Finish,
    ModelAnswered,
    ModelFailed,
    RetryLater,
    Started,
    Step,
    ToolSettled,
    YieldRun,
    advance,
    exceeded,
    pending,
)
from agents.engine.state import EngineState, Limits, Phase, Verdict

LIMITS = Limits()
ASKING = EngineState(message_count=1)


def said(*parts: Part) -> Message:
    return Message(role=Role.ASSISTANT, parts=parts)


def answered(
    *parts: Part,
    finish: FinishReason = FinishReason.STOP,
    usage: Usage | None = None,
    cost_usd: Decimal | None = Decimal("0.5"),
) -> ModelAnswered:
    return ModelAnswered(
        message=said(*parts),
        usage=usage or Usage(input_tokens=10, output_tokens=2, cache_read_tokens=3),
        finish=finish,
        cost_usd=cost_usd,
    )


def call(number: int) -> ToolCallPart:
    return ToolCallPart(id=f"c{number}", name="view", arguments={"n": number})


def failed(**fields: object) -> ModelFailed:
    known = {"code": "provider_overloaded", "sentence": "It is busy.", "is_retryable": True}
    return msgspec.convert({**known, **fields}, ModelFailed)


def after(state: EngineState, **changes: object) -> EngineState:
    return msgspec.structs.replace(state, **changes)


def test_the_input_is_the_first_message_and_the_model_is_asked() -> None:
    step = advance(EngineState(), Started(input="Go."), LIMITS)

    assert step == Step(EngineState(message_count=1), (user_message("Go."),), AskModel())


def test_text_ends_the_run() -> None:
    step = advance(ASKING, answered(TextPart("Done.")), LIMITS)

    verdict = Verdict(state=RunState.SUCCEEDED, output="Done.")
    assert step.command == Finish(verdict)
    assert step.messages == (said(TextPart("Done.")),)
    assert step.state == EngineState(
        phase=Phase.DONE,
        iteration=1,
        message_count=2,
        usage=Usage(input_tokens=10, output_tokens=2, cache_read_tokens=3),
        cost_usd=Decimal("0.5"),
        verdict=verdict,
    )


def test_an_unknown_price_makes_the_cost_a_floor_for_good() -> None:
    first = advance(ASKING, answered(call(0), cost_usd=None), LIMITS).state
    second = advance(first, ToolSettled(index=0, call_id="c0", text="x"), LIMITS).state
    third = advance(second, answered(TextPart("y"), cost_usd=Decimal(1)), LIMITS).state

    assert (first.cost_usd, first.cost_is_partial) == (Decimal(0), True)
    assert (third.cost_usd, third.cost_is_partial) == (Decimal(1), True)


def test_usage_adds_up() -> None:
    first = advance(ASKING, answered(TextPart("a"), finish=FinishReason.CONTINUE), LIMITS).state
    usage = Usage(output_tokens=5, cache_write_tokens=1, reasoning_tokens=4)
    second = advance(first, answered(TextPart("b"), usage=usage), LIMITS).state

    assert second.usage == Usage(
        input_tokens=10,
        output_tokens=7,
        cache_read_tokens=3,
        cache_write_tokens=1,
        reasoning_tokens=4,
    )
    assert second.usage.total_tokens == 17
    assert second.iteration == 2


@pytest.mark.parametrize("finish", list(FinishReason))
def test_calls_are_made_whatever_the_vendor_calls_the_end(finish: FinishReason) -> None:
    state = after(ASKING, empties=1, failures=2, message_count=4)
    step = advance(state, answered(TextPart("I look."), call(0), call(1), finish=finish), LIMITS)

    assert step.command == CallTools((0, 1))
    assert step.state.phase is Phase.TOOLS
    assert (step.state.asked_position, step.state.message_count) == (4, 5)
    assert (step.state.empties, step.state.failures) == (0, 0)
    assert step.state.verdict is None


def test_each_outcome_is_a_message_and_the_last_one_asks_again() -> None:
    asked = advance(ASKING, answered(call(0), call(1)), LIMITS).state
    first = advance(asked, ToolSettled(index=1, call_id="c1", text="bad", is_error=True), LIMITS)
    second = advance(first.state, ToolSettled(index=0, call_id="c0", text="good"), LIMITS)

    assert first.command == CallTools((0,))
    assert first.messages == (
        Message(role=Role.TOOL, parts=(ToolResponsePart("c1", "bad", True),)),
    )
    assert second.command == AskModel()
    assert second.messages == (
        Message(role=Role.TOOL, parts=(ToolResponsePart("c0", "good", False),)),
    )
    assert (second.state.phase, second.state.open_calls) == (Phase.MODEL, ())
    assert second.state.message_count == 4


def test_a_paused_turn_is_continued() -> None:
    step = advance(ASKING, answered(TextPart("half"), finish=FinishReason.CONTINUE), LIMITS)

    assert step.command == AskModel()
    assert step.messages == (said(TextPart("half")),)
    assert step.state.phase is Phase.MODEL


def test_a_content_filter_fails_the_run_with_what_was_said() -> None:
    finish = FinishReason.CONTENT_FILTER
    step = advance(ASKING, answered(TextPart("I can"), finish=finish), LIMITS)

    verdict = Verdict(
        state=RunState.FAILED,
        output="I can",
        code="content_filter",
        reason="The vendor's content filter stopped the answer. Rephrase the request.",
    )
    assert step.command == Finish(verdict)
    assert step.messages == (said(TextPart("I can")),)
    assert (step.state.phase, step.state.verdict) == (Phase.DONE, verdict)


def test_a_content_filter_that_left_nothing_leaves_no_message() -> None:
    step = advance(ASKING, answered(finish=FinishReason.CONTENT_FILTER), LIMITS)

    assert step.messages == ()
    assert step.state.message_count == 1
    assert isinstance(step.command, Finish)
    assert step.command.verdict.code == "content_filter"


def test_a_cut_answer_succeeds_and_says_that_it_was_cut() -> None:
    step = advance(ASKING, answered(TextPart("And so"), finish=FinishReason.LENGTH), LIMITS)

    assert step.command == Finish(
        Verdict(
            state=RunState.SUCCEEDED,
            output="And so",
            code="output_cut",
            reason="The answer was cut at the vendor's output limit. Raise max_output_tokens.",
        )
    )


@pytest.mark.parametrize("parts", [(), (TextPart(" \n"),), (ReasoningPart("hm"),)])
def test_an_empty_answer_is_dropped_and_asked_for_again_once(parts: tuple[Part, ...]) -> None:
    first = advance(ASKING, answered(*parts), LIMITS)
    second = advance(first.state, answered(*parts), LIMITS)

    assert first.command == AskModel()
    assert first.messages == (user_message(NUDGE),)
    assert (first.state.empties, first.state.iteration, first.state.message_count) == (1, 1, 2)
    verdict = Verdict(
        state=RunState.FAILED,
        code="empty_answer",
        reason="The model gave 2 empty answers in a row. "
        "Look at the prompt, or try another model by forking the run.",
    )
    assert (second.command, second.messages) == (Finish(verdict), ())
    assert (second.state.phase, second.state.message_count) == (Phase.DONE, 2)


def test_words_between_empty_answers_start_the_count_again() -> None:
    state = advance(ASKING, answered(), LIMITS).state
    state = advance(state, answered(call(0)), LIMITS).state
    state = advance(state, ToolSettled(index=0, call_id="c0", text="x"), LIMITS).state

    assert advance(state, answered(), LIMITS).command == AskModel()


@pytest.mark.parametrize(
    ("failures", "retry_after", "seconds"),
    [
        (0, None, 2.0),
        (1, None, 10.0),
        (2, None, 60.0),
        (3, None, 300.0),
        (9, None, 300.0),
        (0, 7.5, 7.5),
        (4, 0.0, 0.0),
        (0, -3.0, 0.0),
    ],
)
def test_a_passing_failure_is_tried_again_later(
    failures: int, retry_after: float | None, seconds: float
) -> None:
    state = after(ASKING, failures=failures)
    step = advance(state, failed(retry_after_seconds=retry_after), Limits(model_retries=10))

    assert step == Step(after(state, failures=failures + 1), (), RetryLater(seconds, "It is busy."))
    assert pending(step.state, LIMITS) == AskModel()


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (ASKING, failed(is_retryable=False)),
        (after(ASKING, failures=3), failed()),
    ],
)
def test_a_lasting_failure_or_one_too_many_ends_the_run(
    state: EngineState, event: ModelFailed
) -> None:
    step = advance(state, event, LIMITS)

    verdict = Verdict(state=RunState.FAILED, code="provider_overloaded", reason="It is busy.")
    assert step.command == Finish(verdict)
    assert step.messages == ()
    assert step.state == after(
        state, failures=state.failures + 1, phase=Phase.DONE, verdict=verdict
    )


def test_an_answer_ends_the_row_of_failures() -> None:
    step = advance(after(ASKING, failures=3), answered(call(0)), LIMITS)

    assert step.state.failures == 0


@pytest.mark.parametrize(
    ("state", "limits", "limit", "sentence"),
    [
        (
            after(ASKING, iteration=25),
            LIMITS,
            "max_iterations",
            (
                "The run used its 25 model calls without finishing. "
                "Resume it with a higher max_iterations to let it go on."
            ),
        ),
        (
            after(ASKING, iteration=1),
            Limits(max_iterations=1),
            "max_iterations",
            (
                "The run used its 1 model call without finishing. "
                "Resume it with a higher max_iterations to let it go on."
            ),
        ),
        (
            after(ASKING, usage=Usage(input_tokens=60, output_tokens=40)),
            Limits(max_tokens=100),
            "max_tokens",
            (
                "The run used 100 of its 100 tokens. "
                "Resume it with a higher max_tokens to let it go on."
            ),
        ),
    ],
)
def test_a_limit_that_is_reached_stops_the_next_model_call(
    state: EngineState, limits: Limits, limit: str, sentence: str
) -> None:
    assert exceeded(state, limits) == YieldRun(RunErrorCode(limit), sentence)
    assert pending(state, limits) == YieldRun(RunErrorCode(limit), sentence)


def test_just_below_every_limit_the_model_is_asked() -> None:
    state = after(
        ASKING,
        iteration=24,
        usage=Usage(input_tokens=60, output_tokens=39),
    )

    assert pending(state, Limits(max_tokens=100)) == AskModel()


def test_money_is_no_limit_of_the_loop() -> None:
    """It is set aside by whoever asks the model, before it is spent."""
    state = after(ASKING, cost_usd=Decimal("0.30"), cost_is_partial=True)

    assert pending(state, Limits(max_cost_usd=Decimal("0.3"))) == AskModel()


def test_a_reached_limit_stops_neither_open_calls_nor_the_end() -> None:
    limits = Limits(max_iterations=1)
    calling = advance(ASKING, answered(call(0)), limits)
    done = advance(ASKING, answered(TextPart("Done.")), limits)

    assert calling.command == CallTools((0,))
    assert isinstance(done.command, Finish)
    settled = advance(calling.state, ToolSettled(index=0, call_id="c0", text="x"), limits)
    assert isinstance(settled.command, YieldRun)


TOOLS = EngineState(phase=Phase.TOOLS, message_count=2, asked_position=1, open_calls=(0,))
DONE = EngineState(
    phase=Phase.DONE, message_count=2, verdict=Verdict(state=RunState.SUCCEEDED, output="x")
)


@pytest.mark.parametrize(
    ("state", "event", "sentence"),
    [
        (TOOLS, answered(TextPart("x")), "A model answered in phase tools"),
        (DONE, answered(TextPart("x")), "A model answered in phase done"),
        (TOOLS, failed(), "A model failed in phase tools"),
        (DONE, failed(), "A model failed in phase done"),
        (ASKING, ToolSettled(index=0, call_id="c0", text="x"), "Call 0 is not open"),
        (TOOLS, ToolSettled(index=1, call_id="c1", text="x"), "Call 1 is not open"),
        (TOOLS, Started(input="x"), "A run began that has begun"),
        (DONE, Started(input="x"), "A run began that has begun"),
    ],
)
def test_what_cannot_happen_is_a_defect_of_the_caller(
    state: EngineState, event: object, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        advance(state, event, LIMITS)  # type: ignore[arg-type]  # one of the four events each


def test_a_verdict_is_what_a_done_state_asks_for() -> None:
    assert DONE.verdict is not None
    assert pending(DONE, Limits(max_iterations=1)) == Finish(DONE.verdict)


def test_a_state_survives_storage() -> None:
    for state in (ASKING, TOOLS, DONE, after(ASKING, cost_usd=Decimal("0.10"))):
        stored = msgspec.json.encode(state)
        assert msgspec.json.decode(stored, type=EngineState) == state
