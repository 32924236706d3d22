"""The evidence of a run: verifies without the server, and nothing in it can be changed."""

import re
from pathlib import Path

import msgspec
import pytest

from agentry.audit.documents import PublicKeys
from agentry.audit.evidence import EvidenceReport, verify_evidence
from agentry.audit.verifying import BrokenError
from agents.contracts import RunState
from agents.models import Message, Run
from agents.services.evidence import run_evidence
from core.errors import ConflictError, PermissionDeniedError
from core.signing import sign, signing_public_key
from governance.contracts import Actor, AuditAction
from governance.digest import canonical
from governance.models import Approval, AuditEntry, Workspace
from governance.services.audit_exports import audit_lines
from observability.models import TraceEvent
from plugins.contracts import CallState
from plugins.dispatch import arguments_digest
from plugins.models import ToolCall
from tests.integration.agents.approvals.granting import asks, give
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    decide,
    install,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.approvals.test_doubts import UnsureTool, doubtful
from tests.integration.agents.execution.kit import Engine, begin

TWICE = (
    "steps: [{tool_calls: [{name: pay, arguments: {amount: 7}}, {name: echo, arguments: "
    "{text: hello}}]}, {tool_calls: [{name: pay, arguments: {amount: 9}}]}, {text: Done.}]"
)


@pytest.fixture
def auditor(workspace: Workspace) -> Actor:
    return person(workspace, "audrey", "auditor")


@pytest.fixture
def run(engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor) -> Run:
    """One payment approved as it was asked for, one with other arguments."""
    publish(workspace, pay=ASK)
    run = paying(workspace, TWICE)
    decide(ann, parked(engine, run)[0])
    decide(ann, parked(engine, run)[0], arguments={"amount": 5}, reason="Too much.")
    engine.until(run, RunState.SUCCEEDED)
    assert [ran["amount"] for ran in pay.ran] == [7, 5]
    return Run.objects.get(pk=run.pk)


def _file(actor: Actor, run: Run) -> bytes:
    return b"".join(run_evidence(actor, run=run))


def _check(content: bytes, chain: list[bytes] | None = None) -> EvidenceReport:
    keys = PublicKeys([signing_public_key().encode()])
    return verify_evidence(content.splitlines(keepends=True), keys, chain=chain)


def _verdict(content: bytes) -> str:
    with pytest.raises(BrokenError) as refused:
        _check(content)
    return refused.value.what


def test_the_evidence_holds_and_tells_everything(
    run: Run, auditor: Actor, workspace: Workspace
) -> None:
    content = _file(auditor, run)
    report = _check(content, list(audit_lines(workspace)))

    assert (report.run, report.workspace, report.approved_effects) == (str(run.pk), "acme", 2)
    assert report.is_in_chain
    assert report.counts == {
        "run": 1,
        "snapshot": 1,
        "policy": 1,
        "message": Message.objects.filter(run=run).count(),
        "call": 3,
        "approval": 2,
        "event": TraceEvent.objects.filter(run_id=run.pk).count(),
        "audit": 4,
    }
    assert b"Too much." in content


def test_taking_it_is_itself_recorded_with_what_was_taken(run: Run, auditor: Actor) -> None:
    end = msgspec.json.decode(_file(auditor, run).splitlines()[-1])
    [entry] = AuditEntry.objects.filter(action=AuditAction.EXPORTED.value)

    assert (entry.actor_name, entry.subject_id) == ("audrey", str(run.pk))
    assert entry.payload["digest"] == end["digest"]


def test_any_flipped_byte_is_found(run: Run, auditor: Actor) -> None:
    content = _file(auditor, run)
    step = max(1, len(content) // 150)
    for place in range(0, len(content), step):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(BrokenError):
            _check(bytes(changed))


def test_a_line_left_out_or_moved_is_found(run: Run, auditor: Actor) -> None:
    lines = _file(auditor, run).splitlines(keepends=True)
    assert "was changed" in _verdict(b"".join(lines[:5] + lines[6:]))
    assert "was changed" in _verdict(b"".join([*lines[:5], lines[6], lines[5], *lines[7:]]))
    assert "cut off" in _verdict(b"".join(lines[:-1]))
    assert "after the end" in _verdict(b"".join([*lines, lines[1]]))
    assert "another key" in _verdict_of_another_key(b"".join(lines))


def _verdict_of_another_key(content: bytes) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = (
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(BrokenError) as refused:
        verify_evidence(content.splitlines(keepends=True), PublicKeys([pem]))
    return refused.value.what


def test_a_ledger_that_was_rewritten_in_the_database_does_not_verify(
    run: Run, auditor: Actor
) -> None:
    """The site signs what it finds, so the records have to hold each other."""
    forged = {"amount": 70}
    ToolCall.objects.filter(run_id=run.pk, tool="pay", position=1).update(
        arguments=forged, arguments_digest=arguments_digest(forged)
    )
    assert _verdict(_file(auditor, run)) == "the call ran with another arguments than was approved"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"state": "denied"}, "the call ran, and its approval is denied"),
        ({"binding": {"tool": "pay"}}, "another arguments"),
        ({"quorum": 2}, "1 approved it, and it takes 2"),
        ({"binding_digest": "0" * 64}, "what the approval is bound to does not have the digest"),
    ],
)
def test_an_approval_that_was_rewritten_does_not_verify(
    run: Run, auditor: Actor, change: dict[str, object], what: str
) -> None:
    first = Approval.objects.filter(run_id=run.pk).order_by("pk")[:1]
    Approval.objects.filter(pk__in=list(first.values_list("pk", flat=True))).update(**change)
    assert what in _verdict(_file(auditor, run))


