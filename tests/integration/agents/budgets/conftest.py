from collections.abc import Iterator
from pathlib import Path

import pytest

from governance.contracts import Actor
from governance.models import Workspace
from tests.factories.governance import make_workspace
from tests.integration.agents.approvals.kit import person
from tests.integration.agents.execution.kit import Engine, an_engine


@pytest.fixture
def engine(transactional_db: None, tmp_path: Path) -> Iterator[Engine]:
    with an_engine(tmp_path / "workspaces") as engine:
        yield engine


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def ada(workspace: Workspace) -> Actor:
    """Somebody who keeps budgets and starts nothing."""
    return person(workspace, "ada", "admin")
