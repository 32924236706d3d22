"""What the chaos tests run: two agents whose calls are of every effect class, many at once.

Called inside a process that has the project set up (see `inside`).
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.management import call_command

from agents.models import Run, Worker
from agents.services.agents import agent_create
from agents.services.models import model_create
from agents.services.providers import provider_create
from agents.services.runs import run_start
from agents.services.versions import version_publish
from governance.access import actor_of_user
from governance.contracts import SYSTEM, Actor
from governance.models import User, Workspace
from governance.services.budgets import budget_create
from governance.services.tokens import token_issue
from governance.services.workspaces import workspace_create
from plugins.services.tools import tool_create
from tests.factories.governance import join

# The script of both agents: every turn has calls of several classes side by side, one turn has a
# child and a timer. `label` says which effect of the run a request is.
SCRIPT = """
branches:
  - when: {agent: assistant}
    steps:
      - text: Helping.
        delay_ms: 20
        tool_calls:
          - {name: charge, arguments: {label: charge-h}}
          - {name: mail, arguments: {label: mail-h}}
      - text: helped
  - when: {agent: parked}
    steps:
      - tool_calls:
          - {name: wait, arguments: {seconds: 86400}}
      - text: woken
  - when: {agent: slow}
    steps:
      - text: thinking
        delay_ms: 400
        repeat: 16
        tool_calls:
          - {name: charge, arguments: {label: "charge-${step}"}}
      - text: finished
  - when: {agent: boss}
    steps:
      - tool_calls:
          - {name: agent, arguments: {agent: slow, input: one}}
          - {name: agent, arguments: {agent: slow, input: two}}
      - text: both done
  - when: {agent: scribe}
    steps:
      - tool_calls:
          - {name: insert, arguments: {path: shared.txt, insert_line: 0, content: "${input} 1"}}
          - {name: insert, arguments: {path: shared.txt, insert_line: 0, content: "${input} 2"}}
      - tool_calls:
          - {name: insert, arguments: {path: shared.txt, insert_line: 0, content: "${input} 3"}}
      - text: written
  - when: {agent: editor}
    steps:
      - tool_calls:
          - {name: write, arguments: {path: shared.txt, content: end}}
      - tool_calls:
          - {name: agent, arguments: {agent: scribe, input: one}}
          - {name: agent, arguments: {agent: scribe, input: two}}
          - {name: insert, arguments: {path: shared.txt, insert_line: 0, content: own}}
      - tool_calls:
          - {name: insert, arguments: {path: shared.txt, insert_line: 0, content: last}}
      - text: all written
  - when: {agent: poison}
    steps:
      - tool_calls:
          - {name: poison, arguments: {}}
      - text: survived
  - steps:
      - text: Looking.
        delay_ms: 20
        tool_calls:
          - {name: lookup, arguments: {label: read-1}}
          - {name: put, arguments: {label: put-1}}
          - {name: charge, arguments: {label: charge-1}}
          - {name: mail, arguments: {label: mail-1}}
      - text: Delegating.
        tool_calls:
          - {name: agent, arguments: {agent: assistant, input: "${input}"}}
          - {name: wait, arguments: {seconds: 0.2}}
          - {name: charge, arguments: {label: charge-2}}
      - text: Again.
        delay_ms: 20
        tool_calls:
          - {name: mail, arguments: {label: mail-2}}
          - {name: lookup, arguments: {label: read-2}}
          - {name: charge, arguments: {label: charge-3}}
      - text: all done
