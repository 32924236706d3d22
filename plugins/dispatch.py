"""The one door: every tool call, from every surface, goes through here.

    plan      validate against the schema → classify → policy    (pure, before the intent)
    perform   claim → dispatch → run → settle → bound → redact   (each durable before the next)
    recover   what a call found unsettled after a crash may become

The door does not write rows. It tells the caller's `EffectLog` what is about to be true and goes on
when that is durable; the outcome it returns is recorded by the caller together with the message
that carries it, so that a result and its history commit as one.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

import msgspec

from core.ids import new_id
from core.pausepoints import reach
from core.redaction import redact_or_withhold, redact_text
from plugins.contracts import (
    CallState,
    EffectClass,
    Park,
    ProbeAnswer,
    Tool,
    ToolContext,
    ToolResult,
    ToolSpec,
)
from plugins.digest import spec_digest
from plugins.errors import OutcomeUnknownError, ToolError
from plugins.ledger import REPEATABLE, UNCLAIMED
from plugins.policy import Decision, decide
from plugins.schemas import Checker

SHOWN_CHARS = 32_000
KEYED_ATTEMPTS = 3

logger = logging.getLogger(__name__)


class CallRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model (or a person) asked for. `arguments` None: it was not a JSON object."""

    index: int
    provider_call_id: str
    tool: str
    arguments: dict[str, Any] | None
    raw_arguments: str = ""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How a call stands after the door is done with it.

    `text` is what the model sees, bounded and redacted; `full` the whole result when that is more.
    For `waiting` and `in_doubt` there is no text yet.
    """

    state: CallState
    text: str = ""
    is_error: bool = False
    reason: str = ""
    full: bytes | None = None
    full_digest: str = ""
    park: Park | None = None
    decision: dict[str, Any] | None = None

    @property
    def is_final(self) -> bool:
        return self.state not in {CallState.WAITING, CallState.IN_DOUBT}


class PlannedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A judged call, as it enters the ledger. `settlement` is set when it was refused."""

    id: UUID
    request: CallRequest
    state: CallState
    effect: EffectClass
    spec_digest: str
    arguments: dict[str, Any] | None
    arguments_digest: str
    decision: dict[str, Any] | None
    attempt: int
    settlement: Settlement | None = None


class EffectLog(Protocol):
    """Makes moves of a call durable under the run's fence; returns when they are.

    Raises:
        LeaseLostError: The run has another owner; the effect must not begin.
    """

    async def record(
        self, call: PlannedCall, *, source: CallState, state: CallState, attempt: int
    ) -> None: ...


class BoundTool:
    """A tool of one run: what it promised when the run began, and what calls it."""

    __slots__ = ("checker", "config", "digest", "spec", "tool")

    def __init__(self, tool: Tool, config: Mapping[str, Any] | None = None) -> None:
        self.tool = tool
        self.spec: ToolSpec = tool.spec
        self.digest = spec_digest(self.spec)
        self.config = dict(config or {})
        self.checker = Checker(self.spec.input_schema)


