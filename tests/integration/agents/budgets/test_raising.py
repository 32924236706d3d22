"""A full limit parks the run and asks; who may raise it, what that does, and what a no does."""

from decimal import Decimal
from typing import Any

import pytest

from agents.contracts import RunState
from agents.models import AgentVersion, Run
from agents.selectors.why import why
from agents.services.runs import run_cancel, run_pause, run_resume
from core import pausepoints
from core.errors import InvalidInputError, PermissionDeniedError, StaleStateError
from governance.budgets import LARGEST_USD
from governance.contracts import Actor
from governance.models import (
    Approval,
    AuditEntry,
    Budget,
    BudgetAccount,
    Channel,
    Delivery,
    Workspace,
)
from governance.services.approvals import approval_decide
from governance.services.budget_news import budgets_tell
from governance.services.budgets import (
    account_granted,
    budget_delete,
    budget_raise,
    budget_update,
)
from tests.integration.agents.approvals.kit import at_once, in_thread, person
from tests.integration.agents.budgets.kit import (
    AGAIN,
    AT_MOST,
    CHARGE,
    NOTHING,
    budget,
    grant,
    priced_agent,
    questions,
    reservations,
    standing,
)
from tests.integration.agents.execution.kit import Engine, begin, boss, check_invariants, kinds


@pytest.fixture
def parked(engine: Engine, workspace: Workspace, ada: Actor) -> Run:
    """A run whose third call does not fit into its workspace's budget of two cents."""
    priced_agent(workspace, script=AGAIN, limits={"max_iterations": 5})
    budget(ada, workspace, "0.017")
    run = begin(workspace)
    engine.start()
    return engine.until(run, RunState.WAITING, wait_kind="budget")


def test_a_run_that_waits_is_news_though_not_all_is_spent(parked: Run) -> None:
    Channel.objects.create(
        workspace=parked.workspace, name="ops", kind="webhook", url="http://x.test/",
        events=["budget.exhausted"],
    )  # fmt: skip

    assert (budgets_tell(), budgets_tell()) == (1, 0)
    told = Delivery.objects.get().payload
    assert (told["waiting"], told["spent_usd"], told["limit_usd"]) == (
        1, "0.00800000", "0.01700000",
    )  # fmt: skip
    assert told["sentence"] == "$0.008 of $0.017 (total); 1 run(s) wait for more."


def test_the_question_says_what_stands_and_what_is_needed(parked: Run) -> None:
    (asked,) = questions()

    assert (parked.iteration, standing()) == (2, (2 * CHARGE, NOTHING))
    assert parked.reason == (
        "The budget all of the workspace allows $0.017: $0.008 is spent and $0.00 is set aside "
        "for calls under way. The next model call may cost up to $0.01."
    )
    assert asked.title == "helper needs more than the budget all has left"
    assert asked.question == (
        f"{parked.reason} Raise it by $0.01 or another amount; denying ends the run."
    )
    assert asked.arguments == {"raise_by_usd": "0.01"}
    assert (asked.run_id, asked.requester_name, asked.allow_self, asked.allow_owner) == (
        parked.pk, "boss", False, False,
    )  # fmt: skip
    (reason,) = why(parked).reasons
    assert (reason.code, reason.subject) == ("waiting_budget", str(asked.pk))
    assert "agentry budgets raise" in reason.remedy
    assert kinds(parked)[-1] == "run.state"


def test_a_raise_lets_the_run_go_on(engine: Engine, parked: Run, ada: Actor) -> None:
    (asked,) = questions()
    grant(ada, asked, "0.5")
    run = engine.until(parked, RunState.YIELDED)

    assert (run.error_code, run.iteration) == ("max_iterations", 5)
    assert standing() == (5 * CHARGE, NOTHING)
    assert BudgetAccount.objects.get().limit_usd == Decimal("0.517")
    entry = AuditEntry.objects.filter(action="decision").last()
    assert entry is not None
    assert (entry.actor_name, entry.payload["raise_by_usd"]) == ("ada", "0.50000000")
    check_invariants(run.pk)


def test_a_no_ends_the_run(engine: Engine, parked: Run, ada: Actor) -> None:
    (asked,) = questions()
    approval_decide(actor=ada, approval_id=asked.pk, verdict="deny", reason="too dear")
    run = engine.until(parked)

    assert (run.state, run.error_code) == ("failed", "budget_denied")
    assert run.reason == "ada did not raise what it may spend: too dear"
    assert standing() == (2 * CHARGE, NOTHING)
    check_invariants(run.pk)


@pytest.mark.parametrize("amount", ["0", "-1", "much", "1e30", "NaN"])
def test_an_amount_that_is_none_changes_nothing(parked: Run, ada: Actor, amount: str) -> None:
    with pytest.raises(InvalidInputError):
        grant(ada, questions()[0], amount)

    assert BudgetAccount.objects.get().limit_usd == Decimal("0.017")
    assert len(questions()) == 1


def test_neither_who_asked_nor_who_wrote_the_agent_may_raise_it(
    workspace: Workspace, parked: Run
) -> None:
    (asked,) = questions()
    author = person(workspace, "bob", "admin")
    Approval.objects.filter(pk=asked.pk).update(owner_id=author.user_id)
    for actor, sentence in (
        (boss(), "You asked for this yourself"),
        (author, "You wrote the agent that asks, so"),
        (person(workspace, "cleo", "author"), "budget.edit"),
        (person(workspace, "dan", "approver"), "budget.edit"),
    ):
        with pytest.raises(PermissionDeniedError, match=sentence):
            grant(actor, asked)

    assert BudgetAccount.objects.get().limit_usd == Decimal("0.017")
    assert Run.objects.get(pk=parked.pk).wait_kind == "budget"


