"""The time machine: recorded calls put to a draft, and what it would have changed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
import pytest

from agents.models import Run
from agents.services import simulating
from agents.services.simulating import Change, Simulation, Unjudged, policy_simulate
from core.errors import InvalidInputError, PermissionDeniedError
from governance.contracts import Actor, Perm
from governance.models import Workspace
from governance.policy.contracts import Effect, PolicyDecision, PolicyInput
from governance.services import policies
from plugins.models import ToolCall
from tests.integration.agents.approvals.kit import (
    ALLOW,
    ASK,
    DENY,
    PayTool,
    decide,
    install,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.approvals.test_surfaces import api
from tests.integration.agents.execution.kit import Engine, boss

BASE = "/api/v1/workspaces/acme"
BOTH = """
steps:
  - tool_calls:
      - {name: pay, arguments: {amount: 5}}
      - {name: echo, arguments: {text: hi}}
  - {text: Done.}
"""


def source(**answers: Mapping[str, Any]) -> str:
    return msgspec.json.encode(answers).decode()


def tried(workspace: Workspace, actor: Actor | None = None, **options: Any) -> Simulation:
    return policy_simulate(actor=actor or boss(), workspace=workspace, **options)


def counts(found: Simulation) -> dict[str, int]:
    return {change.value: count for change, count in found.changes.items()}


def test_a_draft_is_tried_on_what_was_called(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ALLOW)
    run = engine.play(paying(workspace, BOTH))

    found = tried(workspace, source=source(pay=DENY, echo=ASK))

    assert (found.judged, found.reconstructed, found.next_cursor) == (2, 0, None)
    assert counts(found) == {"newly_blocked": 1, "newly_asked": 1}
    assert found.rules == {(Change.BLOCKED, "never"): 1, (Change.ASKED, "ask-first"): 1}
    asked, blocked = found.examples
    assert (blocked.tool, blocked.run, blocked.arguments, blocked.state, blocked.user) == (
        "pay", run.pk, {"amount": 5}, "committed", "boss",
    )  # fmt: skip
    assert (blocked.before.rule, blocked.after.rule) == ("fine", "never")
    assert (asked.tool, asked.change) == ("echo", Change.ASKED)
    assert ToolCall.objects.filter(run_id=run.pk, state="committed").count() == 2


def test_nothing_changes_by_the_policy_in_force_itself(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=DENY)
    engine.play(paying(workspace, BOTH))

    found = tried(workspace, source=source(pay=DENY))

    assert (counts(found), found.examples) == ({"unchanged": 2}, [])


def test_calls_of_the_built_in_rule_are_put_together_from_their_runs(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    engine.play(paying(workspace, BOTH))

    found = tried(workspace, source=source(pay=ALLOW))

    assert (found.compared_with, found.judged, found.reconstructed) == ("builtin-1", 2, 2)
    assert counts(found) == {"newly_free": 1, "unchanged": 1}
    (free,) = found.examples
    assert (free.before.rule, free.after.rule) == ("privileged-needs-approval", "fine")
    assert (free.state, free.is_reconstructed, free.user) == ("denied", True, "boss")


def test_the_question_is_the_one_that_was_asked(
    engine: Engine, workspace: Workspace, pay: PayTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    engine_of = policies.policy_engine

    class Remembering:
        digest = "remembering"

        def __init__(self, text: str, language: str) -> None:
            self._inner = engine_of(text, language)

        def decide(self, question: Any) -> Any:
            asked.append(question)
            return self._inner.decide(question)

    monkeypatch.setattr("governance.services.policies.policy_engine", Remembering)
    publish(workspace, pay=ALLOW)
    engine.play(paying(workspace))
    (then,) = asked
    asked.clear()
    Run.objects.update(agent_name="renamed since", requested_by=None)

    tried(workspace, source=source(pay=DENY))

    assert asked == [then, then]


def test_a_call_that_an_approver_changed_is_judged_as_it_was_run(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    decide(ann, approval, arguments={"amount": 2})
    engine.until(run)

    found = tried(workspace, source=source(pay=DENY))

    assert counts(found) == {"newly_blocked": 1}
    assert found.examples[0].arguments == {"amount": 2}


def test_what_cannot_be_asked_again_is_counted_with_the_reason(
    engine: Engine, workspace: Workspace, pay: PayTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.play(paying(workspace, BOTH))
    calls = ToolCall.objects.order_by("index")
    changes: list[tuple[dict[str, Any], Unjudged]] = [
        ({"arguments": None}, Unjudged.WITHHELD),
        ({"arguments": {"amount": "[redacted]"}}, Unjudged.REDACTED),
        ({"decision": None}, Unjudged.NOT_ASKED),
        ({"spec_digest": "another"}, Unjudged.NO_TOOL),
        ({"run_id": UUID(int=7)}, Unjudged.NO_RUN),
    ]
    first = calls[0]
    before = {name: getattr(first, name) for change, _ in changes for name in change}
    for change, reason in changes:
        ToolCall.objects.filter(pk=first.pk).update(**{**before, **change})
        found = tried(workspace, source=source())
        assert (found.judged, found.unjudged) == (1, {reason: 1})

    ToolCall.objects.filter(pk=first.pk).update(**before)
    install(monkeypatch, PayTool(version="2"))
    assert tried(workspace, source=source()).unjudged == {Unjudged.NO_TOOL: 1}


def test_batches_follow_one_another_and_end(
    engine: Engine, workspace: Workspace, pay: PayTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(workspace, pay=ALLOW)
    engine.play(paying(workspace, BOTH))
    draft = source(pay=DENY, echo=DENY)

    first = tried(workspace, source=draft, limit=1)
    second = tried(workspace, source=draft, limit=1, cursor=first.next_cursor)
    third = tried(workspace, source=draft, limit=1, cursor=second.next_cursor)

    assert [found.judged for found in (first, second, third)] == [1, 1, 0]
    assert third.next_cursor is None
    assert [each.tool for each in (*first.examples, *second.examples)] == ["echo", "pay"]
    monkeypatch.setattr(simulating, "BATCH_SECONDS", -1.0)
    hurried = tried(workspace, source=draft)
    assert (hurried.judged, hurried.next_cursor) == (1, first.next_cursor)


def test_only_the_time_and_the_workspace_asked_for_are_looked_at(
    engine: Engine, workspace: Workspace, pay: PayTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(workspace, pay=ALLOW)
    engine.play(paying(workspace, BOTH))
    ToolCall.objects.filter(tool="pay").update(workspace_id=UUID(int=9))

    assert tried(workspace, source=source()).judged == 1
    bounds: list[dict[str, Any]] = [
        {"days": 0},
        {"days": 91},
        {"limit": 0},
        {"limit": 2001},
        {"examples": 21},
    ]
    for bad in bounds:
        with pytest.raises(InvalidInputError):
            tried(workspace, source=source(), **bad)
    with pytest.raises(InvalidInputError, match="There is no draft"):
        tried(workspace)


class TellingEngine:
    """A policy of somebody who wants to know: what it is asked about is in what it answers."""

    digest = "telling"

    def decide(self, question: PolicyInput) -> PolicyDecision:
        told = f"amount is {question.arguments.get('amount')}"
        return PolicyDecision(effect=Effect.DENY, rule=told, reason=told)


def test_nobody_learns_arguments_from_a_policy_of_their_own(
    engine: Engine, workspace: Workspace, pay: PayTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(workspace, pay=ALLOW)
    engine.play(paying(workspace))
    draft = {"source": source(), "days": 1, "examples": 0}
    person(workspace, "vera", "viewer")
    person(workspace, "olga", "operator")
    telling = TellingEngine()
    monkeypatch.setattr("governance.services.policies.policy_tried", lambda *_, **__: telling)

    seen = api("olga").post(f"{BASE}/policy/simulate", draft, format="json").json()
    refused = api("vera").post(f"{BASE}/policy/simulate", draft, format="json")

    assert [each["rule"] for each in seen["rules"]] == ["amount is 7"]
    assert (refused.status_code, refused.json()["context"]["permission"]) == (403, "run.payload")
    assert "amount is" not in refused.content.decode()


def test_examples_show_what_was_called_with_what(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ALLOW)
    engine.play(paying(workspace))
    draft = {"source": source(pay=DENY), "days": 1}
    person(workspace, "olga", "operator")

    seen = api("olga").post(f"{BASE}/policy/simulate", draft, format="json").json()

    assert (seen["newly_blocked"], seen["unjudged"], seen["next_cursor"]) == (1, [], None)
    assert seen["rules"] == [{"change": "newly_blocked", "rule": "never", "count": 1}]
    assert seen["examples"][0]["arguments"] == {"amount": 7}
    assert seen["examples"][0]["after"]["effect"] == "deny"


def test_who_may_not_see_policies_or_runs_tries_none(workspace: Workspace, pay: PayTool) -> None:
    vera = person(workspace, "vera", "viewer")
    body = {"source": "{}"}

    answer = api("vera", scopes=["run.view"]).post(f"{BASE}/policy/simulate", body, format="json")

    assert answer.status_code == 403
    with pytest.raises(PermissionDeniedError):
        tried(workspace, replace(vera, scopes=frozenset({Perm.POLICY_VIEW})), source="{}")
