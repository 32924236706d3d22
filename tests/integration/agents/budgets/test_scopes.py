"""Which limits count for which call, in which period, and at which price."""

import dataclasses
from decimal import Decimal
from secrets import token_hex

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.contracts import RunState
from agents.execution import funding
from agents.execution.claiming import claim
from agents.execution.spending import MOST_TOKENS
from agents.models import Run, RunSnapshot
from agents.services.runs import run_pause, run_resume, run_start
from agents.services.runs.limits import limits_of_run
from core.errors import LeaseLostError, PermissionDeniedError
from core.ids import new_id
from governance.budgets import LARGEST_USD
from governance.contracts import Actor
from governance.models import BudgetAccount, Reservation, Workspace
from governance.services.spending import Reserved, spending_reserve
from tests.factories.governance import make_workspace
from tests.integration.agents.approvals.kit import person
from tests.integration.agents.budgets.kit import (
    AGAIN,
    AT_MOST,
    CHARGE,
    NOTHING,
    a_call,
    budget,
    grant,
    lead_of,
    priced_agent,
    questions,
    standing,
    until_at_rest,
)
from tests.integration.agents.execution.kit import Engine, begin, script_agent


def test_a_call_counts_in_every_limit_above_it(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    zoe = person(workspace, "zoe", "author")
    lead_of(workspace, 1)
    names = {
        "all": {},
        "helpers": {"kind": "agent", "agent": "helper"},
        "others": {"kind": "agent", "agent": "other"},
        "zoes": {"kind": "user", "user": "zoe"},
        "adas": {"kind": "user", "user": "ada"},
    }
    rows = {name: budget(ada, workspace, "1", name, **more) for name, more in names.items()}
    run = run_start(
        actor=zoe, workspace=workspace, agent="lead", input="go", limits={"max_cost_usd": "1"}
    )
    engine.play(run)

    assert {name: standing(budget=row)[0] / CHARGE for name, row in rows.items()} == {
        "all": 3, "helpers": 1, "others": 0, "zoes": 3, "adas": 0,
    }  # fmt: skip
    assert standing(run_id=run.pk) == (3 * CHARGE, NOTHING)


def test_a_call_that_one_limit_has_no_room_for_counts_in_none(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    priced_agent(workspace)
    wide = budget(ada, workspace, "1", "wide")
    narrow = budget(ada, workspace, "0.001", "narrow", kind="agent", agent="helper")
    run = begin(workspace)
    engine.start()
    engine.until(run, RunState.WAITING, wait_kind="budget")

    assert (standing(budget=wide), standing(budget=narrow)) == ((NOTHING, NOTHING),) * 2
    assert Reservation.objects.count() == 0
    assert questions()[0].question.startswith("The budget narrow of the agent helper allows $0.001")


def test_a_new_day_begins_with_nothing_spent_and_lets_runs_go_on(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    priced_agent(workspace)
    budget(ada, workspace, "0.011", period="day", time_zone="Asia/Tokyo")
    engine.play(begin(workspace))
    waiting = begin(workspace)
    engine.until(waiting, RunState.WAITING, wait_kind="budget")
    account = BudgetAccount.objects.get()
    assert account.ends_at is not None
    assert (account.ends_at - account.starts_at).total_seconds() == 86_400
    assert account.starts_at.hour == 15  # midnight in Tokyo

    # It was the day before yesterday: the account stands as it was, and its time is over.
    before = {"starts_at": account.starts_at - 2 * (account.ends_at - account.starts_at)}
    BudgetAccount.objects.update(**before, ends_at=account.starts_at)
    engine.until(waiting)

    assert waiting.state == "succeeded"
    assert standing(pk=account.pk) == (CHARGE, NOTHING)
    assert standing(starts_at=account.starts_at) == (CHARGE, NOTHING)
    assert questions() == []


def test_an_unknown_price_counts_as_dear_and_never_as_nothing(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    """A server of one's own serves anything under any name: no listed price fits it."""
    script_agent(workspace, AGAIN, options={"max_output_tokens": 10}, limits={"max_iterations": 2})
    budget(ada, workspace, "10")
    run = begin(workspace)
    snapshot = RunSnapshot.objects.get(pk=run.snapshot_id)
    snapshot.content["models"][0]["provider_kind"] = "own"
    digest = token_hex(32)  # a process reads each digest once
    RunSnapshot.objects.create(digest=digest, workspace=workspace, content=snapshot.content)
    Run.objects.filter(pk=run.pk).update(snapshot_id=digest)
    engine.start()
    engine.until(run, RunState.YIELDED)

    each = (3 * Decimal(15) + 4 * Decimal(75)) / 1_000_000
    assert (run.cost_usd, run.cost_is_partial) == (NOTHING, True)
    assert standing() == (2 * each, NOTHING)


def test_a_free_model_needs_no_money(engine: Engine, workspace: Workspace, ada: Actor) -> None:
    script_agent(workspace, AGAIN, limits={"max_iterations": 2})
    budget(ada, workspace, "0.00000001")
    engine.start()
    engine.until(begin(workspace), RunState.YIELDED)

    assert standing() == (NOTHING, NOTHING)
    assert Reservation.objects.count() == 0


def test_a_limit_given_when_resuming_counts_what_was_spent_before(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    priced_agent(workspace, script=AGAIN, limits={"max_iterations": 2})
    run = begin(workspace)
    engine.start()
    engine.until(run, RunState.YIELDED)
    assert BudgetAccount.objects.count() == 0

    limits = {"max_iterations": 9, "max_cost_usd": "0.021"}
    run_resume(actor=ada, run_id=run.pk, limits=limits)
    engine.until(run, RunState.WAITING, wait_kind="budget")
    assert standing() == (3 * CHARGE, NOTHING)
    assert run.cost_usd == 3 * CHARGE

    grant(ada, questions()[0], "0.004")
    engine.until(run, RunState.WAITING, wait_kind="budget", iteration=4)
    assert run.limits["max_cost_usd"] == "0.02500000"


def test_who_steers_a_run_does_not_raise_what_it_may_spend(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    cleo = person(workspace, "cleo", "author")
    priced_agent(workspace, script=AGAIN)
    run = begin(workspace, limits={"max_cost_usd": "0.001", "max_iterations": 2})
    engine.start()
    engine.until(run, RunState.WAITING, wait_kind="budget")
    run_pause(actor=cleo, run_id=run.pk)
    for limit in ("5", None):
        with pytest.raises(PermissionDeniedError, match=r"budget\.edit"):
            run_resume(actor=cleo, run_id=run.pk, limits={"max_cost_usd": limit})
    assert Run.objects.get(pk=run.pk).state == "paused"

    run_resume(actor=ada, run_id=run.pk, limits={"max_cost_usd": None})
    engine.until(run, RunState.YIELDED, iteration=2)
    assert BudgetAccount.objects.get().limit_usd is None


def test_a_child_that_its_parents_limit_stops_goes_on_when_that_is_raised(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    lead_of(workspace, 2)
    run = begin(workspace, agent="lead", limits={"max_cost_usd": "0.0141"})
    engine.start()
    engine.until(run, RunState.WAITING)
    until_at_rest(run, waiting=1)
    (asked,) = questions()
    assert asked.agent_name == "helper"
    assert f"the limit of the run {str(run.pk)[-8:]} of lead" in asked.title

    grant(ada, asked, "1")
    engine.until(run)
    assert (run.state, run.limits["max_cost_usd"]) == ("succeeded", "1.01410000")


def test_without_any_limit_nothing_is_asked_of_the_database(
    transactional_db: None, workspace: Workspace
) -> None:
    """The claim itself knows: it needs as many statements as before, and none speaks of money."""
    priced_agent(workspace)
    run = begin(workspace)
    with CaptureQueriesContext(connection) as caught:
        (context,) = claim(worker_id=new_id(), count=1, lease_seconds=30)

    assert (context.run_id, context.is_bounded) == (run.pk, False)
    spoken = [each["sql"] for each in caught if "governance_budget" in each["sql"]]
    assert len(spoken) == 1, "the claim"
    assert "UPDATE agents_run" in spoken[0]


def test_a_budget_that_is_set_while_a_run_is_under_way_counts_from_its_next_call(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    priced_agent(workspace, script=AGAIN, limits={"max_iterations": 10_000})
    run = begin(workspace)
    engine.start(poll_seconds=0.05)
    engine.until(run, RunState.RUNNING)
    budget(ada, workspace, "0.001")
    engine.until(run, RunState.WAITING, wait_kind="budget")

    assert run.crashes == 0
    assert standing() == (NOTHING, NOTHING)


def test_a_limit_set_above_a_run_under_way_counts_from_its_next_call(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    """Somebody stops a tree that spends too much; what it delegates may run on for hours."""
    call = "{name: agent, arguments: {agent: helper, input: do it}}"
    priced_agent(workspace, script=AGAIN, limits={"max_iterations": 10_000})
    priced_agent(workspace, "lead", f"steps: [{{tool_calls: [{call}]}}]", delegates=["helper"])
    lead = begin(workspace, agent="lead")
    engine.start(poll_seconds=0.05)
    engine.until(lead, RunState.WAITING, wait_kind="children")
    child = engine.until(Run.objects.get(parent_id=lead.pk), RunState.RUNNING)

    run_pause(actor=ada, run_id=lead.pk)
    run_resume(actor=ada, run_id=lead.pk, limits={"max_cost_usd": "0.001"})
    engine.until(child, RunState.WAITING, wait_kind="budget")

    assert child.crashes == 0
    assert standing(run_id=lead.pk)[1] == NOTHING


def test_an_attempt_whose_answer_was_lost_is_replaced(workspace: Workspace, ada: Actor) -> None:
    """The connection broke after the commit, and the same is asked of the database again."""
    budget(ada, workspace, "0.02")
    call = a_call(workspace, place=3, usd=Decimal("0.015"), may_be_again=False)
    answers = [spending_reserve(call) for _ in range(2)]

    assert answers[0] == answers[1]
    assert standing() == (NOTHING, Decimal("0.015"))


@pytest.mark.parametrize(("fence", "settled"), [(2, False), (1, True)])
def test_a_worker_that_lost_its_run_takes_no_newer_reservation_away(
    workspace: Workspace, ada: Actor, fence: int, settled: bool
) -> None:
    """It stood still between its claim and its question, and the run was claimed anew."""
    budget(ada, workspace, "1")
    late = a_call(workspace)
    kept = spending_reserve(dataclasses.replace(late, fence=fence))
    if settled:
        Reservation.objects.update(state="settled", charged_usd=CHARGE)
    before = (Reservation.objects.values().get(), standing())

    for may_be_again in (True, False):
        with pytest.raises(LeaseLostError):
            spending_reserve(dataclasses.replace(late, may_be_again=may_be_again))

    assert isinstance(kept, Reserved)
    assert (Reservation.objects.values().get(), standing()) == before


def test_a_limit_of_before_there_was_a_largest_stops_nobody_elses_runs(
    engine: Engine, workspace: Workspace
) -> None:
    """Its account is opened in the claim, which takes up other runs too."""
    priced_agent(workspace)
    run, other = begin(workspace), begin(workspace)
    limits = msgspec.to_builtins(limits_of_run(run)) | {"max_cost_usd": "1e30"}
    Run.objects.filter(pk=run.pk).update(limits=limits)
    engine.start()
    for each in (run, other):
        engine.until(each)

    assert (run.state, other.state) == ("succeeded", "succeeded")
    assert BudgetAccount.objects.get().limit_usd == LARGEST_USD


def test_many_that_wait_for_one_limit_keep_nobody_waiting_for_another(
    engine: Engine, workspace: Workspace, ada: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a period that begins frees is found by the sweep only."""
    monkeypatch.setattr(funding, "BATCH", 2)
    other = make_workspace("other")
    eve = person(other, "eve", "admin")
    for place, keeper in ((workspace, ada), (other, eve)):
        priced_agent(place)
        budget(keeper, place, "0.005")
    stuck = [begin(workspace) for _ in range(3)]
    engine.start()
    for run in stuck:
        engine.until(run, RunState.WAITING, wait_kind="budget")
    waiting = begin(other)
    engine.until(waiting, RunState.WAITING, wait_kind="budget")

    BudgetAccount.objects.filter(workspace=other).update(limit_usd=Decimal(1))
    engine.until(waiting)

    assert waiting.state == "succeeded"
    assert {run.state for run in Run.objects.filter(workspace=workspace)} == {"waiting"}


def test_an_answer_whose_tokens_nobody_told_costs_what_was_set_aside(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    untold = "steps: [{text: Done., usage: {input_tokens: 0, output_tokens: 0}}]"
    priced_agent(workspace, script=untold)
    budget(ada, workspace, "1")
    run = begin(workspace)
    snapshot = RunSnapshot.objects.get(pk=run.snapshot_id)
    snapshot.content["models"][0]["provider_kind"] = "openai"
    digest = token_hex(32)  # a process reads each digest once
    RunSnapshot.objects.create(digest=digest, workspace=workspace, content=snapshot.content)
    Run.objects.filter(pk=run.pk).update(snapshot_id=digest)
    engine.play(run)

    assert standing() == (AT_MOST, NOTHING)
    assert (run.cost_usd, run.cost_is_partial) == (NOTHING, True)


def test_what_a_server_says_it_used_cannot_run_over(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    huge = 10**12
    priced_agent(
        workspace,
        script=f"steps: [{{text: Done., usage: {{input_tokens: {huge}, output_tokens: 4}}}}]",
    )
    run = engine.play(begin(workspace))

    assert (run.state, run.input_tokens, run.cost_usd) == ("succeeded", MOST_TOKENS, CHARGE)
