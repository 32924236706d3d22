"""Reading the ledger and the tools."""

from plugins.selectors.calls import (
    CallPlace,
    call_is_unprotected,
    call_list,
    call_of_run,
    call_places,
    calls_between,
    calls_count,
    calls_doubtful,
    calls_in_doubt,
    calls_of_runs,
    calls_open,
    calls_since,
    runs_answered,
    runs_in_doubt,
)
from plugins.selectors.failing import CallFailure, call_failures
from plugins.selectors.tools import (
    ToolView,
    declared_tools,
    tool_declared,
    tool_get,
    tool_list,
    tool_view,
    tools_unprotected,
)

__all__ = [
    "CallFailure",
    "CallPlace",
    "ToolView",
    "call_failures",
    "call_is_unprotected",
    "call_list",
    "call_of_run",
    "call_places",
    "calls_between",
    "calls_count",
    "calls_doubtful",
    "calls_in_doubt",
    "calls_of_runs",
    "calls_open",
    "calls_since",
    "declared_tools",
    "runs_answered",
    "runs_in_doubt",
    "tool_declared",
    "tool_get",
    "tool_list",
    "tool_view",
    "tools_unprotected",
]
