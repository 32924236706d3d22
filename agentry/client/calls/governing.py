"""Requests about approvals, the policy that asks for them, and secrets."""

from typing import Any

from agentry.client.calls.shape import body, in_workspace, new_key, nothing, of, query, reads
from agentry.client.flow import Call
from agentry.client.records import (
    Approval,
    CasesRun,
    Page,
    Policy,
    PolicyDifference,
    PolicyVersion,
    Secret,
    Simulation,
)

_APPROVAL = reads(Approval)
_APPROVALS = reads(Page[Approval])
_POLICY = reads(Policy)
_SECRET = reads(Secret)
_SECRETS = reads(Page[Secret])
_VERSION = reads(PolicyVersion)
_VERSIONS = reads(Page[PolicyVersion])
_CASES = reads(CasesRun)
_SIMULATION = reads(Simulation)
_DIFFERENCES = reads(Page[PolicyDifference])
SIMULATE_SECONDS = 60.0


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
    return Call(method="GET", path=of("approvals", approval_id), read=_APPROVAL)


def approve(
    approval_id: str,
    *,
    reason: str | None = None,
    arguments: dict[str, Any] | None = None,
    binding_digest: str | None = None,
) -> Call[Approval]:
    """Say yes; with `arguments`, to these instead of the asked ones.

    `binding_digest` is the approval's as it was read; agreeing to what somebody changed takes it.
    Raises `Conflict` naming who was first. Still pending in the answer: others must agree.
    """
    return _decision(approval_id, "approve", reason, arguments, binding_digest)


def choose(approval_id: str, choice: str, *, reason: str | None = None) -> Call[Approval]:
    """Answer what has choices of its own. Raises `Conflict` naming who was first."""
    return Call(
        method="POST",
        path=of("approvals", approval_id, "decide"),
        body=body(verdict="approve", choice=choice, reason=reason),
        read=_APPROVAL,
        idempotency_key=new_key(),
    )


def deny(approval_id: str, *, reason: str | None = None) -> Call[Approval]:
    """Say no; the model is told the reason. Raises `Conflict` naming who was first."""
    return _decision(approval_id, "deny", reason)


def _decision(
    approval_id: str,
    verdict: str,
    reason: str | None,
    arguments: dict[str, Any] | None = None,
    binding_digest: str | None = None,
) -> Call[Approval]:
    return Call(
        method="POST",
        path=of("approvals", approval_id, "decide"),
        body=body(
            verdict=verdict, reason=reason, arguments=arguments, binding_digest=binding_digest
        ),
        read=_APPROVAL,
        idempotency_key=new_key(),
    )


def policy() -> Call[Policy]:
    """The workspace's policy as it is being written."""
    return Call(method="GET", path=in_workspace("policy"), read=_POLICY)


def policy_write(
    source: str, *, language: str | None = None, cases: str | None = None
) -> Call[Policy]:
    """Replace the draft; nothing is judged by it until it is published.

    `language` is `matrix` or `rego`; it and the test cases stay as they are when left out.
    """
    return Call(
        method="PUT",
        path=in_workspace("policy"),
        body=body(source=source, language=language, cases=cases),
        read=_POLICY,
    )


def policy_publish(
    *, note: str | None = None, mode: str | None = None, despite_failures: bool | None = None
) -> Call[PolicyVersion]:
    """Put the draft in force, or with `mode="shadow"` have it asked beside what decides.

    Raises `Conflict` when a test case fails, unless `despite_failures`, which is recorded.
    """
    return Call(
        method="POST",
        path=in_workspace("policy", "publish"),
        body=body(note=note, mode=mode, despite_failures=despite_failures),
        read=_VERSION,
        idempotency_key=new_key(),
    )


def policy_test(
    *, cases: str | None = None, source: str | None = None, language: str | None = None
) -> Call[CasesRun]:
    """Run test cases; what is left out is the draft's. Nothing is stored."""
    return Call(
        method="POST",
        path=in_workspace("policy", "test"),
        body=body(cases=cases, source=source, language=language),
        read=_CASES,
    )


def policy_simulate(
    *,
    days: int | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    examples: int | None = None,
    source: str | None = None,
    language: str | None = None,
) -> Call[Simulation]:
    """Put recorded calls of the last days to the draft, or to `source`; one batch.

    With the answer's `next_cursor` the next batch is asked for; it is None after the last.
    """
    return Call(
        method="POST",
        path=in_workspace("policy", "simulate"),
        body=body(
            days=days,
            limit=limit,
            cursor=cursor,
            examples=examples,
            source=source,
            language=language,
        ),
        read=_SIMULATION,
        timeout_seconds=SIMULATE_SECONDS,
    )


def policy_differences(
    *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[PolicyDifference]]:
    """What shadows would have decided otherwise, newest first."""
    return Call(
        method="GET",
        path=in_workspace("policy", "differences"),
        query=query(limit=limit, cursor=cursor),
        read=_DIFFERENCES,
    )


def policy_shadow_end() -> Call[None]:
    """Ask the shadow no more."""
    return Call(method="DELETE", path=in_workspace("policy", "shadow"), read=nothing)


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
        idempotency_key=new_key(),
    )


def secret_rotate(name: str, value: str, *, version: int | None = None) -> Call[Secret]:
    """Replace the value of a secret that is there by another one."""
    return Call(
        method="POST",
        path=in_workspace("secrets", name, "rotate"),
        body=body(value=value, version=version),
        read=_SECRET,
        idempotency_key=new_key(),
    )


def secret_delete(name: str) -> Call[None]:
    """Delete it; what names it fails from now on."""
    return Call(method="DELETE", path=in_workspace("secrets", name), read=nothing)
