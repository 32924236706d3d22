from collections.abc import Iterator

import pytest

from governance.policy.rego.pool import RegoPool


@pytest.fixture(scope="session")
def pool() -> Iterator[RegoPool]:
    found = RegoPool(processes=2, queue_seconds=30)
    yield found
    found.close()
