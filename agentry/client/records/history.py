"""What a run leaves behind it: messages, events, streamed text, checkpoints and their files."""

from datetime import datetime
from typing import Any

from agentry.client.records.base import Record


class Message(Record, frozen=True, kw_only=True):
    """One entry of a run's history; `parts` in the GenAI JSON shape."""

    position: int
    role: str
    parts: tuple[dict[str, Any], ...] | None = ()
    created_at: datetime | None = None
    payload_hidden: bool = False

    @property
    def text(self) -> str:
        return "".join(
            str(part.get("content", "")) for part in self.parts or () if part.get("type") == "text"
        )


class Event(Record, frozen=True, kw_only=True):
    """One thing that happened in a run; `sequence` is dense from 1 and is the stream's cursor."""

    sequence: int
    kind: str
    at: datetime | None = None
    payload: dict[str, Any] | None = None
    payload_hidden: bool = False


class Delta(Record, frozen=True, kw_only=True):
    """Text as it arrives from the model; ephemeral, without a sequence. Never repeated."""

    text: str
    run: str = ""
    channel: str = "text"


class Checkpoint(Record, frozen=True, kw_only=True):
    sequence: int
    message_count: int = 0
    phase: str = ""
    iteration: int = 0
    workspace_digest: str = ""
    created_at: datetime | None = None


class WorkspaceFile(Record, frozen=True, kw_only=True):
    """A file, folder or link of a run's workspace at a checkpoint."""

    path: str
    kind: str
    mode: str = ""
    size_bytes: int = 0
    digest: str | None = None
    target: str | None = None


class FileDifference(Record, frozen=True, kw_only=True):
    """Names that differ between the files of two checkpoints."""

    since: int
    checkpoint: int
    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []
    is_truncated: bool = False
