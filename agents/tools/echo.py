"""`echo`: gives back what it gets; for trying agents out."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from agents.tools.arguments import Arguments, decode, schema_of
from plugins.contracts import EffectClass, ToolContext, ToolResult, ToolSpec


class EchoArguments(Arguments, frozen=True, kw_only=True):
    text: Annotated[str, Meta(max_length=1_000_000, description="The text to give back.")]


class EchoTool:
    spec = ToolSpec(
        name="echo",
        description="Give a text back unchanged. Useful to test that tools work.",
        input_schema=schema_of(EchoArguments),
        effect=EffectClass.READ,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text=decode(EchoArguments, arguments, "echo").text)
