"""Deciding: of everybody who decides at once one wins, and what waits goes on in the same
transaction."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from core import clock
from core.errors import (
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    StaleStateError,
)
from core.pausepoints import reach
from core.redaction import redact_text
from governance import access
from governance.binding import digest_of_facts
from governance.contracts import Actor, ApprovalState, Edit, Perm, Ruling, Verdict
from governance.models import Approval, ApprovalVote
from governance.registry import ApprovalHandler, approval_handler
from governance.selectors.approvals import Decider, decider_of, difference
from governance.services.approvals.eligibility import refuse_ineligible
from governance.services.approvals.news import ApprovalDecided, tell
from governance.services.approvals.recording import decision_recorded
from governance.services.approvals.terms import is_within
from governance.services.known_secrets import secrets_learn
from governance.transitions import approvals_move

MAX_REASON_CHARS = 2_000


def approval_decide(
    *,
    actor: Actor,
    approval_id: UUID,
    verdict: str,
    reason: str = "",
    arguments: Mapping[str, Any] | None = None,
    choice: str = "",
    surface: str = "api",
    seen_digest: str | None = None,
) -> Approval:
    """Say yes or no; returns the approval, still pending when its quorum is not reached.

    One no decides. `arguments` approve something else than was asked: they are checked, kept
    beside the asked ones, and votes for other arguments count no more. `choice` answers what has
    choices of its own instead of yes and no. `seen_digest` is the binding the decider saw; who
    agrees to what somebody else has changed must say it.

    Raises:
        PermissionDeniedError: The actor is none of its approvers, asked for it themselves, or may
            not see what it is about.
        StaleStateError: It is decided, expired or withdrawn; the error names who won.
        InvalidInputError: No such verdict, or arguments that do not fit.
    """
    found = approval_visible(actor, approval_id)
    refuse_ineligible(actor, found)
    said = _verdict(verdict, arguments)
    _check_choice(found, said, choice)
    given = _given(found, reason)
    handler = approval_handler(found.kind)
    with transaction.atomic():
        reach("approval.before_lock")
        handler.lock(subject_id=found.subject_id, run_id=found.run_id)
        approval = Approval.objects.select_for_update().get(pk=found.pk)
        if not _is_open(approval):
            raise stale(approval)
        # Its approvers may have changed meanwhile, and who stands for whom.
        decider = refuse_ineligible(actor, approval)
        if seen_digest is not None or (said is Verdict.APPROVE and arguments is None):
            _refuse_unseen(actor, approval, seen_digest)
        approval.choice = choice
        if arguments is not None:
            _edit(approval, handler, arguments)
        _vote(actor, decider, approval, said, given, surface)
        if said is Verdict.APPROVE and _votes(approval) < approval.quorum:
            by = _named(actor, decider)
            handler.noted(_ruling(approval, ApprovalState.PENDING, by, given, surface),
                          event="voted")  # fmt: skip
        else:
            _decide(actor, decider, approval, handler, said, given, surface)
        reach("approval.before_commit")
        approval.refresh_from_db()
    return approval


def approval_try(
    *, actor: Actor, approval_id: UUID, arguments: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Check arguments as `approval_decide` would; returns where they differ from the asked ones,
    and changes nothing.

    Raises:
        PermissionDeniedError: It is not the actor's to decide, or the policy asks otherwise.
        StaleStateError: It waits for nobody any more.
        InvalidInputError: They do not fit.
    """
    found = approval_visible(actor, approval_id)
    refuse_ineligible(actor, found)
    if not _is_open(found):
        raise stale(found)
    edit = _checked(found, approval_handler(found.kind), arguments)
    return difference(found.arguments, dict(edit.arguments))


def approval_visible(actor: Actor, approval_id: UUID) -> Approval:
    """Return an approval of a workspace where the actor may see them.

    Raises:
        NotFoundError: There is none for the actor.
    """
    rows = access.scope(actor, Perm.APPROVAL_VIEW, Approval.objects.all())
    found = rows.filter(pk=approval_id).first()
    if found is None:
        raise NotFoundError(f"There is no approval {approval_id}.", remedy="List the approvals.")
    return found


