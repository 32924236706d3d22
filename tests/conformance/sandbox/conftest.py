"""A runner of each kind, a workspace, and the promise that nothing is left of either."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.contracts import Runner
from sandbox.workspaces import delete_workspace
from tests.conformance.sandbox.subjects import NOT_FOR, SUBJECTS
from tests.privileges import needs_landlock, skip_without_root


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a subject cannot be asked for; `NOT_FOR` has the reasons."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    skip_without_root(ours)
    for item in ours:
        if "landlock" in item.nodeid:
            item.add_marker(needs_landlock)
    left_out = [item for item in ours if _is_left_out(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _is_left_out(item: pytest.Item) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    subject, name = parameters.get("runner", ""), item.name.partition("[")[0]
    return any((subject, item.path.stem, test) in NOT_FOR for test in (name, "*"))


@pytest.fixture(params=sorted(SUBJECTS))
def runner(request: pytest.FixtureRequest) -> Runner:
    return SUBJECTS[request.param](request)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
    delete_workspace(folder)
