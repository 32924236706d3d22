"""A door with tools that do as they are told, and a log that remembers what was made durable."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from plugins.contracts import (
    CallState,
    EffectClass,
    Park,
    ProbeAnswer,
    ProbeResult,
    ToolContext,
    ToolResult,
    ToolSpec,
)
from plugins.dispatch import BoundTool, CallRequest, Door, PlannedCall, Settlement
from tests.factories.tools import make_context

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "number"}, "note": {"type": "string"}},
    "additionalProperties": False,
}
CLAIMING = [EffectClass.KEYED, EffectClass.IRREVERSIBLE]
DONE = Settlement(state=CallState.COMMITTED, text="done")
Act = Callable[[Mapping[str, Any], ToolContext], Awaitable[ToolResult | Park]]


async def say_done(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    return ToolResult(text="done")


class ActingTool:
    """A tool of any class; `acts` are what its calls do, one after the other, the last for ever."""

    def __init__(
        self,
        effect: EffectClass = EffectClass.READ,
        *acts: Act,
        name: str = "act",
        schema: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.spec = ToolSpec(
            name=name,
            description="Acts.",
            input_schema=schema or SCHEMA,
            effect=effect,
            **options,
        )
        self._acts = list(acts) or [say_done]
        self.contexts: list[ToolContext] = []
        self.arguments: list[Mapping[str, Any]] = []

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult | Park:
        act = self._acts[min(len(self.contexts), len(self._acts) - 1)]
        self.contexts.append(context)
        self.arguments.append(arguments)
        return await act(arguments, context)


class ProbingTool(ActingTool):
    """One that can be asked; `answer` may be an exception."""

    def __init__(self, *parts: Any, answer: ProbeResult | Exception, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.answer = answer
        self.probed: list[str] = []

    async def probe(self, idempotency_key: str, context: ToolContext) -> ProbeResult:
        self.probed.append(idempotency_key)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def probe_says(answer: ProbeAnswer, text: str = "") -> ProbeResult:
    return ProbeResult(answer=answer, result=ToolResult(text=text) if text else None)


class MemoryLog:
    """An `EffectLog` in memory: (source, state, attempt) in order."""

    def __init__(self, *, refuses: Exception | None = None) -> None:
        self.moves: list[tuple[str, str, int]] = []
        self._refuses = refuses

    async def record(
        self, call: PlannedCall, *, source: CallState, state: CallState, attempt: int
    ) -> None:
        if self._refuses is not None:
            raise self._refuses
        self.moves.append((source.value, state.value, attempt))


def door(*tools: ActingTool) -> Door:
    return Door({tool.spec.name: BoundTool(tool) for tool in tools})


def request(
    tool: str = "act", arguments: dict[str, Any] | None = None, raw: str = "", index: int = 0
) -> CallRequest:
    return CallRequest(
        index=index,
        provider_call_id=f"call_{index}",
        tool=tool,
        arguments={} if arguments is None and not raw else arguments,
        raw_arguments=raw,
    )


def context() -> ToolContext:
    return make_context(attempt=0)


def planned(tool: ActingTool, arguments: dict[str, Any] | None = None) -> PlannedCall:
    """Judge one allowed call of `tool`."""
    (call,) = door(tool).plan([request(tool.spec.name, arguments)])
    assert call.settlement is None
    return call


async def perform(tool: ActingTool, log: MemoryLog, **fields: Any) -> Settlement:
    call = msgspec.structs.replace(planned(tool), **fields)
    return await door(tool).perform(call, context(), log)


async def recover(
    tool: ActingTool, log: MemoryLog, arguments: dict[str, Any] | None = None, **fields: Any
) -> Settlement:
    call = planned(tool, arguments)
    fields = {"state": CallState.DISPATCHED, "attempt": 1, **fields}
    return await door(tool).recover(msgspec.structs.replace(call, **fields), context(), log)
