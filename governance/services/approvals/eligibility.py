"""Who may decide an approval: who it names, by authentication, and never who asked for it."""

from core.errors import PermissionDeniedError
from governance.contracts import Actor
from governance.models import Approval, Membership, User


def refuse_ineligible(actor: Actor, approval: Approval) -> None:
    """Return when the actor is one of the approvers and did not ask for it.

    Raises:
        PermissionDeniedError: It is for somebody else to decide.
    """
    if actor.user_id is None:
        raise PermissionDeniedError(
            "Only a person who is signed in can decide.", remedy="Sign in, or use a token."
        )
    if actor.user_id == approval.requester_id and not approval.allow_self:
        raise PermissionDeniedError(
            "You asked for this yourself, so somebody else must decide.",
            remedy="Ask one of its other approvers.",
            detail={"approvers": approval.approvers},
        )
    if not is_named(actor, approval):
        raise PermissionDeniedError(
            f"This is for {', '.join(approval.approvers)} to decide.",
            remedy="Ask one of them.",
            detail={"approvers": approval.approvers},
        )


def is_named(actor: Actor, approval: Approval) -> bool:
    """Say whether the approval names the actor, or names nobody."""
    if not approval.approvers:
        return True
    return not set(approval.approvers).isdisjoint(names_of(actor, approval))


def names_of(actor: Actor, approval: Approval) -> set[str]:
    """Return what the actor may be called in this workspace's lists of approvers."""
    if actor.user_id is None:
        return set()
    user = User.objects.filter(pk=actor.user_id, is_active=True).first()
    if user is None:
        return set()
    names = {f"user:{user.username}"}
    names |= {f"group:{name}" for name in user.groups.values_list("name", flat=True)}
    roles = Membership.objects.filter(user=user, workspace_id=approval.workspace_id)
    names |= {f"role:{name}" for name in roles.values_list("roles__name", flat=True) if name}
    return names
