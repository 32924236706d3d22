"""A provider that answers from a record: what a finished run was told, in the same order.

Nothing is asked of a vendor. A run that goes another way than the recorded one is stopped with a
sentence that names the place, never answered by guess.
"""

from collections.abc import AsyncGenerator, Sequence

import msgspec

from agents.contracts import (
    Completed,
    CompletionRequest,
    Delta,
    FinishReason,
    Message,
    ReasoningDelta,
    ReasoningPart,
    Role,
    TextDelta,
    TextPart,
    ToolCallDelta,
    Usage,
)
from agents.errors import ProviderRequestError


class RecordedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    message: Message
    usage: Usage = Usage()
    finish: FinishReason = FinishReason.STOP
    model: str = ""


class ReplayProvider:
    """A `Provider` that repeats `record`.

    `answers_before` is how many assistant messages the history held before the recorded run
    began (a session's earlier runs); the rest of the history tells which answer is due.
    """

    def __init__(self, record: Sequence[RecordedAnswer], *, answers_before: int = 0) -> None:
        self._record = tuple(record)
        self._before = answers_before

    def __repr__(self) -> str:
        return f"ReplayProvider({len(self._record)} answers)"

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        answer = self._due(request)
        for part in answer.message.parts:
            if isinstance(part, TextPart):
                yield TextDelta(part.content)
            elif isinstance(part, ReasoningPart) and part.content:
                yield ReasoningDelta(part.content)
        for index, call in enumerate(answer.message.tool_calls):
            yield ToolCallDelta(index=index, id=call.id, name=call.name)
        yield Completed(
            message=answer.message,
            usage=answer.usage,
            finish=answer.finish,
            model=answer.model or request.model,
        )

    async def aclose(self) -> None:
        """Nothing is open."""

    def _due(self, request: CompletionRequest) -> RecordedAnswer:
        given = [message for message in request.messages if message.role is Role.ASSISTANT]
        position = len(given) - self._before
        if position < 0:
            raise ProviderRequestError(
                f"The replay expects {self._before} answers from before the recorded run, but the "
                f"history holds {len(given)}.",
                remedy="Replay with the history the recorded run began with.",
            )
        for number, message in enumerate(given[self._before :]):
            # Beyond the record there is nothing to compare with; the check below speaks then.
            if number < len(self._record) and _calls(message) != _calls(
                self._record[number].message
            ):
                raise ProviderRequestError(
                    f"The run has left its record at answer {number + 1}: its tool calls are not "
                    "the recorded ones.",
                    remedy="Replay an unchanged history, or fork the run with a real provider.",
                )
        if position >= len(self._record):
            raise ProviderRequestError(
                f"The run asks for answer {position + 1}, but its record holds "
                f"{len(self._record)}.",
                remedy="It went another way than the recorded run: compare the tool results, or "
                "fork the run with a real provider.",
            )
        return self._record[position]


def _calls(message: Message) -> list[tuple[str, str]]:
    return [(call.id, call.name) for call in message.tool_calls]
