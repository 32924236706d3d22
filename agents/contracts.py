"""The words agents are made of: messages, requests to a model, deltas, usage, run states.

Messages use the JSON shape of the OpenTelemetry GenAI conventions (`role` + `parts`), so that
history, traces and the API share one form. Everything here is plain data; no Django.
"""

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import msgspec

from plugins.contracts import ToolSpec

# How the digest of files begins that could not be kept; the rest only tells them apart.
UNKEPT = "unkept-"


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    YIELDED = "yielded"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunErrorCode(StrEnum):
    """Codes that only a run carries; it may carry the code of any error class besides."""

    POISON = "poison"
    BLOCKED = "blocked"
    ENGINE_DEFECT = "engine_defect"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    MAX_ITERATIONS = "max_iterations"
    MAX_TOKENS = "max_tokens"
    BUDGET_DENIED = "budget_denied"
    CONTENT_FILTER = "content_filter"
    EMPTY_ANSWER = "empty_answer"
    OUTPUT_CUT = "output_cut"
    REPLAY_ENDED = "replay_ended"
    STEP = "step"
    BREAKPOINT = "breakpoint"


class RunKind(StrEnum):
    AGENT = "agent"
    FLOW = "flow"


class Control(StrEnum):
    """What somebody asked of a run; honoured by its owner at the next step boundary.

    `RESUME` withdraws a pause that was asked for. It stays until the run moves: its owner may have
    heard of the pause already and park the run, which then has to go on.
    """

    NONE = ""
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class WorkerState(StrEnum):
    """How a worker stands, by what it said last and what was asked of it."""

    SERVING = "serving"  # it takes runs
    ASKED = "asked"  # to drain; it has not taken note yet
    DRAINING = "draining"  # it gives its runs back, and takes none
    DRAINED = "drained"  # it holds none, and takes none until it is told to
    SILENT = "silent"  # not heard of lately


class EditKind(StrEnum):
    """What a person changed about a run that stood still."""

    MESSAGE = "message"  # the text of a message its model has not seen
    ARGUMENTS = "arguments"  # of a call that had not begun
    ADDED = "added"  # said something


class SessionStrategy(StrEnum):
    """What happens to new input while the session's run is still active."""

    REJECT = "reject"
    ENQUEUE = "enqueue"
    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"


class VersionState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"


