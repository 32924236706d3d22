"""What a tool is told about the call it serves."""

from pathlib import Path
from typing import Any

from core.ids import new_id
from plugins.contracts import ToolContext


def make_context(folder: Path = Path("/nonexistent"), **fields: Any) -> ToolContext:
    """A first attempt under the key `key-1`, in this workspace folder."""
    known: dict[str, Any] = {
        "run_id": new_id(),
        "workspace_id": new_id(),
        "call_id": new_id(),
        "idempotency_key": "key-1",
        "attempt": 1,
        "workspace_path": folder,
    }
    return ToolContext(**{**known, **fields})
