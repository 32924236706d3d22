"""A team whose work crosses every kind of process: a lead that delegates to two helpers, each of
which runs a command in a sandbox. Built inside a process that has the project (see chaos)."""

from django.core.management import call_command

from agents.services.agents import agent_create
from agents.services.models import model_create
from agents.services.providers import provider_create
from agents.services.versions import version_publish
from governance.access import actor_of_user
from governance.contracts import SYSTEM
from governance.models import User
from governance.services.tokens import token_issue
from governance.services.workspaces import workspace_create
from plugins.services.tools import tool_create
from tests.factories.governance import join

SECRET_WORDS = "the merger of Alpha and Omega"
SCRIPT = """
branches:
  - when: {agent: helper}
    steps:
      - text: "Counting for ${input}."
        delay_ms: 300
        tool_calls:
          - {name: count_words, arguments: {text: "${input}"}}
      - text: "counted ${input}"
  - steps:
      - text: Looking.
        tool_calls:
          - {name: echo, arguments: {text: "${input}"}}
      - text: Delegating.
        tool_calls:
          - {name: agent, arguments: {agent: helper, input: "${input} one"}}
          - {name: agent, arguments: {agent: helper, input: "${input} two"}}
      - text: "all about ${input}"
"""


def build() -> dict[str, str]:
    """Migrate and make the team; return a token and the id of its workspace."""
    call_command("migrate", verbosity=0)
    workspace = workspace_create(SYSTEM, name="traced")
    join(workspace, "operator", "admin")
    provider_create(
        actor=SYSTEM, workspace=workspace, name="script", kind="scripted", script=SCRIPT
    )
    model_create(
        actor=SYSTEM, workspace=workspace, name="script", provider="script", vendor_name="script"
    )
    tool_create(
        actor=SYSTEM,
        workspace=workspace,
        name="count_words",
        description="Counts words.",
        kind="command",
        command='printf %s "$ARG_TEXT" | wc -w',
        input_schema={"type": "object", "properties": {"text": {"type": "string"}}},
        effect="read",
        is_privileged=False,
        engine="bubblewrap",
        timeout_seconds=30,
    )
    for name, tools, delegates in (("helper", ["count_words"], []), ("lead", ["echo"], ["helper"])):
        spec = {"model": "script", "tools": tools, "delegates": delegates}
        agent = agent_create(actor=SYSTEM, workspace=workspace, name=name, spec=spec)
        version_publish(actor=SYSTEM, agent=agent, number=1)
    person = actor_of_user(User.objects.get(username="operator"))
    return {
        "token": token_issue(person, name="traced", workspace=workspace).secret,
        "workspace": str(workspace.pk),
    }
