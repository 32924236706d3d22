"""Several logins, choosing among them, and what `doctor` says of a login and a clock."""

import json
from pathlib import Path

import pytest

from agentry.cli import diagnosis
from agentry.client.origin import LoginFile, StoredContext, write_logins
from tests.integration.agentry.contract_server import TOKEN, Answer, ContractServer
from tests.integration.agentry.kit import invoke

ACCESS = {"permissions": ["run.view"]}
ME = {
    "user": {"id": "u1", "username": "ada"},
    "token": {"id": "t1", "expires_at": "2026-01-01T00:00:00Z"},
    "workspaces": [{"name": "lab", **ACCESS}, {"name": "shop", **ACCESS}],
}


@pytest.fixture(autouse=True)
def logins(server: ContractServer, signed_in: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two stored logins, and nothing in the environment."""
    for name in ("AGENTRY_URL", "AGENTRY_TOKEN", "AGENTRY_WORKSPACE"):
        monkeypatch.delenv(name)
    server.always("GET /api/v1/me", ME)
    contexts = {
        "home": StoredContext(url=server.url, token=TOKEN, workspace="lab"),
        "work": StoredContext(url="http://127.0.0.1:9", token="agk_work"),
    }
    write_logins(signed_in / "credentials", LoginFile(current="home", contexts=contexts))
    return signed_in / "credentials"


def test_another_login_can_be_made_current() -> None:
    assert invoke("me").exit_code == 0
    assert invoke("config", "--use", "work").exit_code == 0
    assert invoke("me").exit_code == 6
    assert invoke("me", "--context", "home").exit_code == 0
    assert invoke("config", "--use", "nowhere").exit_code == 2


def test_forgetting_a_login_leaves_the_others(logins: Path) -> None:
    result = invoke("logout")

    assert "Forgot 'home'. Current is 'work'." in result.stderr
    assert list(json.loads(logins.read_text())["contexts"]) == ["work"]
    assert invoke("logout", "--context", "home").exit_code == 2


def test_a_login_needs_an_address_a_token_and_a_workspace_that_is_there(
    server: ContractServer, logins: Path
) -> None:
    before = logins.read_bytes()

    assert invoke("login", stdin="").exit_code == 2
    assert invoke("login", server.url, stdin="\n").exit_code == 2
    assert invoke("login", server.url, "-w", "cellar", stdin=f"{TOKEN}\n").exit_code == 2
    assert invoke("login", "ftp://x", stdin=f"{TOKEN}\n").exit_code == 2
    assert logins.read_bytes() == before

    chosen = invoke("login", server.url, "-w", "shop", "--context", "third", stdin=f"{TOKEN}\n")
    assert chosen.exit_code == 0
    assert json.loads(logins.read_text())["contexts"]["third"]["workspace"] == "shop"


def test_several_workspaces_are_named_when_none_is_chosen(server: ContractServer) -> None:
    result = invoke("login", server.url, stdin=f"{TOKEN}\n")

    assert "Workspaces: lab, shop." in result.stderr


def test_doctor_speaks_of_expiry_permissions_and_the_clock(server: ContractServer) -> None:
    late = {"date": "Mon, 01 Jan 2035 00:00:00 GMT"}
    server.will("GET /version", Answer(body={"version": "1"}, headers=late))

    result = invoke("doctor", "-o", "json")

    rows = {row["check"]: row for row in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert rows["Clock"]["state"] == "failed"
    assert "s behind the server's" in rows["Clock"]["detail"]
    assert rows["Token"]["remedy"] == "Make a new one soon: agentry tokens create NAME"
    assert rows["Workspace"]["state"] == "note"


def test_doctor_knows_when_the_address_is_something_else(server: ContractServer) -> None:
    server.will("GET /version", Answer(body=["a", "list"]))

    result = invoke("doctor")

    assert result.exit_code == 1
    assert "Is this the address of an Agentry server?" in result.stdout


def test_doctor_names_a_refused_token_and_a_login_file_others_can_read(logins: Path) -> None:
    refused = invoke("doctor", "--context", "home", "--workspace", "cellar")
    assert "✗ Workspace" in refused.stdout

    logins.chmod(0o644)
    assert "chmod 600" in invoke("doctor").stdout


def test_doctor_says_which_dependency_is_missing_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "agentry_site").mkdir()
    (tmp_path / "manage.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(diagnosis, "find_spec", lambda name: None if name == "psycopg" else name)

    result = invoke("doctor", "--offline", "-o", "json")

    rows = {row["check"]: row for row in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert (rows["psycopg"]["state"], rows["psycopg"]["remedy"]) == (
        "failed",
        "In the checkout: uv sync",
    )
    assert rows["redis-server"]["remedy"] == "apt install redis-server"
    assert rows["django"]["state"] == "ok"
