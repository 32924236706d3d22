"""The debugger of a run: where it is held, and what was changed about it."""

from datetime import datetime
from typing import Any

from agentry.client.records.base import Record


class Breakpoint(Record, frozen=True, kw_only=True):
    """`kind` is tool, agent, cost or text."""

    kind: str
    value: str


class OpenCall(Record, frozen=True, kw_only=True):
    """A call without an outcome; `id` is None while a fork has not taken it over."""

    index: int
    tool: str
    id: str | None = None
    state: str = ""
    arguments: dict[str, Any] | None = None
    is_held: bool = False
    is_editable: bool = False
    payload_hidden: bool = False


class OpenMessage(Record, frozen=True, kw_only=True):
    """A message that the model has not seen yet."""

    position: int
    role: str = ""
    text: str | None = None
    payload_hidden: bool = False


class Debugger(Record, frozen=True, kw_only=True):
    """Where a run stands. `version` goes with whatever changes it next; `hold` is step, breakpoint
    or empty, `next` is model, tools or end."""

    run: str
    version: int
    state: str = ""
    step: str = "off"
    breakpoints: tuple[Breakpoint, ...] = ()
    scope: str = "run"
    hold: str = ""
    sentence: str | None = None
    next: str = ""
    can_add: bool = False
    calls: tuple[OpenCall, ...] = ()
    messages: tuple[OpenMessage, ...] = ()
    held_below: tuple[str, ...] = ()
    by: str = ""
    deed: str = ""
    payload_hidden: bool = False


class Edit(Record, frozen=True, kw_only=True):
    """What somebody changed while a run stood still; `sequence` is the checkpoint it made."""

    sequence: int
    kind: str
    position: int = 0
    index: int | None = None
    before: Any = None
    after: Any = None
    edited_by_name: str = ""
    created_at: datetime | None = None
    payload_hidden: bool = False
