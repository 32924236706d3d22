"""Tools declared as data: from a workspace's row to something a door can call."""

import hashlib
from typing import Any
from uuid import UUID

import msgspec

from plugins.commands.definition import CommandDefinition
from plugins.commands.tool import CommandTool
from plugins.contracts import Tool, ToolKind, ToolSpec
from plugins.digest import spec_digest
from plugins.http.tool import HttpTool, HttpToolDefinition
from plugins.models import ToolDefinition


def definition_of(row: ToolDefinition) -> dict[str, Any]:
    """Return the whole declaration, as a run is pinned to it."""
    if row.kind == ToolKind.COMMAND.value:
        return {
            "kind": row.kind,
            "name": row.name,
            "description": row.description,
            "input_schema": row.input_schema,
            "effect": row.effect,
            "privileged": row.is_privileged,
            "timeout_seconds": row.timeout_seconds,
            "command": row.command,
            "engine": row.engine,
            "net": row.net,
            "limits": row.limits,
            "secrets": row.secrets,
            "output_schema": row.output_schema,
            "probe_command": row.probe_command,
            "plan_command": row.plan_command,
        }
    return {
        "name": row.name,
        "description": row.description,
        "input_schema": row.input_schema,
        "url": row.url,
        "method": row.method,
        "effect": row.effect,
        "headers": row.headers,
        "timeout_seconds": row.timeout_seconds,
        "privileged": row.is_privileged,
        "probe_url": row.probe_url,
    }


def declared_tool(definition: dict[str, Any]) -> Tool:
    """Build the tool; raises InvalidInputError when the declaration cannot work."""
    if definition.get("kind") == ToolKind.COMMAND.value:
        return CommandTool(msgspec.convert(definition, CommandDefinition))
    return HttpTool(msgspec.convert(definition, HttpToolDefinition))


def tool_facts(workspace_id: UUID, spec: ToolSpec) -> dict[str, str]:
    """Return what a tool is now, for comparing with what it was when somebody approved a call.

    A declared tool is what its workspace says of it today, whatever the run is pinned to: who
    approved it days ago did not approve an endpoint that was changed or switched off since.
    """
    row = ToolDefinition.objects.filter(workspace_id=workspace_id, name=spec.name).first()
    pinned = spec_digest(spec)
    if row is None:
        return {"schema": _digest(spec.input_schema), "tool_version": pinned}
    today = {**definition_of(row), "is_enabled": row.is_enabled}
    schema = today.pop("input_schema")
    return {"schema": _digest(schema), "tool_version": _digest([pinned, today])}


def _digest(content: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
