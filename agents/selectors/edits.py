"""What people changed about runs that stood still, and histories with it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery

from agents.contracts import EditKind, Message
from agents.engine.history import message_of
from agents.models import Message as MessageRow
from agents.models import Run, RunEdit

NO_CUT = 2**31 - 1


def run_edits(run: Run) -> QuerySet[RunEdit]:
    """Return what was changed about a run, oldest first."""
    return RunEdit.objects.filter(run=run).order_by("sequence")


def amended(run_id: UUID, messages: Sequence[Message], *, upto: int | None = None) -> list[Message]:
    """Return the first messages of a run as its model sees them, as of checkpoint `upto`."""
    result = list(messages)
    edits = RunEdit.objects.filter(
        run_id=run_id, kind=EditKind.MESSAGE.value, sequence__lte=NO_CUT if upto is None else upto
    )
    for edit in edits.order_by("sequence"):
        if edit.position < len(result):
            result[edit.position] = message_of(result[edit.position].role.value, edit.after)
    return result


def calls_changed(
    run: Run, position: int, indexes: Sequence[int], *, upto: int
) -> dict[int, dict[str, Any]]:
    """Return the arguments that people gave these calls by checkpoint `upto`, by index."""
    if not run.debug_version:
        return {}
    edits = RunEdit.objects.filter(
        run=run,
        kind=EditKind.ARGUMENTS.value,
        position=position,
        index__in=list(indexes),
        sequence__lte=upto,
    )
    return {edit.index: edit.after for edit in edits.order_by("sequence") if edit.index is not None}


def as_seen(
    rows: QuerySet[MessageRow], cuts: Sequence[tuple[UUID, int, int]]
) -> QuerySet[MessageRow]:
    """Have messages be read as edited: by each run up to its checkpoint, in its first so many.

    A fork may change what its origin wrote, so positions count over the whole history.
    """
    if not RunEdit.objects.filter(
        run_id__in=[run_id for run_id, _, _ in cuts], kind=EditKind.MESSAGE.value
    ).exists():
        return rows
    wanted = Q(pk__in=[])
    for run_id, cut, length in cuts:
        wanted |= Q(run_id=run_id, sequence__lte=cut, position__lt=length)
    # Ids grow with time: what a fork changed comes after what its origin had changed by then.
    edits = RunEdit.objects.filter(
        wanted, kind=EditKind.MESSAGE.value, position=OuterRef("position")
    ).order_by("-run_id", "-sequence")
    return rows.annotate(edited_parts=Subquery(edits.values("after")[:1]))


def as_seen_of_each(rows: QuerySet[MessageRow]) -> QuerySet[MessageRow]:
    """Have messages be read as the run that wrote them saw them at last."""
    edits = RunEdit.objects.filter(
        run_id=OuterRef("run_id"), kind=EditKind.MESSAGE.value, position=OuterRef("position")
    ).order_by("-sequence")
    return rows.annotate(edited_parts=Subquery(edits.values("after")[:1]))
