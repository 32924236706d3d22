"""Whoever decides about a call is told in which sandbox it would run, and that it would in none."""

from collections.abc import Iterator

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from governance.contracts import Actor
from governance.models import Approval, User, Workspace
from sandbox.site import SiteRules
from tests.factories.agents import make_tool
from tests.integration.agents.approvals.kit import ASK, decide, parked, person, publish, told_engine
from tests.integration.agents.approvals.test_surfaces import BASE, api
from tests.integration.agents.execution.kit import Engine, begin, script_agent
from tests.integration.agents.programs.test_programs import a_script

RULES = SiteRules(allows_disabled=True)


@pytest.fixture
def asked(
    engine: Engine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Approval]]:
    """An open approval of a program without a sandbox, and one of a program that has one."""
    monkeypatch.setattr("governance.services.policies.policy_engine", told_engine)
    with override_settings(SANDBOX_RULES=RULES):
        engine.start(sandbox_rules=RULES)
        for name, choice in (("naked", "disabled"), ("dressed", "")):
            make_tool(
                workspace, name, kind="command", url="", command="id", engine=choice, effect="read",
                is_privileged=True, input_schema={"type": "object"},
            )  # fmt: skip
        publish(workspace, naked=ASK, dressed=ASK)
        found = {}
        for name in ("naked", "dressed"):
            script_agent(workspace, a_script([(name, {})]), name=f"a-{name}", tools=[name])
            (found[name],) = parked(engine, begin(workspace, agent=f"a-{name}"))
        yield found


@pytest.fixture
def ann(workspace: Workspace) -> Actor:
    actor = person(workspace, "ann", "admin")
    User.objects.filter(username="ann").update(is_staff=True)
    return actor


def test_whoever_decides_is_told(asked: dict[str, Approval], ann: Actor, engine: Engine) -> None:
    client, browser = api("ann"), Client()
    browser.force_login(User.objects.get(username="ann"))

    for name, approval in asked.items():
        shown = client.get(f"{BASE}/approvals/{approval.pk}").json()["evidence"]["sandbox"]
        page = browser.get(reverse("admin:governance_approval_decide", args=[approval.pk])).text

        assert shown["is_unprotected"] is (name == "naked")
        assert ("no sandbox" in page) is (name == "naked")
    for approval in asked.values():
        decide(ann, approval, "deny")
