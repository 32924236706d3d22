"""The queue's page about calls of real runs: other arguments, grants, and plans."""

import json
from typing import Any

from django.test import Client
from django.urls import reverse

from governance.contracts import Actor
from governance.models import Approval, Grant, User, Workspace
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    decide,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.execution.kit import Engine

PLACE = "/admin/approvals/"


def browser(name: str) -> Client:
    User.objects.filter(username=name).update(is_staff=True)
    client = Client()
    client.force_login(User.objects.get(username=name))
    return client


def post(client: Client, approval: Approval, deed: str, **fields: Any) -> dict[str, Any]:
    document: dict[str, Any] = client.post(f"{PLACE}{approval.pk}/{deed}/", fields).json()
    return document


def test_other_arguments_are_checked_before_they_are_approved(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    client = browser("ann")

    fit = post(client, approval, "try", arguments='{"amount": 5}')
    unfit = post(client, approval, "try", arguments='{"amount": 500}')
    assert fit == {
        "is_done": True,
        "changes": [{"path": "amount", "before": "7", "after": "5"}],
    }
    assert "500 is greater than the maximum of 100" in unfit["fields"]["arguments"][0]
    seen = {"seen": approval.binding_digest, "verdict": "approve"}
    refused = post(client, approval, "decide", arguments='{"amount": 500}', **seen)
    assert (refused["is_done"], refused["fields"]) == (False, unfit["fields"])
    approval.refresh_from_db()
    assert (approval.state, approval.edited_arguments) == ("pending", None)

    done = post(client, approval, "decide", arguments='{"amount": 5}', reason="Less.", **seen)
    engine.until(run)
    approval.refresh_from_db()
    assert done["is_done"] is True
    assert (pay.ran, approval.edited_arguments) == ([{"amount": 5}], {"amount": 5})
    assert approval.binding_digest != seen["seen"]
    late = post(client, approval, "try", arguments='{"amount": 4}')
    assert (late["is_done"], late["code"]) == (False, "stale_state")


def test_a_plan_and_its_difference_are_shown(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    (approval,) = parked(engine, paying(workspace))
    plan = {
        "summary": "Pays 7.",
        "difference": "--- before\n+++ after\n@@ -1 +1 @@\n-balance 9\n+balance 2\n the end",
        "counts": {"payments": 1},
        "cost_usd": "0.02",
    }
    Approval.objects.filter(pk=approval.pk).update(
        evidence={"plan": plan}, binding={"credential": "bank@1a2b other@3c"}
    )
    response = browser("ann").get(f"{PLACE}{approval.pk}/question/")

    found = response.context["question"]
    assert [(line.kind, line.text) for line in found.evidence.plan_lines] == [
        ("place", "--- before"),
        ("place", "+++ after"),
        ("place", "@ -1 +1 @@"),
        ("removed", "balance 9"),
        ("added", "balance 2"),
        ("same", "the end"),
    ]
    assert found.credentials == ("bank", "other")
    for text in ("Pays 7.", "1 payments", "about $0.02", "<code>bank</code>"):
        assert text in response.content.decode()
    assert "1a2b" not in response.content.decode()


def test_a_grant_is_for_what_was_seen(
    engine: Engine, workspace: Workspace, orders: Any, gus: Actor
) -> None:
    publish(workspace, orders={**ASK, "is_grantable": True})
    (approval,) = parked(engine, paying(workspace))
    client = browser("gus")
    place = reverse("admin:governance_approval_grant", args=[approval.pk]) + "?from=queue"
    form = {"pattern": json.dumps({"arguments": {"amount": {"max": 9}}}), "days": "1"}

    assert f"{PLACE}{approval.pk}/" in client.get(place).content.decode()
    unsaid = client.post(place, form)
    assert unsaid.status_code == 200
    told = client.post(place, {**form, "seen": "a" * 64})
    assert "It has changed since you were shown it" in told.content.decode()
    assert approval.binding_digest in told.content.decode()  # and shows it as it is now
    approval.refresh_from_db()
    assert (approval.state, Grant.objects.count()) == ("pending", 0)

    given = client.post(place, {**form, "seen": approval.binding_digest})
    assert (given.status_code, given["Location"]) == (302, PLACE)
    approval.refresh_from_db()
    assert (approval.state, Grant.objects.count()) == ("approved", 1)


def test_a_changed_question_is_refused_until_it_is_looked_at_again(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay={**ASK, "quorum": 2})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    seen = approval.binding_digest
    client = browser("ann")
    decide(person(workspace, "ben"), approval, arguments={"amount": 3})
    refused = post(client, approval, "decide", verdict="approve", seen=seen)
    assert refused["sentence"].startswith("ben has changed the arguments since you were shown it")
    approval.refresh_from_db()
    again = post(client, approval, "decide", verdict="approve", seen=approval.binding_digest)
    engine.until(run)

    assert (again["state"], pay.ran) == ("approved", [{"amount": 3}])