def _verdict(verdict: str, arguments: Mapping[str, Any] | None) -> Verdict:
    try:
        said = Verdict(verdict)
    except ValueError:
        known = ", ".join(Verdict)
        raise InvalidInputError(
            f"The verdict {verdict!r} is not one of: {known}.",
            fields={"verdict": [f"choose one of: {known}"]},
        ) from None
    if arguments is not None and said is not Verdict.APPROVE:
        raise InvalidInputError(
            "Only an approval can change the arguments.",
            remedy="Leave the arguments out, or approve.",
            fields={"arguments": ["not with a denial"]},
        )
    return said


def _check_choice(approval: Approval, said: Verdict, choice: str) -> None:
    known = ", ".join(approval.choices) or "none"
    if approval.choices and (said is not Verdict.APPROVE or choice not in approval.choices):
        sentence = f"This is answered with one of: {known}."
        raise InvalidInputError(sentence, fields={"choice": [sentence]})
    if choice and not approval.choices:
        sentence = "This is answered with yes or no; it has no choices."
        raise InvalidInputError(sentence, fields={"choice": [sentence]})


def _given(approval: Approval, reason: str) -> str:
    """Return what the decider said, as it may be stored."""
    secrets_learn([approval.workspace_id])
    return redact_text(reason.strip())[:MAX_REASON_CHARS]


def _is_open(approval: Approval) -> bool:
    is_late = approval.expires_at is not None and approval.expires_at <= clock.now()
    return approval.state == ApprovalState.PENDING.value and not is_late


def _refuse_unseen(actor: Actor, approval: Approval, seen_digest: str | None) -> None:
    """A yes to arguments that somebody else has put in place must say that it is to those."""
    if seen_digest is not None and seen_digest != approval.binding_digest:
        raise StaleStateError(
            f"{what_changed(approval)} since you were shown it; nothing was decided.",
            remedy="Look at it again.",
            detail={"state": approval.state, "by": _editor_name(approval)},
        )
    if seen_digest is not None or approval.edited_arguments is None:
        return
    if (vote := _editor(approval)) is not None and vote.user_id == actor.user_id:
        return  # their own; that they have voted already is said next
    raise StaleStateError(
        f"{_editor_name(approval) or 'Somebody'} has changed the arguments, so a yes must say "
        "which ones it is for; nothing was decided.",
        remedy="Look at it again, and send the `binding_digest` it has now.",
        detail={"state": approval.state, "by": ""},
    )


def what_changed(approval: Approval) -> str:
    """Say what gave an approval that is still open another binding than it was asked with."""
    if editor := _editor_name(approval):
        return f"{editor} has changed the arguments"
    if approval.escalations:
        return f"Nobody decided in time, and {', '.join(approval.approvers)} are asked"
    return "It has changed"


def _editor(approval: Approval) -> ApprovalVote | None:
    """Return the vote that came with the arguments as they are now."""
    if approval.edited_arguments is None:
        return None
    votes = ApprovalVote.objects.filter(
        approval=approval, verdict=Verdict.APPROVE.value, digest=approval.binding_digest
    )
    return votes.select_related("user").order_by("at").first()


def _editor_name(approval: Approval) -> str:
    vote = _editor(approval)
    return "" if vote is None else str(vote.user)


def _edit(approval: Approval, handler: ApprovalHandler, arguments: Mapping[str, Any]) -> None:
    edit = _checked(approval, handler, arguments)
    approval.edited_arguments = dict(edit.arguments)
    approval.binding = {**approval.binding, **edit.facts}
    approval.binding_digest = digest_of_facts(approval.binding)
    approval.save(update_fields=["edited_arguments", "binding", "binding_digest"])


def _checked(approval: Approval, handler: ApprovalHandler, arguments: Mapping[str, Any]) -> Edit:
    edit = handler.edit(subject_id=approval.subject_id, arguments=arguments)
    if edit.terms is not None and not is_within(approval, edit.terms):
        named = ", ".join(edit.terms.approvers) or "whoever may decide"
        raise PermissionDeniedError(
            f"The policy asks otherwise about these arguments: {edit.terms.quorum} of {named}.",
            remedy="Choose others, or deny the call and have it asked for with these.",
            detail={"approvers": list(edit.terms.approvers), "quorum": edit.terms.quorum},
        )
    return edit


