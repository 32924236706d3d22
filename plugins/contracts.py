"""Tools as data: what a tool declares, what a call is, and what can come of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import msgspec

from sandbox.contracts import Command, HostCredential, Outcome, Profile


class EffectClass(StrEnum):
    """What repeating a call would do; decides what may happen after a crash."""

    READ = "read"  # changes nothing outside
    IDEMPOTENT = "idempotent"  # the same call twice leaves the same state
    KEYED = "keyed"  # the target drops repeats that carry our idempotency key
    IRREVERSIBLE = "irreversible"  # must never be repeated without knowing the outcome


class ToolKind(StrEnum):
    """What a declared tool is made of."""

    HTTP = "http"  # a call is a request
    COMMAND = "command"  # a call is a program in a sandbox


class FileUse(StrEnum):
    """What a tool may do with the files of the run's workspace; says when they are kept."""

    NONE = "none"
    READS = "reads"
    CHANGES = "changes"


class CallState(StrEnum):
    """Where one entry of the effect ledger stands."""

    PLANNED = "planned"  # the intent is durable; nothing has happened outside
    WAITING = "waiting"  # parked on a child run, a timer or a person
    APPROVED = "approved"  # a person said yes; not yet taken by a worker
    CLAIMED = "claimed"  # a worker owns the call; the effect has not begun
    DISPATCHED = "dispatched"  # the effect may have begun
    COMMITTED = "committed"  # happened, result recorded
    FAILED = "failed"  # known not to have happened, or to have failed cleanly
    DENIED = "denied"  # refused by policy or a person
    EXPIRED = "expired"  # nobody decided in time
    CANCELLED = "cancelled"  # the run was cancelled before the effect began
    IN_DOUBT = "in_doubt"  # may or may not have happened; only a probe or a person can tell
    COMPENSATED = "compensated"  # happened, and was undone by another effect


class WaitKind(StrEnum):
    """What a parked run or call waits for."""

    NONE = ""
    APPROVAL = "approval"
    QUESTION = "question"
    CHILDREN = "children"
    TIMER = "timer"
    BUDGET = "budget"
    IN_DOUBT = "in_doubt"
    TURN = "turn"  # its session is busy with an earlier run


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a tool promises; its digest pins a run to exactly this.

    `sandbox`: it runs in one of this profile and nowhere else; None: in the worker's process.
    `secrets` are the names it may read while a call runs, and no others. `output_schema` is what
    its result fits when it is structured. `can_plan`: it can say what a call would change.
    """

    name: str
    description: str
    input_schema: dict[str, Any]
    effect: EffectClass
    privileged: bool = False
    timeout_seconds: float = 60.0
    max_result_bytes: int = 8 * 1024 * 1024
    version: str = "1"
    output_schema: dict[str, Any] | None = None
    sandbox: Profile | None = None
    secrets: tuple[str, ...] = ()
    can_plan: bool = False


class Park(msgspec.Struct, frozen=True, kw_only=True):
    """Instead of a result: the call waits, holding no worker.

    `until` (epoch seconds) for a timer, `child_run_id` for a child, `approval_id` for a person.
    `spawn` and `ask` want the child, or the question, created by the caller in the same transaction
    that records the wait.
    """

    kind: WaitKind
    until: float | None = None
    child_run_id: UUID | None = None
    spawn: dict[str, Any] | None = None
    approval_id: UUID | None = None
    ask: dict[str, Any] | None = None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gives back: text for the model, or structured content rendered as JSON text.

    `is_error` marks a failure the model can react to (file not found, bad argument).
    """

    text: str
    is_error: bool = False
    metadata: dict[str, Any] = {}


class ProbeAnswer(StrEnum):
    """What a target says about an effect whose outcome we did not record."""

    HAPPENED = "happened"
    NOT_HAPPENED = "not_happened"
    UNKNOWN = "unknown"


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    answer: ProbeAnswer
    result: ToolResult | None = None


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a call would change, found out without changing it; evidence for who approves it.

    `difference` is a unified diff or plain text, `counts` numbers by what they count.
    """

    summary: str
    difference: str = ""
    counts: dict[str, int] = {}
    cost_usd: Decimal | None = None


class SecretReader(Protocol):
    """Opens secrets for one call: those its tool names, and no others. Each use is recorded."""

    async def read(self, name: str) -> str:
        """Return the value, which is redacted everywhere from then on.

        Raises:
            ToolError: The tool does not name it, or there is no such secret.
        """
        ...


class SandboxCalls(Protocol):
    """Runs programs of one call in the run's workspace, in a sandbox of exactly this profile."""

    async def run(
        self, profile: Profile, command: Command, *, credentials: Sequence[HostCredential] = ()
    ) -> Outcome:
        """Run it to its end; a cancelled await leaves no process behind.

        Raises:
            ToolError: No sandbox can hold this profile here; the program did not start.
            OutcomeUnknownError: The sandbox was lost while the program ran.
        """
        ...


class ToolContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a running tool may know and reach.

    `workspace_path` is the run's private folder (created on first use by the caller); every file
    tool is confined to it. `idempotency_key` is the same over all attempts of one call. `secrets`
    and `sandbox` are there where the process that runs the call has them.
    """

    run_id: UUID
    workspace_id: UUID
    call_id: UUID
    idempotency_key: str
    attempt: int
    workspace_path: Path
    emit: Callable[[str], None] = lambda text: None
    config: Mapping[str, Any] = {}
    secrets: SecretReader | None = None
    sandbox: SandboxCalls | None = None


class Tool(Protocol):
    """Something an agent can call. Implementations hold no per-run state.

    One that works in the workspace says so with an attribute `files: FileUse`; without it, the
    folder is not prepared for it. What runs in a sandbox may change files and need not say so.
    """

    @property
    def spec(self) -> ToolSpec: ...

    def call(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> Awaitable[ToolResult | Park]:
        """Do it. Raise `ToolError` for a failure the model should see, `OutcomeUnknownError` when
        the effect may have happened."""
        ...


class ProbingTool(Tool, Protocol):
    """A tool that can be asked afterwards whether an effect with this key happened."""

    def probe(self, idempotency_key: str, context: ToolContext) -> Awaitable[ProbeResult]: ...


class PlanningTool(Tool, Protocol):
    """A tool with `can_plan`: says beforehand what a call would change. Changes nothing itself."""

    def plan(self, arguments: Mapping[str, Any], context: ToolContext) -> Awaitable[PlanResult]: ...