def test_the_question_knows_who_wrote_the_agent(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    priced_agent(workspace)
    author = person(workspace, "bob", "admin")
    AgentVersion.objects.update(created_by_id=author.user_id)
    budget(ada, workspace, "0.001")
    run = begin(workspace)
    engine.start()
    engine.until(run, RunState.WAITING, wait_kind="budget")

    assert questions()[0].owner_id == author.user_id


def test_of_two_who_raise_at_once_one_is_told_who_was_first(
    engine: Engine, workspace: Workspace, parked: Run, ada: Actor
) -> None:
    (asked,) = questions()
    eve = person(workspace, "eve", "admin")
    results = at_once([lambda: grant(ada, asked, "0.5"), lambda: grant(eve, asked, "0.5")])
    engine.until(parked, RunState.YIELDED)

    (refused,) = [each for each in results if isinstance(each, StaleStateError)]
    assert refused.detail["by"] in {"ada", "eve"}
    assert BudgetAccount.objects.get().limit_usd == Decimal("0.517")


def test_two_raises_of_a_budget_both_count(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    row = budget(ada, workspace, "1")
    at_once([lambda: budget_raise(ada, budget=row, by_usd=Decimal("0.3")) for _ in range(4)])

    assert BudgetAccount.objects.get().limit_usd == Decimal("2.2")


def test_a_limit_is_not_raised_beyond_what_can_be_counted(parked: Run, ada: Actor) -> None:
    most = LARGEST_USD - Decimal("0.00000001")
    budget_raise(ada, budget=Budget.objects.get(), by_usd=Decimal(5_000_000))
    before = BudgetAccount.objects.get().limit_usd

    with pytest.raises(InvalidInputError, match=r"A limit is \$10000000.00 at most"):
        budget_raise(ada, budget=Budget.objects.get(), by_usd=most)

    assert BudgetAccount.objects.get().limit_usd == before
    assert account_granted(BudgetAccount.objects.get().pk, Decimal(1)) is not None
    with pytest.raises(InvalidInputError, match="A limit is"):
        account_granted(BudgetAccount.objects.get().pk, most)


def _raised(actor: Actor, row: Any) -> None:
    budget_raise(actor, budget=row, by_usd=Decimal(1))


def _set_higher(actor: Actor, row: Any) -> None:
    budget_update(actor, budget=row, limit_usd=Decimal(1))


def _off(actor: Actor, row: Any) -> None:
    budget_update(actor, budget=row, is_enabled=False)


def _gone(actor: Actor, row: Any) -> None:
    budget_delete(actor, budget=row)


@pytest.mark.parametrize("change", [_raised, _set_higher, _off, _gone])
def test_a_change_of_the_budget_wakes_who_waits_and_withdraws_the_question(
    engine: Engine, workspace: Workspace, parked: Run, ada: Actor, change: Any
) -> None:
    (asked,) = questions()
    change(ada, BudgetAccount.objects.get().budget)
    run = engine.until(parked, RunState.YIELDED)

    assert run.iteration == 5
    asked.refresh_from_db()
    assert (asked.state, asked.reason) == ("withdrawn", "There is room again.")


def test_a_raise_that_is_too_small_wakes_nobody(parked: Run, ada: Actor) -> None:
    (asked,) = questions()
    row = BudgetAccount.objects.get().budget
    assert row is not None
    budget_raise(ada, budget=row, by_usd=Decimal("0.0009"))

    assert Run.objects.get(pk=parked.pk).wait_kind == "budget"
    assert questions() == [asked]


def test_a_raise_while_the_run_is_on_its_way_to_park_is_not_missed(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    priced_agent(workspace)
    row = budget(ada, workspace, "0.001")
    done: list[int] = []

    def raise_it() -> None:
        if not done:
            done.append(1)
            in_thread(lambda: budget_raise(ada, budget=row, by_usd=Decimal(1)))()

    run = begin(workspace)
    with pausepoints.at("budget.before_park", raise_it):
        engine.start()
        engine.until(run)

    assert (run.state, done, questions()) == ("succeeded", [1], [])


def test_a_run_that_was_paused_meanwhile_asks_anew(engine: Engine, parked: Run, ada: Actor) -> None:
    (first,) = questions()
    run_pause(actor=ada, run_id=parked.pk)
    run_resume(actor=ada, run_id=parked.pk)
    engine.until(parked, RunState.WAITING, wait_kind="budget", iteration=2)
    (second,) = questions()

    assert first.pk != second.pk
    run_cancel(actor=ada, run_id=parked.pk)
    assert questions() == []
    assert reservations(parked) == [(0, "settled", CHARGE), (1, "settled", CHARGE)]


def test_a_run_that_gives_way_makes_room(engine: Engine, workspace: Workspace, ada: Actor) -> None:
    """Money that was set aside and is not spent lets the next one go on, without anybody."""
    priced_agent(workspace)
    budget(ada, workspace, str(AT_MOST + CHARGE))
    engine.start()
    runs = [begin(workspace) for _ in range(2)]
    for run in runs:
        engine.until(run)

    assert standing() == (2 * CHARGE, NOTHING)
    assert questions() == []
