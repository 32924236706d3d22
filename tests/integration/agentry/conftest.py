"""A running contract server, and an environment in which the command line finds it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.agentry.contract_server import TOKEN, ContractServer, serving


@pytest.fixture
def server() -> Iterator[ContractServer]:
    with serving() as running:
        yield running


@pytest.fixture
def signed_in(server: ContractServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the login file; server, token and workspace come from the environment."""
    monkeypatch.setenv("AGENTRY_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("AGENTRY_URL", server.url)
    monkeypatch.setenv("AGENTRY_TOKEN", TOKEN)
    monkeypatch.setenv("AGENTRY_WORKSPACE", "lab")
    monkeypatch.delenv("AGENTRY_CONTEXT", raising=False)
    return tmp_path / "config"
