"""Many calls that ask for money at once: as one by one, for the price of few."""

import asyncio
import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from itertools import product
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.execution.database import DatabaseThread
from agents.execution.spending import Purse
from core import pausepoints
from core.errors import LeaseLostError, UnavailableError
from core.ids import new_id
from governance.contracts import Actor
from governance.models import BudgetAccount, Reservation, Workspace
from governance.services.spending import (
    ModelCall,
    Reserved,
    Shortfall,
    accounts_of,
    accounts_of_all,
    spending_reserve,
)
from governance.services.spending_batches import spending_reserve_many
from tests.factories.governance import make_workspace
from tests.integration.agents.approvals.kit import person
from tests.integration.agents.budgets.kit import AT_MOST, NOTHING, a_call, budget, standing


def kinds(answers: Sequence[object]) -> list[str]:
    return [type(answer).__name__ for answer in answers]


def test_many_cost_the_database_no_more_questions_than_few(
    workspace: Workspace, ada: Actor
) -> None:
    budget(ada, workspace, "1")
    spending_reserve(a_call(workspace))  # from here on the account is there

    def queries(count: int) -> int:
        with CaptureQueriesContext(
            connection,
        ) as made:
            answers = spending_reserve_many([a_call(workspace) for _ in range(count)])
        assert kinds(answers) == ["Reserved"] * count
        return len(made)

    assert queries(40) == queries(4)
    assert standing() == (NOTHING, 45 * AT_MOST)
    assert Reservation.objects.filter(state="reserved").count() == 45


def test_those_that_fit_are_kept_and_the_others_are_told_what_is_full(
    workspace: Workspace, ada: Actor
) -> None:
    budget(ada, workspace, "0.035")
    small = [a_call(workspace, usd=usd) for usd in (AT_MOST, Decimal("0.03"), AT_MOST, AT_MOST)]

    answers = spending_reserve_many(small)

    assert kinds(answers) == ["Reserved", "Shortfall", "Reserved", "Reserved"]
    short = answers[1]
    assert isinstance(short, Shortfall)
    assert (short.name, short.needed_usd) == ("the budget all", Decimal("0.03"))
    assert standing() == (NOTHING, 3 * AT_MOST)


def test_each_counts_against_what_bounds_it_and_nothing_else(
    workspace: Workspace, ada: Actor
) -> None:
    other, ann, bob = make_workspace("other"), *(person(workspace, name) for name in ("ann", "bob"))
    budget(ada, workspace, "1")
    budget(ada, workspace, "1", "helpers", kind="agent", agent="helper")
    budget(ada, workspace, "1", "daily", kind="agent", agent="helper", period="day")
    budget(ada, workspace, "1", "of-ann", kind="user", user="ann")
    budget(ada, workspace, "1", "off", is_enabled=False)
    parent = new_id()
    BudgetAccount.objects.create(
        workspace=workspace, run_id=parent, root_id=parent, agent_name="lead",
        starts_at="2026-01-01T00:00:00Z", limit_usd=1,
    )  # fmt: skip
    BudgetAccount.objects.create(
        workspace=workspace, run_id=new_id(), root_id=parent, agent_name="no-more",
        starts_at="2026-01-01T00:00:00Z", limit_usd=None,
    )  # fmt: skip
    calls = [
        a_call(workspace, agent=agent, user_id=user, payers=payers)
        for agent, user, payers in product(
            ("helper", "lead"), (None, ann.user_id, bob.user_id), ((), (parent, new_id()))
        )
    ]
    calls.append(a_call(other))

    together = [[row.pk for row in rows] for rows in accounts_of_all(calls)]

    assert together == [[row.pk for row in accounts_of(call)] for call in calls]
    assert [len(rows) for rows in together] == [3, 4, 4, 5, 3, 4, 1, 2, 2, 3, 1, 2, 0]
    answers = spending_reserve_many(calls)
    assert kinds(answers) == ["Reserved"] * 12 + ["NoneType"]
    for row in BudgetAccount.objects.exclude(limit_usd=None):
        count = sum(row.pk in rows for rows in together)
        assert row.reserved_usd == count * AT_MOST


