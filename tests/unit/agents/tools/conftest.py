"""A workspace folder and a way to call built-in tools in it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.tools.registry import BUILTIN_TOOLS
from core.ids import new_id
from plugins.contracts import Park, ToolContext, ToolResult
from tests.factories.tools import make_context


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "workspace"
    path.mkdir()
    return path


def context_for(folder: Path, key: str = "") -> ToolContext:
    return make_context(folder, idempotency_key=key or str(new_id()))


@pytest.fixture
def call(folder: Path) -> Callable[..., ToolResult]:
    def run(tool: str, *, key: str = "", **arguments: Any) -> ToolResult:
        result = asyncio.run(_call(tool, arguments, context_for(folder, key)))
        assert isinstance(result, ToolResult)
        return result

    return run


@pytest.fixture
def park(folder: Path) -> Callable[..., Park | ToolResult]:
    def run(tool: str, **arguments: Any) -> Park | ToolResult:
        return asyncio.run(_call(tool, arguments, context_for(folder)))

    return run


async def _call(tool: str, arguments: dict[str, Any], context: ToolContext) -> ToolResult | Park:
    return await BUILTIN_TOOLS[tool].call(arguments, context)
