"""Commands about tokens and secrets: what is shown once, and what never is."""

import pytest

from tests.integration.agentry.contract_server import BASE, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")


TOKEN = "0199aaaa-0000-7000-8000-000000000001"


def test_a_new_token_goes_to_stdout_alone(server: ContractServer) -> None:
    server.always("POST /api/v1/tokens", {"id": "t2", "name": "ci", "secret": "agk_new"}, 201)

    result = invoke("tokens", "create", "ci", "--scope", "run.start", "--expires-in", "90d")

    assert (result.exit_code, result.stdout) == (0, "agk_new\n")
    body = server.seen[0].body
    assert (body["workspace"], body["scopes"]) == ("lab", ["run.start"])
    assert body["expires_at"].endswith("Z")


def test_a_token_is_revoked(server: ContractServer) -> None:
    server.always(f"DELETE /api/v1/tokens/{TOKEN}", None, 204)

    result = invoke("tokens", "revoke", TOKEN)

    assert (result.exit_code, result.stdout) == (0, "")
    assert len(server.requests("DELETE", f"/api/v1/tokens/{TOKEN}")) == 1


def test_a_secret_comes_from_stdin_and_never_from_the_command(server: ContractServer) -> None:
    row = {"name": "github", "version": 2, "description": "for releases"}
    server.always(f"GET {BASE}/secrets", {"items": [row]})
    server.always(f"POST {BASE}/secrets", row, 201)
    server.always(f"POST {BASE}/secrets/github/rotate", {**row, "version": 3})
    server.always(f"DELETE {BASE}/secrets/github", None, 204)

    listed = invoke("secrets", "ls")
    made = invoke("secrets", "set", "github", "--version", "0", stdin="line one\nline two\n")
    rotated = invoke("secrets", "rotate", "github", stdin="the new value")
    removed = invoke("secrets", "rm", "github")

    assert "for releases" in listed.stdout
    assert (made.stdout, rotated.stdout, removed.exit_code) == ("", "", 0)
    assert "version 2" in made.stderr
    assert "version 3" in rotated.stderr
    assert server.requests("POST", f"{BASE}/secrets")[0].body == {
        "name": "github", "value": "line one\nline two", "version": 0,
    }  # fmt: skip
    assert server.requests("POST", f"{BASE}/secrets/github/rotate")[0].body == {
        "value": "the new value"
    }
    assert invoke("secrets", "set", "github", "the value").exit_code == 2
    assert invoke("secrets", "set", "github", stdin="").exit_code == 2
