"""A call's secrets are opened as it begins, for what it declares, and an approval is bound to
which values they had."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agents.models import Run
from core.redaction import redact_text
from governance.contracts import SYSTEM, Actor
from governance.models import AuditEntry, Secret, Workspace
from governance.secrets.places import places_parse
from governance.services.secret_values import forget_sources
from governance.services.secrets import secret_delete, secret_set
from plugins.contracts import ToolContext, ToolResult
from plugins.models import ToolCall
from tests.factories.agents import make_secret
from tests.integration.agents.approvals.kit import (
    ALLOW,
    ASK,
    PAY,
    PayTool,
    decide,
    install,
    parked,
    publish,
)
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    check_invariants,
    ledger,
    script_agent,
    told,
)

VALUE = "the-bank-account-key"
OTHER = "the-other-account-key"


class Payer(PayTool):
    """Pays with a secret, and keeps what it was given."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{"secrets": ("bank",), **changes})
        self.read: list[str] = []
        self.wanted = "bank"

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        assert context.secrets is not None
        self.read.append(await context.secrets.read(self.wanted))
        self.read.append(await context.secrets.read(self.wanted))
        return ToolResult(text=f"Paid with {self.read[0]}.")


@pytest.fixture
def payer(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Payer:
    tool = Payer()
    install(monkeypatch, tool)
    make_secret(workspace, "bank", VALUE)
    script_agent(workspace, PAY, tools=["pay"])
    return tool


def used() -> list[dict[str, Any]]:
    rows = AuditEntry.objects.filter(action="secret_used").order_by("sequence")
    return [{"secret": row.subject_label, "by": row.actor_name, **row.payload} for row in rows]


def test_a_tool_reads_what_it_declares_and_its_use_is_recorded(
    engine: Engine, workspace: Workspace, payer: Payer
) -> None:
    publish(workspace, pay=ALLOW)
    run = engine.play(begin(workspace))

    call = ToolCall.objects.get(run_id=run.pk)
    assert (run.state, payer.read) == ("succeeded", [VALUE, VALUE])
    assert used() == [
        {
            "secret": "bank", "by": "system", "for": "tool_call", "id": str(call.pk),
            "label": "pay", "run": str(run.pk), "version": 1, "source": "workspace",
        }
    ]  # fmt: skip
    assert "Paid with [redacted]." in _text(run)
    assert VALUE not in str(list(ToolCall.objects.values()))
    assert Secret.objects.get().used_at is not None
    check_invariants(run.pk)


def test_a_tool_reads_nothing_it_does_not_declare(
    engine: Engine, workspace: Workspace, payer: Payer
) -> None:
    make_secret(workspace, "other", OTHER)
    publish(workspace, pay=ALLOW)
    payer.wanted = "other"

    run = engine.play(begin(workspace))

    assert (payer.read, used()) == ([], [])
    assert "does not declare the secret 'other'" in _text(run)


def test_a_secret_that_is_not_there_is_told_with_the_remedy(
    engine: Engine, workspace: Workspace, payer: Payer
) -> None:
    secret_delete(SYSTEM, secret=Secret.objects.get())
    publish(workspace, pay=ALLOW)

    run = engine.play(begin(workspace))

    assert "There is no secret 'bank' in this workspace." in _text(run)
    assert (payer.read, used()) == ([], [])


def _another_value(workspace: Workspace) -> None:
    secret_set(SYSTEM, workspace=workspace, name="bank", value=OTHER)


def _deleted(workspace: Workspace) -> None:
    secret_delete(SYSTEM, secret=Secret.objects.get(workspace=workspace, name="bank"))


def _made_anew(workspace: Workspace) -> None:
    _deleted(workspace)
    make_secret(workspace, "bank", VALUE)


def _back_and_forth(workspace: Workspace) -> None:
    _another_value(workspace)
    secret_set(SYSTEM, workspace=workspace, name="bank", value=VALUE)


@pytest.mark.parametrize("change", [_another_value, _deleted, _made_anew, _back_and_forth])
def test_a_secret_that_changed_since_the_yes_is_a_refusal(
    engine: Engine,
    workspace: Workspace,
    ann: Actor,
    payer: Payer,
    change: Callable[[Workspace], None],
) -> None:
    run = _approved(engine, workspace, ann)

    change(workspace)
    run = engine.play(run)

    assert (ledger(run), payer.read, used()) == ([("pay", "denied")], [], [])
    assert "Changed since: credential." in _text(run)
    check_invariants(run.pk)


def test_what_did_not_change_runs(
    engine: Engine, workspace: Workspace, ann: Actor, payer: Payer
) -> None:
    run = _approved(engine, workspace, ann)

    secret_set(SYSTEM, workspace=workspace, name="bank", value=VALUE, description="the same")
    make_secret(workspace, "unrelated", OTHER)
    run = engine.play(run)

    assert (ledger(run), payer.read) == ([("pay", "committed")], [VALUE, VALUE])


def test_a_secret_from_a_file_is_bound_too(
    engine: Engine, workspace: Workspace, ann: Actor, payer: Payer, tmp_path: Any, settings: Any
) -> None:
    settings.SECRET_PLACES = places_parse([f"{workspace.name}/bank=file:bank"])
    settings.SECRETS_DIR = str(tmp_path)
    forget_sources()
    (tmp_path / "bank").write_text(f"{VALUE}\n")
    run = _approved(engine, workspace, ann)
    (tmp_path / "bank").write_text(f"{OTHER}\n")
    refused = engine.play(run)
    engine.stop()
    again = _approved(engine, workspace, ann)
    paid = engine.play(again)
    forget_sources()

    assert "Changed since: credential." in _text(refused)
    assert (ledger(paid), payer.read) == ([("pay", "committed")], [OTHER, OTHER])
    assert [(each["source"], each["version"]) for each in used()] == [("file:bank", None)]
    assert redact_text(OTHER) == "[redacted]"


def _approved(engine: Engine, workspace: Workspace, ann: Actor) -> Run:
    publish(workspace, pay=ASK)
    run = begin(workspace)
    (approval,) = parked(engine, run)
    engine.stop()
    decide(ann, approval)
    assert approval.binding["credential"].startswith("bank@")
    assert VALUE not in str(approval.binding)
    return run


def _text(run: Run) -> str:
    return "\n".join(told(run))
