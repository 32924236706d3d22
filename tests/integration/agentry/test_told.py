"""What the command line says to who decides, and to who may not."""

from typing import Any

import pytest

from agentry.cli.output import UNPROTECTED
from tests.integration.agentry.contract_server import BASE, RUN, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")


def _approval(**evidence: Any) -> dict[str, Any]:
    return {"id": RUN, "title": "helper wants to call it", "state": "pending", "evidence": evidence}


@pytest.mark.parametrize("is_unprotected", [True, False])
def test_an_approver_is_told_of_a_call_without_a_sandbox(
    server: ContractServer, is_unprotected: bool
) -> None:
    sandbox = {"engine": "x", "is_unprotected": is_unprotected, "net": []}
    server.always(f"GET {BASE}/approvals/{RUN}", _approval(sandbox=sandbox))

    result = invoke("approvals", "show", RUN)

    assert (UNPROTECTED in result.stdout.splitlines()) is is_unprotected


def test_an_approver_is_told_of_a_plan_that_was_not_found_out(server: ContractServer) -> None:
    server.always(f"GET {BASE}/approvals/{RUN}", _approval(plan_problem="It broke."))

    result = invoke("approvals", "show", RUN)

    assert "What it would change was not found out: It broke." in result.stdout.splitlines()


@pytest.mark.parametrize("is_unprotected", [True, False])
def test_a_tool_without_a_sandbox_is_shown_as_one(
    server: ContractServer, is_unprotected: bool
) -> None:
    tool = {"name": "it", "is_unprotected": is_unprotected, "kind": "command"}
    server.always(f"GET {BASE}/tools/it", tool)

    result = invoke("tools", "show", "it")

    assert result.exit_code == 0, result.output
    assert (UNPROTECTED in result.stdout.splitlines()) is is_unprotected


def test_on_a_narrow_terminal_the_word_is_whole_and_red(
    server: ContractServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentry.cli.output.is_terminal", lambda stream: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    row = {"name": "it", "effect": "irreversible", "is_unprotected": True, "description": "x " * 40}
    server.always(f"GET {BASE}/tools", {"items": [row], "next": None, "next_cursor": None})

    result = invoke("tools", "ls")

    assert "\x1b[1;31mUNPROTECTED\x1b[0m" in result.stdout


def test_a_grant_that_may_not_be_given_is_not_a_mistake_of_use(server: ContractServer) -> None:
    refusal = "This needs the permission approval.grant in workspace demo."
    proposal = {"tool": "pay", "pattern": {}, "arguments": {}, "refusal": refusal}
    server.always(f"GET {BASE}/approvals/{RUN}/grant", proposal)

    result = invoke("approvals", "grant", RUN, "--yes")

    assert (result.exit_code, server.requests("POST", f"{BASE}/approvals/{RUN}/grant")) == (3, [])
    assert f"Error: {refusal}" in result.stderr


def test_who_is_a_member_of_nothing_is_told_so(server: ContractServer) -> None:
    user = {"id": "u", "username": "noa", "is_superuser": False}
    server.always("GET /api/v1/me", {"user": user, "token": None, "workspaces": []})

    lines = invoke("me").stdout.splitlines()

    assert lines[0] == "noa"
    assert lines[1].startswith("You are a member of no workspace.")
