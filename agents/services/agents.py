"""Agents: giving a name to what versions specify, switching it off, taking it away."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction

from agents.models import Agent, Run, Session
from agents.services.names import name_check, name_free
from agents.services.versions import version_draft_save
from core.errors import InvalidInputError
from governance import access
from governance.contracts import Actor, Perm
from governance.services.activity import recorded_as

if TYPE_CHECKING:
    from governance.models import Workspace

MAX_DESCRIPTION = 2_000


def agent_create(
    *,
    actor: Actor,
    workspace: "Workspace",
    name: str,
    description: str = "",
    spec: Mapping[str, Any] | None = None,
) -> Agent:
    """Create an agent, with a draft when a specification is given. Runs need a published one.

    Raises:
        NameTakenError: the workspace has an agent of this name.
        InvalidInputError: the name or the specification is wrong.
    """
    access.require(actor, Perm.AGENT_EDIT, workspace)
    name_check(name, "agent")
    _check_description(description)
    with recorded_as(actor), transaction.atomic():
        name_free(Agent.objects.filter(workspace=workspace), name, "agent")
        agent = Agent.objects.create(workspace=workspace, name=name, description=description)
        if spec is not None:
            version_draft_save(actor=actor, agent=agent, spec=spec)
    return agent


def agent_update(
    *,
    actor: Actor,
    agent: Agent,
    description: str | None = None,
    is_enabled: bool | None = None,
) -> Agent:
    """Change what is said of an agent, or switch it off or on; its name stays."""
    access.require(actor, Perm.AGENT_EDIT, agent.workspace_id)
    with recorded_as(actor), transaction.atomic():
        row = Agent.objects.select_for_update().get(pk=agent.pk)
        if description is not None:
            _check_description(description)
            row.description = description
        if is_enabled is not None:
            row.is_enabled = is_enabled
        row.save(update_fields=["description", "is_enabled", "updated_at"])
    return row


def agent_delete(*, actor: Actor, agent: Agent) -> bool:
    """Delete an agent; one that has runs or conversations is switched off instead.

    Returns:
        Whether it is gone.
    """
    access.require(actor, Perm.AGENT_EDIT, agent.workspace_id)
    with recorded_as(actor), transaction.atomic():
        row = Agent.objects.select_for_update().get(pk=agent.pk)
        if Run.objects.filter(agent=row).exists() or Session.objects.filter(agent=row).exists():
            row.is_enabled = False
            row.save(update_fields=["is_enabled", "updated_at"])
            return False
        Agent.objects.filter(pk=row.pk).update(published=None)  # a version it points at is kept
        row.delete()
    return True


def _check_description(description: str) -> None:
    if len(description) > MAX_DESCRIPTION:
        sentence = f"The description is longer than {MAX_DESCRIPTION} characters."
        raise InvalidInputError(sentence, fields={"description": [sentence]})
