"""Owning a run in a transaction of one's own, beside what the journal writes for its driver."""

from uuid import UUID

from agents.contracts import RunState
from agents.models import Run
from core.errors import LeaseLostError


def lock_owned(run_id: UUID, *, fence: int) -> None:
    """Lock a run that this fence owns, until the transaction ends.

    Raises:
        LeaseLostError: It runs under another fence, or not at all; nothing is to be written.
    """
    owned = Run.objects.select_for_update().filter(
        pk=run_id, fence=fence, state=RunState.RUNNING.value
    )
    if not owned.values_list("pk").first():
        raise LeaseLostError(f"The run {run_id} is no longer owned by this worker.")
