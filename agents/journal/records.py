"""What the journal writes: rows as plain data, grouped into entries that commit or fail alone."""

from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

Json: TypeAlias = Any


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The owner's view of its run: absolute values, so that the last one of a batch wins.

    `state` is `running` or where the owner moves the run. `output` None keeps what is stored.
    """

    state: str
    wait_kind: str = ""
    wake_at: datetime | None = None
    reason: str = ""
    error_code: str = ""
    output: str | None = None
    message_count: int = 0
    iteration: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    cost_is_partial: bool = False
    finished_at: datetime | None = None


class EventRow(msgspec.Struct, frozen=True):
    kind: str
    at: datetime
    payload: Json


class MessageRow(msgspec.Struct, frozen=True):
    run_id: UUID
    position: int
    role: str
    parts: Json
    created_at: datetime


class CheckpointRow(msgspec.Struct, frozen=True):
    run_id: UUID
    sequence: int
    message_count: int
    state: Json
    created_at: datetime
    workspace_digest: str = ""


class HeadRow(msgspec.Struct, frozen=True):
    """What the files of a root run and all below it are from this commit on."""

    root_id: UUID
    workspace_id: UUID
    digest: str
    updated_at: datetime


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """A new entry of the effect ledger; field names are its columns."""

    id: UUID
    workspace_id: UUID
    run_id: UUID
    position: int
    index: int
    provider_call_id: str
    tool: str
    spec_digest: str
    arguments: Json
    arguments_digest: str
    effect: str
    state: str
    attempt: int = 0
    wait: Json = None
    result: str = ""
    result_digest: str = ""
    is_error: bool = False
    reason: str = ""
    decision: Json = None
    planned_at: datetime
    dispatched_at: datetime | None = None
    settled_at: datetime | None = None


class CallMove(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger entry moves from `source` to `state`; refused when it is no longer at `source`."""

    id: UUID
    run_id: UUID
    source: str
    state: str
    attempt: int
    wait: Json = None
    result: str = ""
    result_digest: str = ""
    is_error: bool = False
    reason: str = ""
    decision: Json = None
    dispatched_at: datetime | None = None
    settled_at: datetime | None = None


class BlobRow(msgspec.Struct, frozen=True):
    id: UUID
    workspace_id: UUID
    digest: str
    size_bytes: int
    media_type: str
    content: bytes
    created_at: datetime


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be born, with its first trace event; field names are its columns."""

    id: UUID
    workspace_id: UUID
    kind: str
    agent_id: UUID | None
    agent_name: str
    version_id: UUID | None
    snapshot_id: str
    parent_id: UUID | None = None
    parent_call_id: UUID | None = None
    root_id: UUID
    depth: int = 0
    state: str = "queued"
    input: str
    limits: Json
    deadline_at: datetime | None = None
    priority: int = 0
    replay_of_id: UUID | None = None
    requested_by_id: UUID | None = None
    surface: str = ""
    client: str = ""
    idempotency_key: str = ""
    request_digest: str = ""
    trace_parent: str = ""
    available_at: datetime
    created_at: datetime
    updated_at: datetime


class ApprovalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a person, asked in the commit that has something wait for the answer; field
    names are its columns."""

    id: UUID
    workspace_id: UUID
    kind: str
    subject_id: UUID
    run_id: UUID
    agent_name: str
    requester_id: UUID | None
    requester_name: str
    title: str
    question: str
    binding: Json
    binding_digest: str
    arguments: Json
    approvers: Json
    quorum: int
    allow_self: bool
    rule: str
    policy_version: str
    expires_seconds: float | None
    expires_at: datetime | None
    on_expiry: str
    escalate_to: Json
    created_at: datetime
    tool: str = ""
    effect: str = ""
    is_privileged: bool = False
    is_grantable: bool = False
    owner_id: UUID | None = None
    allow_owner: bool = True
    evidence: Json = {}
    choices: Json = []


class SpendingRow(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of money set aside for a model call; `charged_usd` None gives it back."""

    id: UUID
    reserved_usd: Decimal
    charged_usd: Decimal | None
    accounts: tuple[UUID, ...]
    at: datetime

    @property
    def state(self) -> str:
        return "released" if self.charged_usd is None else "settled"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One atomic contribution of the owner of `run_id`, valid only while `fence` is current.

    Entries of one run submitted without awaiting each other must touch different calls. `awaits`
    are the calls that others settle and for which the run is parked: when one of them has moved
    by then, the run is queued at once. `closes`: the run ends, and so do its calls that wait for a
    person, with this clause for a reason.
    """

    run_id: UUID
    workspace_id: UUID
    fence: int
    progress: Progress
    events: tuple[EventRow, ...] = ()
    messages: tuple[MessageRow, ...] = ()
    checkpoints: tuple[CheckpointRow, ...] = ()
    planned: tuple[CallRow, ...] = ()
    moved: tuple[CallMove, ...] = ()
    blobs: tuple[BlobRow, ...] = ()
    children: tuple[RunRow, ...] = ()
    approvals: tuple[ApprovalRow, ...] = ()
    spending: tuple[SpendingRow, ...] = ()
    head: HeadRow | None = None
    awaits: tuple[UUID, ...] = ()
    closes: str = ""
    parent_id: UUID | None = None
    session_id: UUID | None = None

    @property
    def releases(self) -> bool:
        return self.progress.state != "running"


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """A run accepted from outside, to be inserted with its first event.

    With an idempotency key the row may already exist; the outcome then names the older run.
    """

    run: RunRow
    event: EventRow


Contribution: TypeAlias = Entry | Birth


class Committed(msgspec.Struct, frozen=True):
    """An entry is durable. `control` is what somebody has asked of the run meanwhile, and
    `debug_version` says whether its debugger was changed."""

    head_sequence: int
    control: str
    debug_version: int = 0


class Born(msgspec.Struct, frozen=True):
    """A birth is durable, or `existing_id` is the run that took its idempotency key before."""

    run_id: UUID
    existing_id: UUID | None = None
    existing_digest: str = ""


class Lost(msgspec.Struct, frozen=True):
    """The fence was stale: nothing of the entry was written."""

    run_id: UUID


Outcome: TypeAlias = Committed | Born | Lost


class Lease(msgspec.Struct, frozen=True):
    """A renewed lease and what is asked of its run."""

    run_id: UUID
    fence: int
    control: str
