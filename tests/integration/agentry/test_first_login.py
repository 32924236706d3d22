"""The first login, and what `doctor` finds well or wrong with a server."""

import json
from pathlib import Path

import pytest

from tests.integration.agentry.contract_server import TOKEN, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")
ME = {
    "user": {"id": "u1", "username": "ada", "is_superuser": False},
    "token": {"id": "t1", "name": "laptop", "expires_at": None},
    "workspaces": [{"name": "lab", "title": "Lab", "permissions": ["run.start", "run.view"]}],
}


def test_login_tries_the_token_before_it_is_stored(
    server: ContractServer, signed_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AGENTRY_URL", "AGENTRY_TOKEN", "AGENTRY_WORKSPACE"):
        monkeypatch.delenv(name)
    server.always("GET /api/v1/me", ME)

    refused = invoke("login", server.url, "--token-stdin", stdin="agk_wrong\n")
    assert refused.exit_code == 3
    assert not (signed_in / "credentials").exists()

    accepted = invoke("login", f"{server.url}/api/v1/", "--token-stdin", stdin=f"{TOKEN}\n")
    assert accepted.exit_code == 0, accepted.output
    assert (signed_in / "credentials").stat().st_mode & 0o777 == 0o600
    assert TOKEN not in accepted.output

    config = json.loads(invoke("config", "-o", "json").stdout)
    assert (config["url"], config["workspace"], config["has_token"]) == (server.url, "lab", True)
    assert invoke("me").stdout.startswith("ada\n")

    assert invoke("logout").exit_code == 0
    assert invoke("me").exit_code == 2


def test_doctor_finds_everything_well(server: ContractServer) -> None:
    server.always("GET /api/v1/me", ME)
    server.always(
        "GET /readyz", {"status": "ok", "checks": {"database": {"ok": True, "reason": ""}}}
    )

    result = invoke("doctor", "-o", "json")

    states = {row["check"]: row["state"] for row in json.loads(result.stdout)}
    assert result.exit_code == 0, result.output
    for check in ("Reachable", "Server version", "Clock", "Token", "Workspace", "Server database"):
        assert states[check] == "ok"


def test_doctor_says_what_is_wrong_and_how_to_mend_it(server: ContractServer) -> None:
    server.always("GET /api/v1/me", {**ME, "workspaces": []})
    server.always(
        "GET /readyz",
        {
            "status": 503,
            "checks": {"redis": {"ok": False, "reason": "It is away."}},
        },
        503,
    )

    result = invoke("doctor")

    assert result.exit_code == 1
    assert "✗ Server redis    It is away." in result.stdout
    assert "→ Ask who runs the server." in result.stdout
    assert "✗ Workspace" in result.stdout


def test_doctor_without_a_server_is_not_a_crash() -> None:
    result = invoke("doctor", "--url", "http://127.0.0.1:9")

    assert result.exit_code == 1
    assert "✗ Reachable" in result.stdout
