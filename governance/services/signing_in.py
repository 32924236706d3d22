"""Signing in, as the site's audit chain tells it.

A name that no account has is not kept: people type their password there by mistake.
"""

from governance.access import actor_of_user
from governance.contracts import Actor, AuditAction, AuditSubject
from governance.models import User
from governance.services.audit import audit_append

UNKNOWN = "(no such account)"
NOBODY = Actor(user_id=None, username="")


def signed_in(user: User, address: str) -> None:
    """Append that somebody came in with a password."""
    audit_append(
        actor_of_user(user),
        action=AuditAction.SIGNED_IN,
        workspace_id=None,
        subject=AuditSubject(kind="user", id=str(user.pk), label=user.username),
        payload={"address": address},
    )


def sign_in_failed(account: str, address: str, *, cause: str) -> None:
    """Append that somebody did not come in; the account is named where there is one."""
    user = User.objects.filter(username=account).first()
    subject = AuditSubject(kind="user", label=UNKNOWN)
    if user is not None:
        subject = AuditSubject(kind="user", id=str(user.pk), label=user.username)
    audit_append(
        NOBODY,
        action=AuditAction.SIGN_IN_FAILED,
        workspace_id=None,
        subject=subject,
        payload={"address": address, "cause": cause},
    )


def tokens_failed(address: str, *, count: int) -> None:
    """Append that an address sent more wrong tokens than are answered."""
    audit_append(
        NOBODY,
        action=AuditAction.SIGN_IN_FAILED,
        workspace_id=None,
        subject=AuditSubject(kind="address", id=address),
        payload={"address": address, "cause": f"{count} wrong tokens; no more were looked at"},
    )
