"""Declared commands: what reaches them, what comes back, what they are refused."""

import json
from typing import Any

import pytest

from agents.contracts import RunState
from agents.execution.calls import CallRunner, Performed
from agents.models import Run
from core.errors import InvalidInputError
from governance.contracts import SYSTEM
from governance.models import Secret, Workspace
from governance.services.secrets import secret_delete
from plugins.dispatch import PlannedCall, Settlement
from plugins.models import ToolCall, ToolDefinition
from sandbox.contracts import Limit
from sandbox.site import SiteRules
from tests.factories.agents import make_secret, make_tool
from tests.integration.agents.approvals.kit import (
    ASK,
    decide,
    parked,
    person,
    publish,
    told_engine,
)
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    check_invariants,
    ledger,
    script_agent,
)
from tests.integration.agents.programs.test_programs import a_script

ANYTHING = {"type": "object", "properties": {"text": {"type": "string"}}}
TOKEN_OUTSIDE = {"name": "TOKEN", "host": "api.example.com", "header": "Authorization"}


def declare(workspace: Workspace, command: str, **fields: Any) -> ToolDefinition:
    given = {
        "kind": "command",
        "description": "Runs it.",
        "url": "",
        "command": command,
        "is_privileged": False,
        "input_schema": ANYTHING,
    }
    return make_tool(workspace, "local", **{**given, **fields})


def called(engine: Engine, workspace: Workspace, **arguments: object) -> ToolCall:
    script_agent(workspace, a_script([("local", arguments)]), tools=["local"])
    run = engine.play(begin(workspace))
    assert run.state == RunState.SUCCEEDED.value, run.reason
    check_invariants(run.pk)
    return ToolCall.objects.get(run_id=run.pk)


def test_arguments_are_data_and_never_part_of_the_command(
    engine: Engine, workspace: Workspace
) -> None:
    hostile = '\'; touch /workspace/pasted; echo "`id`" #'
    declare(
        workspace,
        'printf "%s\\n" "$ARG_TEXT"; cat; printf "\\n%s\\n" "$AGENTRY_ARGUMENTS" $ARG_N; ls',
    )

    call = called(engine, workspace, text=hostile, n=7)

    lines = call.result.splitlines()
    assert lines[2] == hostile
    assert json.loads(lines[3]) == {"text": hostile, "n": 7}
    assert json.loads(lines[4]) == {"text": hostile, "n": 7}
    assert lines[5:] == ["", "7"]  # and no file was made
    assert call.state == "committed"


def test_a_result_fits_what_was_declared(engine: Engine, workspace: Workspace) -> None:
    schema = {"type": "object", "required": ["sum"], "properties": {"sum": {"type": "integer"}}}
    declare(workspace, "echo '{\"sum\": 5}'; echo noise >&2", output_schema=schema)

    call = called(engine, workspace)

    assert (call.state, call.result, call.is_error) == ("committed", '{"sum": 5}', False)


@pytest.mark.parametrize("printed", ['{"sum": "five"}', "five", ""])
def test_a_result_that_does_not_fit_is_said_and_kept(
    engine: Engine, workspace: Workspace, printed: str
) -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}}
    declare(workspace, f"echo '{printed}'", output_schema=schema)

    call = called(engine, workspace)

    assert (call.state, call.is_error) == ("committed", True)
    assert call.result.startswith("The result does not fit the tool's output schema: ")
    assert printed in call.result


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"limits": {"disk_bytes": 4096}}, "every workspace of this site has one of"),
        ({"secrets": ["TOKEN"]}, "There is no secret 'TOKEN' in this workspace."),
        (
            {"secrets": [TOKEN_OUTSIDE], "net": ["api.example.com:443"]},
            "There is no secret 'TOKEN' in this workspace.",
        ),
    ],
)
def test_what_cannot_be_held_is_refused_and_nothing_runs(
    engine: Engine, workspace: Workspace, fields: dict[str, Any], sentence: str
) -> None:
    make_secret(workspace, "TOKEN", "it-was-there-once")
    declare(workspace, "touch /workspace/ran", **fields)
    secret_delete(SYSTEM, secret=Secret.objects.get())

    call = called(engine, workspace)

    assert call.state == "failed"
    assert sentence in call.result
    folder = engine.workspaces / str(workspace.pk) / str(call.run_id)
    assert [each.name for each in folder.iterdir() if each.name != ".agentry"] == []


def test_an_engine_that_went_away_is_refused_at_the_call(
    engine: Engine, workspace: Workspace
) -> None:
    declare(workspace, "touch /workspace/ran")
    ToolDefinition.objects.update(engine="microvm")

    call = called(engine, workspace)

    assert call.state == "failed"
    assert "Firecracker is not installed" in call.result
    assert "Nothing was done" in call.result


