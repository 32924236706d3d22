"""These tests make real sandboxes with every limit, which takes root."""

from pathlib import Path

import pytest

from tests.privileges import skip_without_root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say so where there is none; the hook is asked about every test of the run."""
    skip_without_root([item for item in items if Path(__file__).parent in item.path.parents])
