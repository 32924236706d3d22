"""Tools declared as data: from a workspace's row to something a door can call."""

from typing import Any

import msgspec

from plugins.contracts import Tool
from plugins.http.tool import HttpTool, HttpToolDefinition
from plugins.models import ToolDefinition


def definition_of(row: ToolDefinition) -> dict[str, Any]:
    """Return the whole declaration, as a run is pinned to it."""
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
    return HttpTool(msgspec.convert(definition, HttpToolDefinition))
