"""One cluster for all chaos tests of a form: building a database costs more than breaking it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster
from tests.services import PostgresServer, RedisServer


@pytest.fixture(scope="session")
def _cluster(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    redis_server: RedisServer,
) -> Iterator[Cluster]:
    postgres_server.drop_database("chaos")
    cluster = Cluster.open(
        tmp_path_factory.mktemp("chaos"),
        database_url=postgres_server.create_database("chaos"),
        redis_url=redis_server.url(),
    )
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(_cluster: Cluster) -> Iterator[Cluster]:
    """PostgreSQL and Redis with the scenario, and no worker yet."""
    yield _cluster
    _cluster.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
