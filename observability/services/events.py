"""Appending trace events outside the journal: moves that no worker makes."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from django.db import transaction

from core import clock
from observability.contracts import Announcement, EventKind, Payload
from observability.live import announce
from observability.models import Blob, TraceEvent
from observability.recorder import BlobRow, event_row


def event_append(
    *,
    workspace_id: UUID,
    run_id: UUID,
    sequence: int,
    kind: EventKind,
    payload: Payload,
) -> None:
    """Insert one event, redacted and bounded, and announce it after the commit.

    The caller holds the run's row lock (it has just raised the run's head to `sequence` in this
    transaction), which is what makes the sequence dense.
    """
    row = event_row(
        workspace_id=workspace_id,
        run_id=run_id,
        sequence=sequence,
        kind=kind,
        at=clock.now(),
        payload=payload,
    )
    blobs_store(row.blobs)
    TraceEvent.objects.create(
        workspace_id=workspace_id,
        run_id=run_id,
        sequence=sequence,
        kind=row.kind,
        at=row.at,
        payload=msgspec.json.decode(row.payload),
    )
    news = Announcement(workspace_id, run_id, sequence)
    transaction.on_commit(lambda: announce([news]))


def blobs_store(rows: Sequence[BlobRow]) -> None:
    """Store texts that events refer to; one that is already there stays as it is."""
    if rows:
        Blob.objects.bulk_create(
            [
                Blob(
                    workspace_id=row.workspace_id,
                    digest=row.digest,
                    size_bytes=len(row.content),
                    media_type=row.media_type,
                    content=row.content,
                )
                for row in rows
            ],
            ignore_conflicts=True,
        )