def test_a_call_asked_again_and_a_lost_one_go_their_own_ways_beside_the_others(
    workspace: Workspace, ada: Actor
) -> None:
    budget(ada, workspace, "1")
    before, taken = a_call(workspace), a_call(workspace, fence=2)
    lost_answer = a_call(workspace, may_be_again=False)
    for call in (before, taken, lost_answer):
        spending_reserve(call)

    answers = spending_reserve_many([
        a_call(workspace),
        dataclasses.replace(before, fence=2, usd=2 * AT_MOST),  # its worker died, this is another
        dataclasses.replace(taken, fence=1),  # and here the late one asks
        lost_answer,
        a_call(workspace),
    ])  # fmt: skip

    assert kinds(answers) == ["Reserved", "Reserved", "LeaseLostError", "Reserved", "Reserved"]
    assert standing() == (NOTHING, 6 * AT_MOST)
    assert Reservation.objects.count() == 5


@pytest.mark.postgres  # SQLite lets nobody else write meanwhile
def test_room_that_somebody_else_takes_meanwhile_is_not_given_twice(
    workspace: Workspace, ada: Actor
) -> None:
    budget(ada, workspace, "0.05")
    spending_reserve(a_call(workspace))
    takers: list[Thread] = []

    def take() -> None:
        if takers:
            return
        takers.append(Thread(target=_take, args=(a_call(workspace, usd=2 * AT_MOST),)))
        takers[0].start()
        takers[0].join()

    with pausepoints.at("budget.before_reserve", take):
        answers = spending_reserve_many([a_call(workspace) for _ in range(4)])

    assert kinds(answers) == ["Reserved", "Reserved", "Shortfall", "Shortfall"]
    assert standing() == (NOTHING, 5 * AT_MOST)
    assert Reservation.objects.filter(state="reserved").count() == 4


def _take(call: ModelCall) -> None:
    try:
        assert isinstance(spending_reserve(call), Reserved)
    finally:
        connection.close()


class Slow(DatabaseThread):
    """A database that answers when it is let, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.failing = False

    async def run(self, job: Any) -> Any:
        self.batches.append(len(job.args[0]))
        await self.gate.wait()
        if self.failing:
            raise UnavailableError("The database does not answer right now.")
        return await super().run(job)


async def _all_of(purse: Purse, calls: Sequence[ModelCall]) -> list[Any]:
    return await asyncio.gather(*map(purse.asked, calls), return_exceptions=True)


def test_whoever_comes_while_it_is_busy_is_asked_about_together(
    workspace: Workspace, ada: Actor
) -> None:
    budget(ada, workspace, "10")
    lost = a_call(workspace, fence=2)
    spending_reserve(lost)
    calls = [a_call(workspace) for _ in range(300)] + [dataclasses.replace(lost, fence=1)]

    async def ask() -> tuple[list[Any], list[int]]:
        database = Slow()
        asking = asyncio.ensure_future(_all_of(Purse(database), calls))
        await asyncio.sleep(0)
        database.gate.set()
        try:
            return await asking, database.batches
        finally:
            database.close()

    answers, batches = asyncio.run(ask())

    assert kinds(answers) == ["Reserved"] * 300 + [LeaseLostError.__name__]
    assert batches == [1, 200, 100]
    assert standing()[1] == 301 * AT_MOST


def test_a_failure_is_told_to_all_who_were_asked_about_and_the_next_are_served(
    workspace: Workspace, ada: Actor
) -> None:
    budget(ada, workspace, "1")

    async def ask() -> tuple[list[Any], list[Any]]:
        database = Slow()
        purse = Purse(database)
        database.gate.set()
        database.failing = True
        failed = await _all_of(purse, [a_call(workspace) for _ in range(3)])
        database.failing = False
        try:
            return failed, await _all_of(purse, [a_call(workspace)])
        finally:
            database.close()

    failed, served = asyncio.run(ask())

    assert kinds(failed) == ["UnavailableError"] * 3
    assert kinds(served) == ["Reserved"]


def test_an_engine_that_ends_leaves_nobody_waiting(workspace: Workspace, ada: Actor) -> None:
    budget(ada, workspace, "1")

    async def ask() -> list[asyncio.Task[Any]]:
        purse = Purse(Slow())
        waiting = [asyncio.ensure_future(purse.asked(a_call(workspace))) for _ in range(3)]
        await asyncio.sleep(0)
        return waiting  # the loop cancels what is left in it

    assert [task.cancelled() for task in asyncio.run(ask())] == [True] * 3
