"""News of budgets: at 80 % and when one is used up, once a period each, amounts and names only."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core import clock, pausepoints
from governance.access import actor_of_user
from governance.contracts import SYSTEM
from governance.models import Budget, BudgetAccount, Channel, Delivery, User, Workspace
from governance.services.budget_news import budgets_tell
from governance.services.budgets import budget_create, budget_raise, budget_update
from governance.services.letters import letters_set
from governance.services.spending import account_now
from tests.factories.governance import join, make_workspace

pytestmark = pytest.mark.django_db

BOTH = ("budget.warning", "budget.exhausted")


@pytest.fixture
def acme() -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def hook(acme: Workspace) -> Channel:
    return Channel.objects.create(
        workspace=acme, name="ops", kind="webhook", url="http://x.test/", events=list(BOTH)
    )


def budget(acme: Workspace, limit: str = "10", name: str = "all", **more: Any) -> Budget:
    fields = {"kind": "workspace", "period": "month", **more}
    return budget_create(SYSTEM, workspace=acme, name=name, limit_usd=Decimal(limit), **fields)


def spend(row: Budget, usd: str) -> BudgetAccount:
    account = account_now(row)
    BudgetAccount.objects.filter(pk=account.pk).update(spent_usd=Decimal(usd))
    return account


def told() -> list[tuple[str, str]]:
    rows = Delivery.objects.order_by("pk")
    return [(row.event, row.payload["spent_usd"]) for row in rows]


@pytest.mark.parametrize(
    ("spent", "events"),
    [
        ("7.99999999", []),
        ("8", ["budget.warning"]),
        ("9.99999999", ["budget.warning"]),
        ("10", ["budget.exhausted"]),
        ("10.5", ["budget.exhausted"]),
    ],
)
def test_a_mark_is_told_when_it_is_reached(
    acme: Workspace, hook: Channel, spent: str, events: list[str]
) -> None:
    spend(budget(acme), spent)

    assert budgets_tell() == len(events)
    assert [event for event, _ in told()] == events
    assert budgets_tell() == 0


def test_each_mark_is_told_once_a_period(acme: Workspace, hook: Channel) -> None:
    row = budget(acme)
    account = account_now(row)
    for usd in ("8", "8.5", "10", "10"):
        spend(row, usd)
        budgets_tell()
    assert told() == [("budget.warning", "8.00000000"), ("budget.exhausted", "10.00000000")]

    BudgetAccount.objects.filter(pk=account.pk).update(
        starts_at=account.starts_at - timedelta(days=40), ends_at=clock.now()
    )
    assert budgets_tell() == 0
    spend(row, "8")
    assert budgets_tell() == 1


def test_another_limit_begins_anew_only_below_a_mark(acme: Workspace, hook: Channel) -> None:
    row = budget(acme)
    spend(row, "10")
    assert budgets_tell() == 1

    budget_raise(SYSTEM, budget=row, by_usd=Decimal(1))  # ten of eleven: still above 80 %
    assert budgets_tell() == 0
    spend(row, "11")
    assert budgets_tell() == 1

    budget_update(SYSTEM, budget=row, limit_usd=Decimal(100))
    assert budgets_tell() == 0
    spend(row, "80")
    assert budgets_tell() == 1
    assert [event for event, _ in told()] == [
        "budget.exhausted", "budget.exhausted", "budget.warning",
    ]  # fmt: skip


def test_of_two_who_tell_at_once_one_does(acme: Workspace, hook: Channel) -> None:
    spend(budget(acme), "9")
    written: list[int] = []

    def other() -> None:
        with pausepoints.at("budget.before_note", lambda: None):
            written.append(budgets_tell())

    with pausepoints.at("budget.before_note", other):
        written.append(budgets_tell())

    assert written == [1, 0]
    assert len(told()) == 1


def test_what_died_before_the_commit_is_told_by_the_next(acme: Workspace, hook: Channel) -> None:
    account = spend(budget(acme), "9")

    def die() -> None:
        raise RuntimeError("killed here")

    with pausepoints.at("budget.before_note", die), pytest.raises(RuntimeError):
        budgets_tell()
    account.refresh_from_db()
    assert (account.told_percent, told()) == (0, [])

    assert budgets_tell() == 1
    account.refresh_from_db()
    assert account.told_percent == 80


@pytest.mark.parametrize("how", ["off", "no limit", "over"])
def test_what_bounds_nothing_is_no_news(acme: Workspace, hook: Channel, how: str) -> None:
    row = budget(acme)
    account = spend(row, "10")
    rows = BudgetAccount.objects.filter(pk=account.pk)
    if how == "off":
        Budget.objects.update(is_enabled=False)
    elif how == "no limit":
        rows.update(limit_usd=None)
    else:
        rows.update(ends_at=clock.now() - timedelta(seconds=1))

    assert budgets_tell() == 0


def test_the_message_has_amounts_and_names_and_nothing_else(
    acme: Workspace, hook: Channel, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://agents.example"
    row = budget(acme, kind="agent", agent="helper", name="research")
    spend(row, "8.25")
    budgets_tell()

    payload = Delivery.objects.get().payload
    assert payload.pop("at")
    assert payload == {
        "workspace": "acme",
        "title": "80 % of the budget research of the agent helper is spent",
        "budget": "research", "whose": "agent helper", "period": "month", "percent": 80,
        "code": "budget.warning", "limit_usd": "10.00000000", "spent_usd": "8.25000000",
        "reserved_usd": "0.00000000", "waiting": 0, "sentence": "$8.25 of $10.00 (month).",
        "link": f"https://agents.example/admin/governance/budget/{row.pk}/change/",
    }  # fmt: skip


def test_letters_go_to_who_may_raise_it_and_to_who_wished(
    acme: Workspace, django_user_model: type[User]
) -> None:
    Channel.objects.create(workspace=acme, name="post", kind="email", events=list(BOTH))
    for name, role in (("ada", "admin"), ("olga", "operator"), ("vic", "viewer")):
        user = join(acme, name, role).user
        User.objects.filter(pk=user.pk).update(email=f"{name}@acme.example")
        user.refresh_from_db()
        if name == "vic":
            letters_set(actor_of_user(user), workspace=acme, events=["budget.warning"])
    spend(budget(acme), "9")

    assert budgets_tell() == 2
    assert sorted(Delivery.objects.values_list("recipient", flat=True)) == [
        "ada@acme.example", "vic@acme.example",
    ]  # fmt: skip


def test_another_workspace_is_not_told(acme: Workspace, hook: Channel) -> None:
    spend(budget(make_workspace("other")), "10")

    assert budgets_tell() == 0


def test_a_channel_that_does_not_want_it_is_left_alone(acme: Workspace, hook: Channel) -> None:
    Channel.objects.update(events=["budget.exhausted"])
    spend(budget(acme), "9")

    assert budgets_tell() == 0
