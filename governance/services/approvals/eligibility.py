"""Who may decide an approval: who it names, by authentication, and never who asked for it."""

from core.errors import PermissionDeniedError
from governance import access
from governance.contracts import DECIDING, Actor, ApprovalKind, Perm
from governance.models import Approval
from governance.selectors.approvals import Decider, decider_of


def refuse_ineligible(actor: Actor, approval: Approval, *, in_person: bool = False) -> Decider:
    """Return for whom the actor decides: themselves, or who lent them that and is away.

    Raises:
        PermissionDeniedError: It is for somebody else to decide.
    """
    if actor.user_id is None:
        raise PermissionDeniedError(
            "Only a person who is signed in can decide.", remedy="Sign in, or use a token."
        )
    decider = decider_of(actor, approval.workspace_id)
    found = decider.in_place_of(approval)
    if found is not None and not (in_person and found is not decider):
        return found
    needed = DECIDING[ApprovalKind(approval.kind)]
    if not decider.stands_for:
        access.require(actor, needed, approval.workspace_id)
    # Nobody decides what they cannot see.
    access.require(actor, Perm.RUN_PAYLOAD, approval.workspace_id)
    if decider.is_barred(approval):
        did = (
            "asked for this yourself"
            if decider.is_requester(approval)
            else "wrote the agent that asks"
        )
        raise PermissionDeniedError(
            f"You {did}, so somebody else must decide.",
            remedy="Ask one of its other approvers.",
            detail={"approvers": approval.approvers},
        )
    if found is not None:
        raise PermissionDeniedError(
            f"This is for {found.username} to do in person; deciding was lent to you, not this.",
            remedy="Decide this one by itself.",
        )
    named = ", ".join(approval.approvers) or f"whoever holds {needed}"
    raise PermissionDeniedError(
        f"This is for {named} to decide.",
        remedy="Ask one of them.",
        detail={"approvers": approval.approvers},
    )
