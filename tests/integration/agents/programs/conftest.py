import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from governance.models import Workspace
from sandbox.workspaces import delete_workspace
from tests.factories.governance import make_workspace
from tests.integration.agents.execution.kit import Engine, an_engine


@pytest.fixture
def engine(transactional_db: None, tmp_path: Path) -> Iterator[Engine]:
    """An engine that a test starts; its workspaces, which have disks, are deleted afterwards."""
    if os.geteuid() != 0:
        pytest.skip("sandboxes with a quota need root")
    folder = tmp_path / "workspaces"
    with an_engine(folder) as engine:
        yield engine
    for workspace in folder.glob("*/*"):
        if workspace.is_dir():
            delete_workspace(workspace)


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")
