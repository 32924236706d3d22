from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.tools.registry import BUILTIN_TOOLS
from governance.models import Workspace
from plugins.contracts import EffectClass
from tests.factories.governance import make_workspace
from tests.integration.agents.execution.files import AppendTool
from tests.integration.agents.execution.kit import Engine, an_engine


@pytest.fixture
def engine(transactional_db: None, tmp_path: Path) -> Iterator[Engine]:
    """An engine that a test starts; stopped afterwards, before the tables are emptied."""
    with an_engine(tmp_path / "workspaces") as engine:
        yield engine


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def append(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AppendTool:
    """The tool among the built-in ones; a test may name its effect class."""
    tool = AppendTool(getattr(request, "param", EffectClass.IDEMPOTENT))
    tools = {**BUILTIN_TOOLS, "append": tool}
    for place in (
        "agents.execution.tooling",
        "agents.execution.pinning",
        "agents.services.versions",
    ):
        monkeypatch.setattr(f"{place}.BUILTIN_TOOLS", tools)
    monkeypatch.setattr("plugins.registry._builtins", dict(tools))
    return tool
