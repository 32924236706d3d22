"""A running contract server, and an environment in which the command line finds it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.agentry.contract_server import TOKEN, ContractServer, Stage, serving


@pytest.fixture(scope="session")
def _stage() -> Iterator[Stage]:
    with serving() as stage:
        yield stage


@pytest.fixture
def server(_stage: Stage) -> Iterator[ContractServer]:
    with _stage.given() as server:
        yield server


@pytest.fixture
def signed_in(server: ContractServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the login file; server, token and workspace come from the environment."""
    monkeypatch.setenv("AGENTRY_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("AGENTRY_URL", server.url)
    monkeypatch.setenv("AGENTRY_TOKEN", TOKEN)
    monkeypatch.setenv("AGENTRY_WORKSPACE", "lab")
    monkeypatch.delenv("AGENTRY_CONTEXT", raising=False)
    return tmp_path / "config"