class ProviderKind(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    SCRIPTED = "scripted"


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class TextPart(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    content: str


class ReasoningPart(msgspec.Struct, frozen=True, tag="reasoning", tag_field="type"):
    """Model reasoning; `signature` must be sent back unchanged to vendors that sign it."""

    content: str
    signature: str = ""


class ToolCallPart(msgspec.Struct, frozen=True, tag="tool_call", tag_field="type"):
    """A call the model asked for. `arguments` is the decoded object, or None when the model sent
    something that is not a JSON object: then `raw_arguments` keeps its text (capped)."""

    id: str
    name: str
    arguments: dict[str, Any] | None
    raw_arguments: str = ""
    signature: str = ""


class ToolResponsePart(msgspec.Struct, frozen=True, tag="tool_call_response", tag_field="type"):
    id: str
    result: str
    is_error: bool = False


Part: TypeAlias = TextPart | ReasoningPart | ToolCallPart | ToolResponsePart


class Message(msgspec.Struct, frozen=True):
    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join([part.content for part in self.parts if isinstance(part, TextPart)])

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        return tuple([part for part in self.parts if isinstance(part, ToolCallPart)])


def user_message(text: str) -> Message:
    return Message(role=Role.USER, parts=(TextPart(text),))


class FinishReason(StrEnum):
    STOP = "stop"
    TOOL_CALLS = "tool_calls"
    LENGTH = "length"  # the vendor's output limit cut the answer
    CONTENT_FILTER = "content_filter"
    CONTINUE = "continue"  # the vendor paused a long turn and wants to be asked again
    ERROR = "error"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one or many model calls. `input_tokens` includes the cached ones."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class ModelOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    extra: dict[str, Any] = {}  # passed to the vendor as is


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a model. `run_id`, `step` and `agent` are for scripts, logs and tracing."""

    model: str  # the vendor's name for it
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    options: ModelOptions = ModelOptions()
    run_id: str = ""
    step: int = 0
    agent: str = ""


class TextDelta(msgspec.Struct, frozen=True, tag="text"):
    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, tag="reasoning"):
    text: str


class ToolCallDelta(msgspec.Struct, frozen=True, tag="tool_call"):
    """A call has begun to arrive (for live views); the whole call is in `Completed`."""

    index: int
    id: str
    name: str


class Completed(msgspec.Struct, frozen=True, tag="completed"):
    """Last item of every stream: the whole answer."""

    message: Message
    usage: Usage
    finish: FinishReason
    model: str = ""  # the vendor's own word for what answered
    response_id: str = ""


Delta: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta | Completed


class Provider(Protocol):
    """Where completions come from.

    `complete` yields deltas and ends with exactly one `Completed`, or raises a `ProviderError`.
    Safe for any number of concurrent calls. Cancelling the consuming task closes the connection.
    """

    def complete(self, request: CompletionRequest) -> AsyncIterator[Delta]: ...

    async def aclose(self) -> None: ...


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter is built from. `api_key` never appears in an error, log or repr."""

    kind: ProviderKind
    name: str = ""
    base_url: str = ""
    api_key: str = ""
    timeout_seconds: float = 120.0  # between two chunks, and for connecting
    max_retries: int = 2
    headers: dict[str, str] = {}
    script: str = ""  # YAML, for the scripted provider

    def __repr__(self) -> str:
        return f"ProviderConfig(kind={self.kind!r}, name={self.name!r}, base_url={self.base_url!r})"


class PriceTier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a whole call costs once its input is larger than `above_input_tokens`."""

    above_input_tokens: int
    input_usd: Decimal
    output_usd: Decimal
    cache_read_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None
    reasoning_usd: Decimal | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Dollars per million tokens. Where a kind of token has no price, the kind it is part of has.

    `tiers` are in ascending order; the last one that a call's input exceeds prices all of it.
    """

    input_usd: Decimal
    output_usd: Decimal
    cache_read_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None
    reasoning_usd: Decimal | None = None
    tiers: tuple[PriceTier, ...] = ()


class CodeMeaning(msgspec.Struct, frozen=True):
    """What a run's code says, for the reference; `state` is where it leaves the run."""

    state: RunState
    meaning: str
    remedy: str


RUN_ERRORS: Mapping[RunErrorCode, CodeMeaning] = {
    RunErrorCode.POISON: CodeMeaning(
        RunState.PAUSED,
        "Its workers died again and again while driving it; it was taken out of their way.",
        "Look at the last tool call and the workers' logs, then resume or cancel the run.",
    ),
    RunErrorCode.BLOCKED: CodeMeaning(
        RunState.PAUSED,
        "The worker lacks something the run was started with, such as a tool as it was then.",
        "Run a worker that has it and resume the run, or fork the run with the tools of today.",
    ),
    RunErrorCode.ENGINE_DEFECT: CodeMeaning(
        RunState.PAUSED,
        "A defect of the engine; the worker's log has the cause under the run's id.",
        "Report it; resume the run after an update, or cancel it.",
    ),
    RunErrorCode.DEADLINE_EXCEEDED: CodeMeaning(
        RunState.FAILED,
        "The wall time given with `wall_seconds` ran out.",
        "Start the run again with more of it, or fork it from its last checkpoint.",
    ),
    RunErrorCode.MAX_ITERATIONS: CodeMeaning(
        RunState.YIELDED,
        "It asked the model as often as `max_iterations` allows.",
        "Resume the run with a higher `max_iterations`, or cancel it.",
    ),
    RunErrorCode.MAX_TOKENS: CodeMeaning(
        RunState.YIELDED,
        "It used the tokens that `max_tokens` allows.",
        "Resume the run with a higher `max_tokens`, or cancel it.",
    ),
    RunErrorCode.BUDGET_DENIED: CodeMeaning(
        RunState.FAILED,
        "A budget or its own `max_cost_usd` had no room for the next model call, and whoever may "
        "raise that said no.",
        "Have the limit raised and fork the run from its last checkpoint.",
    ),
    RunErrorCode.CONTENT_FILTER: CodeMeaning(
        RunState.FAILED,
        "The vendor's content filter stopped the model's answer.",
        "Rephrase the request; fork the run to try it with another model.",
    ),
    RunErrorCode.EMPTY_ANSWER: CodeMeaning(
        RunState.FAILED,
        "The model gave nothing but empty answers, also when it was asked once more.",
        "Look at the prompt, or fork the run with another model.",
    ),
    RunErrorCode.OUTPUT_CUT: CodeMeaning(
        RunState.SUCCEEDED,
        "The last answer was cut at the vendor's output limit.",
        "Raise the model's `max_output_tokens` if the rest is needed.",
    ),
    RunErrorCode.REPLAY_ENDED: CodeMeaning(
        RunState.FAILED,
        "A replay asked for more than the recorded run had; that one had not come to an end.",
        "Replay a run that has ended, or fork this one to go on with a live model.",
    ),
    RunErrorCode.STEP: CodeMeaning(
        RunState.PAUSED,
        "Its step mode holds it before its next model call or tool calls.",
        "Step it, or resume it; see the debugger on the run's page or `agentry debug`.",
    ),
    RunErrorCode.BREAKPOINT: CodeMeaning(
        RunState.PAUSED,
        "A breakpoint holds it; the reason names which and why.",
        "Look at what it is about to do, change that if need be, then step or resume it.",
    ),
}


Variables: TypeAlias = Mapping[str, str]
