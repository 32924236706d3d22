from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from governance.contracts import Actor
from governance.models import Workspace
from plugins.contracts import ToolContext, ToolResult
from plugins.http.tool import HttpTool
from tests.factories.agents import make_tool
from tests.factories.governance import make_workspace
from tests.integration.agents.approvals.kit import (
    ASK,
    ORDER,
    Counter,
    PayTool,
    install,
    person,
    publish,
    told_engine,
)
from tests.integration.agents.execution.kit import Engine, an_engine, script_agent
from tests.receiver import Receiver


@pytest.fixture
def engine(transactional_db: None, tmp_path: Path) -> Iterator[Engine]:
    with an_engine(tmp_path / "workspaces") as engine:
        yield engine


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def pay(monkeypatch: pytest.MonkeyPatch) -> PayTool:
    tool = PayTool()
    install(monkeypatch, tool)
    return tool


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies are JSON that says the answers; the language of policies has tests of its own."""
    monkeypatch.setattr("governance.services.policies.policy_engine", told_engine)
    monkeypatch.setattr("governance.services.policies.policy_check", lambda source, language: None)


@pytest.fixture
def ann(workspace: Workspace) -> Actor:
    return person(workspace, "ann")


@pytest.fixture
def gus(workspace: Workspace) -> Actor:
    """Somebody who may give standing approvals of privileged tools."""
    return person(workspace, "gus", "admin")


@pytest.fixture
def orders(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Counter:
    """A tool that the workspace declares, under a policy that asks, and an agent that calls it."""
    counter = Counter()

    async def call(
        self: HttpTool, arguments: Mapping[str, Any], context: ToolContext
    ) -> ToolResult:
        counter.ran.append(dict(arguments))
        return ToolResult(text="ordered")

    monkeypatch.setattr(HttpTool, "call", call)
    make_tool(workspace, "orders", input_schema={"type": "object"})
    publish(workspace, orders=ASK)
    script_agent(workspace, ORDER, tools=["orders"])
    return counter


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    receiver = Receiver()
    settings.FETCH_ALLOW = (receiver.place,)
    yield receiver
    receiver.close()


@pytest.fixture
def admin(workspace: Workspace) -> Actor:
    return person(workspace, "ada", "admin")
