"""Recordings: what models answered and tools gave in an earlier run, for a replay without effects."""

from uuid import UUID

import msgspec

from agents.contracts import FinishReason, Usage
from agents.execution.context import LedgerRow, Recorded, is_answer, message_of
from agents.models import Message, Run
from plugins.selectors import calls_of_runs


def recording_of(run_id: UUID) -> Recorded:
    """Read a finished run back as answers and outcomes, keyed by their place in the history."""
    run = Run.objects.get(pk=run_id)
    rows = Message.objects.filter(run_id=run_id).order_by("position")
    messages = [message_of(row.role, row.parts) for row in rows]
    answers = []
    for message in messages:
        if is_answer(message):
            finish = FinishReason.TOOL_CALLS if message.tool_calls else FinishReason.STOP
            answers.append((message, Usage(), finish))
    outcomes = {
        (row.position, row.index): msgspec.convert(row, LedgerRow, from_attributes=True)
        for _, row in calls_of_runs([run.pk])
    }
    return Recorded(answers=tuple(answers), outcomes=outcomes)
