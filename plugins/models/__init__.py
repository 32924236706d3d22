"""Rows of tools and the effect ledger."""

from plugins.models.tool_call import ToolCall
from plugins.models.tool_definition import ToolDefinition

__all__ = ["ToolCall", "ToolDefinition"]
