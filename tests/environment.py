"""What must be true before the settings are read; loaded as the first pytest plugin.

`TEST_DATABASE=postgres` starts a private PostgreSQL for the run; a `DATABASE_URL` that is already
set is used as it is. Every test process has its own data folder. Nothing of the caller's
`AGENTRY_` variables reaches a test.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.services import USER, PostgresServer, ServiceError, reachable_folder

_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ


def _prepare() -> Path:
    for name in [name for name in os.environ if name.startswith("AGENTRY_")]:
        del os.environ[name]
    os.environ.pop("REDIS_URL", None)
    folder = Path(tempfile.mkdtemp(prefix="agentry-test-"))
    folder.chmod(0o711)
    os.environ["AGENTRY_DATA_DIR"] = str(folder / "data")
    os.environ["AGENTRY_LOG_LEVEL"] = "WARNING"
    # Never the host's own engine; a private one listens here once a test has asked for it.
    os.environ["AGENTRY_SANDBOX_DOCKER"] = f"unix://{folder}/docker/docker.sock"
    return folder


def _start_postgres(folder: Path) -> PostgresServer | None:
    """Start one server for the whole run; the other test processes inherit its address."""
    wanted = os.environ.get("TEST_DATABASE", "")
    if wanted not in {"", "sqlite", "postgres"}:
        raise pytest.UsageError(f"TEST_DATABASE={wanted!r} is not one of: sqlite, postgres.")
    if wanted == "sqlite":
        os.environ.pop("DATABASE_URL", None)
    if wanted != "postgres" or "DATABASE_URL" in os.environ:
        return None
    server = PostgresServer(reachable_folder(folder / "postgres"), is_durable=False)
    try:
        server.start()
    except ServiceError as error:
        raise pytest.UsageError(str(error)) from error
    os.environ["DATABASE_URL"] = server.create_database(USER)
    return server


RUN_FOLDER = _prepare()
_server = _start_postgres(RUN_FOLDER)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _server is not None:
        _server.stop()
    shutil.rmtree(RUN_FOLDER, ignore_errors=True)