PLAN = """
printf '{"summary": "one file", "difference": "+++ %s", "counts": {"files": 1}}' "$ARG_TEXT"
touch /workspace/planned 2>/dev/null && echo changed
cat /run/secrets/* 2>/dev/null || true
"""


def test_what_a_call_would_change_is_evidence_for_whoever_is_asked(
    engine: Engine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("governance.services.policies.policy_engine", told_engine)
    seen: list[dict[str, Any]] = []
    real = CallRunner.asked

    def asked(self: CallRunner, call: PlannedCall, settlement: Settlement) -> Performed:
        assert settlement.park is not None
        assert settlement.park.ask is not None
        seen.append(settlement.park.ask["evidence"])
        return real(self, call, settlement)

    monkeypatch.setattr(CallRunner, "asked", asked)
    declare(workspace, "echo did it >file; cat file", plan_command=PLAN, is_privileged=True)
    publish(workspace, local=ASK)
    ann = person(workspace, "ann")
    script_agent(workspace, a_script([("local", {"text": "b.txt"})]), tools=["local"])
    run = begin(workspace)

    (approval,) = parked(engine, run)
    decide(ann, approval)
    engine.until(run, RunState.SUCCEEDED)

    assert seen == [
        {
            "sandbox": {"engine": "site", "is_unprotected": False, "net": []},
            "plan": {
                "summary": "one file",
                "difference": "+++ b.txt",
                "counts": {"files": 1},
                "cost_usd": None,
            },
        }
    ]
    assert approval.binding["sandbox_profile"]
    assert "did it" in ToolCall.objects.get(run_id=run.pk).result


def test_what_was_approved_in_one_sandbox_does_not_run_in_another(
    engine: Engine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("governance.services.policies.policy_engine", told_engine)
    declare(workspace, "touch /workspace/ran")
    publish(workspace, local=ASK)
    ann = person(workspace, "ann")
    script_agent(workspace, a_script([("local", {})]), tools=["local"])
    run = begin(workspace)
    (approval,) = parked(engine, run)
    engine.stop()

    decide(ann, approval)
    engine.start(sandbox_rules=SiteRules(without=frozenset({Limit.PIDS})))
    engine.until(run)

    call = ToolCall.objects.get(run_id=run.pk)
    assert (call.state, run.state) == ("denied", "succeeded")
    assert "sandbox profile" in call.result


def test_limits_of_the_manifest_hold(engine: Engine, workspace: Workspace) -> None:
    declare(
        workspace,
        "python3 -c 'x = bytearray(200_000_000)'; echo $?; ulimit -n",
        limits={"memory_bytes": 64 * 1024 * 1024, "open_files": 77},
    )

    call = called(engine, workspace)

    assert call.result.splitlines()[2:4] == ["137", "77"]


def test_a_privileged_command_is_denied_where_nobody_can_agree(
    engine: Engine, workspace: Workspace
) -> None:
    declare(workspace, "touch ran", is_privileged=True)

    call = called(engine, workspace)

    assert call.state == "denied"
    assert ledger(Run.objects.get(pk=call.run_id)) == [("local", "denied")]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"command": " "}, "command"),
        ({"command": "x" * 100_001}, "command"),
        ({"url": "https://a.example/"}, "url"),
        ({"net": ["api.example.com"]}, "net"),
        ({"net": ["api.example.com:99999"]}, "net"),
        ({"limits": {"memory": 1}}, "limits"),
        ({"limits": {"cpu": 0}}, "limits"),
        ({"limits": {"pids": "many"}}, "limits"),
        ({"limits": {"memory_bytes": None}}, "limits"),
        ({"secrets": ["../x"]}, "secrets"),
        ({"secrets": ["missing"]}, "secrets"),
        ({"engine": "chroot"}, "engine"),
        ({"output_schema": {"type": "no"}}, "output_schema"),
        (
            {"input_schema": {"type": "object", "properties": {"a-b": {}, "a_b": {}}}},
            "input_schema",
        ),
        ({"kind": "http", "url": "https://a.example/"}, "command"),
    ],
)
def test_a_declaration_that_cannot_work_names_the_field(
    db: None, workspace: Workspace, fields: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        declare(workspace, **{"command": "true", **fields})

    assert place in raised.value.fields
    assert not ToolDefinition.objects.exists()


def test_a_privileged_tool_may_ask_for_no_limit(db: None, workspace: Workspace) -> None:
    row = declare(workspace, "true", is_privileged=True, limits={"cpu": None})

    assert row.limits == {"cpu": None}
