"""Answers of models, written as workers write them, and what they are summed up to."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from agents.models import Run
from agents.selectors.usage import usage_keys
from governance.models import Workspace
from observability.contracts import EventKind, StepModelPayload, UsageSum
from observability.cursors import Topic
from observability.models import TraceEvent, UsageHour
from observability.selectors.rows import head_of
from observability.selectors.usage import usage_read
from observability.services import event_append, usage_fold
from tests.waiting import wait_for

EVER = datetime(2000, 1, 1, tzinfo=UTC)
NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def answered(run: Run, **fields: Any) -> None:
    """Append what a worker writes when a model has answered."""
    known: dict[str, Any] = {
        "step": 1,
        "model": "script-1",
        "finish": "stop",
        "usage": {"input_tokens": 100, "output_tokens": 10, "cache_read_tokens": 40},
        "cost_usd": "0.00000001",
    }
    with transaction.atomic():
        row = Run.objects.select_for_update().get(pk=run.pk)
        row.head_sequence += 1
        row.save(update_fields=["head_sequence"])
        event_append(
            workspace_id=run.workspace_id,
            run_id=run.pk,
            sequence=row.head_sequence,
            kind=EventKind.STEP_MODEL,
            payload=StepModelPayload(**{**known, **fields}),
        )


def fold(workspace: Workspace) -> int:
    """Fold once nothing that other databases of the server do holds the newest event back."""
    last = TraceEvent.objects.filter(workspace_id=workspace.pk).order_by("txid", "id").last()
    assert last is not None
    wait_for(lambda: head_of(Topic(workspace.pk)) >= (last.txid, last.pk), lambda: "not settled")
    return usage_fold(workspace.pk, usage_keys)


def summed() -> UsageSum:
    """Everything in the hours, which no reader has a part in."""
    total = UsageSum()
    for row in UsageHour.objects.all():
        total += UsageSum(
            calls=row.calls,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cache_read_tokens=row.cache_read_tokens,
            cost_usd=row.cost_usd,
            unknown_calls=row.unknown_calls,
            unknown_input_tokens=row.unknown_input_tokens,
            unknown_output_tokens=row.unknown_output_tokens,
        )
    return total


def seen(workspace: Workspace) -> UsageSum:
    return usage_read(
        [workspace.pk], usage_keys, lambda reader: reader.total(since=EVER, until=NEVER)
    )


def times(count: int) -> UsageSum:
    return UsageSum(
        calls=count,
        input_tokens=100 * count,
        output_tokens=10 * count,
        cache_read_tokens=40 * count,
        cost_usd=count * Decimal("0.00000001"),
    )