class Door:
    """The tools of one run behind the one gate. Holds no per-call state; safe to share."""

    def __init__(self, tools: Mapping[str, BoundTool]) -> None:
        self._tools = tools
        self.specs: tuple[ToolSpec, ...] = tuple(bound.spec for bound in tools.values())

    def plan(self, requests: Sequence[CallRequest]) -> list[PlannedCall]:
        """Judge calls before anything is written about them."""
        return [self._judge(request) for request in requests]

    def _judge(self, request: CallRequest) -> PlannedCall:
        bound = self._tools.get(request.tool)
        if bound is None:
            known = ", ".join(sorted(self._tools)) or "none"
            return _refused(request, f"There is no tool {request.tool!r} here. Available: {known}.")
        if request.arguments is None:
            return _refused(
                request,
                f"The arguments of {request.tool} are not a JSON object. "
                f"Call it again with valid JSON. Received: {request.raw_arguments[:200]!r}",
                bound,
            )
        if complaint := bound.checker.complaint(request.arguments):
            return _refused(
                request,
                f"The arguments of {request.tool} do not fit its schema: {complaint}",
                bound,
            )
        verdict = decide(bound.spec)
        if not verdict.is_allowed:
            return _refused(request, verdict.reason, bound, CallState.DENIED, verdict)
        is_direct = bound.spec.effect in UNCLAIMED
        return _planned(
            request,
            bound,
            state=CallState.DISPATCHED if is_direct else CallState.PLANNED,
            attempt=1 if is_direct else 0,
            verdict=verdict,
        )

    async def perform(self, call: PlannedCall, context: ToolContext, log: EffectLog) -> Settlement:
        """Bring a planned call to an outcome.

        A call that enters as `planned` or `claimed` is claimed and dispatched in commits of their
        own, so that a crash between the two is known not to have started the effect.

        Raises:
            LeaseLostError: The run was taken over; the caller stops quietly.
        """
        bound = self._tools.get(call.request.tool)
        if bound is None or bound.digest != call.spec_digest:
            return failure(f"The tool {call.request.tool} changed while the call waited.")
        if not is_intact(call):
            return failure(
                "The worker stopped before the call began, and its arguments held a secret that "
                "is not stored. Call the tool again."
            )
        if call.state is not CallState.DISPATCHED:
            call = await self._claim(call, log)
        while True:
            settlement = await _run(bound, call, context)
            if settlement.state is not CallState.IN_DOUBT:
                return settlement
            # The target drops repeats that carry our key, so asking again is how to find out.
            if bound.spec.effect is EffectClass.KEYED and call.attempt < KEYED_ATTEMPTS:
                call = await _redispatch(call, log)
                continue
            known = await self._probe(bound, context, settlement)
            return known or failure(f"{settlement.reason} The target says it did not happen.")

    async def recover(self, call: PlannedCall, context: ToolContext, log: EffectLog) -> Settlement:
        """Decide about a call whose effect may have begun before its worker died.

        Repeats it where its class allows; otherwise the tool's probe is asked, and without an
        answer the call is in doubt, never failed.
        """
        bound = self._tools.get(call.request.tool)
        if call.effect in UNCLAIMED:
            return await self.perform(await _redispatch(call, log), context, log)
        doubt = Settlement(
            state=CallState.IN_DOUBT,
            reason="The worker died after the call was dispatched and before its outcome was "
            "recorded. It may or may not have happened.",
        )
        if bound is None or bound.digest != call.spec_digest:
            return doubt
        can_repeat = is_intact(call)
        if can_repeat and call.effect in REPEATABLE:
            return await self.perform(await _redispatch(call, log), context, log)
        if (known := await self._probe(bound, context, doubt)) is not None:
            return known
        if can_repeat:
            return await self.perform(await _redispatch(call, log), context, log)
        return failure(
            "The worker died before the call happened, and its arguments held a secret that is "
            "not stored. Call the tool again."
        )

    async def _claim(self, call: PlannedCall, log: EffectLog) -> PlannedCall:
        attempt = call.attempt + 1
        if call.state is CallState.PLANNED:
            reach("claim.before_commit")
            await log.record(
                call, source=CallState.PLANNED, state=CallState.CLAIMED, attempt=attempt
            )
            reach("claim.after_commit")
        reach("dispatch.before_commit")
        await log.record(
            call, source=CallState.CLAIMED, state=CallState.DISPATCHED, attempt=attempt
        )
        reach("dispatch.after_commit")
        return msgspec.structs.replace(call, state=CallState.DISPATCHED, attempt=attempt)

    async def _probe(
        self, bound: BoundTool, context: ToolContext, doubt: Settlement
    ) -> Settlement | None:
        """Ask the target what became of the call; None: it did not happen."""
        probe = getattr(bound.tool, "probe", None)
        if probe is None:
            return doubt
        try:
            async with asyncio.timeout(bound.spec.timeout_seconds):
                answer = await probe(context.idempotency_key, context)
        except Exception as error:  # a plugin's code: any failure means unknown
            logger.warning("probe_failed", exc_info=True)
            return msgspec.structs.replace(
                doubt, reason=f"{doubt.reason} Asking the target failed: {redact_text(str(error))}"
            )
        if answer.answer is ProbeAnswer.HAPPENED:
            result = answer.result or ToolResult(text="Done (confirmed by the target).")
            return success(result, bound.spec)
        return None if answer.answer is ProbeAnswer.NOT_HAPPENED else doubt


def arguments_digest(arguments: dict[str, Any] | None) -> str:
    """Name arguments by their content; the same before and after a database kept them.

    PostgreSQL's jsonb stores numbers by value, so `1e22` comes back as a whole number.
    """
    content = msgspec.json.encode(_by_value(arguments), order="sorted")
    return hashlib.sha256(content).hexdigest()


def _by_value(value: Any) -> Any:
    match value:
        case float():
            exact = Decimal(repr(value))
            return int(exact) if exact == exact.to_integral_value() else value
        case dict():
            return {name: _by_value(inner) for name, inner in value.items()}
        case list():
            return [_by_value(inner) for inner in value]
        case _:
            return value


