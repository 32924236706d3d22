"""While one person is away another decides for them: one vote, never a chain, never their own."""

from datetime import timedelta
from typing import Any

import pytest

from core import clock
from core.errors import DomainError, InvalidInputError, PermissionDeniedError, StaleStateError
from governance.contracts import Actor
from governance.models import Approval, ApprovalVote, AuditEntry, Delegation, Workspace
from governance.services.approvals import grant_give
from governance.services.delegations import delegation_create, delegation_end
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    decide,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.execution.kit import Engine, boss

DAY = timedelta(days=1)


def lend(workspace: Workspace, away: Actor, other: Actor, **options: Any) -> Delegation:
    return delegation_create(
        actor=away,
        workspace=workspace,
        delegate=other.username,
        **{"until_at": clock.now() + DAY, **options},
    )


def asks(engine: Engine, workspace: Workspace, **answers: Any) -> Approval:
    publish(workspace, pay={**ASK, "approvers": ["user:ann", "user:ben"], **answers})
    (approval,) = parked(engine, paying(workspace))
    return approval


@pytest.fixture
def xia(workspace: Workspace) -> Actor:
    """Somebody who may see what is asked, and decide nothing."""
    return person(workspace, "xia", "auditor")


def test_what_is_said_for_somebody_is_their_vote(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, xia: Actor
) -> None:
    approval = asks(engine, workspace)
    with pytest.raises(PermissionDeniedError, match=r"approval\.decide"):
        decide(xia, approval)
    lend(workspace, ann, xia, reason="Holidays.")
    decided = decide(xia, approval, reason="Fine.")

    assert (decided.state, decided.decided_by_name) == ("approved", "xia for ann")
    vote = ApprovalVote.objects.get()
    assert (vote.user.username, vote.for_user and vote.for_user.username) == ("xia", "ann")
    entry = AuditEntry.objects.get(subject_kind="approval", action="decision")
    assert (entry.actor_name, entry.payload["by"]) == ("xia", "xia for ann")
    lent = AuditEntry.objects.get(subject_kind="delegation")
    assert (lent.payload["delegator"], lent.payload["delegate"]) == ("ann", "xia")


def test_a_quorum_is_not_filled_twice_by_one_person(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, xia: Actor
) -> None:
    ben = person(workspace, "ben")
    approval = asks(engine, workspace, quorum=2)
    lend(workspace, ann, xia)
    lend(workspace, ann, ben)
    lend(workspace, ben, xia)
    assert decide(xia, approval).state == "pending"  # for ann
    for again in (xia, ann):
        with pytest.raises(StaleStateError, match=r"said approve already.*1 of 2"):
            decide(again, approval)
    assert decide(ben, approval).state == "approved"  # in person, though ann lent him hers
    assert {vote.user.username for vote in ApprovalVote.objects.all()} == {"xia", "ben"}


def test_who_speaks_for_one_who_has_spoken_adds_nothing_and_may_still_say_no(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, xia: Actor
) -> None:
    approval = asks(engine, workspace, quorum=2)
    decide(ann, approval)
    lend(workspace, ann, xia)
    with pytest.raises(StaleStateError, match="ann has said approve already"):
        decide(xia, approval)
    assert decide(xia, approval, "deny").state == "denied"


def test_what_was_lent_is_not_lent_on_and_never_to_who_asked(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, xia: Actor
) -> None:
    approval = asks(engine, workspace)
    yan = person(workspace, "yan", "approver")
    lend(workspace, ann, yan)
    lend(workspace, yan, xia)
    with pytest.raises(PermissionDeniedError, match="This is for user:ann"):
        decide(xia, approval)
    lend(workspace, ann, boss())  # who asked
    with pytest.raises(PermissionDeniedError, match="You asked for this yourself"):
        decide(boss(), approval)
    assert ApprovalVote.objects.count() == 0
    assert decide(yan, approval).decided_by_name == "yan for ann"


def test_it_holds_between_its_dates_and_until_it_is_ended(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, xia: Actor
) -> None:
    approval = asks(engine, workspace, expires_seconds=86_400.0 * 30)
    row = lend(workspace, ann, xia, from_at=clock.now() + DAY, until_at=clock.now() + 2 * DAY)
    for shift in (timedelta(0), 2 * DAY):
        with clock.shifted(shift), pytest.raises(PermissionDeniedError):
            decide(xia, approval)
    delegation_end(actor=xia, delegation_id=row.pk)
    with clock.shifted(DAY + timedelta(hours=1)), pytest.raises(PermissionDeniedError):
        decide(xia, approval)
    with pytest.raises(StaleStateError, match="ended already by xia"):
        delegation_end(actor=ann, delegation_id=row.pk)
    assert Approval.objects.get().state == "pending"


def test_who_is_away_must_still_be_one_of_the_approvers(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, xia: Actor
) -> None:
    approval = asks(engine, workspace, approvers=["user:ben"])
    lend(workspace, ann, xia)
    with pytest.raises(PermissionDeniedError, match="This is for user:ben"):
        decide(xia, approval)


def test_standing_approvals_are_given_in_person(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, xia: Actor
) -> None:
    approval = asks(engine, workspace, is_grantable=True)
    lend(workspace, ann, xia)
    with pytest.raises(PermissionDeniedError, match="in person"):
        grant_give(actor=xia, approval_id=approval.pk, pattern={})


def test_who_may_lend_to_whom(workspace: Workspace, ann: Actor, xia: Actor) -> None:
    person(workspace, "vic", "viewer")
    admin = person(workspace, "adm", "admin")
    cases: tuple[tuple[Actor, dict[str, Any], type[DomainError]], ...] = (
        (xia, {"delegate": "ann"}, PermissionDeniedError),  # has nothing to lend
        (ann, {"delegate": "vic"}, InvalidInputError),  # may not see
        (ann, {"delegate": "ann"}, InvalidInputError),
        (ann, {"delegate": "nobody"}, InvalidInputError),
        (ann, {"delegate": "xia", "delegator": "adm"}, PermissionDeniedError),
        (admin, {"delegate": "ann", "delegator": "xia"}, InvalidInputError),
        (ann, {"delegate": "xia", "until_at": clock.now() - DAY}, InvalidInputError),
        (ann, {"delegate": "xia", "until_at": clock.now() + 400 * DAY}, InvalidInputError),
    )
    for actor, options, refusal in cases:
        with pytest.raises(refusal):
            delegation_create(
                actor=actor, workspace=workspace, **{"until_at": clock.now() + DAY, **options}
            )
    assert Delegation.objects.count() == 0
    until = clock.now() + DAY
    lent = delegation_create(
        actor=admin, workspace=workspace, delegate="xia", delegator="ann", until_at=until
    )
    assert (str(lent), lent.created_by_name) == ("xia for ann", "adm")
