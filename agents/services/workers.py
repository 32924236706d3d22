"""Draining workers, and putting them to work again.

What is asked stands in the worker's row, so that it outlives whoever asked and whichever page they
did it on; the worker looks there. It is asked of one process: the one started in its place works.
"""

from uuid import UUID

from django.db import transaction

from agents.models import Worker
from agents.selectors.workers import worker_is_alive
from core import clock
from core.errors import ConflictError, NotFoundError
from core.pausepoints import reach
from governance.contracts import Actor, AuditAction, AuditSubject
from governance.services.activity import activity_note, recorded_as
from governance.services.audit import audit_append
from governance.services.workspaces import require_site_admin


def worker_drain(actor: Actor, *, worker_id: UUID) -> Worker:
    """Ask a worker to give its runs back at their step boundaries and to take no more.

    Asked of one that was asked already it changes nothing. Of two who ask at once one is noted.

    Raises:
        PermissionDeniedError: The actor is no superuser.
        NotFoundError: There is no such worker; it stopped.
        ConflictError: It has not been heard of lately, so that nobody would read the request.
    """
    require_site_admin(actor, "drain a worker")
    worker = _found(worker_id)
    if not worker_is_alive(worker):
        raise ConflictError(
            f"The worker {worker} has not been heard of since {worker.seen_at:%H:%M:%S} UTC.",
            remedy="Its runs go on elsewhere when their leases end; there is nothing to drain.",
        )
    return _ask(actor, worker, is_drain=True)


def worker_undrain(actor: Actor, *, worker_id: UUID) -> Worker:
    """Take a drain back: the worker keeps the runs it still has, and takes others again.

    Raises:
        PermissionDeniedError: The actor is no superuser.
        NotFoundError: There is no such worker; it stopped.
    """
    require_site_admin(actor, "put a worker to work again")
    return _ask(actor, _found(worker_id), is_drain=False)


def _found(worker_id: UUID) -> Worker:
    worker = Worker.objects.filter(pk=worker_id).first()
    if worker is None:
        raise NotFoundError(
            "There is no such worker; it has stopped.",
            remedy="List the workers again: one that is started anew has another id.",
        )
    return worker


def _ask(actor: Actor, worker: Worker, *, is_drain: bool) -> Worker:
    now = clock.now() if is_drain else None
    reach("drain.before_update")
    with recorded_as(actor), transaction.atomic():
        rows = Worker.objects.filter(pk=worker.pk, drain_asked_at__isnull=is_drain)
        by = actor.username if is_drain else ""
        if rows.update(drain_asked_at=now, drain_asked_by=by):
            before, after = ("no", "yes") if is_drain else ("yes", "no")
            activity_note(worker, {"drain": (before, after)})
            audit_append(
                actor,
                action=AuditAction.WORKER_CHANGED,
                workspace_id=None,
                subject=AuditSubject(kind="worker", id=str(worker.pk), label=worker.name),
                payload={"what": "drained" if is_drain else "put to work again"},
            )
    return _found(worker.pk)
