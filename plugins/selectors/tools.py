"""Reading tools: what a workspace declared, and what comes with the code."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import QuerySet

from core.errors import NotFoundError
from governance import access
from governance.contracts import Actor, Perm
from plugins.contracts import ToolKind, ToolSpec
from plugins.models import ToolDefinition
from plugins.registry import builtin_specs
from sandbox.contracts import Isolation

if TYPE_CHECKING:
    from governance.models import Workspace


def declared_tools(workspace_id: UUID, *, with_disabled: bool = False) -> QuerySet[ToolDefinition]:
    """The tools of a workspace that runs may be started with; or all it has."""
    rows = ToolDefinition.objects.filter(workspace_id=workspace_id)
    return rows if with_disabled else rows.filter(is_enabled=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolView:
    """A tool as it is shown. Only declared ones have an address or a command.

    `engine` is that of its sandbox as declared, `is_sandboxed` says whether it has one, and
    `is_unprotected` that it is a program without one.
    """

    name: str
    description: str
    effect: str
    input_schema: dict[str, Any]
    is_builtin: bool
    is_privileged: bool
    timeout_seconds: float
    is_enabled: bool = True
    url: str = ""
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    probe_url: str = ""
    kind: str = "builtin"
    is_sandboxed: bool = False
    is_unprotected: bool = False
    command: str = ""
    engine: str = ""
    net: list[str] = field(default_factory=list)
    limits: dict[str, Any] = field(default_factory=dict)
    secrets: list[Any] = field(default_factory=list)  # names, and objects that bind one to a host
    output_schema: dict[str, Any] | None = None
    probe_command: str = ""
    plan_command: str = ""


def tool_list(actor: Actor, workspace: "Workspace") -> list[ToolView]:
    """Return every tool of the workspace and every built-in, by name."""
    access.require(actor, Perm.TOOL_VIEW, workspace)
    rows = ToolDefinition.objects.filter(workspace=workspace)
    found = {name: _of_builtin(spec) for name, spec in builtin_specs().items()}
    found |= {row.name: tool_view(row) for row in rows}
    return [found[name] for name in sorted(found)]


def tool_get(actor: Actor, workspace: "Workspace", name: str) -> ToolView:
    """Return one tool.

    Raises:
        NotFoundError: neither declared here nor built in.
    """
    access.require(actor, Perm.TOOL_VIEW, workspace)
    row = ToolDefinition.objects.filter(workspace=workspace, name=name).first()
    if row is not None:
        return tool_view(row)
    spec = builtin_specs().get(name)
    if spec is None:
        raise NotFoundError(
            f"There is no tool {name[:80]!r} in this workspace.", remedy="List the tools."
        )
    return _of_builtin(spec)


def tool_declared(actor: Actor, workspace: "Workspace", name: str) -> ToolDefinition:
    """Return the row of a declared tool.

    Raises:
        NotFoundError: the workspace has declared none of this name.
    """
    rows = access.scope(actor, Perm.TOOL_VIEW, ToolDefinition.objects.all())
    row = rows.filter(workspace=workspace, name=name).first()
    if row is None:
        raise NotFoundError(
            f"There is no declared tool {name[:80]!r} in this workspace.",
            remedy="List the tools; built-in ones cannot be changed.",
        )
    return row


def is_unprotected(row: ToolDefinition) -> bool:
    """Say whether the tool is a program that runs without a sandbox."""
    return row.kind == ToolKind.COMMAND.value and row.engine == Isolation.DISABLED.value


def tools_unprotected(workspace_id: UUID, names: Sequence[str]) -> list[str]:
    """Return which of these tools of a workspace are programs that run without a sandbox."""
    rows = declared_tools(workspace_id).filter(name__in=names).order_by("name")
    return [row.name for row in rows if is_unprotected(row)]


def tool_view(row: ToolDefinition) -> ToolView:
    return ToolView(
        name=row.name,
        description=row.description,
        effect=row.effect,
        input_schema=row.input_schema,
        is_builtin=False,
        is_privileged=row.is_privileged,
        timeout_seconds=row.timeout_seconds,
        is_enabled=row.is_enabled,
        url=row.url,
        method=row.method,
        headers=row.headers,
        probe_url=row.probe_url,
        kind=row.kind,
        is_sandboxed=row.kind == ToolKind.COMMAND.value and not is_unprotected(row),
        is_unprotected=is_unprotected(row),
        command=row.command,
        engine=row.engine,
        net=row.net,
        limits=row.limits,
        secrets=row.secrets,
        output_schema=row.output_schema,
        probe_command=row.probe_command,
        plan_command=row.plan_command,
    )


def _of_builtin(spec: ToolSpec) -> ToolView:
    return ToolView(
        name=spec.name,
        description=spec.description,
        effect=spec.effect.value,
        input_schema=spec.input_schema,
        is_builtin=True,
        is_sandboxed=spec.sandbox is not None,
        is_privileged=spec.privileged,
        timeout_seconds=spec.timeout_seconds,
    )
