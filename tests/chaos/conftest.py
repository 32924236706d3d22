"""One cluster for all chaos tests of a form: building a database costs more than breaking it."""

from collections.abc import Iterator

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
        DATABASE_URL=postgres_server.create_database("chaos"),
        REDIS_URL=redis_server.url(),
    )
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(_cluster: Cluster) -> Iterator[Cluster]:
    """PostgreSQL and Redis with the scenario, and no worker yet."""
    yield _cluster
    _cluster.clear()


@pytest.fixture(scope="session")
def _embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster.open(tmp_path_factory.mktemp("embedded"), AGENTRY_ENGINE="embedded")
    yield cluster
    cluster.close()


@pytest.fixture
def embedded(_embedded: Cluster) -> Iterator[Cluster]:
    """SQLite with the scenario, and no process on it yet but the hand inside."""
    yield _embedded
    _embedded.clear()


@pytest.fixture(params=["sqlite", "postgres"])
def desk(request: pytest.FixtureRequest) -> Cluster:
    """The scenario on either database."""
    name = "embedded" if request.param == "sqlite" else "cluster"
    cluster: Cluster = request.getfixturevalue(name)
    return cluster
