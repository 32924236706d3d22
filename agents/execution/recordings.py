"""Recordings: what models answered and tools gave in an earlier run, to play a replay from."""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import msgspec

from agents.contracts import (
    EditKind,
    FinishReason,
    Message,
    Role,
    RunErrorCode,
    RunState,
    ToolResponsePart,
)
from agents.engine.history import message_of
from agents.engine.loop import NUDGE, ModelFailed
from agents.execution.context import LedgerRow, Recorded, is_answer
from agents.models import Checkpoint, Run, RunEdit
from agents.models import Message as MessageRow
from agents.providers.replay import RecordedAnswer
from plugins.selectors import calls_of_runs

NOTHING = Message(role=Role.ASSISTANT, parts=())


def recording_of(run_id: UUID) -> Recorded:
    """Read a finished run back as answers and outcomes, keyed by their place in the history."""
    run = Run.objects.get(pk=run_id)
    rows = MessageRow.objects.filter(run_id=run_id, position__gte=_begins_at(run))
    messages = [
        (row.position, message_of(row.role, row.parts)) for row in rows.order_by("position")
    ]
    answered_at = {
        part.id: position
        for position, message in messages
        for part in message.parts
        if isinstance(part, ToolResponsePart)
    }
    ledger = [row for _, row in calls_of_runs([run.pk])]
    return Recorded(
        answers=tuple(_answers(run, [message for _, message in messages])),
        outcomes={
            (row.position, row.index): msgspec.convert(row, LedgerRow, from_attributes=True)
            for row in ledger
        },
        order={
            (row.position, row.index): answered_at.get(row.provider_call_id, 0) for row in ledger
        },
        added=_added(run, dict(messages)),
        end=_end(run),
    )


def _added(run: Run, messages: Mapping[int, Message]) -> dict[int, str]:
    if not run.debug_version:
        return {}
    edits = RunEdit.objects.filter(run=run, kind=EditKind.ADDED.value)
    places = edits.values_list("position", flat=True)
    return {place: messages[place].text for place in places if place in messages}


def _begins_at(run: Run) -> int:
    """Return where the messages begin that the run did not start with."""
    if run.prefix_run_id is None:
        return 1
    first = Checkpoint.objects.filter(run=run).order_by("sequence").first()
    return run.prefix_length if first is None else first.message_count


def _answers(run: Run, messages: Sequence[Message]) -> Iterator[RecordedAnswer]:
    """Yield every answer, also the empty ones, of which a history keeps only the engine's reply."""
    last = messages[-1] if messages else None
    for message in messages:
        if is_answer(message):
            yield RecordedAnswer(message=message, finish=_finish(run, message, message is last))
        elif message.role is Role.USER and message.text == NUDGE:
            yield RecordedAnswer(message=NOTHING)
    is_said = last is not None and is_answer(last) and not last.tool_calls
    if run.error_code == RunErrorCode.EMPTY_ANSWER:
        yield RecordedAnswer(message=NOTHING)
    elif run.error_code == RunErrorCode.CONTENT_FILTER and not is_said:
        yield RecordedAnswer(message=NOTHING, finish=FinishReason.CONTENT_FILTER)


def _finish(run: Run, message: Message, is_last: bool) -> FinishReason:
    """Tell from what followed how an answer ended."""
    if message.tool_calls:
        return FinishReason.TOOL_CALLS
    if not is_last:
        return FinishReason.CONTINUE  # words alone are followed by nothing else
    if run.state == RunState.SUCCEEDED.value:
        return (
            FinishReason.LENGTH if run.error_code == RunErrorCode.OUTPUT_CUT else FinishReason.STOP
        )
    if run.error_code == RunErrorCode.CONTENT_FILTER:
        return FinishReason.CONTENT_FILTER
    return FinishReason.CONTINUE


def _end(run: Run) -> ModelFailed:
    """Say what a replay hears when it asks for more than the run was told."""
    if run.state == RunState.FAILED.value:
        return ModelFailed(code=run.error_code, sentence=run.reason, is_retryable=False)
    return ModelFailed(
        code=RunErrorCode.REPLAY_ENDED,
        sentence=f"The recorded run {run.state} at this place; its record ends here.",
        is_retryable=False,
    )
