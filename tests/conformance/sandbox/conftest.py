"""A runner of each kind, a workspace, and the promise that nothing is left of either."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.contracts import Runner
from sandbox.workspaces import delete_workspace
from tests.conformance.sandbox.subjects import SUBJECTS


@pytest.fixture(params=sorted(SUBJECTS))
def runner(request: pytest.FixtureRequest) -> Runner:
    return SUBJECTS[request.param](request)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
    delete_workspace(folder)
