"""Reading agents and their versions."""

from typing import TYPE_CHECKING

from django.db.models import Prefetch, QuerySet

from agents.contracts import VersionState
from agents.models import Agent, AgentVersion
from core.errors import NotFoundError
from governance import access
from governance.contracts import Actor, Perm

if TYPE_CHECKING:
    from governance.models import Workspace


def agent_list(*, actor: Actor, workspace: "Workspace") -> QuerySet[Agent]:
    """Return the agents of a workspace the actor may see."""
    rows = Agent.objects.filter(workspace=workspace)
    return access.scope(actor, Perm.AGENT_VIEW, rows)


def agent_get(*, actor: Actor, workspace: "Workspace", name: str) -> Agent:
    """Return one agent.

    Raises:
        NotFoundError: it does not exist, or the actor may not see it.
    """
    agent = (
        agent_list(actor=actor, workspace=workspace)
        .select_related("published")
        .filter(name=name)
        .first()
    )
    if agent is None:
        raise NotFoundError(
            f"There is no agent {name[:80]!r} here, or it is not visible to you.",
            remedy="List the agents of the workspace.",
        )
    return agent


def with_versions(rows: QuerySet[Agent]) -> QuerySet[Agent]:
    """Load what a list shows of each agent: the published version and the draft, in two queries."""
    drafts = AgentVersion.objects.filter(state=VersionState.DRAFT.value)
    return rows.select_related("published").prefetch_related(
        Prefetch("versions", queryset=drafts, to_attr="drafts")
    )


def version_list(*, actor: Actor, agent: Agent) -> QuerySet[AgentVersion]:
    """Return the versions of an agent, newest first."""
    rows = AgentVersion.objects.filter(agent=agent).select_related("created_by")
    return access.scope(actor, Perm.AGENT_VIEW, rows, field="agent__workspace")
