"""Of calls, ends and deaths that meet at a standing approval, each use is counted once or asked."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection

from agents.contracts import RunState
from agents.execution.sweep import sweep
from agents.models import Run
from core import pausepoints
from core.errors import UnavailableError
from governance.contracts import Actor
from governance.models import Approval, AuditEntry, Grant, GrantUse, Workspace
from plugins.models import ToolCall, ToolDefinition
from tests.integration.agents.approvals.granting import (
    GRANTABLE,
    asks,
    edit_agent,
    expire,
    forbid,
    give,
    publish_again,
    revoke,
)
from tests.integration.agents.approvals.kit import (
    DENY,
    Counter,
    PayTool,
    at_once,
    decide,
    in_thread,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    check_invariants,
    kinds,
    ledger,
    told,
)
from tests.waiting import wait_for

# Lost runs are found at the next renewal. A lease that ran out on a busy machine would be a doubt.
LEASE = {"lease_seconds": 3.0, "poll_seconds": 0.1}
# SQLite has one writer, who would wait there for somebody that waits for them.
IN_TRANSACTION = pytest.param("grant.before_count", marks=pytest.mark.postgres)
# Where a worker is lost: with nothing written, with a count that nobody sees, with one that holds.
LOSSES = (
    "grant.before_lock",
    "grant.before_count",
    "grant.before_commit",
    "grant.after_commit",
    "grant.after_claim",
)


def once(work: Callable[[], Any]) -> Callable[[], None]:
    """Do `work` at the first visit only."""
    is_done = False

    def visit() -> None:
        nonlocal is_done
        if not is_done:
            is_done = True
            work()

    return visit


def counted_once(grant: Grant, run: Run, pay: PayTool) -> None:
    """What holds where the second payment of a test was the grant's only use."""
    grant.refresh_from_db()
    assert (grant.uses, grant.state, grant.ended_reason) == (1, "used_up", "Used 1 times.")
    call = ToolCall.objects.get(run_id=run.pk)
    use = GrantUse.objects.get()
    assert (use.grant_id, use.subject_id, use.run_id) == (grant.pk, call.pk, run.pk)
    assert AuditEntry.objects.filter(subject_id=str(call.pk)).count() == 1
    assert not Approval.objects.filter(run_id=run.pk).exists()
    assert kinds(run).count("approval.noted") == 1
    assert ledger(run) == [("pay", "committed")]
    assert len(pay.ran) == 2
    check_invariants(run.pk)


@pytest.mark.parametrize("point", ["grant.before_lock", IN_TRANSACTION])
def test_of_two_workers_at_the_last_use_one_takes_it_and_the_other_asks(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor, point: str
) -> None:
    """Both have seen the grant with one use left before either counts."""
    run, approval = asks(engine, workspace)
    grant = give(gus, approval, uses=1)
    engine.until(run)
    engine.stop()
    runs = [paying(workspace) for _ in range(2)]
    both, have_met = threading.Barrier(2), threading.Event()

    def meet() -> None:
        if not have_met.is_set():
            both.wait(60)
            have_met.set()

    with pausepoints.at(point, meet):
        for _ in range(2):
            engine.start(capacity=1)
        for each in runs:
            engine.until(each, RunState.SUCCEEDED, RunState.WAITING)

    assert have_met.is_set()
    took, asked = sorted(runs, key=lambda each: each.state)
    assert (took.state, asked.state, asked.wait_kind) == ("succeeded", "waiting", "approval")
    counted_once(grant, took, pay)
    assert ledger(asked) == [("pay", "waiting")]
    assert Approval.objects.filter(run_id=asked.pk, state="pending").count() == 1
    check_invariants(asked.pk)


