"""A run whose program hangs the first time, and what became of it; called inside the project."""

import json
from typing import Any

from agents.models import Run
from agents.services.runs import run_start
from governance.models import Workspace
from plugins.models import ToolCall
from plugins.services.calls import call_resolve
from tests.chaos.scenario import person
from tests.integration.agents.execution.kit import script_agent

NAME = "programmer"


def begin(*, command: str) -> str:
    """Start a run that has `bash` run the command and then says what came of it."""
    workspace = Workspace.objects.get(name="chaos")
    steps = [
        {"tool_calls": [{"name": "write", "arguments": {"path": "before", "content": "kept"}}]},
        {"tool_calls": [{"name": "bash", "arguments": {"command": command}}]},
        {"text": "${last_result}"},
    ]
    script_agent(workspace, json.dumps({"steps": steps}), name=NAME, tools=["bash", "write"])
    run = run_start(actor=person(), workspace=workspace, agent=NAME, input="go")
    return str(run.pk)


def seen(*, run: str) -> dict[str, Any]:
    """How the run stands, with its last call."""
    row = Run.objects.get(pk=run)
    call = ToolCall.objects.filter(run_id=run, tool="bash").first()
    return {
        "state": row.state,
        "wait_kind": row.wait_kind,
        "output": row.output,
        "reason": row.reason,
        "call": call.state if call else "",
        "attempt": call.attempt if call else 0,
    }


def retry(*, run: str) -> None:
    """A person looked at the workspace and says: do it again."""
    call = ToolCall.objects.get(run_id=run, tool="bash")
    call_resolve(actor=person(), call_id=call.pk, outcome="retry")
