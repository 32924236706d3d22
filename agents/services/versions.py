"""Versions of an agent: one draft that may change, and published ones that never do."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from agents.contracts import VersionState
from agents.models import Agent, AgentVersion, Model, ModelRoute
from agents.spec import AgentSpec, spec_parse
from agents.tools.registry import BUILTIN_TOOLS
from agents.transitions import version_to_published
from core.errors import InvalidInputError, NotFoundError
from governance import access
from governance.contracts import Actor, Perm
from governance.services.activity import recorded_as
from plugins.selectors import declared_tools

MAX_NOTE = 500


def version_draft_save(
    *, actor: Actor, agent: Agent, spec: Mapping[str, Any], note: str = ""
) -> AgentVersion:
    """Create the agent's draft, or replace it. What it names need not exist before publishing.

    Raises:
        InvalidInputError: the specification is not one; with every mistake by its place.
    """
    access.require(actor, Perm.AGENT_EDIT, agent.workspace_id)
    parsed = spec_parse(spec)
    if len(note) > MAX_NOTE:
        sentence = f"The note is longer than {MAX_NOTE} characters."
        raise InvalidInputError(sentence, fields={"note": [sentence]})
    content = {
        "spec": parsed.model_dump(mode="json", exclude_unset=True),
        "digest": parsed.digest(),
        "note": note,
        "created_by_id": actor.user_id,
    }
    with recorded_as(actor), transaction.atomic():
        # The agent's row is the lock under which numbers are given out.
        Agent.objects.select_for_update().filter(pk=agent.pk).first()
        versions = AgentVersion.objects.filter(agent=agent)
        draft = versions.filter(state=VersionState.DRAFT.value).first()
        if draft is None:
            last = versions.aggregate(last=Max("number"))["last"] or 0
            return AgentVersion.objects.create(agent=agent, number=last + 1, **content)
        for name, value in content.items():
            setattr(draft, name, value)
        draft.save()
    return draft


def version_publish(*, actor: Actor, agent: Agent, number: int) -> AgentVersion:
    """Make a draft immutable and the version new runs start with.

    Raises:
        NotFoundError: the agent has no such version.
        InvalidInputError: the specification names something that does not exist here.
        StaleStateError: it is published already, or was changed while it was checked.
    """
    access.require(actor, Perm.AGENT_PUBLISH, agent.workspace_id)
    version = AgentVersion.objects.filter(agent=agent, number=number).first()
    if version is None:
        raise NotFoundError(
            f"The agent {agent.name} has no version {number}.", remedy="List its versions."
        )
    spec = spec_parse(version.spec)
    spec_check(agent.workspace_id, agent.name, spec)
    with recorded_as(actor), transaction.atomic():
        row = Agent.objects.select_for_update().get(pk=agent.pk)
        version_to_published(version)
        version.refresh_from_db()
        row.published = version
        row.save(update_fields=["published", "updated_at"])
    return version


def spec_check(workspace_id: UUID, agent_name: str, spec: AgentSpec) -> None:
    """Raise InvalidInputError with everything the specification names and the workspace lacks."""
    fields: dict[str, list[str]] = {}
    if sentences := _unknown_tools(workspace_id, spec):
        fields["tools"] = sentences
    if sentences := _model_complaints(workspace_id, spec.model):
        fields["model"] = sentences
    if sentences := _delegate_complaints(workspace_id, agent_name, spec.delegates):
        fields["delegates"] = sentences
    if fields:
        first = "; ".join(f"{place}: {sentences[0]}" for place, sentences in fields.items())
        raise InvalidInputError(
            f"The agent {agent_name} cannot be published: {first}",
            remedy="Mend the named places, save the draft and publish it again.",
            fields=fields,
        )


def _unknown_tools(workspace_id: UUID, spec: AgentSpec) -> list[str]:
    if spec.tools is None:
        return []
    names = set(declared_tools(workspace_id).values_list("name", flat=True))
    unknown = [name for name in spec.tools if name not in names and name not in BUILTIN_TOOLS]
    return [
        f"There is no enabled tool {name[:80]!r}; declare it or take it out." for name in unknown
    ]


def _model_complaints(workspace_id: UUID, name: str) -> list[str]:
    if not name:
        if ModelRoute.objects.filter(workspace_id=workspace_id).exists():
            return []
        return ["The agent names no model and the workspace has no routes; name one or add one."]
    if Model.objects.filter(workspace_id=workspace_id, name=name).exists():
        return []
    return [f"There is no model {name!r} in this workspace; create it first."]


def _delegate_complaints(
    workspace_id: UUID, agent_name: str, delegates: Collection[str]
) -> list[str]:
    known = set(
        Agent.objects.filter(workspace_id=workspace_id, name__in=delegates).values_list(
            "name", flat=True
        )
    )
    sentences = []
    for name in delegates:
        if name == agent_name:
            sentences.append("An agent cannot delegate to itself; take its own name out.")
        elif name not in known:
            sentences.append(f"There is no agent {name!r} to delegate to; create it first.")
    return sentences
