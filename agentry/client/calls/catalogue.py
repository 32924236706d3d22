"""Requests about providers, models and tools, and about the ledger of tool calls."""

from typing import Any

from agentry.client.calls.shape import body, in_workspace, new_key, nothing, of, query, reads
from agentry.client.flow import Call
from agentry.client.records import Model, Page, Provider, Tool, ToolCall

_PROVIDER = reads(Provider)
_PROVIDERS = reads(Page[Provider])
_MODEL = reads(Model)
_MODELS = reads(Page[Model])
_TOOL = reads(Tool)
_TOOLS = reads(Page[Tool])
_TOOL_CALL = reads(ToolCall)
_TOOL_CALLS = reads(Page[ToolCall])
_OBJECT = reads(dict[str, Any])


def providers(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Provider]]:
    return Call(
        method="GET",
        path=in_workspace("providers"),
        query=query(limit=limit, cursor=cursor),
        read=_PROVIDERS,
    )


def provider(name: str) -> Call[Provider]:
    return Call(method="GET", path=in_workspace("providers", name), read=_PROVIDER)


def provider_create(
    name: str, *, kind: str, base_url: str | None = None, api_key: str | None = None, **more: Any
) -> Call[Provider]:
    return Call(
        method="POST",
        path=in_workspace("providers"),
        body=body(name=name, kind=kind, base_url=base_url, api_key=api_key, **more),
        read=_PROVIDER,
        idempotency_key=new_key(),
    )


def provider_update(name: str, **changes: Any) -> Call[Provider]:
    return Call(
        method="PATCH", path=in_workspace("providers", name), body=body(**changes), read=_PROVIDER
    )


def provider_delete(name: str) -> Call[None]:
    return Call(method="DELETE", path=in_workspace("providers", name), read=nothing)


def provider_check(name: str) -> Call[dict[str, Any]]:
    """Ask the vendor a trivial question: reachable, key accepted, models offered."""
    return Call(
        method="POST",
        path=in_workspace("providers", name, "check"),
        body={},
        read=_OBJECT,
        timeout_seconds=60.0,
    )


def models(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Model]]:
    return Call(
        method="GET",
        path=in_workspace("models"),
        query=query(limit=limit, cursor=cursor),
        read=_MODELS,
    )


def model(name: str) -> Call[Model]:
    return Call(method="GET", path=in_workspace("models", name), read=_MODEL)


def model_create(name: str, *, provider: str, vendor_name: str, **more: Any) -> Call[Model]:
    return Call(
        method="POST",
        path=in_workspace("models"),
        body=body(name=name, provider=provider, vendor_name=vendor_name, **more),
        read=_MODEL,
        idempotency_key=new_key(),
    )


def model_delete(name: str) -> Call[None]:
    return Call(method="DELETE", path=in_workspace("models", name), read=nothing)


def tools(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Tool]]:
    """Built-in tools and those the workspace declares."""
    return Call(
        method="GET",
        path=in_workspace("tools"),
        query=query(limit=limit, cursor=cursor),
        read=_TOOLS,
    )


def tool(name: str) -> Call[Tool]:
    return Call(method="GET", path=in_workspace("tools", name), read=_TOOL)


def tool_calls(
    *, state: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[Page[ToolCall]]:
    return Call(
        method="GET",
        path=in_workspace("tool-calls"),
        query=query(state=state, limit=limit, cursor=cursor),
        read=_TOOL_CALLS,
    )


def tool_call(call_id: str) -> Call[ToolCall]:
    return Call(method="GET", path=of("tool-calls", call_id), read=_TOOL_CALL)


def tool_call_resolve(
    call_id: str, *, outcome: str, note: str = "", result: str | None = None
) -> Call[ToolCall]:
    """Say what became of a call in doubt: `committed`, `failed`, or `retry` (do it again)."""
    return Call(
        method="POST",
        path=of("tool-calls", call_id, "resolve"),
        body=body(outcome=outcome, note=note, result=result),
        read=_TOOL_CALL,
        idempotency_key=new_key(),
    )
