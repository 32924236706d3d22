"""The words of a trace: event kinds, the event record, announcements and deltas.

A trace event is a fact that was committed together with the state it tells of. A delta is a
fragment of a model's answer on its way: never stored, may be lost, and superseded by the
`step.model` event that follows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias
from uuid import UUID

import msgspec


class EventKind(StrEnum):
    """Everything that can happen in a run. The part before the dot is what it happened to."""

    RUN_CREATED = "run.created"  # accepted and queued
    RUN_CLAIMED = "run.claimed"  # a worker took it (with a new fence)
    RUN_RELEASED = "run.released"  # its worker let go, or its lease ran out
    RUN_STATE = "run.state"  # moved along the transition table; `is_terminal` ends the trace
    RUN_CONTROL = "run.control"  # somebody asked for pause, resume or cancel
    RUN_LIMITS = "run.limits"  # somebody changed its limits
    RUN_CHILD = "run.child"  # it started a child run
    RUN_FORKED = "run.forked"  # it began as a copy of another run's history
    RUN_DEBUG = "run.debug"  # somebody set its step mode or breakpoints
    RUN_EDITED = "run.edited"  # somebody changed what it is about to do, while it stood still
    RUN_NOTE = "run.note"  # a sentence worth keeping, from the engine or a person
    STEP_STARTED = "step.started"  # the model was asked
    STEP_MODEL = "step.model"  # the model answered
    STEP_RETRY = "step.retry"  # the model could not answer; it will be asked again
    TOOL_PLANNED = "tool.planned"  # the model asked for a call; the intent is durable
    TOOL_DISPATCHED = "tool.dispatched"  # the effect may have begun
    TOOL_PARKED = "tool.parked"  # the call waits, holding no worker
    APPROVAL_DECIDED = "approval.decided"  # a person, or time, said yes or no
    APPROVAL_NOTED = "approval.noted"  # a vote, other approvers, more time: nothing is decided yet
    TOOL_RESOLVED = "tool.resolved"  # a probe or a person said what became of a call in doubt
    TOOL_SETTLED = "tool.settled"  # the outcome is recorded
    SESSION_QUEUED = "session.queued"  # waits for its turn in its session
    SESSION_INTERRUPTED = "session.interrupted"  # stopped by newer input
    SESSION_ROLLED_BACK = "session.rolled_back"  # undone by newer input


DeltaChannel: TypeAlias = Literal["text", "reasoning", "tool"]


class ProfileState(StrEnum):
    """Where a profile stands. One process has at most one that is requested or running."""

    REQUESTED = "requested"  # the process has not seen it yet
    RUNNING = "running"  # the process is being sampled
    DONE = "done"
    FAILED = "failed"  # `problem` says why, `remedy` what to do


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One stored event. `payload` stays encoded: it is shown as it was written."""

    id: int
    workspace_id: UUID
    run_id: UUID
    sequence: int
    txid: int
    kind: str
    at: datetime
    payload: msgspec.Raw

    @property
    def is_end(self) -> bool:
        """Say whether nothing but a resumption by hand can follow in this run."""
        if self.kind != EventKind.RUN_STATE:
            return False
        return _DECODE_STATE.decode(self.payload).is_terminal


class Announcement(msgspec.Struct, frozen=True, array_like=True):
    """Run `run_id` has reached event `head_sequence`; the rows are committed."""

    workspace_id: UUID
    run_id: UUID
    head_sequence: int


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """A fragment of the answer that will become the first `step.model` after `after_sequence`."""

    workspace_id: UUID
    run_id: UUID
    after_sequence: int
    text: str
    channel: DeltaChannel = "text"


class RunStatePayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payload of `run.state`. `output` is the run's result, in the event that ends it."""

    state: str
    before: str = ""
    is_terminal: bool = False
    wait_kind: str = ""
    reason: str = ""
    error_code: str = ""
    output: str = ""
    usage: dict[str, int] = {}
    cost_usd: str | None = None


class StepModelPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payload of `step.model`. `text` is a preview; the whole message is in the history."""

    step: int
    model: str
    finish: str
    text: str = ""
    tools: tuple[str, ...] = ()
    usage: dict[str, int] = {}
    cost_usd: str | None = None
    duration_seconds: float = 0.0


class ToolPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payload of every `tool.*` event; an event carries what is known by then."""

    call_id: str
    tool: str
    state: str
    step: int = 0
    attempt: int = 0
    effect: str = ""
    arguments: dict[str, Any] | None = None
    result: str = ""
    is_error: bool = False
    wait_kind: str = ""
    approval: str = ""
    reason: str = ""
    duration_seconds: float = 0.0


class _Ending(msgspec.Struct):
    is_terminal: bool = False


_DECODE_STATE = msgspec.json.Decoder(_Ending)

Payload: TypeAlias = Mapping[str, Any] | msgspec.Struct


class Announcer(Protocol):
    """Carries news from writers to the viewers of every process.

    Both methods return at once from any thread, never raise, and hold bounded memory: news that
    cannot be carried is dropped, and the viewers' processes find the rows by themselves.
    """

    def announce(self, announcements: Sequence[Announcement]) -> None: ...

    def emit_delta(self, delta: Delta) -> None: ...


class ModelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a `step.model` event says was used. `cost_usd` is None where no price was known."""

    run_id: UUID
    at: datetime
    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cost_usd: Decimal | None


class UsageKey(NamedTuple):
    """Whose usage it is; each empty where it is not known any more."""

    agent: str = ""
    model: str = ""
    provider: str = ""
    user: str = ""


# Traces know nothing of what is above them: who brought an answer about is told by the caller.
# None: an answer that nobody was paid for, such as a replay's.
DescribeAnswers: TypeAlias = Callable[[Sequence[ModelAnswer]], Sequence[UsageKey | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """Usage added up. `cost_usd` is a floor where `unknown_calls` is not 0."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unknown_calls: int = 0
    unknown_input_tokens: int = 0
    unknown_output_tokens: int = 0

    def __add__(self, other: "UsageSum") -> "UsageSum":
        return UsageSum(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
            unknown_calls=self.unknown_calls + other.unknown_calls,
            unknown_input_tokens=self.unknown_input_tokens + other.unknown_input_tokens,
            unknown_output_tokens=self.unknown_output_tokens + other.unknown_output_tokens,
        )

    @classmethod
    def of(cls, answer: ModelAnswer) -> "UsageSum":
        is_unknown = answer.cost_usd is None
        return cls(
            calls=1,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cache_read_tokens=answer.cache_read_tokens,
            cost_usd=answer.cost_usd or Decimal(0),
            unknown_calls=int(is_unknown),
            unknown_input_tokens=answer.input_tokens if is_unknown else 0,
            unknown_output_tokens=answer.output_tokens if is_unknown else 0,
        )

    @property
    def is_floor(self) -> bool:
        return self.unknown_calls > 0
