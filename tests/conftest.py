"""Rules of the house for every test: no outside network, no silent skip, private servers."""

import gc
import os
import re
import socket
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from tests.architecture.source import ROOT
from tests.emptying import empty
from tests.environment import RUN_FOLDER
from tests.privileges import WITHOUT_LANDLOCK, WITHOUT_ROOT
from tests.services import DockerServer, PostgresServer, RedisServer, reachable_folder

# What may be skipped, and why it cannot be had everywhere. A skip with any other reason fails
# under --strict-skips, which `scripts/test` and CI use.
ALLOWED_SKIPS = (
    re.compile(r"^pgvector's server extension is not packaged for Debian 12$"),
    re.compile(f"^{re.escape(WITHOUT_LANDLOCK)}$"),  # runners of CI services may have older ones
    *(() if os.environ.get("CI") else (re.compile(f"^{re.escape(WITHOUT_ROOT)}$"),)),
)

_LOOPBACK = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+|::1|0\.0\.0\.0|::|)$")
_NEVER_RESOLVES = re.compile(r"\.(invalid|test|example)\.?$")


class OutsideNetworkError(Exception):
    """A test tried to leave this machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips",
        action="store_true",
        help="Fail for a skipped test whose reason is not in ALLOWED_SKIPS of tests/conftest.py.",
    )
    parser.addoption(
        "--seeds",
        type=int,
        default=4,
        help="How many random schedules each chaos test goes through.",
    )


@pytest.fixture(scope="session")
def seeds(request: pytest.FixtureRequest) -> range:
    """The random seeds a chaos test goes through."""
    return range(int(request.config.getoption("--seeds")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is meant for the other database; the other run of the suite has it."""
    other = "sqlite" if settings.IS_POSTGRES else "postgres"
    left_out = [item for item in items if item.get_closest_marker(other)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish() -> None:
    """What has been imported stays: the collector need not look through it again and again.

    Nor through all the rest after every few hundred objects, which is a third of what tests cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _refuse_skip(item, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole file can be skipped too."""
    report = yield
    if report.skipped:
        _refuse_skip(collector, report)
    return report


def _refuse_skip(
    node: pytest.Item | pytest.Collector, report: pytest.TestReport | pytest.CollectReport
) -> None:
    """Turn a skip into a failure under --strict-skips, unless its reason is allowed."""
    if not node.config.option.strict_skips:
        return
    reason = str(report.longrepr)
    if isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
    if not any(allowed.search(reason) for allowed in ALLOWED_SKIPS):
        report.outcome = "failed"
        report.longrepr = (
            f"{node.nodeid} was skipped ({reason!r}), and that reason is not in ALLOWED_SKIPS of "
            "tests/conftest.py. Provide what it needs, or list the reason there."
        )


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """Refuse connections and name look-ups that would leave this machine."""
    patch = pytest.MonkeyPatch()
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex
    real_getaddrinfo = socket.getaddrinfo

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: Any) -> Any:
            if isinstance(address, tuple) and not _LOOPBACK.match(str(address[0])):
                raise OutsideNetworkError(f"A test tried to connect to {address!r}.")
            return real(self, address)

        return connect

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and _NEVER_RESOLVES.search(name):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if name is not None and not _LOOPBACK.match(name) and not _is_address(name):
            raise OutsideNetworkError(f"A test tried to look up {name!r}.")
        return real_getaddrinfo(host, *arguments, **options)

    patch.setattr(socket.socket, "connect", guarded(real_connect))
    patch.setattr(socket.socket, "connect_ex", guarded(real_connect_ex))
    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    patch.undo()


def _is_address(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name)
        except OSError:
            continue
        return True
    return False


@pytest.fixture(autouse=True, scope="session")
def _fast_passwords() -> None:
    """Hashing is slow on purpose; tests of behaviour need not wait for it."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _no_grudges() -> None:
    """Failed attempts to sign in of one test are no business of the next."""
    cache.clear()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
) -> None:
    """Keep the SQLite test database in a file: several connections share it, as in real life."""
    if not settings.IS_POSTGRES:
        test = settings.DATABASES["default"].setdefault("TEST", {})
        test["NAME"] = str(RUN_FOLDER / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """End what threads of servers and engines that tests started still hold of the database.

    They give their connections back when they end, which may be a moment after the last test.
    """
    yield
    if connection.vendor != "postgresql":
        return
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(autouse=True, scope="session")
def _quick_emptying() -> Iterator[None]:
    """Empty the database behind tests that commit without making it anew; see `tests.emptying`."""

    def teardown(self: TransactionTestCase) -> None:
        for alias in self._databases_names(include_mirrors=False):  # type: ignore[attr-defined]  # Django's own
            empty(alias)

    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis of this test process; a test that needs it empty calls `flush()`."""
    server = RedisServer(RUN_FOLDER / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty private Redis."""
    redis_server.flush()
    return redis_server.url()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A durable PostgreSQL of this test process, to restart, kill and suspend."""
    server = PostgresServer(reachable_folder(RUN_FOLDER / "postgres-durable"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty database in the private PostgreSQL, dropped afterwards."""
    name = "t_" + re.sub(r"\W+", "_", request.node.name.lower())[:50]
    postgres_server.start()
    postgres_server.drop_database(name)
    yield postgres_server.create_database(name)
    postgres_server.start()
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def docker_url() -> Iterator[str]:
    """The address of a private Docker engine that has gVisor and the image of sandboxes."""
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon of our own needs root")
    from sandbox import cgroups
    from sandbox.images import archive
    from sandbox.runners.docker import Engine

    cgroups.hierarchy()  # in a container, moves processes to where a daemon can make groups
    server = DockerServer(RUN_FOLDER / "docker")
    server.start()
    try:
        engine = Engine(server.url)
        engine.load_image(archive.make(ROOT / ".run" / "images"))
        engine.close()
        yield server.url
    finally:
        server.stop()
