"""Approvals: the inbox, and what one is bound to."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from governance import access
from governance.contracts import Actor, ApprovalState, Binding, Perm
from governance.models import Approval


def approval_list(actor: Actor) -> QuerySet[Approval]:
    """Return the approvals of the workspaces where the actor may see them, newest first."""
    rows = Approval.objects.select_related("workspace").prefetch_related("votes__user")
    return access.scope(actor, Perm.APPROVAL_VIEW, rows)


def approval_binding(approval_id: UUID) -> Binding | None:
    """Return what an approval is bound to, for whoever is about to use it."""
    row = Approval.objects.filter(pk=approval_id).first()
    if row is None:
        return None
    return Binding(
        approval_id=row.pk,
        state=ApprovalState(row.state),
        digest=row.binding_digest,
        facts=row.binding,
    )


def difference(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """Return where two arguments differ: the place, what was asked, what is put instead."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for name in sorted({*before, *after}):
            place = f"{path}.{name}" if path else name
            found += difference(before.get(name), after.get(name), place)
        return found
    if before == after:
        return []
    return [{"path": path, "before": before, "after": after}]
