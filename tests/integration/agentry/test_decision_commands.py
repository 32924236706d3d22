"""Commands with which people decide: approvals, and calls in doubt."""

import pytest

from tests.integration.agentry.contract_server import BASE, CHILD, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")


def test_an_approval_is_decided(server: ContractServer) -> None:
    path = f"{BASE}/approvals/{CHILD}"
    row = {"id": CHILD, "title": "helper wants to call pay", "state": "approved", "votes": []}
    votes = [{"user": "ann", "verdict": "approve", "is_counted": True}]
    server.always(f"GET {BASE}/approvals", {"items": [{**row, "state": "pending"}]})
    server.always(f"GET {path}", {**row, "arguments": {"amount": 7}})
    server.always(f"POST {path}/decide", {**row, "state": "pending", "quorum": 2, "votes": votes})

    listed = invoke("approvals", "ls")
    shown = invoke("approvals", "show", CHILD)
    approved = invoke("approvals", "approve", CHILD)
    denied = invoke("approvals", "deny", CHILD, "--reason", "no")
    edited = invoke("approvals", "edit", CHILD, "--arguments", '{"amount": 5}')
    broken = invoke("approvals", "edit", CHILD, "--arguments", "[5]")

    assert "helper wants to call pay" in listed.stdout
    assert "amount" in shown.stdout
    assert approved.stdout == f"{CHILD} is pending (1 of 2 have said yes).\n"
    assert (denied.exit_code, edited.exit_code, broken.exit_code) == (0, 0, 2)
    assert server.seen[0].query == {"state": "pending", "limit": "50"}
    assert [each.body for each in server.requests("POST", f"{path}/decide")] == [
        {"verdict": "approve"},
        {"verdict": "deny", "reason": "no"},
        {"verdict": "approve", "arguments": {"amount": 5}},
    ]


def test_a_call_in_doubt_is_resolved(server: ContractServer) -> None:
    path = f"{BASE}/tool-calls/{CHILD}"
    server.always(f"POST {path}/resolve", {"id": CHILD, "tool": "pay", "state": "committed"})

    result = invoke("calls", "resolve", CHILD, "--outcome", "committed", "--note", "saw it")

    assert result.exit_code == 0, result.output
    assert server.seen[0].body == {"outcome": "committed", "note": "saw it"}