@pytest.mark.postgres
def test_a_use_that_was_counted_by_a_worker_who_dies_is_there_for_the_next(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    """The second waits for the row that the first has counted and never commits."""
    run, approval = asks(engine, workspace)
    grant = give(gus, approval, uses=1)
    engine.until(run)
    engine.stop()
    runs = [paying(workspace) for _ in range(2)]

    def die_when_the_other_waits() -> None:
        wait_for(_somebody_waits, lambda: "nobody waits for a lock")
        raise UnavailableError("The worker is gone.")

    with pausepoints.at("grant.before_commit", once(die_when_the_other_waits)):
        for _ in range(2):
            engine.start(capacity=1, **LEASE)
        for each in runs:
            engine.until(each, RunState.SUCCEEDED, RunState.WAITING)

    took, asked = sorted(runs, key=lambda each: each.state)
    assert (took.state, asked.state) == ("succeeded", "waiting")
    counted_once(grant, took, pay)
    check_invariants(asked.pk)


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
        row = cursor.fetchone()
    return bool(row and row[0])


def ends_at(
    point: str,
    end: Callable[[Actor, Grant, Workspace], None],
    engine: Engine,
    workspace: Workspace,
    gus: Actor,
) -> tuple[Grant, Run, Approval]:
    """Let a grant be ended while a worker that has seen it is at `point`; return who is asked."""
    run, approval = asks(engine, workspace)
    grant = give(gus, approval)
    engine.until(run)
    engine.stop()
    ended: list[str] = []

    def end_it() -> None:
        end(gus, grant, workspace)
        ended.append(point)

    with pausepoints.at(point, once(in_thread(end_it))):
        second = paying(workspace)
        (asked,) = parked(engine, second)
    assert ended == [point]
    grant.refresh_from_db()
    return grant, second, asked


@pytest.mark.parametrize("point", ["grant.before_lock", IN_TRANSACTION])
@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [(revoke, "revoked", "Enough."), (expire, "expired", "Its time is over.")],
)
def test_a_grant_that_ends_under_a_worker_that_has_seen_it_is_not_used(
    engine: Engine,
    workspace: Workspace,
    pay: PayTool,
    gus: Actor,
    end: Callable[[Actor, Grant, Workspace], None],
    state: str,
    reason: str,
    point: str,
) -> None:
    grant, second, asked = ends_at(point, end, engine, workspace, gus)
    sweep()
    grant.refresh_from_db()
    assert (grant.state, grant.ended_reason, grant.uses) == (state, reason, 0)
    assert (GrantUse.objects.count(), len(pay.ran)) == (0, 1)
    decide(person(workspace, "ann"), asked)
    engine.until(second)
    assert len(pay.ran) == 2
    check_invariants(second.pk)


def test_a_giver_who_may_not_decide_any_more_ends_it_under_a_worker(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    grant, second, _ = ends_at("grant.before_lock", forbid, engine, workspace, gus)
    assert (grant.state, grant.uses) == ("changed", 0)
    assert grant.ended_reason == "gus may not decide here any more."
    assert (GrantUse.objects.count(), len(pay.ran)) == (0, 1)
    check_invariants(second.pk)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_enabled": False}, "Changed since: tool version."),
        ({"url": "https://elsewhere.example/"}, "Changed since: tool version."),
        ({"input_schema": {"type": "object", "maxProperties": 3}}, "Changed since: schema."),
    ],
)
def test_a_declared_tool_that_is_changed_under_a_worker_ends_it(
    engine: Engine,
    workspace: Workspace,
    orders: Counter,
    gus: Actor,
    change: dict[str, Any],
    reason: str,
) -> None:
    publish(workspace, orders=GRANTABLE)
    run = begin(workspace)
    (approval,) = parked(engine, run)
    grant = give(gus, approval)
    engine.until(run)
    engine.stop()
    edit = in_thread(lambda: ToolDefinition.objects.update(**change))

    with pausepoints.at("grant.before_lock", once(edit)):
        second = begin(workspace)
        parked(engine, second)

    grant.refresh_from_db()
    assert (grant.state, grant.ended_reason, grant.uses) == ("changed", reason, 0)
    assert (GrantUse.objects.count(), len(orders.ran)) == (0, 1)
    check_invariants(second.pk)


