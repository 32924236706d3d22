"""What an approver is shown beside the arguments."""

import pytest
from django.test import Client
from django.urls import reverse

from governance.contracts import Actor
from governance.models import Approval, User, Workspace
from governance.selectors.evidence import approval_evidence
from plugins.models import ToolCall
from plugins.selectors import call_is_unprotected
from sandbox.contracts import Isolation, Profile
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    decide,
    install,
    parked,
    paying,
    publish,
)
from tests.integration.agents.approvals.test_surfaces import BASE, api
from tests.integration.agents.execution.kit import Engine

SCRIPT = """
steps:
  - tool_calls: [{name: echo, arguments: {text: the bill is 42 dollars}}]
  - tool_calls:
      - {name: pay, arguments: {amount: 42}}
      - {name: pay, arguments: {amount: 41}}
  - {text: Done.}
"""


def test_it_says_where_each_argument_comes_from_and_what_else_the_turn_asked(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace, SCRIPT)
    known, unknown = parked(engine, run, 2)
    found = approval_evidence(ann, known)
    (source,) = found["sources"]
    assert (source["path"], source["is_found"]) == ("amount", True)
    assert source["sentence"] == "from the tool result at position 2"
    assert [place["kind"] for place in source["places"]] == ["tool result"]
    assert "the bill is 42 dollars" in source["places"][0]["excerpt"]
    assert found["waits"]["run"]["id"] == str(run.pk)
    assert [each["tool"] for each in found["waits"]["beside"]] == ["pay"]
    assert approval_evidence(ann, unknown)["sources"] == [
        {
            "path": "amount",
            "is_found": False,
            "sentence": "written by the model itself; "
            "no message or tool result of this run says it",
            "places": [],
        }
    ]


def test_the_page_and_rest_say_in_the_same_words_where_an_argument_comes_from(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay={**ASK, "approvers": ["user:ann"]})
    (approval,) = parked(engine, paying(workspace))
    (source,) = approval_evidence(ann, approval)["sources"]
    user = User.objects.get(username="ann")
    user.is_staff = True
    user.save()
    browser = Client()
    browser.force_login(user)

    page = browser.get(reverse("admin:governance_approval_change", args=[approval.pk]))
    shown = api("ann").get(f"{BASE}/approvals/{approval.pk}").json()

    assert source["sentence"].startswith("written by the model itself")
    assert f"<code>amount</code>: {source['sentence']}" in page.content.decode()
    assert [each["sentence"] for each in shown["evidence"]["sources"]] == [source["sentence"]]


def test_it_says_what_was_decided_of_calls_alike_the_likest_first(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (first,) = parked(engine, run)
    decide(ann, first, "deny", reason="Too much.")
    engine.until(run)
    (second,) = parked(engine, paying(workspace))
    decide(ann, second, arguments={"amount": 5})
    (third,) = parked(engine, paying(workspace))
    Approval.objects.filter(pk=third.pk).update(evidence={"plan": {"summary": "Pays 7."}})
    third.refresh_from_db()
    found = approval_evidence(ann, third)

    assert found["counts"] == {"approved": 1, "denied": 1, "expired": 0}
    assert [(each["state"], each["by"], each["reason"]) for each in found["similar"]] == [
        ("denied", "ann", "Too much."),
        ("approved", "ann", ""),
    ]
    assert found["similar"][1]["difference"] == [{"path": "amount", "before": 7, "after": 5}]
    assert found["plan"] == {"summary": "Pays 7."}
    shown = api("ann").get(f"{BASE}/approvals/{third.pk}").json()
    assert shown["evidence"]["plan"] == {"summary": "Pays 7."}
    assert "evidence" not in api("ann").get(f"{BASE}/approvals").json()["items"][0]


def test_whoever_decides_is_told_that_a_call_has_no_sandbox(
    engine: Engine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, PayTool(sandbox=Profile(isolation=Isolation.DISABLED)))
    publish(workspace, pay=ASK)

    (approval,) = parked(engine, paying(workspace))

    assert approval.evidence["sandbox"]["is_unprotected"] is True
    (call,) = ToolCall.objects.all()
    assert call_is_unprotected(call)
