"""Runs under a policy made for the test, people who decide, and tools that count their effects."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import pytest
from django.db import connection

from agents.contracts import RunState
from agents.models import Agent, Run
from agents.tools.registry import BUILTIN_TOOLS
from core import clock
from governance.access import actor_of_user
from governance.contracts import Actor
from governance.models import Approval, PolicyVersion, User, Workspace
from governance.policy.contracts import PolicyDecision, PolicyEngine, PolicyInput
from governance.services.approvals import approval_decide
from plugins.contracts import EffectClass, ToolContext, ToolResult, ToolSpec
from tests.factories.governance import join
from tests.integration.agents.execution.kit import Engine, begin, script_agent

SCHEMA = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "maximum": 100}},
    "additionalProperties": False,
}
ASK = {"effect": "ask", "rule": "ask-first", "reason": "Money leaves the house."}
ALLOW = {"effect": "allow", "rule": "fine"}
DENY = {"effect": "deny", "rule": "never", "reason": "Not in this house."}
ORDER = "steps: [{tool_calls: [{name: orders, arguments: {amount: 7}}]}, {text: Done.}]"
PAY = "steps: [{tool_calls: [{name: pay, arguments: {amount: 7}}]}, {text: Done.}]"


class PayTool:
    """An irreversible, privileged tool that remembers with what it ran."""

    def __init__(self, name: str = "pay", **changes: Any) -> None:
        options: dict[str, Any] = {
            "name": name,
            "description": "Pays.",
            "input_schema": SCHEMA,
            "effect": EffectClass.IRREVERSIBLE,
            "privileged": True,
        }
        self.spec = ToolSpec(**{**options, **changes})
        self.ran: list[Mapping[str, Any]] = []

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        self.ran.append(dict(arguments))
        return ToolResult(text=f"Paid {arguments.get('amount')}.")


class Counter:
    """What declared tools were called with."""

    def __init__(self) -> None:
        self.ran: list[Mapping[str, Any]] = []


def install(monkeypatch: pytest.MonkeyPatch, *tools: PayTool) -> None:
    """Put the tools among the built-in ones of this process."""
    known = {**BUILTIN_TOOLS, **{tool.spec.name: tool for tool in tools}}
    for place in (
        "agents.execution.tooling",
        "agents.execution.pinning",
        "agents.services.versions",
    ):
        monkeypatch.setattr(f"{place}.BUILTIN_TOOLS", known)
    monkeypatch.setattr("plugins.registry._builtins", dict(known))


class ToldEngine:
    """Answers by tool name, as its source says in JSON; everything else is allowed."""

    def __init__(self, source: str) -> None:
        self._answers: dict[str, dict[str, Any]] = msgspec.json.decode(source)
        self.digest = source
        self.asked: list[PolicyInput] = []

    def decide(self, question: PolicyInput) -> PolicyDecision:
        self.asked.append(question)
        answer = self._answers.get(question.tool.name, ALLOW)
        return msgspec.convert({**answer, "version": "test"}, PolicyDecision)


def told_engine(source: str, language: str = "matrix") -> PolicyEngine:
    return ToldEngine(source)


def publish(workspace: Workspace, **answers: Mapping[str, Any]) -> PolicyVersion:
    """Put a policy in force that answers like this, by tool."""
    before = PolicyVersion.objects.filter(workspace=workspace)
    before.update(is_active=False)
    source = msgspec.json.encode(answers)
    return PolicyVersion.objects.create(
        workspace=workspace,
        number=before.count() + 1,
        source=source.decode(),
        digest=hashlib.sha256(source).hexdigest(),
        published_at=clock.now(),
    )


def person(workspace: Workspace, name: str, *roles: str) -> Actor:
    """Somebody who may decide, unless other roles are named."""
    join(workspace, name, *(roles or ("approver",)))
    return actor_of_user(User.objects.get(username=name))


def paying(workspace: Workspace, script: str = PAY, **options: Any) -> Run:
    if not Agent.objects.filter(workspace=workspace, name="helper").exists():
        script_agent(workspace, script, tools=["pay", "echo"])
    return begin(workspace, **options)


def approvals_of(run: Run, **fields: Any) -> list[Approval]:
    return list(Approval.objects.filter(run_id=run.pk, **fields).order_by("pk"))


def parked(engine: Engine, run: Run, count: int = 1) -> list[Approval]:
    """Wait until the run waits for people; return what they are asked."""
    if not engine.is_started:
        engine.start()
    engine.until(run, RunState.WAITING, wait_kind="approval")
    found = approvals_of(run, state="pending")
    assert len(found) == count
    return found


def decide(actor: Actor, approval: Approval, verdict: str = "approve", **options: Any) -> Approval:
    return approval_decide(actor=actor, approval_id=approval.pk, verdict=verdict, **options)


def at_once(works: Iterable[Callable[[], Any]]) -> list[Any]:
    """Do all of it at the same moment, each in a thread of its own; results or errors in order."""
    todo = list(works)
    results: list[Any] = [None] * len(todo)
    barrier = threading.Barrier(len(todo))

    def run(place: int, work: Callable[[], Any]) -> None:
        barrier.wait(30)
        try:
            results[place] = work()
        except Exception as error:  # noqa: BLE001 - what came of it is the test's to judge
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place, work)) for place, work in enumerate(todo)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def in_thread(work: Callable[[], Any]) -> Callable[[], None]:
    """Do database work beside an event loop, and wait for it; what it raises is raised here."""

    def wait() -> None:
        (result,) = at_once([work])
        if isinstance(result, Exception):
            raise result

    return wait
