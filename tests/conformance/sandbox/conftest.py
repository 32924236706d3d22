"""A runner of each kind, a workspace, and the promise that nothing is left of either."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.contracts import Runner
from sandbox.workspaces import delete_workspace
from tests.conformance.sandbox.subjects import NOT_FOR, SUBJECTS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a subject cannot be asked for; `NOT_FOR` has the reasons."""
    left_out = [item for item in items if _is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _is_left_out(item: pytest.Item) -> bool:
    name, _, subject = item.name.partition("[")
    file, subject = item.path.stem, subject.removesuffix("]")
    return any((subject, file, test) in NOT_FOR for test in (name, "*"))


@pytest.fixture(params=sorted(SUBJECTS))
def runner(request: pytest.FixtureRequest) -> Runner:
    return SUBJECTS[request.param](request)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
    delete_workspace(folder)