def is_intact(call: PlannedCall) -> bool:
    """Say whether the call still has the very arguments the model sent.

    A call read back from the ledger has them redacted; when that changed anything, they are gone.
    """
    return arguments_digest(call.request.arguments) == call.arguments_digest


async def _redispatch(call: PlannedCall, log: EffectLog) -> PlannedCall:
    attempt = call.attempt + 1
    await log.record(call, source=CallState.DISPATCHED, state=CallState.DISPATCHED, attempt=attempt)
    return msgspec.structs.replace(call, attempt=attempt)


async def _run(bound: BoundTool, call: PlannedCall, context: ToolContext) -> Settlement:
    """Run the effect itself. Whatever goes wrong becomes a settlement; only being cancelled by
    the caller passes."""
    spec = bound.spec
    task = asyncio.current_task()
    context = msgspec.structs.replace(context, attempt=call.attempt)
    try:
        async with asyncio.timeout(spec.timeout_seconds):
            result = await bound.tool.call(call.request.arguments or {}, context)
    except TimeoutError:
        return _unknown_or_failed(
            spec, f"{spec.name} did not answer within {spec.timeout_seconds:g} seconds."
        )
    except OutcomeUnknownError as error:
        return _unknown_or_failed(spec, str(error))
    except ToolError as error:
        return failure(str(error))
    except asyncio.CancelledError:
        if task is not None and task.cancelling():
            raise
        return _unknown_or_failed(spec, f"{spec.name} broke: it was cancelled from within.")
    except Exception as error:  # a plugin's defect must not take the run along
        logger.exception("tool_crashed", extra={"tool": spec.name})
        return _unknown_or_failed(spec, f"{spec.name} broke: {type(error).__name__}: {error}")
    reach("effect.after")
    if isinstance(result, Park):
        return Settlement(state=CallState.WAITING, park=result)
    return success(result, spec)


def _unknown_or_failed(spec: ToolSpec, sentence: str) -> Settlement:
    if spec.effect in UNCLAIMED:
        return failure(sentence)
    return Settlement(state=CallState.IN_DOUBT, reason=redact_text(sentence))


def success(result: ToolResult, spec: ToolSpec) -> Settlement:
    """Settle with a result: bounded for the model, whole in the blob store when it is larger."""
    text = redact_text(result.text)
    full = full_digest = None
    if len(text) > SHOWN_CHARS:
        whole = text.encode("utf-8", "replace")
        full = whole[: spec.max_result_bytes]
        full_digest = hashlib.sha256(full).hexdigest()
        what = "the whole result" if len(full) == len(whole) else "its beginning"
        text = _shortened(text, full_digest, f"{what} ({len(full)} bytes)")
    return Settlement(
        state=CallState.FAILED if result.is_error else CallState.COMMITTED,
        text=text,
        is_error=result.is_error,
        full=full,
        full_digest=full_digest or "",
    )


def failure(sentence: str) -> Settlement:
    """Settle as known not to have worked; the model sees the sentence."""
    sentence = redact_text(sentence)
    if len(sentence) > SHOWN_CHARS:
        sentence = sentence[:SHOWN_CHARS] + " …"
    return Settlement(state=CallState.FAILED, text=sentence, is_error=True, reason=sentence)


def _shortened(text: str, digest: str, kept: str) -> str:
    head, tail = SHOWN_CHARS * 3 // 4, SHOWN_CHARS // 4
    left_out = len(text) - head - tail
    return (
        f"{text[:head]}\n[… {left_out} characters left out; {kept} "
        f"is stored as sha256:{digest} …]\n{text[-tail:]}"
    )


def _refused(
    request: CallRequest,
    sentence: str,
    bound: BoundTool | None = None,
    state: CallState = CallState.FAILED,
    verdict: Decision | None = None,
) -> PlannedCall:
    settlement = msgspec.structs.replace(failure(sentence), state=state)
    return _planned(request, bound, state=state, attempt=0, verdict=verdict, settlement=settlement)


def _planned(
    request: CallRequest,
    bound: BoundTool | None,
    *,
    state: CallState,
    attempt: int,
    verdict: Decision | None,
    settlement: Settlement | None = None,
) -> PlannedCall:
    stored = redact_or_withhold(request.arguments)
    return PlannedCall(
        id=new_id(),
        request=request,
        state=state,
        effect=bound.spec.effect if bound else EffectClass.READ,
        spec_digest=bound.digest if bound else "",
        arguments=stored if isinstance(stored, dict) else None,
        arguments_digest=arguments_digest(request.arguments),
        decision=msgspec.to_builtins(verdict) if verdict else None,
        attempt=attempt,
        settlement=settlement,
    )
