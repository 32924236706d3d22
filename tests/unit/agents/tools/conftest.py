"""A workspace folder and a way to call built-in tools in it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.tools.registry import BUILTIN_TOOLS
from core.ids import new_id
from plugins.contracts import Park, ToolContext, ToolResult


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "workspace"
    path.mkdir()
    return path


def context_for(folder: Path, key: str = "", **config: Any) -> ToolContext:
    return ToolContext(
        run_id=new_id(),
        workspace_id=new_id(),
        call_id=new_id(),
        idempotency_key=key or str(new_id()),
        attempt=1,
        workspace_path=folder,
        config=config,
    )


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
