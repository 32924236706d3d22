"""The PostgreSQL and Redis a benchmark runs on: started for it, durable, gone afterwards.

PostgreSQL keeps `fsync` and `synchronous_commit` on (asked of the server, not assumed), because a
figure for commits that may be lost is not a figure for durable steps. Redis is the doorbell only
and keeps nothing on disk.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from tests.bench.durable_steps import BenchError
from tests.services import PostgresServer, RedisServer, Server

_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Two running servers; the process ids are for counting their CPU."""

    postgres: PostgresServer
    postgres_version: str
    postgres_pid: int
    redis_url: str
    redis_version: str
    redis_pid: int
    folder: Path

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """Make an empty database, give its URL, and drop it afterwards with whoever is in it."""
        try:
            yield self.postgres.create_database(name)
        finally:
            self.postgres.drop_database(name)


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Start both servers, and stop them and remove their files at the end.

    Raises:
        ServiceError: One is not installed or did not start.
        BenchError: PostgreSQL is not set to keep what it committed.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentry-bench-")))
        folder.chmod(0o711)  # PostgreSQL may run under another account, which must get inside
        postgres = PostgresServer(folder / "postgres")
        stack.callback(postgres.stop)
        postgres.start()
        redis_server = RedisServer(folder / "redis")
        stack.callback(redis_server.stop)
        redis_server.start()
        with redis.Redis.from_url(redis_server.url()) as client:
            redis_version = str(client.info("server")["redis_version"])
        yield Servers(
            postgres=postgres,
            postgres_version=_checked_postgres_version(postgres),
            postgres_pid=_pid_of(postgres),
            redis_url=redis_server.url(),
            redis_version=redis_version,
            redis_pid=_pid_of(redis_server),
            folder=folder,
        )


def _checked_postgres_version(postgres: PostgresServer) -> str:
    with psycopg.connect(postgres.url("postgres"), connect_timeout=10) as connection:
        settings: dict[str, str] = dict(
            connection.execute(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)",
                [[*_DURABLE, "server_version"]],
            ).fetchall()
        )
    version = str(settings.pop("server_version"))
    if settings != _DURABLE:
        raise BenchError(f"PostgreSQL runs with {settings}, durable figures need {_DURABLE}")
    return version


def _pid_of(server: Server) -> int:
    pid = server.pid
    if pid is None:
        raise BenchError(f"{server.name} ended right after its start")
    return pid