def _named(actor: Actor, decider: Decider) -> str:
    """Say who decides: "X", or "X for Y" who is away."""
    if decider.user_id == actor.user_id:
        return actor.username
    return f"{actor.username} for {decider.username}"


def _vote(
    actor: Actor,
    decider: Decider,
    approval: Approval,
    said: Verdict,
    reason: str,
    surface: str,
) -> None:
    """Keep the vote. Voting again counts only for another binding than before.

    What was said in somebody's place is their vote: said by both, it is one.
    """
    assert actor.user_id is not None, "who is nobody is not eligible"
    is_own = decider.user_id == actor.user_id
    same = ApprovalVote.objects.filter(
        approval=approval, digest=approval.binding_digest, verdict=said.value
    )
    mine = Q(user_id=actor.user_id) | Q(user_id=decider.user_id, for_user=None)
    before = same.filter(mine | Q(for_user_id=decider.user_id)).first()
    if before is not None:
        who = "You have" if before.user_id == actor.user_id else f"{_voter(before)} has"
        raise StaleStateError(
            f"{who} said {before.verdict} already; it waits for others "
            f"({_votes(approval)} of {approval.quorum}).",
            remedy="Wait for the others, or deny it.",
            detail={"state": approval.state, "by": actor.username},
        )
    ApprovalVote.objects.update_or_create(
        approval=approval,
        user_id=actor.user_id,
        defaults={
            "for_user_id": None if is_own else decider.user_id,
            "verdict": said.value,
            "digest": approval.binding_digest,
            "reason": reason,
            "surface": surface,
            "at": clock.now(),
        },
    )


def _voter(vote: ApprovalVote) -> str:
    return f"{vote.user} for {vote.for_user}" if vote.for_user else str(vote.user)


def _votes(approval: Approval) -> int:
    """Count the people who agreed and may still decide. Each row is of another person; of those in
    whose place they spoke, each counts once."""
    rows = ApprovalVote.objects.filter(
        approval=approval, verdict=Verdict.APPROVE.value, digest=approval.binding_digest
    ).select_related("user", "for_user")
    theirs = {vote.for_user or vote.user for vote in rows if vote.user.is_active}
    return sum(
        user.is_active
        and decider_of(access.actor_of_user(user), approval.workspace_id).is_eligible(approval)
        for user in theirs
    )


def _decide(
    actor: Actor,
    decider: Decider,
    approval: Approval,
    handler: ApprovalHandler,
    said: Verdict,
    reason: str,
    surface: str,
) -> None:
    state = ApprovalState.APPROVED if said is Verdict.APPROVE else ApprovalState.DENIED
    by = _named(actor, decider)
    moved = approvals_move(
        Q(pk=approval.pk),
        target=state,
        decided_at=clock.now(),
        decided_by_id=actor.user_id,
        decided_by_name=by[:150],
        reason=reason,
        surface=surface,
        choice=approval.choice,
    )
    if not moved:
        raise stale(Approval.objects.get(pk=approval.pk))
    handler.decided(_ruling(approval, state, by, reason, surface))
    approval.refresh_from_db()
    tell(ApprovalDecided, approval)
    decision_recorded(actor, approval, state, reason, by=by)


def _ruling(approval: Approval, state: ApprovalState, by: str, reason: str, surface: str) -> Ruling:
    return Ruling(
        approval_id=approval.pk,
        workspace_id=approval.workspace_id,
        subject_id=approval.subject_id,
        run_id=approval.run_id,
        state=state,
        by=by,
        reason=reason,
        surface=surface,
        arguments=approval.edited_arguments,
        choice=approval.choice,
    )


def stale(approval: Approval) -> StaleStateError:
    """Say who or what was first."""
    state = approval.state
    if state == ApprovalState.PENDING.value:
        state = ApprovalState.EXPIRED.value  # its time is over; the sweep has not seen it yet
    by = approval.decided_by_name
    who = f" by {by}" if by else ""
    reason = f": {approval.reason}" if approval.reason and not by else ""
    return StaleStateError(
        f"The approval is {state}{who}{reason}.",
        remedy="Look at it again; what it was about has moved on.",
        detail={
            "state": state,
            "by": by,
            "at": approval.decided_at.isoformat() if approval.decided_at else "",
        },
    )
