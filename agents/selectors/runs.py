"""Reading runs; every list is scoped to what the actor may see."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import QuerySet

from agents.models import Run
from agents.transitions import LIVE
from core.errors import NotFoundError
from governance import access
from governance.contracts import Actor, Perm

if TYPE_CHECKING:
    from governance.models import Workspace

_NAMED = ("workspace", "version", "snapshot", "requested_by")


def run_list(*, actor: Actor, workspace: "Workspace | None" = None) -> QuerySet[Run]:
    """Return the runs the actor may see, newest first."""
    runs = access.scope(actor, Perm.RUN_VIEW, Run.objects.all())
    return runs if workspace is None else runs.filter(workspace=workspace)


def run_list_unfinished(*, actor: Actor) -> QuerySet[Run]:
    """Return the runs the actor may see that have not ended, newest first."""
    return run_list(actor=actor).filter(state__in=LIVE)


def run_get(*, actor: Actor, run_id: UUID, workspace: "Workspace | None" = None) -> Run:
    """Return one run.

    Raises:
        NotFoundError: It does not exist, or the actor may not see it.
    """
    run = run_list(actor=actor, workspace=workspace).filter(pk=run_id).first()
    if run is None:
        raise NotFoundError(f"There is no run {run_id}.", remedy="List the runs of the workspace.")
    return run


def runs_from(run_id: UUID) -> list[Run]:
    """Return a run and all runs below it, parents before children; for callers that have asked."""
    found = list(Run.objects.select_related(*_NAMED).filter(pk=run_id))
    level = [run.pk for run in found]
    while level:
        below = Run.objects.select_related(*_NAMED).filter(parent_id__in=level).order_by("id")
        found += below
        level = [run.pk for run in below]
    return found
