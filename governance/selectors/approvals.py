"""Approvals: the inbox, and what one is bound to."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from core import clock
from governance import access
from governance.contracts import Actor, ApprovalState, Binding, Perm
from governance.models import Approval, Membership, User


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Somebody before the approvals of one workspace, by authentication only: what they may be
    called in lists of approvers, and what they may do."""

    user_id: UUID | None
    names: frozenset[str]
    held: frozenset[Perm]

    def is_named(self, approval: Approval) -> bool:
        """Say whether the approval names this person, or names nobody."""
        return not approval.approvers or not self.names.isdisjoint(approval.approvers)

    def is_requester(self, approval: Approval) -> bool:
        return self.user_id == approval.requester_id

    def may_decide(self, approval: Approval) -> bool:
        """Say whether they could decide it now, for showing; the service asks for itself."""
        is_late = approval.expires_at is not None and approval.expires_at <= clock.now()
        if approval.state != ApprovalState.PENDING.value or is_late:
            return False
        if self.is_requester(approval) and not approval.allow_self:
            return False
        return {Perm.APPROVAL_DECIDE, Perm.RUN_PAYLOAD} <= self.held and self.is_named(approval)


def decider_of(actor: Actor, workspace_id: UUID) -> Decider:
    """Look the actor up as a decider of a workspace."""
    user = None
    if actor.user_id is not None:
        user = User.objects.filter(pk=actor.user_id, is_active=True).first()
    names: set[str] = set()
    if user is not None:
        names = {f"user:{user.username}"}
        names |= {f"group:{name}" for name in user.groups.values_list("name", flat=True)}
        roles = Membership.objects.filter(user=user, workspace_id=workspace_id)
        names |= {f"role:{name}" for name in roles.values_list("roles__name", flat=True) if name}
    return Decider(
        user_id=None if user is None else user.pk,
        names=frozenset(names),
        held=access.permissions_of(actor, workspace_id),
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
