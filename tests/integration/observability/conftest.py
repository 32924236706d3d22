from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.observability.kit import LiveServer, serving


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One process with SQLite and no Redis: writers are threads of the server."""
    folder: Path = tmp_path_factory.mktemp("live")
    with serving(database_url=f"sqlite:///{folder / 'live.sqlite3'}") as server:
        yield server


@pytest.fixture
def embedded_twice(tmp_path: Path) -> Iterator[LiveServer]:
    """Like `embedded`, for one test that ends it."""
    with serving(database_url=f"sqlite:///{tmp_path / 'live.sqlite3'}") as server:
        yield server


@pytest.fixture
def cluster(postgres_url: str, redis_url: str) -> Iterator[LiveServer]:
    """A server on PostgreSQL and Redis: writers are other processes."""
    with serving(database_url=postgres_url, redis_url=redis_url) as server:
        yield server
