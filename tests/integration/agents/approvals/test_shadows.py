"""Shadows: asked beside what decides, deciding nothing, and never in anybody's way."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from agents.execution.shadows import MAX_WAITING
from core import pausepoints
from core.ids import new_id
from governance.contracts import Actor
from governance.models import PolicyDifference, PolicyVersion, Workspace
from governance.policy.contracts import Effect, PolicyDecision
from governance.services import shadows
from governance.services.shadows import Difference, shadow_record
from tests.integration.agents.approvals.kit import (
    ALLOW,
    ASK,
    DENY,
    PayTool,
    decide,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.approvals.test_surfaces import api
from tests.integration.agents.execution.kit import Engine, ledger
from tests.waiting import wait_for

BASE = "/api/v1/workspaces/acme"
PAY_THREE = """
steps:
  - tool_calls:
      - {name: pay, arguments: {amount: 1}}
      - {name: pay, arguments: {amount: 2}}
      - {name: pay, arguments: {amount: 3}}
  - {text: Done.}
"""


def shadow(workspace: Workspace, **answers: Any) -> PolicyVersion:
    """Publish a policy that only watches."""
    in_force = PolicyVersion.objects.filter(workspace=workspace, is_active=True).first()
    version = publish(workspace, **answers)
    with transaction.atomic():
        PolicyVersion.objects.filter(pk=version.pk).update(is_active=False, is_shadow=True)
        if in_force is not None:
            PolicyVersion.objects.filter(pk=in_force.pk).update(is_active=True)
    return version


def counted(version: PolicyVersion, wanted: Callable[[PolicyVersion], bool]) -> PolicyVersion:
    """Wait for what is written beside the run."""

    def is_there() -> bool:
        version.refresh_from_db()
        return wanted(version)

    wait_for(is_there, lambda: f"{version.shadow_asked} asked")
    return version


def differences(version: PolicyVersion) -> list[tuple[str, str, str, str, str]]:
    rows = PolicyDifference.objects.filter(version=version).order_by("pk")
    return list(rows.values_list("tool", "effect", "rule", "shadow_effect", "shadow_rule"))


def test_what_a_shadow_says_otherwise_is_kept_and_decides_nothing(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ALLOW)
    watching = shadow(workspace, pay=DENY)
    run = engine.play(paying(workspace, PAY_THREE))

    counted(watching, lambda version: version.shadow_asked == 3)

    assert (run.state, len(pay.ran)) == ("succeeded", 3)
    assert differences(watching) == [("pay", "allow", "fine", "deny", "never")] * 3
    assert (watching.shadow_differing, watching.shadow_skipped) == (3, 0)
    kept = PolicyDifference.objects.filter(version=watching).first()
    assert kept is not None
    assert (kept.run_id, kept.shadow_reason) == (run.pk, "Not in this house.")


def test_a_shadow_that_agrees_is_only_counted(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    watching = shadow(workspace, pay={**ASK, "rule": "by another name"})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    decide(ann, approval)
    engine.until(run)

    counted(watching, lambda version: version.shadow_asked == 1)

    assert (watching.shadow_differing, differences(watching)) == (0, [])


def test_a_shadow_that_asks_other_people_differs(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ASK)
    watching = shadow(workspace, pay={**ASK, "approvers": ["role:admin"], "quorum": 2})
    parked(engine, paying(workspace))

    counted(watching, lambda version: version.shadow_asked == 1)

    assert differences(watching) == [("pay", "ask", "ask-first", "ask", "ask-first")]


def test_without_a_policy_the_built_in_rule_is_what_it_stands_beside(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    watching = shadow(workspace, pay=ALLOW)
    run = engine.play(paying(workspace))

    counted(watching, lambda version: version.shadow_asked == 1)

    assert pay.ran == []
    assert ledger(run) == [("pay", "denied")]
    assert differences(watching) == [("pay", "deny", "privileged-needs-approval", "allow", "fine")]


def test_a_shadow_that_breaks_is_an_answer_and_holds_nothing_up(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ALLOW)
    watching = shadow(workspace)
    PolicyVersion.objects.filter(pk=watching.pk).update(source="not what it was")
    run = engine.play(paying(workspace))

    counted(watching, lambda version: version.shadow_asked == 1)

    assert (run.state, pay.ran) == ("succeeded", [{"amount": 7}])
    kept = PolicyDifference.objects.get(version=watching)
    assert (kept.shadow_effect, kept.is_abnormal) == ("deny", True)


def test_a_slow_shadow_delays_no_call_and_what_it_missed_is_counted(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ALLOW)
    watching = shadow(workspace, pay=DENY)
    released = threading.Event()
    calls = MAX_WAITING + 6
    one = "{name: pay, arguments: {amount: 1}}"
    script = f"steps: [{{tool_calls: [{', '.join([one] * calls)}]}}, {{text: Done.}}]"

    def hold() -> None:
        released.wait(60)

    with pausepoints.at("shadow.before_answer", hold):
        run = engine.play(paying(workspace, script))
        assert (run.state, len(pay.ran)) == ("succeeded", calls), "it waits for no shadow"
        counted(watching, lambda version: version.shadow_skipped == 6)
        released.set()

    counted(watching, lambda version: version.shadow_asked + version.shadow_skipped == calls)
    assert watching.shadow_asked >= 2


def _difference(call_id: Any) -> Difference:
    allow = PolicyDecision(effect=Effect.ALLOW, rule="fine", version="v")
    deny = PolicyDecision(effect=Effect.DENY, rule="never", version="s")
    return Difference(call_id=call_id, run_id=new_id(), tool="pay", decided=allow, shadow=deny)


def test_a_call_that_is_judged_again_is_kept_once(workspace: Workspace) -> None:
    watching = shadow(workspace)
    again = _difference(new_id())

    for _ in range(2):
        shadow_record(watching.pk, asked=1, skipped=0, differences=[again, again])

    watching.refresh_from_db()
    assert (watching.shadow_asked, watching.shadow_differing) == (2, 1)
    assert len(differences(watching)) == 1


def test_what_is_kept_is_bounded_and_all_of_it_is_counted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadows, "MAX_KEPT", 3)
    watching = shadow(workspace)

    for _ in range(2):
        found = [_difference(new_id()) for _ in range(2)]
        shadow_record(watching.pk, asked=2, skipped=0, differences=found)
    shadow_record(new_id(), asked=1, skipped=0, differences=[])

    watching.refresh_from_db()
    assert (watching.shadow_differing, len(differences(watching))) == (4, 3)


def test_differences_are_listed_for_who_may_see_policies(workspace: Workspace) -> None:
    person(workspace, "vera", "viewer")
    watching = shadow(workspace)
    shadow_record(watching.pk, asked=1, skipped=2, differences=[_difference(new_id())])

    listed = api("vera").get(f"{BASE}/policy/differences", {"shadow_effect": "deny"}).json()
    other = api("vera").get(f"{BASE}/policy/differences", {"effect": "deny"}).json()
    version = api("vera").get(f"{BASE}/policy/versions/{watching.number}").json()

    assert [(each["tool"], each["effect"], each["shadow_rule"]) for each in listed["items"]] == [
        ("pay", "allow", "never")
    ]
    assert other["items"] == []
    assert [version[f"shadow_{what}"] for what in ("asked", "differing", "skipped")] == [1, 1, 2]
    assert api("vera").delete(f"{BASE}/policy/shadow").status_code == 403
