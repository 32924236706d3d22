"""Runs: what one is, why it is in its state, and the calls in its ledger."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from agentry.client.records.base import Record

FINISHED_STATES = frozenset({"succeeded", "failed", "cancelled"})
# A run waiting for one of these moves only when a person does something.
PERSON_WAITS = frozenset({"approval", "question", "budget", "in_doubt"})


class Usage(Record, frozen=True, kw_only=True):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    total_tokens: int = 0


class ForkedFrom(Record, frozen=True, kw_only=True):
    run: str
    sequence: int | None = None


class Run(Record, frozen=True, kw_only=True):
    """One piece of durable work. `cost_usd` is a floor when `cost_is_partial`."""

    id: str
    state: str
    workspace: str = ""
    agent: str = ""
    version: int | None = None
    session: str | None = None
    parent: str | None = None
    root: str | None = None
    depth: int = 0
    wait_kind: str = ""
    wake_at: datetime | None = None
    reason: str | None = None
    error_code: str = ""
    control: str = ""
    control_by: str = ""
    input: str | None = None
    output: str | None = None
    payload_hidden: bool = False
    limits: dict[str, Any] = {}
    usage: Usage = Usage()
    cost_usd: Decimal = Decimal(0)
    cost_is_partial: bool = False
    iteration: int = 0
    message_count: int = 0
    head_sequence: int = 0
    crashes: int = 0
    priority: int = 0
    forked_from: ForkedFrom | None = None
    replay_of: str | None = None
    trace_id: str = ""
    surface: str = ""
    client: str = ""
    requested_by: str | None = None
    requested_by_name: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime | None = None
    url: str = ""

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED_STATES

    @property
    def is_at_rest(self) -> bool:
        """Finished, or going on only when somebody asks for it."""
        return (
            self.is_finished
            or self.state in ("yielded", "paused")
            or (self.state == "waiting" and self.wait_kind in PERSON_WAITS)
        )


class Reason(Record, frozen=True, kw_only=True):
    sentence: str | None = None
    code: str = ""
    remedy: str = ""
    since: datetime | None = None
    subject: Any = None


class Why(Record, frozen=True, kw_only=True):
    """Why a run is in the state it is in."""

    state: str
    summary: str | None = None
    reasons: tuple[Reason, ...] = ()
    blockers: tuple[Any, ...] = ()


SETTLED_CALL_STATES = frozenset(
    {"committed", "failed", "denied", "expired", "cancelled", "compensated"}
)


class ToolCall(Record, frozen=True, kw_only=True):
    """One entry of the effect ledger."""

    id: str
    tool: str
    state: str
    run: str = ""
    position: int = 0
    index: int = 0
    arguments: dict[str, Any] | None = None
    effect: str = ""
    attempt: int = 0
    wait: dict[str, Any] | None = None
    result: str | None = None
    result_digest: str = ""
    is_error: bool = False
    reason: str | None = None
    decision: dict[str, Any] | None = None
    payload_hidden: bool = False
    planned_at: datetime | None = None
    dispatched_at: datetime | None = None
    settled_at: datetime | None = None

    @property
    def is_settled(self) -> bool:
        return self.state in SETTLED_CALL_STATES
