"""Requests about agents, their versions, and conversations with them."""

from collections.abc import Mapping
from typing import Any

from agentry.client.calls.shape import body, in_workspace, new_key, nothing, query, reads
from agentry.client.flow import Call
from agentry.client.records import Agent, AgentVersion, Message, Page, Session

_AGENT = reads(Agent)
_AGENTS = reads(Page[Agent])
_VERSION = reads(AgentVersion)
_VERSIONS = reads(Page[AgentVersion])
_SESSION = reads(Session)
_SESSIONS = reads(Page[Session])
_MESSAGES = reads(Page[Message])


def listing(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Agent]]:
    return Call(
        method="GET",
        path=in_workspace("agents"),
        query=query(limit=limit, cursor=cursor),
        read=_AGENTS,
    )


def get(name: str) -> Call[Agent]:
    return Call(method="GET", path=in_workspace("agents", name), read=_AGENT)


def create(
    name: str, *, description: str = "", spec: Mapping[str, Any] | None = None
) -> Call[Agent]:
    return Call(
        method="POST",
        path=in_workspace("agents"),
        body=body(name=name, description=description, spec=spec),
        read=_AGENT,
        idempotency_key=new_key(),
    )


def update(
    name: str, *, description: str | None = None, is_enabled: bool | None = None
) -> Call[Agent]:
    return Call(
        method="PATCH",
        path=in_workspace("agents", name),
        body=body(description=description, is_enabled=is_enabled),
        read=_AGENT,
    )


def delete(name: str) -> Call[None]:
    return Call(method="DELETE", path=in_workspace("agents", name), read=nothing)


def versions(
    agent: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[AgentVersion]]:
    return Call(
        method="GET",
        path=in_workspace("agents", agent, "versions"),
        query=query(limit=limit, cursor=cursor),
        read=_VERSIONS,
    )


def version(agent: str, number: int) -> Call[AgentVersion]:
    return Call(method="GET", path=in_workspace("agents", agent, "versions", number), read=_VERSION)


def draft(agent: str, spec: Mapping[str, Any], *, note: str = "") -> Call[AgentVersion]:
    """Create the agent's draft, or replace it."""
    return Call(
        method="POST",
        path=in_workspace("agents", agent, "versions"),
        body=body(spec=spec, note=note),
        read=_VERSION,
        idempotency_key=new_key(),
    )


def publish(agent: str, number: int) -> Call[AgentVersion]:
    """Make a draft immutable and the one that new runs use."""
    return Call(
        method="POST",
        path=in_workspace("agents", agent, "versions", number, "publish"),
        body={},
        read=_VERSION,
        idempotency_key=new_key(),
    )


def sessions(
    *, agent: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Session]]:
    return Call(
        method="GET",
        path=in_workspace("sessions"),
        query=query(agent=agent, limit=limit, cursor=cursor),
        read=_SESSIONS,
    )


def session(session_id: str) -> Call[Session]:
    return Call(method="GET", path=in_workspace("sessions", session_id), read=_SESSION)


def session_create(
    agent: str, *, title: str | None = None, strategy: str | None = None
) -> Call[Session]:
    """Open a conversation; `strategy` says what new input does while a run is active."""
    return Call(
        method="POST",
        path=in_workspace("sessions"),
        body=body(agent=agent, title=title, strategy=strategy),
        read=_SESSION,
        idempotency_key=new_key(),
    )


def session_messages(
    session_id: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Message]]:
    return Call(
        method="GET",
        path=in_workspace("sessions", session_id, "messages"),
        query=query(limit=limit, cursor=cursor),
        read=_MESSAGES,
    )
