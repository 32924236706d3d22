from collections.abc import Iterator
from pathlib import Path

import pytest

from governance.models import Workspace
from tests.factories.governance import make_workspace
from tests.integration.agents.execution.kit import Engine, an_engine


@pytest.fixture
def engine(transactional_db: None, tmp_path: Path) -> Iterator[Engine]:
    """An engine whose vendors are other processes."""
    with an_engine(tmp_path / "workspaces") as engine:
        yield engine


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")
