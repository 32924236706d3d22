"""Results: what is shown of them, what is kept, and what never leaves."""

import hashlib
from collections.abc import Mapping
from typing import Any

from core.redaction import known_secrets
from plugins.contracts import EffectClass, ToolContext, ToolResult
from plugins.dispatch import SHOWN_CHARS
from plugins.errors import ToolError
from tests.unit.plugins.dispatch_kit import ActingTool, MemoryLog, perform


async def test_a_large_result_is_shortened_and_kept_whole() -> None:
    whole = "a" * 2_500_000 + "é" * 1_250_000

    async def talk(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text=whole)

    settled = await perform(ActingTool(EffectClass.READ, talk), MemoryLog())

    digest = hashlib.sha256(whole.encode()).hexdigest()
    assert settled.full == whole.encode()
    assert settled.full_digest == digest
    assert settled.text == (
        "a" * 24_000
        + f"\n[… {len(whole) - SHOWN_CHARS} characters left out; the whole result "
        + f"(5000000 bytes) is stored as sha256:{digest} …]\n"
        + "é" * 8_000
    )


async def test_a_result_beyond_the_tools_bound_keeps_its_beginning_and_says_so() -> None:
    async def talk(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text="x" * 50_000)

    settled = await perform(
        ActingTool(EffectClass.READ, talk, max_result_bytes=40_000), MemoryLog()
    )

    assert settled.full == b"x" * 40_000
    assert "; its beginning (40000 bytes) is stored as sha256:" in settled.text


async def test_the_longest_shown_result_is_not_shortened() -> None:
    async def talk(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text="x" * SHOWN_CHARS)

    settled = await perform(ActingTool(EffectClass.READ, talk), MemoryLog())

    assert (settled.text, settled.full, settled.full_digest) == ("x" * SHOWN_CHARS, None, "")


async def test_a_long_failure_is_cut() -> None:
    async def fail(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        raise ToolError("x" * (SHOWN_CHARS + 1))

    settled = await perform(ActingTool(EffectClass.READ, fail), MemoryLog())

    assert settled.text == "x" * SHOWN_CHARS + " …"


async def test_secrets_never_leave_a_result() -> None:
    async def leak(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text="key=workspace-key-77 and \x00 " + "y" * SHOWN_CHARS)

    known_secrets.add("workspace-key-77")
    try:
        settled = await perform(ActingTool(EffectClass.READ, leak), MemoryLog())
    finally:
        known_secrets.remove("workspace-key-77")

    assert settled.full is not None
    assert "workspace-key-77" not in settled.text
    assert b"workspace-key-77" not in settled.full
    assert settled.text.startswith("key=[redacted] and \ufffd ")
