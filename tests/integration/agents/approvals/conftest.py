from collections.abc import Iterator
from pathlib import Path

import pytest

from governance.contracts import Actor
from governance.models import Workspace
from tests.factories.governance import make_workspace
from tests.integration.agents.approvals.kit import PayTool, install, person, told_engine
from tests.integration.agents.execution.kit import Engine, an_engine


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
