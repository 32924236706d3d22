"""Whatever happens to a run, in whatever order: the invariants of its state hold."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from agents.contracts import (
    FinishReason,
    Message,
    Role,
    RunState,
    TextPart,
    ToolCallPart,
    ToolResponsePart,
    Usage,
)
from agents.engine.loop import (
    AskModel,
    CallTools,
    Command,
    Event,
    Finish,
    ModelAnswered,
    ModelFailed,
    RetryLater,
    Started,
    ToolSettled,
    YieldRun,
    advance,
    pending,
)
from agents.engine.state import EngineState, Limits, Phase

prices = st.none() | st.decimals(0, 2, places=4)
usages = st.builds(Usage, input_tokens=st.integers(0, 50), output_tokens=st.integers(0, 50))
limits_given = st.builds(
    Limits,
    max_iterations=st.integers(1, 6),
    max_tokens=st.none() | st.integers(1, 300),
    max_cost_usd=st.none() | st.decimals("0.01", 4, places=2),
    model_retries=st.integers(0, 3),
)


class RunLife(RuleBasedStateMachine):
    """A run fed with every event its state allows; the history is what its driver would keep."""

    def __init__(self) -> None:
        super().__init__()
        self.state = EngineState()
        self.limits = Limits()
        self.history: list[Message] = []
        self.command: Command = AskModel()
        self.spent = (Decimal(0), 0)
        self.answers = 0
        self.calls = 0

    def take(self, event: Event) -> None:
        before = msgspec.json.encode(self.state)
        step = advance(self.state, event, self.limits)
        assert msgspec.json.encode(self.state) == before, (
            "a decision changed the state it was given"
        )
        assert step == advance(self.state, event, self.limits), "a decision is not repeatable"
        self.state, self.command = step.state, step.command
        self.history += step.messages

    @initialize(limits=limits_given)
    def begin(self, limits: Limits) -> None:
        self.limits = limits
        self.take(Started(input="Go."))

    @precondition(lambda self: isinstance(self.command, AskModel))
    @rule(
        text=st.sampled_from(["", "  ", "words"]),
        calls=st.integers(0, 4),
        finish=st.sampled_from(FinishReason),
        usage=usages,
        cost=prices,
    )
    def answer(
        self, text: str, calls: int, finish: FinishReason, usage: Usage, cost: Decimal | None
    ) -> None:
        parts: list[Any] = [TextPart(text)] if text else []
        parts += [
            ToolCallPart(id=f"{self.answers}/{index}", name="t", arguments={})
            for index in range(calls)
        ]
        self.answers += 1
        self.calls += calls
        self.spent = (self.spent[0] + (cost or 0), self.spent[1] + usage.total_tokens)
        message = Message(role=Role.ASSISTANT, parts=tuple(parts))
        self.take(ModelAnswered(message=message, usage=usage, finish=finish, cost_usd=cost))

    @precondition(lambda self: isinstance(self.command, AskModel))
    @rule(is_retryable=st.booleans(), after=st.none() | st.floats(-1, 9))
    def fail(self, is_retryable: bool, after: float | None) -> None:
        self.take(
            ModelFailed(
                code="x", sentence="No.", is_retryable=is_retryable, retry_after_seconds=after
            )
        )

    @precondition(lambda self: isinstance(self.command, CallTools))
    @rule(choice=st.integers(0, 3), is_error=st.booleans())
    def settle(self, choice: int, is_error: bool) -> None:
        index = self.state.open_calls[choice % len(self.state.open_calls)]
        asked = self.history[self.state.asked_position].tool_calls
        self.take(ToolSettled(index=index, call_id=asked[index].id, text="r", is_error=is_error))

    @precondition(lambda self: isinstance(self.command, RetryLater))
    @rule()
    def wake(self) -> None:
        assert isinstance(self.command, RetryLater)
        assert self.command.seconds >= 0
        self.command = pending(self.state, self.limits)

    @precondition(lambda self: isinstance(self.command, YieldRun))
    @rule()
    def raise_limits(self) -> None:
        self.limits = msgspec.structs.replace(
            self.limits,
            max_iterations=self.state.iteration + 2,
            max_tokens=None,
            max_cost_usd=None,
        )
        self.command = pending(self.state, self.limits)
        assert self.command == AskModel()

    @precondition(lambda self: self.state.verdict is not None)
    @rule(event=st.sampled_from(["answer", "fail", "settle", "start"]))
    def nothing_follows_the_end(self, event: str) -> None:
        message = Message(role=Role.ASSISTANT, parts=(TextPart("x"),))
        events: dict[str, Event] = {
            "answer": ModelAnswered(
                message=message, usage=Usage(), finish=FinishReason.STOP, cost_usd=None
            ),
            "fail": ModelFailed(code="x", sentence="x", is_retryable=True),
            "settle": ToolSettled(index=0, call_id="x", text="x"),
            "start": Started(input="x"),
        }
        with pytest.raises(ValueError, match=r"^(A|Call) "):
            advance(self.state, events[event], self.limits)

    @invariant()
    def messages_are_counted(self) -> None:
        assert self.state.message_count == len(self.history)

    @invariant()
    def every_call_is_answered_exactly_once_or_open(self) -> None:
        given = [
            part.id
            for message in self.history
            for part in message.parts
            if isinstance(part, ToolResponsePart)
        ]
        asked = [call.id for message in self.history for call in message.tool_calls]
        waiting = []
        if self.state.open_calls:
            calls = self.history[self.state.asked_position].tool_calls
            waiting = [calls[index].id for index in self.state.open_calls]
        assert sorted(given + waiting) == sorted(asked)
        assert len(set(given)) == len(given)
        assert len(asked) == self.calls

    @invariant()
    def the_phase_says_what_is_open(self) -> None:
        assert (self.state.phase is Phase.TOOLS) == bool(self.state.open_calls)
        assert (self.state.phase is Phase.DONE) == (self.state.verdict is not None)

    @invariant()
    def the_state_alone_tells_the_next_command(self) -> None:
        stored = msgspec.json.decode(msgspec.json.encode(self.state), type=EngineState)
        assert stored == self.state
        if not isinstance(self.command, RetryLater):
            assert pending(stored, self.limits) == self.command

    @invariant()
    def the_end_is_one_of_two(self) -> None:
        if isinstance(self.command, Finish):
            assert self.command.verdict == self.state.verdict
            assert self.command.verdict.state in {RunState.SUCCEEDED, RunState.FAILED}
            assert self.command.verdict.output or self.command.verdict.reason

    @invariant()
    def what_was_spent_is_known(self) -> None:
        assert (self.state.cost_usd, self.state.usage.total_tokens) == self.spent
        assert self.state.iteration == self.answers

    @invariant()
    def no_stored_answer_is_empty(self) -> None:
        assert all(message.parts for message in self.history)


RunLife.TestCase.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
TestRunLife = RunLife.TestCase
