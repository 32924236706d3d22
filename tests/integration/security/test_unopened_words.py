"""What people write is redacted of secrets that this web server never opened."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from agents.models import Run
from agents.services.runs import run_cancel
from core import clock
from core.errors import InvalidInputError
from governance.models import Delegation, Workspace
from governance.services.delegations import delegation_create
from plugins.services.tools import tool_create
from tests.factories.agents import make_agent, make_model, make_provider, make_secret
from tests.factories.governance import join, make_workspace
from tests.integration.agents.execution.kit import begin, boss
from tests.integration.security import canaries
from tests.integration.security.canaries import BANK
from tests.processes import a_new_process, elsewhere


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    with a_new_process():
        yield


@pytest.fixture
def workspace(db: None) -> Workspace:
    workspace = make_workspace("acme")
    make_provider(workspace, "script", script="steps: [{text: Done.}]")
    make_model(workspace, "m", provider="script")
    make_agent(workspace, "helper", model="m", prompt="In this tone: {{tone}}",
               variables={"tone": "dry"})  # fmt: skip
    with elsewhere():
        make_secret(workspace, "bank", BANK)
    return workspace


def _start(workspace: Workspace) -> str:
    return begin(workspace, f"Is it {BANK}?").input


def _variable(workspace: Workspace) -> str:
    run = begin(workspace, variables={"tone": f"Is it {BANK}?"})
    return str(run.snapshot.content["prompt"])


def _cancel(workspace: Workspace) -> str:
    run = _without_learning(workspace)
    return run_cancel(actor=boss(), run_id=run.pk, reason=f"Is it {BANK}?").reason


def _delegate(workspace: Workspace) -> str:
    join(workspace, "ann", "approver")
    join(workspace, "bob", "approver")
    until = clock.now() + timedelta(days=1)
    delegation_create(actor=boss(), workspace=workspace, delegator="ann", delegate="bob",
                      until_at=until, reason=f"Is it {BANK}?")  # fmt: skip
    return Delegation.objects.get().reason


def _without_learning(workspace: Workspace) -> Run:
    with a_new_process():
        return begin(workspace)


@pytest.mark.parametrize("write", [_start, _variable, _cancel, _delegate])
def test_it_is_not_stored(workspace: Workspace, write: Callable[[Workspace], str]) -> None:
    written = write(workspace)

    assert "Is it [redacted]?" in written
    assert canaries.in_tables() == {}


@pytest.mark.parametrize("field", ["command", "url"])
def test_a_tool_that_holds_it_is_refused(workspace: Workspace, field: str) -> None:
    with elsewhere():
        make_secret(workspace, "word", "kanariestoredkeywithoutshape")
    fields: dict[str, Any] = {
        "command": {"kind": "command", "command": "echo kanariestoredkeywithoutshape"},
        "url": {"url": "https://x.example/kanariestoredkeywithoutshape"},
    }[field]

    with pytest.raises(InvalidInputError) as raised:
        tool_create(actor=boss(), workspace=workspace, name="t", description="T.", **fields)

    assert raised.value.fields.keys() == {field}
    assert "Holds what looks like a secret" in raised.value.fields[field][0]