"""

TOOLS: dict[str, dict[str, Any]] = {
    "lookup": {"effect": "read", "method": "GET", "path": "/read"},
    "put": {"effect": "idempotent", "path": "/idempotent"},
    "charge": {"effect": "keyed", "path": "/keyed"},
    "poison": {"effect": "read", "method": "GET", "path": "/poison"},
    "mail": {"effect": "irreversible", "path": "/irreversible", "probe": "/probe?key={key}"},
}


def migrate() -> None:
    call_command("migrate", verbosity=0)


def build(*, tools_url: str) -> str:
    """Make a workspace with the tools of the counting server and the agents; return its id."""
    workspace = workspace_create(SYSTEM, name="chaos")
    join(workspace, "operator", "admin")
    furnish(workspace, SCRIPT, tools_url=tools_url, input_price_usd="2", output_price_usd="8")
    budget_create(
        SYSTEM, workspace=workspace, name="all", kind="workspace", limit_usd=Decimal(1_000_000)
    )
    for name, tools, delegates in (
        ("assistant", ["charge", "mail"], []),
        ("parked", ["wait"], []),
        ("slow", ["charge"], []),
        ("poison", ["poison"], []),
        ("boss", [], ["slow"]),
        ("scribe", ["insert"], []),
        ("editor", ["write", "insert"], ["scribe"]),
        ("crew", ["lookup", "put", "charge", "mail", "wait"], ["assistant"]),
    ):
        publish(workspace, name, {"model": "script", "tools": tools, "delegates": delegates})
    return str(workspace.pk)


def furnish(workspace: Workspace, script: str, *, tools_url: str, **prices: Any) -> None:
    """Give a workspace the tools of the counting server, and a model that plays the script."""
    provider_create(
        actor=SYSTEM, workspace=workspace, name="script", kind="scripted", script=script,
        max_concurrency=10_000,
    )  # fmt: skip
    model_create(
        actor=SYSTEM, workspace=workspace, name="script", provider="script", vendor_name="script",
        **prices,
    )  # fmt: skip
    for name, tool in TOOLS.items():
        probe = tool.get("probe", "")
        tool_create(
            actor=SYSTEM,
            workspace=workspace,
            name=name,
            description=f"A tool whose calls are {tool['effect']}.",
            input_schema={"type": "object", "properties": {"label": {"type": "string"}}},
            effect=tool["effect"],
            is_privileged=False,
            url=tools_url + tool["path"],
            method=tool.get("method", "POST"),
            probe_url=tools_url + probe if probe else "",
            timeout_seconds=10,
        )


def publish(workspace: Workspace, name: str, spec: dict[str, Any]) -> None:
    agent = agent_create(actor=SYSTEM, workspace=workspace, name=name, spec=spec)
    version_publish(actor=SYSTEM, agent=agent, number=1)


def person() -> Actor:
    """Whoever starts the runs and settles what is in doubt."""
    return actor_of_user(User.objects.get(username="operator"))


def start(*, agent: str, count: int, text: str) -> list[str]:
    """Start `count` runs; return their ids."""
    workspace, actor = Workspace.objects.get(name="chaos"), person()
    return [
        str(run_start(actor=actor, workspace=workspace, agent=agent, input=f"{text} {n}").pk)
        for n in range(count)
    ]


def token() -> str:
    """Issue a token with which the operator speaks REST; return its secret."""
    return token_issue(person(), name="chaos", workspace=Workspace.objects.get(name="chaos")).secret


def started(*, since: str) -> list[str]:
    """Return the ids of the runs somebody has started from this one on."""
    rows = Run.objects.filter(pk__gte=UUID(since), parent=None).values_list("pk", flat=True)
    return [str(pk) for pk in rows]


def states(*, roots: list[str]) -> dict[str, int]:
    """Count the runs of these trees by state, with what the waiting ones wait for."""
    counted: dict[str, int] = {}
    for state, kind in tree(roots).values_list("state", "wait_kind"):
        name = f"{state}:{kind}" if kind else state
        counted[name] = counted.get(name, 0) + 1
    return counted


def tree(roots: list[str]) -> Any:
    return Run.objects.filter(root_id__in=[UUID(root) for root in roots]).order_by("pk")


def workers() -> list[int]:
    """The process ids of the engines that have reported themselves."""
    return list(Worker.objects.values_list("pid", flat=True))
