"""Approvals: the inbox, and what one is bound to."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from core import clock
from governance import access
from governance.contracts import (
    DECIDING,
    Actor,
    ApprovalKind,
    ApprovalState,
    Binding,
    Perm,
)
from governance.models import Approval, Delegation, Membership, User


def approval_list(actor: Actor) -> QuerySet[Approval]:
    """Return the approvals of the workspaces where the actor may see them, newest first."""
    rows = Approval.objects.select_related("workspace").prefetch_related("votes__user")
    return access.scope(actor, Perm.APPROVAL_VIEW, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQuestion:
    """What is asked of people, without its arguments; `about` is the id of the call."""

    id: UUID
    kind: ApprovalKind
    about: UUID
    title: str
    whom: str
    asked_at: datetime


def questions_of_run(run_id: UUID) -> list[OpenQuestion]:
    """Return what the run asks people now, the oldest first; for who may see the run's reasons."""
    rows = Approval.objects.filter(run_id=run_id, state=ApprovalState.PENDING.value)
    return [
        OpenQuestion(
            id=row.pk,
            kind=ApprovalKind(row.kind),
            about=row.subject_id,
            title=row.title,
            whom=_whom(row),
            asked_at=row.created_at,
        )
        for row in rows.order_by("pk")[:20]
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedQuestion:
    """Arguments an approver has put in the place of those asked for."""

    id: UUID
    before: dict[str, Any]
    after: dict[str, Any]
    by: str
    at: datetime | None


def edit_of(workspace_id: UUID, tool: str, call_id: UUID) -> EditedQuestion | None:
    """Return the last edit of a call's arguments; for who may see them."""
    rows = Approval.objects.filter(
        workspace_id=workspace_id, tool=tool, subject_id=call_id, edited_arguments__isnull=False
    )
    row = rows.order_by("-pk").first()
    if row is None:
        return None
    return EditedQuestion(
        id=row.pk,
        before=row.arguments or {},
        after=row.edited_arguments or {},
        by=row.decided_by_name,
        at=row.decided_at,
    )


def _whom(row: Approval) -> str:
    names = ", ".join(row.approvers) or "whoever may decide"
    return names if row.quorum == 1 else f"{row.quorum} of {names}"


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


def subjects_asked(kind: ApprovalKind) -> set[UUID]:
    """Return what people are asked about at this moment, for whoever asks what is missing."""
    rows = Approval.objects.filter(kind=kind.value, state=ApprovalState.PENDING.value)
    return set(rows.values_list("subject_id", flat=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Somebody before the approvals of one workspace, by authentication only: what they may be
    called in lists of approvers, and what they may do.

    `stands_for` are those who are away and lent them their decisions; what was lent to these is
    not among it. `can_lend` is false where a token leaves out deciding.
    """

    user_id: UUID | None
    username: str
    names: frozenset[str]
    held: frozenset[Perm]
    stands_for: tuple["Decider", ...] = ()
    can_lend: bool = True

    def is_named(self, approval: Approval) -> bool:
        """Say whether the approval names this person, or names nobody."""
        return not approval.approvers or not self.names.isdisjoint(approval.approvers)

    def is_requester(self, approval: Approval) -> bool:
        return self.user_id == approval.requester_id

    def is_barred(self, approval: Approval) -> bool:
        """Say whether they asked for it, or wrote what asks, and may not agree to that."""
        is_owner = approval.owner_id is not None and self.user_id == approval.owner_id
        return (self.is_requester(approval) and not approval.allow_self) or (
            is_owner and not approval.allow_owner
        )

    def is_eligible(self, approval: Approval) -> bool:
        """Say whether it is theirs to decide, in person."""
        needed = {DECIDING[ApprovalKind(approval.kind)], Perm.RUN_PAYLOAD}
        return self.held >= needed and self.is_named(approval) and not self.is_barred(approval)

    def in_place_of(self, approval: Approval) -> "Decider | None":
        """Return for whom they may decide it; themselves, where it is theirs; None: nobody.

        Who stands for others must see what is asked, and be neither who asked nor barred.
        """
        if self.user_id is None or not self.held >= _SEEING or self.is_barred(approval):
            return None
        if self.is_eligible(approval):
            return self
        if not self.can_lend:
            return None
        return next((away for away in self.stands_for if away.is_eligible(approval)), None)

    def may_decide(self, approval: Approval) -> bool:
        """Say whether they could decide it now, for showing; the service asks for itself."""
        return not self.refusal(approval)

    def refusal(self, approval: Approval) -> str:
        """Say why they cannot decide it now, for showing; nothing: they can."""
        if approval.state != ApprovalState.PENDING.value:
            return f"It is {approval.state} already."
        if approval.expires_at is not None and approval.expires_at <= clock.now():
            return "Its time is over."
        if self.in_place_of(approval) is not None:
            return ""
        if Perm.RUN_PAYLOAD not in self.held:
            return "Deciding takes the permission run.payload: nobody decides what they cannot see."
        if self.is_barred(approval):
            did = (
                "asked for this yourself"
                if self.is_requester(approval)
                else "wrote the agent that asks"
            )
            return f"You {did}, so somebody else must decide."
        needed = DECIDING[ApprovalKind(approval.kind)]
        if needed not in self.held:
            return f"Deciding takes the permission {needed}."
        named = ", ".join(approval.approvers) or f"whoever holds {needed}"
        return f"This is for {named} to decide."


_SEEING = frozenset({Perm.APPROVAL_VIEW, Perm.RUN_PAYLOAD})


def decider_of(actor: Actor, workspace_id: UUID) -> Decider:
    """Look the actor up as a decider of a workspace, with those whom they stand for now."""
    return deciders_of(actor, [workspace_id])[workspace_id]


def deciders_of(actor: Actor, workspace_ids: Collection[UUID]) -> dict[UUID, Decider]:
    """Look the actor up as a decider of each workspace; as many queries as for one of them."""
    own = _deciders(actor, workspace_ids)
    lent: dict[User, list[UUID]] = {}
    user_id = next((decider.user_id for decider in own.values()), None)
    for delegation in _delegations(user_id, workspace_ids):
        lent.setdefault(delegation.delegator, []).append(delegation.workspace_id)
    away: dict[UUID, tuple[Decider, ...]] = {}
    for user, places in lent.items():
        for place, decider in _deciders(access.actor_of_user(user), places).items():
            away[place] = (*away.get(place, ()), decider)
    can_lend = actor.scopes is None or Perm.APPROVAL_DECIDE in actor.scopes
    return {
        place: replace(decider, stands_for=away.get(place, ()), can_lend=can_lend)
        for place, decider in own.items()
    }


def _delegations(user_id: UUID | None, workspace_ids: Collection[UUID]) -> list[Delegation]:
    """Return what is lent to somebody at this moment, the oldest first."""
    if user_id is None:
        return []
    now = clock.now()
    rows = Delegation.objects.select_related("delegator").filter(
        delegate_id=user_id, workspace_id__in=workspace_ids, ended_at=None
    )
    current = rows.filter(from_at__lte=now, until_at__gt=now, delegator__is_active=True)
    return list(current.order_by("pk"))


def _deciders(actor: Actor, workspace_ids: Collection[UUID]) -> dict[UUID, Decider]:
    user = None
    if actor.user_id is not None:
        user = User.objects.filter(pk=actor.user_id, is_active=True).first()
    names: set[str] = set()
    roles: dict[UUID, set[str]] = {}
    if user is not None:
        names = {f"user:{user.username}"}
        names |= {f"group:{name}" for name in user.groups.values_list("name", flat=True)}
        rows = Membership.objects.filter(user=user, workspace_id__in=workspace_ids)
        for place, name in rows.values_list("workspace_id", "roles__name"):
            if name:
                roles.setdefault(place, set()).add(f"role:{name}")
    held = _held(actor, workspace_ids)
    return {
        place: Decider(
            user_id=None if user is None else user.pk,
            username=actor.username,
            names=frozenset(names | roles.get(place, set())),
            held=held.get(place, frozenset()),
        )
        for place in workspace_ids
    }


def _held(actor: Actor, workspace_ids: Collection[UUID]) -> dict[UUID, frozenset[Perm]]:
    """Return what the actor may do in each; one question, or none where they may do everything."""
    if len(workspace_ids) > 1 and not actor.is_superuser:
        return access.permissions_by_workspace(actor)
    return {place: access.permissions_of(actor, place) for place in workspace_ids}


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