def test_what_is_asked_under_a_policy_that_ends_meanwhile_is_asked_again(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    """The yes is bound to the policy that asked, which is not in force any more."""
    grant, second, asked = ends_at("grant.before_lock", publish_again, engine, workspace, gus)
    sweep()
    grant.refresh_from_db()
    assert (grant.state, grant.ended_reason) == ("changed", "Changed since: policy.")
    assert (grant.uses, len(pay.ran)) == (0, 1)
    decide(person(workspace, "ann"), asked)
    engine.until(second)
    assert len(pay.ran) == 1
    assert "Changed since: policy." in told(second)[-2]


def test_a_run_of_the_granted_version_is_covered_although_another_is_published_meanwhile(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval)
    engine.until(run)
    engine.stop()
    edit = in_thread(partial(edit_agent, gus, grant, workspace))
    with pausepoints.at("grant.before_lock", once(edit)):
        engine.start()
        engine.until(paying(workspace))
        grant.refresh_from_db()
        assert (grant.state, grant.uses, len(pay.ran)) == ("active", 1, 2)
        parked(engine, paying(workspace))
    grant.refresh_from_db()
    assert (grant.state, grant.uses, len(pay.ran)) == ("changed", 1, 2)
    assert grant.ended_reason == "Changed since: agent version."


WORKER = (UnavailableError("The worker is gone."), LEASE)
CONNECTION: tuple[Exception, dict[str, float]] = (
    OperationalError("server closed the connection unexpectedly"),
    {},
)


@pytest.mark.parametrize(
    ("point", "loss", "settings"),
    [
        *((point, *WORKER) for point in LOSSES),
        *((point, *CONNECTION) for point in LOSSES[:-1]),
    ],
)
def test_a_worker_or_connection_lost_around_the_count_leaves_one_use_and_one_effect(
    engine: Engine,
    workspace: Workspace,
    pay: PayTool,
    gus: Actor,
    point: str,
    loss: Exception,
    settings: dict[str, float],
) -> None:
    """The driver gives up at the point, as when its process dies there, and another takes the run;
    or it does not know whether it has taken the call, and tries again."""
    run, approval = asks(engine, workspace)
    grant = give(gus, approval, uses=1)
    engine.until(run)
    engine.stop()
    lost: list[str] = []

    def lose() -> None:
        lost.append(point)
        raise loss

    with pausepoints.at(point, once(lose)):
        engine.start(**settings)
        second = engine.until(paying(workspace), RunState.SUCCEEDED, RunState.WAITING)

    assert (lost, second.state) == ([point], "succeeded")
    counted_once(grant, second, pay)


def test_a_hundred_calls_at_once_never_use_it_more_often_than_was_said(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval, uses=37)
    engine.until(run)
    engine.stop()
    pay.ran.clear()
    runs = [paying(workspace) for _ in range(100)]
    for _ in range(2):
        engine.start(capacity=60)
    for each in runs:
        engine.until(each, RunState.SUCCEEDED, RunState.WAITING)

    grant.refresh_from_db()
    states = sorted(Run.objects.filter(pk__in=[each.pk for each in runs]).values_list("state"))
    assert states == [("succeeded",)] * 37 + [("waiting",)] * 63
    assert (grant.uses, grant.state, grant.ended_reason) == (37, "used_up", "Used 37 times.")
    assert (GrantUse.objects.count(), len(pay.ran)) == (37, 37)
    assert Approval.objects.filter(state="pending").count() == 63


def test_another_policy_between_judging_and_claiming_counts(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval)
    engine.until(run)
    engine.stop()
    deny = in_thread(lambda: publish(workspace, pay=DENY))
    with pausepoints.at("grant.before_claim", once(deny)):
        engine.start()
        second = paying(workspace)
        (asked,) = parked(engine, second)
    assert (len(pay.ran), GrantUse.objects.count()) == (1, 0)
    decide(person(workspace, "ann"), asked)
    engine.until(second)
    assert len(pay.ran) == 1
    assert "Changed since: policy." in told(second)[-2]
    grant.refresh_from_db()
    assert grant.uses == 0


def test_revoking_at_the_moment_of_counting_is_one_or_the_other(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval)
    engine.until(run)
    engine.stop()
    second = paying(workspace)
    outcome = at_once([partial(engine.start), partial(revoke, gus, grant, workspace)])
    engine.until(second, RunState.SUCCEEDED, RunState.WAITING)

    assert outcome[1] is None
    grant.refresh_from_db()
    second.refresh_from_db()
    assert grant.state == "revoked"
    assert grant.uses == (1 if second.state == "succeeded" else 0)
    assert len(pay.ran) == 1 + grant.uses
