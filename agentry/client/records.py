"""What the server says, typed and frozen.

Fields a newer server adds are ignored here; fields an older one leaves out have a default. Times
are aware datetimes, money is Decimal dollars.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

FINISHED_STATES = frozenset({"succeeded", "failed", "cancelled"})
# A run waiting for one of these moves only when a person does something.
PERSON_WAITS = frozenset({"approval", "question", "budget", "in_doubt"})


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything the server returns. Where `payload_hidden` is true, what a run is about
    (inputs, outputs, arguments, sentences that may quote them) is None: the token may not see it.
    """


class Page(Record, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `next_cursor` is None on the last."""

    items: tuple[T, ...] = ()
    next_cursor: str | None = None


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
    surface: str = ""
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


SETTLED_CALL_STATES = frozenset(
    {"committed", "failed", "denied", "expired", "cancelled", "compensated"}
)


class ArgumentDifference(Record, frozen=True, kw_only=True):
    """Where an approver's arguments differ from the asked ones."""

    path: str
    before: Any = None
    after: Any = None


class Vote(Record, frozen=True, kw_only=True):
    """`is_counted`: it was given for the arguments as they stand. `on_behalf_of`: for whom."""

    user: str
    on_behalf_of: str | None = None
    verdict: str = ""
    surface: str = ""
    at: datetime | None = None
    is_counted: bool = True


class EvidencePlace(Record, frozen=True, kw_only=True):
    position: int = 0
    kind: str = ""
    excerpt: str = ""


class EvidenceSource(Record, frozen=True, kw_only=True):
    """`is_found` false: the value stands nowhere but in the model's own words."""

    path: str
    is_found: bool = False
    places: tuple[EvidencePlace, ...] = ()


class SimilarDecision(Record, frozen=True, kw_only=True):
    approval: str
    state: str = ""
    by: str = ""
    reason: str = ""
    at: str = ""
    agent: str = ""
    requester: str = ""
    difference: tuple[ArgumentDifference, ...] = ()


class EvidenceSandbox(Record, frozen=True, kw_only=True):
    """`is_unprotected`: the program would run without a sandbox, beside the worker."""

    engine: str = ""
    is_unprotected: bool = False
    net: tuple[str, ...] = ()


class Evidence(Record, frozen=True, kw_only=True):
    """What an approver should know; only where one approval is asked for."""

    sandbox: EvidenceSandbox | None = None
    plan: dict[str, Any] | None = None
    plan_problem: str = ""
    sources: tuple[EvidenceSource, ...] = ()
    waits: dict[str, Any] = {}
    similar: tuple[SimilarDecision, ...] = ()
    counts: dict[str, int] = {}


class Approval(Record, frozen=True, kw_only=True):
    """A question to a person, bound to exactly what is asked for."""

    id: str
    title: str
    state: str
    kind: str = ""
    subject: str = ""
    run: str | None = None
    agent: str = ""
    requester: str = ""
    question: str | None = None
    tool: str = ""
    effect: str = ""
    is_privileged: bool = False
    is_grantable: bool = False
    choices: tuple[str, ...] = ()
    choice: str = ""
    binding: dict[str, str] = {}
    binding_digest: str = ""
    arguments: dict[str, Any] | None = None
    edited_arguments: dict[str, Any] | None = None
    difference: tuple[ArgumentDifference, ...] | None = ()
    approvers: tuple[str, ...] = ()
    quorum: int = 1
    allow_self: bool = False
    allow_owner: bool = True
    rule: str = ""
    policy_version: str = ""
    expires_at: datetime | None = None
    on_expiry: str = ""
    escalate_to: tuple[str, ...] = ()
    escalations: int = 0
    warned_at: datetime | None = None
    created_at: datetime | None = None
    decided_at: datetime | None = None
    decided_by: str = ""
    reason: str | None = None
    surface: str = ""
    used_at: datetime | None = None
    votes: tuple[Vote, ...] = ()
    evidence: Evidence | None = None
    may_decide: bool = False
    payload_hidden: bool = False


class GrantProposal(Record, frozen=True, kw_only=True):
    """The narrowest grant an approval could be given with; `refusal`: why you cannot give it.

    `unnamed` are arguments for which a test must be written by hand.
    """

    tool: str
    agent: str = ""
    requester: str = ""
    pattern: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    unnamed: tuple[str, ...] = ()
    facts: dict[str, str] = {}
    refusal: str = ""


class Grant(Record, frozen=True, kw_only=True):
    """A standing approval. `agent` or `requester` empty: of any agent, for anybody."""

    id: str
    tool: str
    state: str
    approval: str | None = None
    agent: str = ""
    requester: str = ""
    rule: str = ""
    pattern: dict[str, Any] | None = None
    facts: dict[str, str] = {}
    granted_by: str = ""
    reason: str | None = None
    surface: str = ""
    uses: int = 0
    uses_max: int | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""
    ended_reason: str | None = None
    payload_hidden: bool = False


class GrantUse(Record, frozen=True, kw_only=True):
    """One call that a grant let go unasked."""

    id: str
    call: str
    run: str
    agent: str = ""
    requester: str = ""
    arguments_digest: str = ""
    at: datetime | None = None


class Delegation(Record, frozen=True, kw_only=True):
    """`delegate` decides for `delegator` while they are away."""

    id: str
    delegator: str
    delegate: str
    from_at: datetime | None = None
    until_at: datetime | None = None
    reason: str = ""
    created_at: datetime | None = None
    created_by: str = ""
    ended_at: datetime | None = None
    ended_by: str = ""


class PolicyVersion(Record, frozen=True, kw_only=True):
    """One published policy; never changes."""

    number: int
    language: str = "matrix"
    source: str = ""
    cases: str = ""
    failing_cases: int = 0
    digest: str = ""
    note: str = ""
    is_active: bool = False
    is_shadow: bool = False
    shadow_asked: int = 0
    shadow_differing: int = 0
    shadow_skipped: int = 0
    published_at: datetime | None = None
    published_by: str | None = None


class Policy(Record, frozen=True, kw_only=True):
    """The draft, and the numbers of the version in force and of the shadow."""

    source: str
    language: str = "matrix"
    cases: str = ""
    active: int | None = None
    shadow: int | None = None
    is_published: bool = False
    updated_at: datetime | None = None


class Secret(Record, frozen=True, kw_only=True):
    """What may be known of a secret: everything but its value."""

    name: str
    description: str = ""
    version: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None
    updated_by: str | None = None
    used_at: datetime | None = None


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


class AgentVersion(Record, frozen=True, kw_only=True):
    number: int
    state: str = ""
    spec: dict[str, Any] = {}
    digest: str = ""
    note: str = ""
    created_at: datetime | None = None
    published_at: datetime | None = None


class Agent(Record, frozen=True, kw_only=True):
    name: str
    id: str = ""
    description: str = ""
    published: int | None = None
    draft: int | None = None
    is_enabled: bool = True
    spec: dict[str, Any] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Provider(Record, frozen=True, kw_only=True):
    """Where completions come from. The key is never returned, only whether there is one."""

    name: str
    kind: str = ""
    base_url: str = ""
    has_key: bool = False
    is_enabled: bool = True
    max_concurrency: int | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None


class Model(Record, frozen=True, kw_only=True):
    name: str
    provider: str = ""
    vendor_name: str = ""
    options: dict[str, Any] = {}
    fallback: str | None = None
    is_enabled: bool = True


class Tool(Record, frozen=True, kw_only=True):
    name: str
    description: str = ""
    effect: str = ""
    input_schema: dict[str, Any] = {}
    is_builtin: bool = False
    is_privileged: bool = False
    is_enabled: bool = True
    kind: str = ""
    engine: str = ""
    is_sandboxed: bool = False
    is_unprotected: bool = False


class Session(Record, frozen=True, kw_only=True):
    id: str
    agent: str = ""
    title: str = ""
    strategy: str = ""
    created_at: datetime | None = None


class Token(Record, frozen=True, kw_only=True):
    """A credential of a program. `secret` is there once, in the answer that creates it."""

    id: str
    name: str = ""
    prefix: str = ""
    workspace: str | None = None
    scopes: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    secret: str | None = None


class User(Record, frozen=True, kw_only=True):
    id: str
    username: str
    is_superuser: bool = False


class WorkspaceAccess(Record, frozen=True, kw_only=True):
    name: str
    title: str = ""
    permissions: tuple[str, ...] = ()


class Me(Record, frozen=True, kw_only=True):
    user: User
    token: Token | None = None
    workspaces: tuple[WorkspaceAccess, ...] = ()


class Difference(Record, frozen=True, kw_only=True):
    path: str
    before: Any = None
    after: Any = None


class Change(Record, frozen=True, kw_only=True):
    """What applying a document did, or would do: create, update or unchanged."""

    kind: str
    name: str
    action: str
    diff: tuple[Difference, ...] = ()


class Applied(Record, frozen=True, kw_only=True):
    changes: tuple[Change, ...] = ()
