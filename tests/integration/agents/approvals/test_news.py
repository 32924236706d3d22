"""What is published of approvals: once each, after the commit, with whom it concerns."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from agents.execution.sweep import sweep
from agents.services.runs import run_cancel
from core import clock
from core.events import subscribe
from governance.contracts import Actor, ApprovalKind, ApprovalState
from governance.models import Approval, Workspace
from governance.services.approvals import (
    ApprovalAsked,
    ApprovalDecided,
    ApprovalEscalated,
    ApprovalExpiring,
    ApprovalNews,
)
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
from tests.waiting import wait_for

KINDS = (ApprovalAsked, ApprovalDecided, ApprovalExpiring, ApprovalEscalated)


class Heard:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.all: list[ApprovalNews] = []

    def __call__(self, news: ApprovalNews) -> None:
        with self._lock:
            self.all.append(news)

    @property
    def names(self) -> list[str]:
        return [type(news).__name__ for news in self.all]

    def until(self, *names: str) -> None:
        wait_for(lambda: self.names == list(names), lambda: f"heard {self.names}")


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    stops = [subscribe(kind, heard) for kind in KINDS]
    yield heard
    for stop in stops:
        stop()


def test_a_question_and_its_answer_are_told_with_whom_they_concern(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, heard: Heard
) -> None:
    publish(workspace, pay={**ASK, "approvers": ["user:ann"], "expires_seconds": 6_000.0})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    heard.until("ApprovalAsked")
    asked = heard.all[0]
    assert (asked.approval_id, asked.workspace_id) == (approval.pk, workspace.pk)
    assert (asked.kind, asked.state) == (ApprovalKind.TOOL_CALL, ApprovalState.PENDING)
    assert (asked.title, asked.approvers) == ("helper wants to call pay", ("user:ann",))
    assert (asked.requester, asked.requester_id) == ("boss", boss().user_id)
    assert (asked.expires_at, asked.by) == (approval.expires_at, "")

    decide(ann, approval, "deny", reason="No.")
    engine.until(run)
    heard.until("ApprovalAsked", "ApprovalDecided")
    decided = heard.all[1]
    assert (decided.state, decided.by, decided.reason) == (ApprovalState.DENIED, "ann", "No.")


def test_a_warning_comes_once_and_again_after_an_escalation(
    engine: Engine, workspace: Workspace, pay: PayTool, heard: Heard
) -> None:
    person(workspace, "ben")
    options = {"on_expiry": "escalate", "approvers": ["user:ann"], "escalate_to": ["user:ben"]}
    # Spans that no machine is so busy as to spend between two steps of a test.
    publish(workspace, pay={**ASK, "expires_seconds": 10_000.0, **options})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    engine.stop()
    with clock.shifted(timedelta(seconds=6_000)):
        sweep()
    assert heard.names == ["ApprovalAsked"]
    with clock.shifted(timedelta(seconds=8_500)):
        sweep()
        sweep()
    assert heard.names == ["ApprovalAsked", "ApprovalExpiring"]
    with clock.shifted(timedelta(seconds=12_000)):
        sweep()
        sweep()
    assert heard.names == ["ApprovalAsked", "ApprovalExpiring", "ApprovalEscalated"]
    assert heard.all[-1].approvers == ("user:ben",)
    approval.refresh_from_db()
    assert (approval.escalations, approval.warned_at) == (1, None)
    with clock.shifted(timedelta(seconds=20_500)):
        sweep()
    with clock.shifted(timedelta(seconds=30_000)):
        sweep()
    assert heard.names[3:] == ["ApprovalExpiring", "ApprovalDecided"]
    assert heard.all[-1].state is ApprovalState.EXPIRED


def test_what_a_run_withdraws_is_told(
    engine: Engine, workspace: Workspace, pay: PayTool, heard: Heard
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    heard.until("ApprovalAsked")
    run_cancel(actor=boss(), run_id=run.pk)
    heard.until("ApprovalAsked", "ApprovalDecided")
    assert heard.all[1].state is ApprovalState.WITHDRAWN
    assert Approval.objects.get(pk=approval.pk).state == "withdrawn"
