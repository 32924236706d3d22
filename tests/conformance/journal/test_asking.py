"""What every journal writer owes questions to people: asked, answered on the way, closed."""

import msgspec

from agents.journal import sql
from agents.journal.journal import Journal
from agents.journal.records import ApprovalRow, CallRow, Lost
from agents.models import Run
from core import clock
from core.ids import new_id
from governance.models import Approval, Workspace
from plugins.models import ToolCall
from tests.conformance.journal.kit import call_row, entry, events, is_dense, move, running


def question(run: Run, call: CallRow) -> ApprovalRow:
    return ApprovalRow(
        id=new_id(),
        workspace_id=run.workspace_id,
        kind="tool_call",
        subject_id=call.id,
        run_id=run.pk,
        agent_name="helper",
        requester_id=new_id(),
        requester_name="ann",
        title="helper wants to call pay",
        question="Why?",
        binding={"arguments": "d", "expiry": ""},
        binding_digest="b" * 64,
        arguments={"n": 1, "note": "é"},
        approvers=["role:approver"],
        quorum=2,
        allow_self=True,
        rule="r",
        policy_version="v",
        expires_seconds=90.5,
        expires_at=clock.now(),
        on_expiry="deny",
        escalate_to=["user:ben"],
        created_at=clock.now(),
    )


def asked(journal: Journal, workspace: Workspace) -> tuple[Run, CallRow, ApprovalRow]:
    """A run with a call that waits for a person."""
    run = running(workspace)
    call = call_row(run)
    row = question(run, call)
    journal.submit(entry(run, planned=(call,))).result()
    wait = {"kind": "approval", "approval_id": str(row.id)}
    moved = (move(call, "planned", "waiting", wait=wait),)
    journal.submit(entry(run, moved=moved, approvals=(row,))).result()
    return run, call, row


def test_a_question_is_written_whole(journal: Journal, workspace: Workspace) -> None:
    _, call, row = asked(journal, workspace)

    stored = Approval.objects.get(pk=row.id)
    assert {name: getattr(stored, name) for name in ApprovalRow.__struct_fields__} == (
        msgspec.structs.asdict(row)
    )
    assert (stored.state, stored.reason, stored.decided_at) == ("pending", "", None)
    assert ToolCall.objects.get(pk=call.id).state == "waiting"


def test_the_writers_columns_are_the_rows() -> None:
    fields = Approval._meta.concrete_fields
    written = {*sql.APPROVAL_COLUMNS, *sql.APPROVAL_DEFAULTS}

    assert tuple(sql.APPROVAL_COLUMNS) == ApprovalRow.__struct_fields__
    assert written <= {field.column for field in fields}
    assert all(field.null for field in fields if field.column not in written)


def test_a_stale_owner_asks_nobody(journal: Journal, workspace: Workspace) -> None:
    run = running(workspace, fence=2)
    row = question(run, call_row(run))

    assert isinstance(journal.submit(entry(run, approvals=(row,))).result(), Lost)
    assert not Approval.objects.exists()


def test_a_run_parks_for_what_is_undecided(journal: Journal, workspace: Workspace) -> None:
    run, call, _ = asked(journal, workspace)
    journal.submit(
        entry(run, "run.state", state="waiting", wait_kind="approval", awaits=(call.id,))
    ).result()

    run.refresh_from_db()
    assert (run.state, run.wait_kind) == ("waiting", "approval")


def test_a_run_does_not_park_for_what_was_decided_meanwhile(
    journal: Journal, workspace: Workspace
) -> None:
    run, call, _ = asked(journal, workspace)
    ToolCall.objects.filter(pk=call.id).update(state="approved")
    journal.submit(
        entry(run, "run.state", state="waiting", wait_kind="approval", awaits=(call.id,))
    ).result()

    run.refresh_from_db()
    assert (run.state, run.wait_kind, run.worker_id) == ("queued", "", None)
    assert [kind for _, kind in events(run.pk)][-2:] == ["run.state", "run.state"]
    assert is_dense(run.pk)


def test_a_run_that_ends_closes_what_it_asked_whatever_was_said(
    journal: Journal, workspace: Workspace
) -> None:
    run, call, row = asked(journal, workspace)
    other, other_call, other_row = asked(journal, workspace)
    ToolCall.objects.filter(pk=call.id).update(state="approved")
    journal.submit(
        entry(run, "run.state", state="cancelled", closes="The run was cancelled")
    ).result()

    closed = ToolCall.objects.get(pk=call.id)
    assert (closed.state, closed.reason) == ("cancelled", "The run was cancelled.")
    assert closed.settled_at is not None
    withdrawn = Approval.objects.get(pk=row.id)
    assert (withdrawn.state, withdrawn.reason) == ("withdrawn", "The run was cancelled.")
    assert withdrawn.decided_at is not None
    assert ToolCall.objects.get(pk=other_call.id).state == "waiting"
    assert Approval.objects.get(pk=other_row.id).state == "pending"
    other.refresh_from_db()
    assert other.state == "running"
