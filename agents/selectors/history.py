"""Reading one run's history: messages, checkpoints and children.

The caller has checked that the run may be seen.
"""

from django.db.models import Q, QuerySet

from agents.models import Checkpoint, Message, Run, RunEdit
from agents.selectors.edits import NO_CUT, as_seen
from core.errors import NotFoundError

# What is read of a run that a fork refers to.
PREFIX = ("pk", "prefix_run_id", "prefix_length", "forked_from_sequence", "debug_version")
_MAX_PREFIXES = 200
_MAX_SEQUENCE = 2**31 - 1


def run_messages(run: Run) -> QuerySet[Message]:
    """Return the whole history the run's model sees, through all the prefixes a fork refers to."""
    wanted = Q(run=run)
    cuts = [(run.pk, NO_CUT, NO_CUT)] if run.debug_version else []
    current, length = run, run.prefix_length
    for _ in range(_MAX_PREFIXES):
        if current.prefix_run_id is None:
            break
        wanted |= Q(run_id=current.prefix_run_id, position__lt=length)
        cut = current.forked_from_sequence
        current = Run.objects.only(*PREFIX).get(pk=current.prefix_run_id)
        if current.debug_version:
            cuts.append((current.pk, NO_CUT if cut is None else cut, length))
        length = min(length, current.prefix_length)
    rows = Message.objects.filter(wanted).order_by("position")
    return as_seen(rows, cuts) if cuts else rows


def run_editors(run: Run) -> dict[tuple[int, int | None], str]:
    """Return who changed or added what the run's model sees: by the position of a message, and of
    a call's arguments by that and its index; also in what a fork refers to."""
    found: dict[tuple[int, int | None], str] = {}
    current, cut, length = run, NO_CUT, NO_CUT
    for _ in range(_MAX_PREFIXES):
        if current.debug_version:
            # A fork writes a message anew whose calls were changed: it is just behind the rest.
            near = Q(position__lt=length) | Q(position=length, index__isnull=False)
            edits = RunEdit.objects.filter(near, run_id=current.pk, sequence__lte=cut)
            theirs = edits.order_by("sequence").values_list("position", "index", "edited_by_name")
            found = {(position, index): by for position, index, by in theirs} | found
        if current.prefix_run_id is None:
            break
        length = min(length, current.prefix_length)
        cut = NO_CUT if current.forked_from_sequence is None else current.forked_from_sequence
        current = Run.objects.only(*PREFIX).get(pk=current.prefix_run_id)
    return found


def run_checkpoints(run: Run) -> QuerySet[Checkpoint]:
    return Checkpoint.objects.filter(run=run).order_by("sequence")


def run_checkpoint(run: Run, sequence: int) -> Checkpoint:
    """Return one checkpoint of a run.

    Raises:
        NotFoundError: It has no such one.
    """
    if sequence <= _MAX_SEQUENCE:
        found = Checkpoint.objects.filter(run=run, sequence=sequence).first()
        if found is not None:
            return found
    raise NotFoundError(f"The run has no checkpoint {sequence}.", remedy="List its checkpoints.")


def run_children(run: Run) -> QuerySet[Run]:
    return Run.objects.filter(parent=run).select_related("version", "requested_by")