def test_an_approval_that_is_gone_is_missed(run: Run, auditor: Actor) -> None:
    """Also when the ledger does not name it any more, or says that nobody was to be asked."""
    call = ToolCall.objects.filter(run_id=run.pk, tool="pay").earliest("pk")
    decision = dict(call.decision or {})
    Approval.objects.filter(pk=decision.pop("approval")).delete()
    assert _verdict(_file(auditor, run)) == "the approval of the call is missing"
    ToolCall.objects.filter(pk=call.pk).update(decision=decision)
    assert _verdict(_file(auditor, run)) == "the call ran, and nothing says who allowed it"
    ToolCall.objects.filter(pk=call.pk).update(decision={**decision, "is_allowed": True})
    assert _verdict(_file(auditor, run)) == "the entry is of an approval that is missing"


def test_events_and_messages_that_are_gone_are_missed(run: Run, auditor: Actor) -> None:
    TraceEvent.objects.filter(run_id=run.pk, sequence=3).delete()
    assert "events of the run are missing" in _verdict(_file(auditor, run))
    Message.objects.filter(run=run, position=1).delete()
    assert "messages of the run are missing" in _verdict(_file(auditor, run))


def test_an_entry_that_another_chain_has_is_found(
    run: Run, auditor: Actor, workspace: Workspace
) -> None:
    content = _file(auditor, run)
    chain = [line for line in audit_lines(workspace) if b'"decision"' not in line]
    with pytest.raises(BrokenError, match="not in the chain"):
        _check(content, chain)


def test_a_forger_without_the_key_cannot_sign_again(run: Run, auditor: Actor) -> None:
    lines = _file(auditor, run).splitlines(keepends=True)
    end = msgspec.json.decode(lines[-1])
    end.pop("signature")
    end["run"] = str(run.pk).replace("0", "1")
    signed = {**end, "signature": sign(canonical(end))}
    assert _verdict(b"".join([*lines[:-1], canonical(signed) + b"\n"])) == (
        "the end belongs to another run"
    )


def test_it_is_of_what_has_ended_and_for_those_who_may_see_all(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, auditor: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    parked(engine, run)
    before = AuditEntry.objects.count()

    with pytest.raises(ConflictError, match="evidence is of what has ended"):
        run_evidence(auditor, run=Run.objects.get(pk=run.pk))
    with pytest.raises(PermissionDeniedError):
        run_evidence(ann, run=Run.objects.get(pk=run.pk))
    assert AuditEntry.objects.count() == before
    assert ToolCall.objects.get(run_id=run.pk).state == CallState.WAITING.value


def test_the_command_line_verifies_it_without_a_server(
    run: Run, auditor: Actor, workspace: Workspace, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from agentry.cli.main import app

    file, key, chain = (tmp_path / name for name in ("run.jsonl", "key.pem", "chain.jsonl"))
    file.write_bytes(_file(auditor, run))
    key.write_text(signing_public_key())
    chain.write_bytes(b"".join(audit_lines(workspace)))
    told = CliRunner().invoke(
        app, ["audit", "verify", str(file), "--key", str(key), "--chain", str(chain)]
    )

    assert told.exit_code == 0, told.output
    assert (
        "2 approved effects ran as approved, 0 by standing approvals. The chain has its entries."
        in " ".join(told.output.split())
    )
    assert re.search(r"holds: 1 run, .*\b1 policy, \d+ messages, ", " ".join(told.output.split()))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    broken = CliRunner().invoke(app, ["audit", "verify", str(file), "--key", str(key)])
    assert (broken.exit_code, "Broken at line" in broken.output) == (1, True)


def test_a_call_that_a_standing_approval_answered_for_is_told_with_it(
    engine: Engine, workspace: Workspace, pay: PayTool, auditor: Actor
) -> None:
    gus = person(workspace, "gus", "admin")
    first, asked = asks(engine, workspace)
    give(gus, asked)
    engine.until(first, RunState.SUCCEEDED)
    second = begin(workspace)
    engine.until(second, RunState.SUCCEEDED)

    content = _file(auditor, Run.objects.get(pk=second.pk))
    assert _check(content).granted_effects == 1
    call = ToolCall.objects.get(run_id=second.pk)
    forged = {"amount": 70}
    ToolCall.objects.filter(pk=call.pk).update(
        arguments=forged, arguments_digest=arguments_digest(forged)
    )
    assert "other arguments than were granted" in _verdict(
        _file(auditor, Run.objects.get(pk=second.pk))
    )


def test_a_call_in_doubt_that_somebody_settled_holds(
    engine: Engine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, auditor: Actor
) -> None:
    unsure = UnsureTool()
    install(monkeypatch, unsure)
    omar = person(workspace, "omar", "operator")
    run, asked = doubtful(engine, workspace)
    decide(omar, asked, choice="happened", reason="I looked.")
    engine.until(run)

    report = _check(_file(auditor, Run.objects.get(pk=run.pk)))
    assert (report.counts["approval"], report.approved_effects) == (1, 0)
