"""A stage with a hundred questions of every kind, for whoever clears the queue.

    python -m tests.e2e.browser.desk      # serves until it is ended; prints {"port": …} when ready

They are asked by runs of a real engine under a policy; only that some workers died is written by
hand, as on the other stage.
"""

import time
from typing import Any

import yaml

from tests.e2e.browser.stage import SETTLE_SECONDS, WORKSPACE, _put_in_doubt, serve

MODULE = "tests.e2e.browser.desk"
POSTS, PAYMENTS, FILES, LOOKS, DOUBTS = 24, 16, 26, 30, 4
TOTAL = POSTS + PAYMENTS + FILES + LOOKS + DOUBTS

POLICY = """
version: 1
rules:
  - name: posts-are-read-first
    tools: [echo]
    effect: ask
    expires: 4h
    reason: What is posted is read by customers.
  - name: files-stay
    tools: [write]
    effect: ask
    expires: 2d
    reason: Files of the archive stay.
  - name: looks-are-asked-about
    tools: [ls]
    effect: ask
    expires: 3d
    reason: Somebody may want to know who looks.
  - name: money-leaves-the-house
    tools: [pay]
    effect: ask
    expires: 30m
    grantable: true
    reason: Money leaves the house.
  - {name: waiting-is-free, tools: [wait], effect: allow}
"""


def _call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"name": tool, "arguments": arguments}


def calls() -> dict[str, list[dict[str, Any]]]:
    """What each agent asks for in its one turn."""
    wanted = ("send", "stop", "mend")
    posts = [_call("echo", text=f"{wanted[n % 3]} post {n}") for n in range(POSTS)]
    payments = [
        _call("pay", amount=10 + n, to=f"supplier-{n}", reference="invoice")
        for n in range(PAYMENTS)
    ]
    files = [
        _call("write", path=f"archive/{n}.md", content=f"# Minutes {n}\n\nAll agreed.\n")
        for n in range(FILES)
    ]
    looks = [_call("ls", path=f"folder-{n}") for n in range(LOOKS)]
    return {"postman": posts, "bookkeeper": payments, "archivist": files, "auditor": looks}


def _team() -> list[dict[str, Any]]:
    branches = [
        {"when": {"agent": name}, "steps": [{"tool_calls": asked}, {"text": "Done."}]}
        for name, asked in calls().items()
    ]
    tools = {"postman": "echo", "bookkeeper": "pay", "archivist": "write", "auditor": "ls"}
    scripted = {"kind": "scripted", "script": yaml.safe_dump({"branches": branches})}
    rows = [
        ("Provider", "desk", scripted),
        ("Model", "deskbound", {"provider": "desk", "vendor_name": "deskbound"}),
        *(
            ("Agent", name, {"prompt": "You ask.", "model": "deskbound", "tools": [tool]})
            for name, tool in tools.items()
        ),
    ]
    return [
        {"apiVersion": "agentry/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, name, spec in rows
    ]


def play() -> tuple[dict[str, str], dict[str, str]]:
    from agents.execution.doubts import doubts_ask
    from agents.models import Run
    from agents.services.apply import apply
    from agents.services.runs import run_start
    from governance.access import actor_of_user
    from governance.contracts import SYSTEM
    from governance.models import Approval, User, Workspace
    from governance.services.members import member_add
    from governance.services.policies import policy_publish, policy_put
    from plugins.models import ToolDefinition

    acme = Workspace.objects.get(name=WORKSPACE)
    root = actor_of_user(User.objects.get(username="root"))
    member_add(SYSTEM, workspace=acme, username="nina", roles=["operator"])
    ToolDefinition.objects.create(
        workspace=acme, name="pay", effect="irreversible", is_privileged=True,
        description="Pays somebody.", url="http://127.0.0.1:9/pay",
        input_schema={
            "type": "object",
            "properties": {
                "amount": {"type": "integer", "maximum": 100},
                "to": {"type": "string"},
                "reference": {"type": "string"},
            },
            "required": ["amount", "to"],
            "additionalProperties": False,
        },
    )  # fmt: skip
    policy_put(root, workspace=acme, source=POLICY)
    policy_publish(root, workspace=acme, as_shadow=False, note="A desk for approvers.")
    apply(actor=root, workspace=acme, documents=_team())

    def start(agent: str, text: str) -> Run:
        return run_start(actor=root, workspace=acme, agent=agent, input=text)

    def until(run: Run, kind: str, asked: int) -> None:
        pending = Approval.objects.filter(run_id=run.pk, state="pending")
        end = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < end:
            run.refresh_from_db()
            if (run.state, run.wait_kind, pending.count()) == ("waiting", kind, asked):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{run} is {run.state} {run.wait_kind}, not {kind} for {asked} answers.")

    runs = {name: start(name, "Ask for all of it.") for name in calls()}
    doubtful = [start("weekly-report", f"Send report {n}.") for n in range(DOUBTS)]
    for name, run in runs.items():
        until(run, "approval", len(calls()[name]))
    for run in doubtful:
        until(run, "timer", 0)
        _put_in_doubt(run)
    doubts_ask()
    return {name: str(run.pk) for name, run in runs.items()}, {}


if __name__ == "__main__":
    serve(play)
