"""Appending trace events outside the journal: moves that no worker makes."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models.expressions import RawSQL

from core import clock
from core.redaction import redact_or_withhold
from observability.contracts import Announcement, EventKind
from observability.live import announce
from observability.models import TraceEvent


def event_append(
    *,
    workspace_id: UUID,
    run_id: UUID,
    sequence: int,
    kind: EventKind,
    payload: Mapping[str, Any],
) -> None:
    """Insert one event and announce it after the commit.

    The caller holds the run's row lock (it has just raised the run's head to `sequence` in this
    transaction), which is what makes the sequence dense.
    """
    is_postgres = connection.vendor == "postgresql"
    TraceEvent.objects.create(
        workspace_id=workspace_id,
        run_id=run_id,
        sequence=sequence,
        txid=RawSQL("pg_current_xact_id()::text::bigint", ()) if is_postgres else 0,
        kind=kind.value,
        at=clock.now(),
        payload=redact_or_withhold(dict(payload)),
    )
    news = Announcement(workspace_id, run_id, sequence)
    transaction.on_commit(lambda: announce([news]))
