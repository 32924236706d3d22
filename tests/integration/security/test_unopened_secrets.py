"""A secret that this process never opened is redacted in what models, users and tools write."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from agents.contracts import RunState
from agents.models import Run
from core.redaction import redact_text
from governance.contracts import SYSTEM
from governance.models import Approval, ApprovalVote, Workspace
from governance.services.approvals import approval_decide
from governance.services.policies import policy_publish, policy_put
from governance.services.secrets import secret_set
from plugins.models import ToolCall
from tests.e2e.real_input.vendors import vendor_process
from tests.factories.agents import make_agent, make_model, make_provider, make_secret
from tests.factories.governance import make_workspace
from tests.integration.agents.execution.kit import Engine, an_engine, begin, boss
from tests.integration.security import canaries
from tests.integration.security.canaries import BANK, STORED, VENDOR
from tests.processes import a_new_process, elsewhere
from tests.waiting import wait_for

POLICY = """
rules:
  - {name: asked-first, tools: [echo], effect: ask, approvers: ["user:boss"], allow_self: true}
"""


@pytest.fixture
def engine(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Engine]:
    settings.WORKSPACES_DIR = tmp_path / "workspaces"
    with an_engine(settings.WORKSPACES_DIR) as engine:
        yield engine


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    with a_new_process():
        yield


def an_agent(workspace: Workspace, url: str) -> None:
    make_provider(workspace, "vendor", kind="openai", base_url=url, script="",
                  api_key="sk-real-input-0123456789abcdef", max_retries=0)  # fmt: skip
    make_model(workspace, "m", provider="vendor", vendor_name="model-1")
    make_agent(workspace, "helper", model="m", tools=["echo"])


def test_what_another_process_stored_is_in_nothing_that_is_written_here(
    engine: Engine, workspace: Workspace, tmp_path: Path
) -> None:
    said = f"I happen to know {BANK} and {VENDOR}, done."
    turns: list[dict[str, Any]] = [
        {"tool_calls": [{"name": "echo", "arguments": {"text": said}}]},
        {"text": said, "reasoning": said, "chunk_chars": 3, "chunk_ms": 3},
    ]
    with elsewhere():
        make_secret(workspace, "bank", BANK)
        make_secret(workspace, "vendor", VENDOR)
    policy_put(boss(), workspace=workspace, source=POLICY)
    policy_publish(boss(), workspace=workspace)

    with canaries.logged() as log, vendor_process("openai", tmp_path, *turns) as vendor:
        an_agent(workspace, vendor.url)
        run = begin(workspace, f"Is it {BANK}?")
        with canaries.watching(run) as seen:
            engine.start()
            engine.until(run, RunState.WAITING, wait_kind="approval")
            approval_decide(
                actor=boss(),
                approval_id=Approval.objects.get().pk,
                verdict="approve",
                reason=f"since it is {VENDOR}",
            )
            engine.until(run)

    assert canaries.in_tables() == {}
    assert canaries.canaries_in("\n".join(seen.encoded) + "".join(seen.deltas.values())) == set()
    assert canaries.canaries_in(log.getvalue()) == set()
    told = "I happen to know [redacted] and [redacted], done."
    assert (run.state, run.output, run.input) == ("succeeded", told, "Is it [redacted]?")
    assert "".join(seen.deltas["text"]) == told
    assert ApprovalVote.objects.get().reason == "since it is [redacted]"
    assert ToolCall.objects.get().state == "committed"
    connection.close()


def test_what_is_rotated_while_a_run_is_driven_is_redacted_in_it(
    engine: Engine, workspace: Workspace, tmp_path: Path
) -> None:
    with elsewhere():
        make_secret(workspace, "stored", BANK)
    answer = {"text": f"Now it is {STORED}.", "is_held": True}
    with vendor_process("openai", tmp_path, answer) as vendor:
        an_agent(workspace, vendor.url)
        run = begin(workspace)
        engine.start()
        vendor.until_asked(1)
        with elsewhere():
            secret_set(SYSTEM, workspace=workspace, name="stored", value=STORED)
        wait_for(lambda: redact_text(STORED) == "[redacted]", lambda: "it is not learned")
        vendor.release()
        engine.until(run)

    assert run.output == "Now it is [redacted]."
    assert canaries.in_tables() == {}
    connection.close()


def test_the_search_finds_them_where_nothing_is_learned(
    engine: Engine, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("agents.execution.claiming", "agents.execution.noticing"):
        monkeypatch.setattr(f"{place}.secrets_learn", lambda workspace_ids: None)
    with elsewhere():
        make_secret(workspace, "bank", BANK)
    answer = {"text": f"I happen to know {BANK}."}
    with vendor_process("openai", tmp_path, answer) as vendor:
        an_agent(workspace, vendor.url)
        with a_new_process():
            run = begin(workspace)
        engine.play(run)

    assert Run.objects.get().output == f"I happen to know {BANK}."
    assert "agents.Run.output" in canaries.in_tables()
    connection.close()
