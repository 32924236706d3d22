"""Budgets over REST, in documents and in the console: who may, what they say, what is recorded."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agents.services.apply import apply
from core import clock
from core.errors import InvalidInputError
from core.ids import new_id
from governance.contracts import BUILTIN_ROLES, SYSTEM, Perm
from governance.execution import reservations_purge
from governance.models import AuditEntry, Budget, BudgetAccount, Reservation
from governance.services.budgets import budget_create
from governance.services.spending import RunCap, run_caps_open
from tests.factories.agents import make_agent, make_reservation, make_run
from tests.factories.governance import PASSWORD, Cast

BASE = "workspaces/acme/budgets"
MONTHLY = {"name": "monthly", "kind": "workspace", "limit_usd": "100", "note": "Agreed."}

pytestmark = pytest.mark.django_db


@pytest.fixture
def monthly(cast: Cast) -> Budget:
    return budget_create(
        SYSTEM, workspace=cast.acme, name="monthly", kind="workspace", limit_usd=Decimal(100)
    )


def _told() -> list[tuple[str, Any, Any]]:
    rows = AuditEntry.objects.filter(action="budget_changed").order_by("sequence")
    return [(row.actor_name, row.payload["what"], row.payload.get("by_usd")) for row in rows]


def test_a_budget_is_set_changed_raised_and_deleted_over_rest(cast: Cast, call_as: Any) -> None:
    admin = call_as("admin")

    made = admin("post", BASE, MONTHLY)
    again = admin("post", BASE, MONTHLY)
    raised = admin("post", f"{BASE}/monthly/raise", {"by_usd": "12.5", "reason": "a launch"})
    changed = admin("patch", f"{BASE}/monthly", {"limit_usd": "80"})

    assert [each.status_code for each in (made, again, raised, changed)] == [201, 409, 200, 200]
    assert (again.json()["code"], made.json()["created_by"]) == ("name_taken", "admin")
    limits = [
        (each.json()["limit_usd"], each.json()["now"]["limit_usd"])
        for each in (made, raised, changed)
    ]
    assert limits == [
        ("100.00000000", "100.00000000"),
        ("100.00000000", "112.50000000"),
        ("80.00000000", "80.00000000"),
    ]
    assert made.json()["now"]["remaining_usd"] == "100.00000000"
    assert admin("delete", f"{BASE}/monthly").status_code == 204
    assert admin("get", f"{BASE}/monthly").status_code == 404
    assert _told() == [
        ("admin", "set", None),
        ("admin", "raised", "$12.50"),
        ("admin", "changed", None),
        ("admin", "deleted", None),
    ]
    assert BudgetAccount.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"limit_usd": "0"}, "limit_usd"),
        ({"limit_usd": "1e9"}, "limit_usd"),
        ({"kind": "planet"}, "kind"),
        ({"period": "hour"}, "period"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"agent": "helper"}, "agent"),
        ({"kind": "agent"}, "agent"),
        ({"kind": "user"}, "user"),
        ({"kind": "user", "user": "outsider"}, "user"),
        ({"name": "Not A Name"}, "name"),
    ],
)
def test_what_does_not_fit_is_named_and_makes_nothing(
    cast: Cast, call_as: Any, change: dict[str, str], field: str
) -> None:
    refused = call_as("admin")("post", BASE, {**MONTHLY, **change})

    assert refused.status_code in {400, 422}, refused.json()
    assert field in str(refused.json())
    assert (Budget.objects.count(), _told()) == (0, [])


ACTIONS: tuple[tuple[str, str, Any, Perm], ...] = (
    ("get", BASE, None, Perm.BUDGET_VIEW),
    ("get", f"{BASE}/monthly", None, Perm.BUDGET_VIEW),
    ("get", "workspaces/acme/budget-tree", None, Perm.BUDGET_VIEW),
    ("get", "workspaces/acme/reservations", None, Perm.BUDGET_VIEW),
    ("post", BASE, {**MONTHLY, "name": "other"}, Perm.BUDGET_EDIT),
    ("patch", f"{BASE}/monthly", {"limit_usd": "1"}, Perm.BUDGET_EDIT),
    ("post", f"{BASE}/monthly/raise", {"by_usd": "1"}, Perm.BUDGET_EDIT),
    ("delete", f"{BASE}/monthly", None, Perm.BUDGET_EDIT),
)


@pytest.mark.parametrize(("method", "path", "body", "perm"), ACTIONS)
def test_each_action_takes_its_permission(
    cast: Cast, call_as: Any, monthly: Budget, method: str, path: str, body: Any, perm: Perm
) -> None:
    for role in ("viewer", "operator", "approver", "author", "auditor"):
        status = call_as(role)(method, path, body).status_code
        assert (status < 300) == (perm in BUILTIN_ROLES[role]), (role, status)
    assert call_as("outsider")(method, path, body).status_code == 404
    assert call_as("nobody")(method, path, body).status_code == 404
    assert list(BudgetAccount.objects.values_list("limit_usd", flat=True)) == [Decimal(100)]
    assert call_as("admin")(method, path, body).status_code < 300


def test_the_tree_goes_from_the_widest_to_the_narrowest(
    cast: Cast, call_as: Any, monthly: Budget
) -> None:
    budget_create(SYSTEM, workspace=cast.acme, name="zoo", kind="user", user="author",
                  limit_usd=Decimal(5))  # fmt: skip
    budget_create(SYSTEM, workspace=cast.acme, name="ants", kind="agent", agent="helper",
                  limit_usd=Decimal(9))  # fmt: skip
    run_id = new_id()
    run_caps_open(
        [RunCap(workspace_id=cast.acme.pk, run_id=run_id, root_id=run_id, agent="helper",
                limit_usd=Decimal(1), spent_usd=Decimal("0.25"))]
    )  # fmt: skip
    branches = call_as("viewer")("get", "workspaces/acme/budget-tree").json()["branches"]

    assert [(row["depth"], row["kind"], row["title"], row["whose"]) for row in branches] == [
        (0, "workspace", "monthly", "workspace"),
        (1, "agent", "ants", "agent helper"),
        (2, "run", "helper", ""),
        (1, "user", "zoo", "user author"),
    ]
    assert branches[2]["run"] == str(run_id)
    assert branches[2]["now"]["remaining_usd"] == "0.75000000"


def test_reservations_are_listed_with_their_run(cast: Cast, call_as: Any) -> None:
    make_agent(cast.acme)
    run = make_run(cast.acme)
    make_reservation(run, model_name="small")
    rows = call_as("viewer")("get", f"workspaces/acme/reservations?run={run.pk}").json()["items"]

    assert [(row["run"], row["place"], row["state"]) for row in rows] == [
        (str(run.pk), 0, "reserved")
    ]


# --- documents ------------------------------------------------------------------------------------


def _document(**spec: Any) -> dict[str, Any]:
    known = {"kind": "agent", "agent": "helper", "limit_usd": "7.5", "period": "week"}
    return {
        "apiVersion": "agentry/v1",
        "kind": "Budget",
        "metadata": {"name": "helpers", "description": "For helpers."},
        "spec": {**known, **spec},
    }


def test_a_document_sets_a_budget_and_the_same_again_changes_nothing(cast: Cast) -> None:
    def applied(**spec: Any) -> Any:
        return apply(actor=cast.actor("admin"), workspace=cast.acme, documents=[_document(**spec)])

    actions = [applied(**spec)[0].action for spec in ({}, {}, {"limit_usd": "9"})]

    assert actions == ["create", "unchanged", "update"]
    row = Budget.objects.get()
    assert (row.kind, row.agent_name, row.period, row.limit_usd, row.note) == (
        "agent", "helper", "week", Decimal(9), "For helpers.",
    )  # fmt: skip
    with pytest.raises(InvalidInputError, match="is 'week' and cannot change"):
        applied(period="day")
    assert [what for _, what, _ in _told()] == ["set", "changed"]


# --- the console ----------------------------------------------------------------------------------


def _signed_in(cast: Cast, name: str) -> Client:
    cast.users[name].is_staff = True
    cast.users[name].save()
    client = Client()
    assert client.login(username=name, password=PASSWORD)
    return client


def test_the_console_shows_the_tree_and_what_waits(cast: Cast, monthly: Budget) -> None:
    BudgetAccount.objects.update(spent_usd=Decimal("90.5"), reserved_usd=Decimal("0.25"))
    text = _signed_in(cast, "viewer").get(reverse("admin:governance_budget_changelist"))
    page = text.content.decode()

    assert "<strong>$90.50</strong> of $100.00" in page
    assert "$0.2500 set aside" in page
    assert "budget-bar is-nearly-full" in page
    assert "Add budget" not in page


def test_a_budget_that_is_used_up_says_so_in_words(cast: Cast, monthly: Budget) -> None:
    client = _signed_in(cast, "viewer")
    tree = reverse("admin:governance_budget_changelist")
    own = reverse("admin:governance_budget_change", args=[monthly.pk])
    word = '<span class="pill-word">used up</span>'

    BudgetAccount.objects.update(spent_usd=Decimal("99.99"))
    before = [client.get(place).content.decode() for place in (tree, own)]
    BudgetAccount.objects.update(reserved_usd=Decimal("0.01"))
    after = [client.get(place).content.decode() for place in (tree, own)]

    assert word not in before[0]
    assert "Nothing is left." not in before[1]
    assert word in after[0]
    assert "Nothing is left." in after[1]
    assert all("budget-bar is-used-up" in page for page in after)


def test_the_console_sets_changes_and_raises(cast: Cast) -> None:
    client = _signed_in(cast, "admin")
    form = {"workspace": cast.acme.pk, "name": "daily", "kind": "workspace", "period": "day",
            "time_zone": "UTC", "limit_usd": "3.5", "is_enabled": "on", "note": ""}  # fmt: skip
    made = client.post(reverse("admin:governance_budget_add"), form)
    row = Budget.objects.get()
    page = reverse("admin:governance_budget_change", args=[row.pk])
    changed = client.post(page, {"limit_usd": "4", "is_enabled": "on", "note": "more"})
    raise_url = reverse("admin:governance_budget_raise", args=[row.pk])
    raised = client.post(raise_url, {"by_usd": "1.25", "reason": "launch"})
    refused = client.post(raise_url, {"by_usd": "-1"}, follow=True)

    assert [each.status_code for each in (made, changed, raised)] == [302, 302, 302]
    assert "Nothing was raised." in refused.content.decode()
    row.refresh_from_db()
    assert (row.limit_usd, row.note, row.changed_by_name) == (Decimal(4), "more", "admin")
    assert BudgetAccount.objects.get().limit_usd == Decimal("5.25")
    assert [what for _, what, _ in _told()] == ["set", "changed", "raised"]


def test_the_console_names_what_does_not_fit(cast: Cast) -> None:
    form = {"workspace": cast.acme.pk, "name": "daily", "kind": "agent", "period": "day",
            "time_zone": "Mars", "limit_usd": "3.5", "is_enabled": "on"}  # fmt: skip
    answer = _signed_in(cast, "admin").post(reverse("admin:governance_budget_add"), form)

    assert "There is no time zone" in answer.content.decode()
    assert Budget.objects.count() == 0


def test_who_may_only_look_raises_nothing_in_the_console(cast: Cast, monthly: Budget) -> None:
    client = _signed_in(cast, "author")
    url = reverse("admin:governance_budget_raise", args=[monthly.pk])
    page = client.get(reverse("admin:governance_budget_change", args=[monthly.pk]))

    assert client.post(url, {"by_usd": "1"}).status_code == 403
    assert client.get(url).status_code == 405
    assert "Raise this period" not in page.content.decode()
    assert BudgetAccount.objects.get().limit_usd == Decimal(100)


def test_old_reservations_are_forgotten_and_open_ones_are_not(cast: Cast) -> None:
    make_agent(cast.acme)
    run = make_run(cast.acme)
    old = clock.now() - timedelta(days=31)
    make_reservation(run, state="settled", settled_at=old)
    make_reservation(run, place=1, state="settled", settled_at=clock.now())
    make_reservation(run, place=2, created_at=old)

    assert reservations_purge() == 1
    assert list(Reservation.objects.order_by("place").values_list("place", flat=True)) == [1, 2]
