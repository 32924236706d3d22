"""The engine and the journal of this process; started by a worker or by the embedded site."""

import logging
import threading
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.db import connection

from agents.execution.furnishing import HostSettings
from agents.execution.host import EngineHost
from agents.journal.journal import Journal, Writer
from agents.journal.postgres import PostgresWriter
from agents.journal.sqlite import SqliteWriter
from core.pausepoints import install_from_environment
from core.process import tune_garbage_collection
from observability.contracts import Announcement
from observability.live import announce

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_host: EngineHost | None = None
_journal: Journal | None = None


def make_journal(*, max_queued: int = 100_000, patience_seconds: float = 60.0) -> Journal:
    """Open a journal on the default database, announcing its commits to viewers.

    `patience_seconds`: how long a write waits for a PostgreSQL that is away.
    """
    return Journal(_writer(patience_seconds), on_commit=_announce, max_queued=max_queued)


def _writer(patience_seconds: float) -> Writer:
    parameters = connection.get_connection_params()
    if connection.vendor == "sqlite":
        return SqliteWriter(str(parameters["database"]))
    known = {
        name: parameters[name]
        for name in ("host", "port", "dbname", "user", "password", "sslmode", "options")
        if parameters.get(name) not in (None, "")
    }
    from psycopg.conninfo import make_conninfo

    return PostgresWriter(make_conninfo(**known), patience_seconds=patience_seconds)


def _announce(heads: Sequence[tuple[UUID, UUID, int]]) -> None:
    announce([Announcement(*head) for head in heads])


def host_start() -> EngineHost:
    """Start this process's engine, once."""
    global _host
    with _lock:
        if _host is None:
            install_from_environment()
            host = EngineHost(
                HostSettings(
                    capacity=settings.WORKER_CAPACITY,
                    lease_seconds=settings.LEASE_SECONDS,
                    poll_seconds=settings.POLL_SECONDS,
                    drain_seconds=settings.DRAIN_SECONDS,
                    workspaces=settings.WORKSPACES_DIR,
                    allow_hosts=settings.FETCH_ALLOW,
                    sandbox_rules=settings.SANDBOX_RULES,
                    sandboxes=settings.SANDBOXES_WARM,
                    workspace_bytes=settings.WORKSPACE_BYTES,
                    workspace_files=settings.WORKSPACE_FILES,
                ),
                make_journal,
            )
            host.start()
            tune_garbage_collection()
            _host = host
        return _host


def host_stop() -> None:
    """Drain and stop this process's engine, if it has one."""
    global _host
    with _lock:
        host, _host = _host, None
    if host is not None:
        host.drain()


def host_ring() -> bool:
    """Ring this process's engine; False when it has none."""
    host = _host
    if host is None:
        return False
    host.ring()
    return True
