"""Positions in a stream of events: how they are written, read and compared.

A run's cursor is the sequence of the last event seen. A workspace's cursor is `txid.id` of the
last event seen; see TraceEvent for why that order is the order of commits.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from observability.contracts import EventRecord
from observability.errors import CursorError

_MAX = 2**63 - 1
_RUN = re.compile(r"[0-9]{1,19}", re.ASCII)
_WORKSPACE = re.compile(r"([0-9]{1,19})\.([0-9]{1,19})", re.ASCII)

Position: TypeAlias = tuple[int, int]
"""A cursor as numbers: `(sequence, 0)` in a run, `(txid, id)` in a workspace."""

START: Position = (0, 0)


@dataclass(frozen=True, slots=True)
class Topic:
    """What can be followed: one run, or everything in one workspace."""

    workspace_id: UUID
    run_id: UUID | None = None

    @property
    def key(self) -> str:
        return f"run:{self.run_id}" if self.run_id else f"workspace:{self.workspace_id}"

    def position(self, event: EventRecord) -> Position:
        return (event.sequence, 0) if self.run_id else (event.txid, event.id)

    def cursor(self, position: Position) -> str:
        return str(position[0]) if self.run_id else f"{position[0]}.{position[1]}"

    def parse(self, text: str) -> Position:
        """Read a cursor; `0` is the beginning of either stream.

        Raises CursorError for anything a cursor of this topic cannot look like.
        """
        if text == "0":
            return START
        match = (_RUN if self.run_id else _WORKSPACE).fullmatch(text)
        numbers = [int(part) for part in match.group(0).split(".")] if match else []
        if not numbers or max(numbers) > _MAX:
            form = "a whole number such as 17" if self.run_id else "two numbers such as 5120.88"
            raise CursorError(
                f"The cursor {text[:60]!r} cannot be read: {self._what} expects {form}.",
                remedy="Send the cursor of the last frame you received, or 0 for the beginning.",
                fields={"after": ["not a cursor of this stream"]},
            )
        return (numbers[0], numbers[1] if len(numbers) > 1 else 0)

    def require_reached(self, position: Position, head: Position) -> None:
        """Raise CursorError when `position` is one this stream has never handed out yet."""
        if position <= head:
            return
        raise CursorError(
            f"The cursor {self.cursor(position)} is ahead of {self._what}, which ends at "
            f"{self.cursor(head)}.",
            remedy="It may come from another run or from before a restore; connect with after=0.",
            fields={"after": ["ahead of the stream"]},
        )

    @property
    def _what(self) -> str:
        return f"run {self.run_id}" if self.run_id else "the workspace's stream"
