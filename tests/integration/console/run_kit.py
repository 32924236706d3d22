"""Histories of runs, written as a worker writes them, and the addresses their pages ask."""

from typing import Any

from django.urls import reverse

from agents.models import Message, Run
from core import clock
from observability.contracts import EventKind
from observability.models import TraceEvent


def address(run: Run, name: str, *more: object) -> str:
    return reverse(f"admin:agents_run_{name}", args=[run.pk, *more])


def event(run: Run, kind: EventKind, **payload: Any) -> TraceEvent:
    """Append an event as the journal does: the run's head goes along."""
    run.refresh_from_db()
    row = TraceEvent.objects.create(
        workspace_id=run.workspace_id, run_id=run.pk, sequence=run.head_sequence + 1,
        kind=kind.value, at=clock.now(), payload=payload,
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(head_sequence=row.sequence)
    return row


def answer(run: Run, position: int, text: str, *calls: dict[str, Any]) -> Message:
    """Write an answer of the model and its event, in one commit's time."""
    at = clock.now()
    parts = [{"type": "text", "content": text}, *calls]
    row = Message.objects.create(
        run=run, position=position, role="assistant", parts=parts, created_at=at
    )
    told = event(
        run, EventKind.STEP_MODEL, step=1, model="large", finish="stop", text=text,
        usage={"input_tokens": 30, "output_tokens": 4, "cache_read_tokens": 10},
        cost_usd="0.0015", duration_seconds=1.25,
    )  # fmt: skip
    TraceEvent.objects.filter(pk=told.pk).update(at=at)
    Run.objects.filter(pk=run.pk).update(message_count=position + 1)
    return row


def asked(name: str, number: int = 0, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": f"c{number}", "name": name, "arguments": arguments}


def long_history(run: Run, count: int) -> None:
    now = clock.now()
    Message.objects.bulk_create(
        Message(run=run, position=n, role="user" if n % 2 == 0 else "assistant", created_at=now,
                parts=[{"type": "text", "content": f"sentence {n:03}"}])
        for n in range(count)
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(message_count=count)
