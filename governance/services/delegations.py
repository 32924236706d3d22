"""Delegations: while one person is away, another decides for them."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from core import clock
from core.errors import InvalidInputError, NotFoundError, PermissionDeniedError, StaleStateError
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.models import Delegation, User, Workspace
from governance.services.audit import audit_append
from governance.services.known_secrets import secrets_learn

MAX_DAYS = 366
MAX_REASON_CHARS = 500


def delegation_create(
    *,
    actor: Actor,
    workspace: Workspace,
    delegate: str,
    until_at: datetime,
    from_at: datetime | None = None,
    delegator: str = "",
    reason: str = "",
) -> Delegation:
    """Let `delegate` decide for somebody who is away: the actor, or whom an admin names.

    Raises:
        PermissionDeniedError: Lending for others takes `workspace.manage`.
        InvalidInputError: No such member, one who may not see what is asked, or no such time.
    """
    access.require(actor, Perm.APPROVAL_VIEW, workspace)
    secrets_learn([workspace.pk])
    now = clock.now()
    begins = from_at or now
    _check_time(begins, until_at, now)
    with transaction.atomic():
        away = _away(actor, workspace, delegator)
        other = User.objects.filter(username=delegate, is_active=True).first()
        if other is None or not access.sees(access.actor_of_user(other), workspace):
            raise _refused("delegate", f"There is no member {delegate[:150]!r} in this workspace.")
        if other.pk == away.pk:
            raise _refused("delegate", "Nobody decides for themselves while they are away.")
        _require(away, workspace, {Perm.APPROVAL_DECIDE}, "delegator", "may not decide here")
        sees = {Perm.APPROVAL_VIEW, Perm.RUN_PAYLOAD}
        _require(other, workspace, sees, "delegate", "may not see what is asked here")
        row = Delegation.objects.create(
            workspace=workspace,
            delegator=away,
            delegate=other,
            from_at=begins,
            until_at=until_at,
            reason=redact_text(reason.strip())[:MAX_REASON_CHARS],
            created_at=now,
            created_by_name=actor.username,
        )
        _record(actor, row, "lent")
    return row


def delegation_end(*, actor: Actor, delegation_id: UUID) -> Delegation:
    """End a delegation before its time: by who is away, who stands for them, or an admin.

    Raises:
        StaleStateError: It has ended already.
    """
    rows = access.scope(actor, Perm.APPROVAL_VIEW, Delegation.objects.all())
    row = rows.filter(pk=delegation_id).first()
    if row is None:
        raise NotFoundError(
            f"There is no delegation {delegation_id}.", remedy="List the delegations."
        )
    if actor.user_id not in {row.delegator_id, row.delegate_id} or actor.scopes is not None:
        access.require(actor, Perm.WORKSPACE_MANAGE, row.workspace_id)
    now = clock.now()
    with transaction.atomic():
        running = Delegation.objects.filter(pk=row.pk, ended_at=None, until_at__gt=now)
        ended = running.update(ended_at=now, ended_by_name=actor.username)
        row.refresh_from_db()
        if not ended:
            by = f" by {row.ended_by_name}" if row.ended_by_name else ""
            raise StaleStateError(
                f"The delegation has ended already{by}.", detail={"by": row.ended_by_name}
            )
        _record(actor, row, "ended")
    return row


def _away(actor: Actor, workspace: Workspace, delegator: str) -> User:
    own = User.objects.filter(pk=actor.user_id).first() if actor.user_id else None
    if own is not None and delegator in ("", own.username):
        # A narrow token must not lend more than it may do.
        access.require(actor, Perm.APPROVAL_DECIDE, workspace)
        return own
    if not delegator:
        raise PermissionDeniedError(
            "Only a person who is signed in can lend their decisions.", remedy="Sign in."
        )
    access.require(actor, Perm.WORKSPACE_MANAGE, workspace)
    away = User.objects.filter(username=delegator, is_active=True).first()
    if away is None or not access.sees(access.actor_of_user(away), workspace):
        raise _refused("delegator", f"There is no member {delegator[:150]!r} in this workspace.")
    return away


def _require(user: User, workspace: Workspace, perms: set[Perm], field: str, what: str) -> None:
    missing = perms - access.permissions_of(access.actor_of_user(user), workspace)
    if missing:
        needed = ", ".join(sorted(missing))
        raise _refused(field, f"{user.username} {what}; that takes {needed}.")


def _check_time(from_at: datetime, until_at: datetime, now: datetime) -> None:
    if until_at <= from_at:
        raise _refused("until_at", "It ends before it begins.")
    if until_at <= now:
        raise _refused("until_at", "It ends in the past.")
    if until_at - from_at > timedelta(days=MAX_DAYS):
        raise _refused("until_at", f"It lasts longer than {MAX_DAYS} days.")


def _refused(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: [sentence]})


def _record(actor: Actor, row: Delegation, what: str) -> None:
    audit_append(
        actor,
        action=AuditAction.PERMISSION_CHANGED,
        workspace_id=row.workspace_id,
        subject=AuditSubject(
            kind="delegation", id=str(row.pk), label=f"{row.delegate} for {row.delegator}"
        ),
        payload={
            "what": what,
            "delegator": row.delegator.username,
            "delegate": row.delegate.username,
            "from": row.from_at.isoformat(),
            "until": row.until_at.isoformat(),
            "reason": row.reason,
        },
    )
