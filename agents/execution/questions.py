"""What a policy is told of a call, and the facts a person's yes is bound to.

Synchronous; reads the database. The facts are read when a person is asked and once more in the
transaction that claims the call, by the same function.
"""

import posixpath
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from agents.models import Run
from governance.binding import EXPIRY, expiry_fact
from governance.policy.contracts import PolicyAgent, PolicyInput, PolicyTool
from governance.selectors.policies import policy_subject
from governance.selectors.workspaces import workspace_by_id
from plugins.contracts import ToolSpec
from plugins.declared import tool_facts
from sandbox.contracts import Profile

_PATH_NAMES = frozenset({"path", "paths", "file", "files", "filename", "folder", "directory",
                         "source", "destination", "target", "cwd"})  # fmt: skip
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
    sandbox: Profile | None = None  # in which it would really run here; None: in none


def question_of(call: AskedCall) -> PolicyInput:
    """Describe a call to a policy."""
    run = Run.objects.select_related("version").get(pk=call.run_id)
    spec = call.spec
    texts = list(_texts(call.arguments))
    hosts = _hosts(call.url).union(*(_hosts(text) for _, text in texts))
    return PolicyInput(
        subject=policy_subject(run.requested_by_id, call.workspace_id, surface=run.surface),
        workspace=workspace_by_id(call.workspace_id).name,
        agent=PolicyAgent(
            name=run.agent_name,
            version=str(run.version.number) if run.version else "",
            depth=run.depth,
        ),
        tool=PolicyTool(
            name=spec.name,
            version=spec.version,
            digest=call.spec_digest,
            effect=spec.effect.value,
            privileged=spec.privileged,
            net=call.sandbox.net if call.sandbox else (),
            engine=call.sandbox.isolation.value if call.sandbox else "",
            sandbox=call.sandbox.digest() if call.sandbox else "",
        ),
        arguments=call.arguments,
        hosts=tuple(sorted(hosts)),
        paths=tuple(sorted({path for name, text in texts if (path := _path(name, text))})),
        run_id=str(call.run_id),
    )


def facts_of(
    call: AskedCall, *, policy_id: UUID | None, expires_at: datetime | None
) -> dict[str, str]:
    """Return what a yes to this call is about; everything but the fence, which every claim
    changes. There are no credential references yet; their place is kept."""
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
        "credential": "",
        "sandbox_profile": call.sandbox.digest() if call.sandbox else "",
    }


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
