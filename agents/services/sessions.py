"""Sessions: conversations with an agent, whose runs follow one another."""

from typing import TYPE_CHECKING

from django.db import transaction

from agents.contracts import SessionStrategy
from agents.models import Agent, Session
from agents.spec import spec_parse
from core.errors import InvalidInputError, NotFoundError
from governance import access
from governance.contracts import Actor, Perm
from governance.services.activity import recorded_as

if TYPE_CHECKING:
    from governance.models import Workspace


def session_create(
    *,
    actor: Actor,
    workspace: "Workspace",
    agent: str,
    title: str = "",
    strategy: str = "",
) -> Session:
    """Open a conversation; without `strategy` the agent's published version says what applies.

    Raises:
        NotFoundError: the workspace has no such agent.
        InvalidInputError: no such strategy.
    """
    access.require(actor, Perm.RUN_START, workspace)
    found = (
        Agent.objects.select_related("published").filter(workspace=workspace, name=agent).first()
    )
    if found is None:
        raise NotFoundError(
            f"There is no agent {agent[:80]!r} in this workspace.",
            remedy="List the agents, or create it first.",
        )
    with recorded_as(actor), transaction.atomic():
        return Session.objects.create(
            workspace=workspace,
            agent=found,
            title=title,
            strategy=_strategy(found, strategy).value,
        )


def _strategy(agent: Agent, given: str) -> SessionStrategy:
    if not given:
        if agent.published is None:
            return SessionStrategy.REJECT
        return spec_parse(agent.published.spec).session.strategy
    try:
        return SessionStrategy(given)
    except ValueError:
        sentence = f"There is no strategy {given[:40]!r}."
        raise InvalidInputError(
            sentence,
            remedy=f"Use one of {', '.join(SessionStrategy)}.",
            fields={"strategy": [sentence]},
        ) from None
