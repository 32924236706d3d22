"""A claimed run in memory: everything its driver needs, loaded in bulk when it was claimed."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import Message, Role
from agents.engine.debugging import Debug, Passed
from agents.engine.loop import ModelFailed
from agents.engine.state import EngineState, Limits
from agents.providers.replay import RecordedAnswer
from agents.snapshot import Snapshot
from core.tracing import Place
from core.tracing.durable import run_place, trace_id
from plugins.contracts import CallState, Park
from plugins.dispatch import PlannedCall


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run, from which a replay is played. Calls are keyed by the position of the
    message that asked and their index in it; `order` is the position of each one's result, `added`
    what people said to a run that stood still, by its position."""

    answers: tuple[RecordedAnswer, ...]
    outcomes: dict[tuple[int, int], "LedgerRow"]
    order: dict[tuple[int, int], int]
    added: dict[int, str]
    end: ModelFailed


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger entry as a driver finds it."""

    id: UUID
    position: int
    index: int
    provider_call_id: str
    tool: str
    spec_digest: str
    arguments: dict[str, Any] | None
    arguments_digest: str
    effect: str
    state: str
    attempt: int
    wait: dict[str, Any] | None
    result: str
    is_error: bool
    reason: str
    decision: dict[str, Any] | None = None
    dispatched_at: datetime | None = None


NOTHING_PASSED = Passed()


@dataclass(slots=True, kw_only=True)
class RunContext:
    """One claimed run. `history` is what the model sees; its first `context_length` messages come
    from earlier runs of the session and are not counted in positions."""

    run_id: UUID
    workspace_id: UUID
    fence: int
    agent: str
    snapshot: Snapshot
    snapshot_digest: str
    limits: Limits
    input: str
    parent_id: UUID | None
    session_id: UUID | None
    root_id: UUID
    depth: int
    requested_by_id: UUID | None
    deadline_at: datetime | None
    head_sequence: int
    control: str
    prefix_length: int
    is_governed: bool  # a policy was in force when it was claimed
    is_budgeted: bool  # a budget of its workspace counted when it was claimed
    checkpoint_sequence: int
    state: EngineState | None
    history: list[Message] = field(default_factory=list)
    context_length: int = 0
    ledger: dict[int, LedgerRow] = field(default_factory=dict)
    open: dict[int, "OpenCall"] = field(default_factory=dict)
    children: dict[UUID, "ChildOutcome"] = field(default_factory=dict)
    recorded: Recorded | None = None
    workspace_digest: str = ""  # of the files, as this run last knew them
    files_are_ready: bool = False  # the folder is what it should be
    blocker: str = ""
    parent_call_id: UUID | None = None
    trace_parent: str = ""
    payers: tuple[UUID, ...] = ()  # runs whose own limits its calls count against
    held: "Held | None" = None  # what is set aside for the call under way
    has_reserved: bool = False
    debug: Debug | None = None  # as it was when the run was claimed
    passed: Passed = NOTHING_PASSED
    debug_version: int = 0
    debug_has_changed: bool = False  # since then; the run is given back at its next boundary

    @property
    def place(self) -> Place:
        """The run's span."""
        return run_place(
            run_id=self.run_id,
            root_id=self.root_id,
            parent_call_id=self.parent_call_id,
            trace_parent=self.trace_parent,
        )

    @property
    def trace_id(self) -> str:
        return trace_id(root_id=self.root_id, trace_parent=self.trace_parent)

    @property
    def is_bounded(self) -> bool:
        """Whether money must be set aside before the model is asked; a replay asks nobody."""
        return (self.is_budgeted or bool(self.payers)) and self.recorded is None

    @property
    def is_debugged(self) -> bool:
        """Whether somebody may want to look at calls before they begin."""
        return self.debug is not None or self.debug_has_changed


@dataclass(slots=True, kw_only=True)
class Held:
    """Money set aside for one model call; `charged_usd` once the answer is there."""

    id: UUID
    usd: Decimal
    accounts: tuple[UUID, ...]
    charged_usd: Decimal | None = None


@dataclass(slots=True, kw_only=True)
class OpenCall:
    """A call of the last answer while it has no outcome; `state` follows the ledger.

    `is_recovered` marks one found in the ledger, whose effect an earlier worker may have begun.
    """

    call: PlannedCall
    state: CallState
    park: Park | None = None
    is_recovered: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether a person is to settle it, who may be doing so at this moment."""
        return (
            self.state is CallState.WAITING
            and self.park is not None
            and self.park.approval_id is not None
        )


class ChildOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a child run stands, for the call that waits for it."""

    run_id: UUID
    state: str
    output: str
    reason: str
    is_terminal: bool


def is_answer(message: Message) -> bool:
    return message.role is Role.ASSISTANT
