"""A stage for an author, and for whoever scrolls: a budget, a policy that asks about files, a model
that plays along, and more runs than a page has.

    python -m tests.e2e.browser.workshop    # serves until it is ended; prints {"url": …} then
"""

from datetime import timedelta
from typing import Any

from tests.e2e.browser.stage import WORKSPACE, serve

MODULE = "tests.e2e.browser.workshop"
MANY = 1_230
POLICY = """
version: 1
rules:
  - {name: files-stay, tools: [write], effect: ask, reason: Files of the archive stay.}
  - {name: looking-is-free, tools: [ls, view, echo], effect: allow}
"""
SCRIPT = """
branches:
  - when: {contains: archive}
    steps:
      - text: "I shall put it into the archive."
        tool_calls: [{name: write, arguments: {path: archive.md, content: "All agreed."}}]
      - text: "It is in the archive."
  - steps:
      - text: "In short: all agreed."
"""


def _document(kind: str, name: str, /, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "agentry/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def play() -> tuple[dict[str, str], dict[str, str]]:
    from decimal import Decimal

    from agents.services.apply import apply
    from governance.access import actor_of_user
    from governance.contracts import SYSTEM
    from governance.models import User, Workspace
    from governance.services.budgets import budget_create
    from governance.services.members import member_add
    from governance.services.policies import policy_publish, policy_put

    acme = Workspace.objects.get(name=WORKSPACE)
    root = actor_of_user(User.objects.get(username="root"))
    member_add(SYSTEM, workspace=acme, username="nina", roles=["author"])
    apply(
        actor=root,
        workspace=acme,
        documents=[
            _document("Provider", "bench", kind="scripted", script=SCRIPT),
            _document("Model", "benched", provider="bench", vendor_name="benched"),
        ],
    )
    budget = budget_create(
        root, workspace=acme, name="everything", kind="workspace", limit_usd=Decimal(400)
    )
    policy = policy_put(root, workspace=acme, source=POLICY)
    policy_publish(root, workspace=acme, as_shadow=False, note="Files are asked about.")
    crowd = _crowd(acme)
    return {"oldest": crowd[0], "newest": crowd[-1]}, {
        "budget": str(budget.pk),
        "policy": str(policy.pk),
    }


def _crowd(acme: Any) -> list[str]:
    """Write down runs that have ended, in a workspace that only a superuser and its people see."""
    from agents.models import Agent, Run, RunSnapshot
    from core import clock
    from core.ids import new_id
    from governance.models import Workspace

    other = Workspace.objects.get(name="other")
    agent = Agent.objects.create(workspace=other, name="counter")
    content = {"agent": agent.name, "version": 1, "prompt": "Count.", "models": [], "tools": []}
    pinned = RunSnapshot.objects.create(digest="c" * 64, workspace=other, content=content)
    now = clock.now() - timedelta(hours=1)
    rows = []
    for number in range(MANY):
        pk, at = new_id(), now + timedelta(seconds=number)
        rows.append(
            Run(
                id=pk, root_id=pk, workspace=other, agent=agent, agent_name=agent.name,
                snapshot=pinned,
                state="succeeded", input=f"Count to {number}.", output="Counted.",
                available_at=at, created_at=at, started_at=at, finished_at=at, updated_at=at,
            )
        )  # fmt: skip
    Run.objects.bulk_create(rows, batch_size=100)
    return [str(row.pk) for row in rows]


if __name__ == "__main__":
    serve(play)
