"""Deciding by REST, by the command line's client and by the console: each wakes the run."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from governance.contracts import Actor
from governance.models import Approval, PolicyVersion, User, Workspace
from tests.factories.governance import issue
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.execution.kit import Engine, told

BASE = "/api/v1/workspaces/acme"


def api(name: str, **token: Any) -> APIClient:
    client = APIClient()
    secret = issue(User.objects.get(username=name), **token).secret
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def test_the_inbox_shows_what_an_approver_needs_and_a_decision_wakes_the_run(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay={**ASK, "approvers": ["user:ann"]})
    run = paying(workspace)
    parked(engine, run)
    client = api("ann")
    (item,) = client.get(f"{BASE}/approvals?state=pending").json()["items"]

    assert (item["title"], item["arguments"], item["may_decide"]) == (
        "helper wants to call pay",
        {"amount": 7},
        True,
    )
    assert (item["run"], item["requester"], item["approvers"]) == (
        str(run.pk),
        "boss",
        ["user:ann"],
    )
    answer = client.post(
        f"{BASE}/approvals/{item['id']}/decide",
        {"verdict": "approve", "arguments": {"amount": 5}, "reason": "Less."},
        format="json",
    )
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    assert answer.json()["difference"] == [{"path": "amount", "before": 7, "after": 5}]
    assert answer.json()["votes"][0]["user"] == "ann"
    engine.until(run)
    assert pay.ran == [{"amount": 5}]

    person(workspace, "ben")
    late = api("ben").post(
        f"{BASE}/approvals/{item['id']}/decide", {"verdict": "deny"}, format="json"
    )
    assert late.status_code in {403, 409}


def test_without_sight_of_payload_there_is_no_digest_to_try_guesses_on(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    parked(engine, paying(workspace))
    person(workspace, "vic", "viewer")
    stored = Approval.objects.get()

    (seen,) = api("ann").get(f"{BASE}/approvals").json()["items"]
    (hidden,) = api("vic").get(f"{BASE}/approvals").json()["items"]
    assert seen["binding"] == stored.binding
    assert seen["binding_digest"] == stored.binding_digest
    assert (hidden["payload_hidden"], hidden["binding"], hidden["binding_digest"]) == (
        True,
        None,
        None,
    )
    User.objects.update(is_staff=True)
    for name, is_shown in (("ann", True), ("vic", False)):
        browser = Client()
        browser.force_login(User.objects.get(username=name))
        page = browser.get(reverse("admin:governance_approval_change", args=[stored.pk]))
        assert page.status_code == 200
        assert (stored.binding["arguments"] in page.content.decode()) is is_shown


def test_who_came_second_is_told_who_was_first(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    person(workspace, "ben")
    place = f"{BASE}/approvals/{approval.pk}/decide"
    assert api("ann").post(place, {"verdict": "deny", "reason": "No."}, format="json").status_code
    second = api("ben").post(place, {"verdict": "approve"}, format="json")

    assert (second.status_code, second.json()["code"]) == (409, "stale_state")
    assert second.json()["context"]["by"] == "ann"
    engine.until(run)
    assert pay.ran == []


def test_who_may_not_see_arguments_may_not_decide(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    narrow = api("ann", scopes=["approval.view", "approval.decide", "workspace.view"])
    shown = narrow.get(f"{BASE}/approvals/{approval.pk}").json()
    answer = narrow.post(
        f"{BASE}/approvals/{approval.pk}/decide", {"verdict": "approve"}, format="json"
    )

    assert (shown["arguments"], shown["question"], shown["may_decide"]) == (None, None, False)
    assert (answer.status_code, answer.json()["context"]["permission"]) == (403, "run.payload")
    approval.refresh_from_db()
    assert approval.state == "pending"


def test_why_a_run_waits_names_the_question_and_whom_it_is_for(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay={**ASK, "approvers": ["user:ann"], "quorum": 2})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    User.objects.filter(username="ann").update(is_staff=True)
    browser = Client()
    browser.force_login(User.objects.get(username="ann"))

    (reason,) = api("ann").get(f"{BASE}/runs/{run.pk}/why").json()["reasons"]
    page = browser.get(reverse("admin:agents_run_change", args=[run.pk])).text

    assert reason["sentence"] == "helper wants to call pay; that is asked of 2 of user:ann."
    assert f"agentry approvals show {approval.pk}" in reason["remedy"]
    assert (reason["code"], reason["subject"]) == ("waiting_approval", str(approval.pk))
    assert reverse("admin:governance_approval_change", args=[approval.pk]) in page


def test_the_console_asks_twice_and_decides_once(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    user = User.objects.get(username="ann")
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    page = reverse("admin:governance_approval_change", args=[approval.pk])
    decide = reverse("admin:governance_approval_decide", args=[approval.pk])

    assert decide in client.get(page).content.decode()
    shown = client.get(decide).content.decode()
    assert "&quot;amount&quot;: 7" in shown
    assert not re.search(r"<textarea[^>]*>\s*null", shown), "no other arguments are none at all"
    assert Approval.objects.get(pk=approval.pk).state == "pending"
    seen = {"seen": approval.binding_digest}
    said = {**seen, "verdict": "deny", "reason": "Not today."}
    answer = client.post(decide, said, follow=True)
    assert "It is decided." in answer.content.decode()
    again = client.post(decide, {**seen, "verdict": "approve"}, follow=True)
    assert "The approval is denied by ann." in again.content.decode()
    engine.until(run)
    assert "error ann denied the call. Reason: Not today. Nothing was done." in told(run)


def test_a_policy_is_written_and_then_published(workspace: Workspace) -> None:
    person(workspace, "adam", "admin")
    person(workspace, "vera", "viewer")
    client = api("adam")
    assert client.get(f"{BASE}/policy").status_code == 404
    draft = client.put(f"{BASE}/policy", {"source": '{"pay": {}}'}, format="json")
    assert (draft.status_code, draft.json()["active"]) == (200, None)
    assert not PolicyVersion.objects.exists()
    first = client.post(f"{BASE}/policy/publish", {"note": "the first"}, format="json")
    again = client.post(f"{BASE}/policy/publish", {}, format="json")
    assert (first.status_code, first.json()["number"], again.json()["number"]) == (201, 1, 1)
    client.put(f"{BASE}/policy", {"source": "{}"}, format="json")
    assert client.get(f"{BASE}/policy").json()["is_published"] is False
    assert client.post(f"{BASE}/policy/publish", {}, format="json").json()["number"] == 2
    shown = api("vera").get(f"{BASE}/policy/versions").json()["items"]
    assert [(each["number"], each["is_active"]) for each in shown] == [(2, True), (1, False)]
    assert api("vera").get(f"{BASE}/policy/versions/1").json()["source"] == '{"pay": {}}'
    refused = api("vera").put(f"{BASE}/policy", {"source": "{}"}, format="json")
    assert (refused.status_code, refused.json()["context"]["permission"]) == (403, "policy.edit")


@pytest.mark.parametrize("body", [{}, {"verdict": "maybe"}, {"verdict": "deny", "arguments": {}}])
def test_a_wrong_answer_decides_nothing(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, body: dict[str, Any]
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    answer = api("ann").post(f"{BASE}/approvals/{approval.pk}/decide", body, format="json")

    assert answer.status_code == 400
    approval.refresh_from_db()
    assert approval.state == "pending"
