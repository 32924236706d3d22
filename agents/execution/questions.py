"""What a policy is told of a call, and the facts a person's yes is bound to.

Synchronous; reads the database. The facts are read when a person is asked and once more in the
transaction that claims the call, by the same function.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from agents.models import Run
from core.redaction import redact_or_withhold
from governance.binding import EXPIRY, expiry_fact
from governance.contracts import Terms
from governance.policy.contracts import (
    NO_SANDBOX,
    SITES_SANDBOX,
    Effect,
    PolicyAgent,
    PolicyDecision,
    PolicyInput,
    PolicyTool,
)
from governance.selectors.policies import policy_subject
from governance.selectors.workspaces import workspace_by_id
from governance.services.secret_values import credential_fact
from plugins.contracts import ToolSpec
from plugins.declared import tool_facts
from plugins.policy import decide
from sandbox.contracts import Profile

_PATH_NAMES = frozenset({"path", "paths", "file", "files", "filename", "folder", "directory",
                         "source", "destination", "target", "cwd"})  # fmt: skip
_OF_ONE_CALL = frozenset({"tool", "arguments", "requester", "place", EXPIRY})
_MAX_DEPTH = 32
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>|`]+")


class AskedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call as it is judged: which run's, where in it, of what, with what."""

    run_id: UUID
    workspace_id: UUID
    position: int
    index: int
    spec: ToolSpec
    spec_digest: str
    arguments: dict[str, Any]
    arguments_digest: str
    url: str = ""
    outside: dict[str, str] = {}  # versions of its secrets that do not come from rows
    sandbox: Profile | None = None  # in which it would really run here; None: in none


def question_of(call: AskedCall) -> PolicyInput:
    """Describe a call to a policy."""
    run = Run.objects.select_related("version").get(pk=call.run_id)
    spec = call.spec
    texts = list(_texts(call.arguments))
    hosts = {*_hosts(call.url), *hosts_in(texts)}
    return PolicyInput(
        subject=policy_subject(run.requested_by_id, call.workspace_id, surface=run.surface),
        workspace=workspace_by_id(call.workspace_id).name,
        agent=PolicyAgent(
            name=run.agent_name,
            version=str(run.version.number) if run.version else "",
            depth=run.depth,
        ),
        tool=tool_in_question(spec, call.spec_digest),
        arguments=call.arguments,
        hosts=tuple(sorted(hosts)),
        paths=paths_in(texts),
        run_id=str(call.run_id),
    )


def tool_in_question(spec: ToolSpec, digest: str) -> PolicyTool:
    """Describe a tool to a policy."""
    profile = spec.sandbox
    return PolicyTool(
        name=spec.name,
        version=spec.version,
        digest=digest,
        effect=spec.effect.value,
        privileged=spec.privileged,
        net=tuple(sorted(profile.net)) if profile is not None else (),
        sandbox=(profile.isolation.value or SITES_SANDBOX) if profile is not None else NO_SANDBOX,
    )


def builtin_answer(spec: ToolSpec) -> PolicyDecision:
    """What holds without a policy, as a policy would say it."""
    verdict = decide(spec)
    return PolicyDecision(
        effect=Effect.ALLOW if verdict.is_allowed else Effect.DENY,
        rule=verdict.rule,
        reason=verdict.reason,
        version=verdict.version,
    )


def terms_of(answer: PolicyDecision) -> Terms:
    """Return by which terms a policy asks, as governance compares them."""
    return Terms(
        approvers=answer.approvers,
        escalate_to=answer.escalate_to,
        quorum=answer.quorum,
        allow_self=answer.allow_self,
        allow_owner=answer.allow_owner,
    )


def recorded_question(question: PolicyInput, *, url: str) -> dict[str, Any]:
    """Return what the ledger keeps of a question beside the arguments, redacted.

    Hosts and paths are found in the arguments again; only the host of the tool's address is not.
    """
    kept: dict[str, Any] = {
        "subject": msgspec.to_builtins(question.subject),
        "workspace": question.workspace,
        "agent": msgspec.to_builtins(question.agent),
        "tool": msgspec.to_builtins(question.tool),
        "hosts": sorted(_hosts(url)),
    }
    redacted = redact_or_withhold(kept)
    return redacted if isinstance(redacted, dict) else {}


def question_again(
    kept: dict[str, Any], arguments: dict[str, Any], *, run_id: UUID
) -> PolicyInput | None:
    """Return the question that was recorded, with these arguments; None: not all of it is there."""
    texts = list(_texts(arguments))
    found = {
        **kept,
        "arguments": arguments,
        "hosts": sorted({*kept.get("hosts", ()), *hosts_in(texts)}),
        "paths": paths_in(texts),
        "run_id": str(run_id),
    }
    try:
        return msgspec.convert(found, PolicyInput)
    except msgspec.ValidationError:
        return None


def facts_of(
    call: AskedCall, *, policy_id: UUID | None, expires_at: datetime | None
) -> dict[str, str]:
    """Return what a yes to this call is about; everything but the fence, which every claim
    changes."""
    run = Run.objects.get(pk=call.run_id)
    subject = policy_subject(run.requested_by_id, call.workspace_id)
    return {
        "tool": call.spec.name,
        **tool_facts(call.workspace_id, call.spec),
        "arguments": call.arguments_digest,
        "policy": str(policy_id or ""),
        "requester": f"{run.requested_by_id or ''} {subject.user}".strip(),
        "agent_version": run.snapshot_id,
        "place": f"{call.run_id} {call.position} {call.index}",
        EXPIRY: expiry_fact(expires_at),
        "credential": credential_fact(call.workspace_id, call.spec.secrets, call.outside),
        "sandbox_profile": call.sandbox.digest() if call.sandbox else "",
    }


def shared_facts(call: AskedCall, *, policy_id: UUID | None) -> dict[str, str]:
    """Return what calls alike have in common, for standing approvals: not who asked, where and
    with what; and of the agent its published version, whatever a run was told beside it."""
    facts = facts_of(call, policy_id=policy_id, expires_at=None)
    kept = {name: value for name, value in facts.items() if name not in _OF_ONE_CALL}
    run = Run.objects.only("version", "snapshot").get(pk=call.run_id)
    version = run.snapshot_id if run.version is None else str(run.version_id)
    return {**kept, "agent_version": version}


def _texts(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield every text in arguments with the name it stands under."""
    if isinstance(value, str):
        yield name, value
    elif depth < _MAX_DEPTH:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from _texts(inner, key, depth + 1)
        elif isinstance(value, list):
            for inner in value:
                yield from _texts(inner, name, depth + 1)


def hosts_in(texts: Iterable[tuple[str, str]]) -> set[str]:
    return set().union(*(_hosts(text) for _, text in texts))


def paths_in(texts: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted({path for name, text in texts if (path := _path(name, text))}))


def _hosts(text: str) -> set[str]:
    """Return the hosts, with their ports, of all addresses in a text."""
    if "://" not in text:
        return set()
    return {host for address in _ADDRESS.findall(text) if (host := _host(address))}


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return ""
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if host and port else host


def _path(name: str, text: str) -> str:
    is_path = name.lower() in _PATH_NAMES or text.startswith(("/", "./", "../", "~"))
    return posixpath.normpath(text) if is_path and "://" not in text and text else ""
