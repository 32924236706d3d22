"""Requests about approvals, the policy that asks for them, and secrets."""

from typing import Any

from agentry.client.calls.shape import body, in_workspace, nothing, query, reads
from agentry.client.flow import Call
from agentry.client.records import Approval, Page, Policy, PolicyVersion, Secret

_APPROVAL = reads(Approval)
_APPROVALS = reads(Page[Approval])
_POLICY = reads(Policy)
_SECRET = reads(Secret)
_SECRETS = reads(Page[Secret])
_VERSION = reads(PolicyVersion)
_VERSIONS = reads(Page[PolicyVersion])


def approvals(
    *,
    state: str | None = None,
    run: str | None = None,
    agent: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Approval]]:
    """Questions to people, newest first; `state="pending"` is the inbox."""
    return Call(
        method="GET",
        path=in_workspace("approvals"),
        query=query(state=state, run=run, agent=agent, limit=limit, cursor=cursor),
        read=_APPROVALS,
    )


def approval(approval_id: str) -> Call[Approval]:
    return Call(method="GET", path=in_workspace("approvals", approval_id), read=_APPROVAL)


def approve(
    approval_id: str, *, reason: str | None = None, arguments: dict[str, Any] | None = None
) -> Call[Approval]:
    """Say yes; with `arguments`, to these instead of the asked ones.

    Raises `Conflict` naming who was first. Still pending in the answer: others must agree.
    """
    return _decision(approval_id, "approve", reason, arguments)


def deny(approval_id: str, *, reason: str | None = None) -> Call[Approval]:
    """Say no; the model is told the reason. Raises `Conflict` naming who was first."""
    return _decision(approval_id, "deny", reason, None)


def _decision(
    approval_id: str, verdict: str, reason: str | None, arguments: dict[str, Any] | None
) -> Call[Approval]:
    return Call(
        method="POST",
        path=in_workspace("approvals", approval_id, "decide"),
        body=body(verdict=verdict, reason=reason, arguments=arguments),
        read=_APPROVAL,
    )


def policy() -> Call[Policy]:
    """The workspace's policy as it is being written."""
    return Call(method="GET", path=in_workspace("policy"), read=_POLICY)


def policy_write(source: str) -> Call[Policy]:
    """Replace the draft; nothing is judged by it until it is published."""
    return Call(method="PUT", path=in_workspace("policy"), body={"source": source}, read=_POLICY)


def policy_publish(*, note: str | None = None) -> Call[PolicyVersion]:
    """Put the draft in force."""
    return Call(
        method="POST",
        path=in_workspace("policy", "publish"),
        body=body(note=note),
        read=_VERSION,
    )


def policy_versions(
    *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[PolicyVersion]]:
    return Call(
        method="GET",
        path=in_workspace("policy", "versions"),
        query=query(limit=limit, cursor=cursor),
        read=_VERSIONS,
    )


def policy_version(number: int) -> Call[PolicyVersion]:
    return Call(method="GET", path=in_workspace("policy", "versions", number), read=_VERSION)


def secrets(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Secret]]:
    """The names there are; no request gives a value back."""
    return Call(
        method="GET",
        path=in_workspace("secrets"),
        query=query(limit=limit, cursor=cursor),
        read=_SECRETS,
    )


def secret(name: str) -> Call[Secret]:
    return Call(method="GET", path=in_workspace("secrets", name), read=_SECRET)


def secret_set(
    name: str, value: str, *, description: str | None = None, version: int | None = None
) -> Call[Secret]:
    """Create a secret or give it another value.

    Raises `Conflict` when it has not the `version` it was seen in; 0: it must not be there.
    """
    return Call(
        method="POST",
        path=in_workspace("secrets"),
        body=body(name=name, value=value, description=description, version=version),
        read=_SECRET,
    )


def secret_rotate(name: str, value: str, *, version: int | None = None) -> Call[Secret]:
    """Replace the value of a secret that is there by another one."""
    return Call(
        method="POST",
        path=in_workspace("secrets", name, "rotate"),
        body=body(value=value, version=version),
        read=_SECRET,
    )


def secret_delete(name: str) -> Call[None]:
    """Delete it; what names it fails from now on."""
    return Call(method="DELETE", path=in_workspace("secrets", name), read=nothing)
