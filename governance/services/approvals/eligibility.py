"""Who may decide an approval: who it names, by authentication, and never who asked for it."""

from core.errors import PermissionDeniedError
from governance.contracts import Actor
from governance.models import Approval
from governance.selectors.approvals import decider_of


def refuse_ineligible(actor: Actor, approval: Approval) -> None:
    """Return when the actor is one of the approvers and did not ask for it.

    Raises:
        PermissionDeniedError: It is for somebody else to decide.
    """
    if actor.user_id is None:
        raise PermissionDeniedError(
            "Only a person who is signed in can decide.", remedy="Sign in, or use a token."
        )
    decider = decider_of(actor, approval.workspace_id)
    if decider.is_requester(approval) and not approval.allow_self:
        raise PermissionDeniedError(
            "You asked for this yourself, so somebody else must decide.",
            remedy="Ask one of its other approvers.",
            detail={"approvers": approval.approvers},
        )
    if not decider.is_named(approval):
        raise PermissionDeniedError(
            f"This is for {', '.join(approval.approvers)} to decide.",
            remedy="Ask one of them.",
            detail={"approvers": approval.approvers},
        )
