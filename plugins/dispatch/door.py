"""The one door: every tool call, from every surface, goes through here.

    plan      validate against the schema → classify → policy    (pure, before the intent)
    perform   policy → claim → dispatch → run → settle → bound → redact   (each durable first)
    recover   what a call found unsettled after a crash may become

Where a workspace has a policy, it is asked in `perform`, outside, through the run's gate; `plan`
then only checks. The door does not write rows. It tells the caller's `EffectLog` what is about to
be true and goes on when that is durable; the outcome it returns is recorded by the caller together
with the message that carries it, so that a result and its history commit as one.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeAlias

import msgspec

from core.ids import new_id
from core.metrics.instruments import TOOL_CALLS, TOOL_SECONDS
from core.pausepoints import reach
from core.redaction import redact_or_withhold, redact_text
from plugins.contracts import (
    CallState,
    EffectClass,
    Park,
    ProbeAnswer,
    ToolContext,
    ToolResult,
    ToolSpec,
    WaitKind,
)
from plugins.dispatch.bound import BoundTool
from plugins.dispatch.planning import evidence_of
from plugins.dispatch.records import (
    CallRequest,
    EffectLog,
    PlannedCall,
    Settlement,
    arguments_digest,
    is_intact,
)
from plugins.dispatch.settling import (
    annotated,
    denial,
    failure,
    fitted,
    recorded,
    success,
    unknown_or_failed,
)
from plugins.errors import OutcomeUnknownError, ToolError
from plugins.ledger import REPEATABLE, UNCLAIMED
from plugins.policy import Decision, Gate, decide

KEYED_ATTEMPTS = 3
# Held by a call from before its effect may begin until it has ended; None: nobody else minds.
Turn: TypeAlias = AbstractAsyncContextManager[object] | None

logger = logging.getLogger(__name__)


class Door:
    """The tools of one run behind the one gate. Holds no per-call state; safe to share."""

    def __init__(self, tools: Mapping[str, BoundTool]) -> None:
        self._tools = tools
        self.specs: tuple[ToolSpec, ...] = tuple(bound.spec for bound in tools.values())

    def plan(
        self,
        requests: Sequence[CallRequest],
        *,
        is_governed: bool = False,
        is_held: bool = False,
    ) -> list[PlannedCall]:
        """Judge calls before anything is written about them.

        `is_governed`: a policy is in force, which `perform` will ask; nothing begins before.
        `is_held`: nor does anything where a person may want to look first.
        """
        return [self._judge(request, is_governed, is_held) for request in requests]

    def bound(self, name: str) -> BoundTool | None:
        return self._tools.get(name)

    def _judge(self, request: CallRequest, is_governed: bool, is_held: bool) -> PlannedCall:
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
        if is_governed:
            return _planned(request, bound, state=CallState.PLANNED, attempt=0, verdict=None)
        verdict = decide(bound.spec)
        if not verdict.is_allowed:
            return _refused(request, verdict.reason, bound, CallState.DENIED, verdict)
        is_direct = bound.spec.effect in UNCLAIMED and not is_held
        return _planned(
            request,
            bound,
            state=CallState.DISPATCHED if is_direct else CallState.PLANNED,
            attempt=1 if is_direct else 0,
            verdict=verdict,
        )

    async def perform(
        self,
        call: PlannedCall,
        context: ToolContext,
        log: EffectLog,
        gate: Gate | None = None,
        turn: Turn = None,
    ) -> Settlement:
        """Bring a planned or approved call to an outcome.

        A call that enters as `planned` or `claimed` is claimed and dispatched in commits of their
        own, so that a crash between the two is known not to have started the effect. A policy may
        deny it or have it wait for a person; an approved one is compared with what was approved.
        `turn` is entered once the call is admitted: nobody waits for a turn with a person.

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
            admitted = await self._admitted(bound, call, context, gate)
            if isinstance(admitted, Settlement):
                return admitted
            call = admitted
        async with turn or nullcontext():
            if call.state is not CallState.DISPATCHED:
                call = await self._claim(call, log)
            return annotated(await self._brought(bound, call, context, log), call.decision)

    async def _admitted(
        self, bound: BoundTool, call: PlannedCall, context: ToolContext, gate: Gate | None
    ) -> PlannedCall | Settlement:
        """Return the call as it may begin, or how it stands instead."""
        if call.state is CallState.APPROVED:
            attempt = call.attempt + 1
            if gate is None:
                return denial("Nobody here can say whether what was approved still holds.", None)
            reach("approval.before_claim")
            if (refusal := await gate.claim(call, attempt=attempt)) is not None:
                refused = denial(refusal.sentence, None)
                state = CallState.EXPIRED if refusal.is_late else CallState.DENIED
                return msgspec.structs.replace(refused, state=state)
            reach("approval.after_claim")
            return msgspec.structs.replace(call, state=CallState.CLAIMED, attempt=call.attempt)
        if call.state is not CallState.PLANNED or gate is None:
            return call
        decision = await gate.judge(call)
        if decision is None:
            return call
        if decision.ask is not None:
            reach("grant.before_claim")
            granted = await gate.granted(call, decision, attempt=call.attempt + 1)
            if granted is not None:
                reach("grant.after_claim")
                return msgspec.structs.replace(
                    call, state=CallState.CLAIMED, decision=recorded(granted, call)
                )
            evidence = await evidence_of(bound, call, context)
            park = Park(kind=WaitKind.APPROVAL, ask={**decision.ask, "evidence": evidence})
            return Settlement(
                state=CallState.WAITING,
                park=park,
                reason=redact_text(decision.reason),
                decision=recorded(decision, call),
            )
        if not decision.is_allowed:
            return denial(decision.reason, recorded(decision, call))
        return msgspec.structs.replace(call, decision=recorded(decision, call))

    async def _brought(
        self, bound: BoundTool, call: PlannedCall, context: ToolContext, log: EffectLog
    ) -> Settlement:
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

    async def recover(
        self, call: PlannedCall, context: ToolContext, log: EffectLog, turn: Turn = None
    ) -> Settlement:
        """Decide about a call whose effect may have begun before its worker died.

        Repeats it where its class allows; otherwise the tool's probe is asked, and without an
        answer the call is in doubt, never failed.
        """
        async with turn or nullcontext():
            return await self._recovered(call, context, log)

    async def _recovered(
        self, call: PlannedCall, context: ToolContext, log: EffectLog
    ) -> Settlement:
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
            return annotated(known, call.decision)
        if can_repeat:
            return await self.perform(await _redispatch(call, log), context, log)
        return failure(
            "The worker died before the call happened, and its arguments held a secret that is "
            "not stored. Call the tool again."
        )

    async def _claim(self, call: PlannedCall, log: EffectLog) -> PlannedCall:
        attempt = call.attempt + 1
        if call.state is CallState.PLANNED and call.effect in UNCLAIMED:
            await log.record(
                call, source=CallState.PLANNED, state=CallState.DISPATCHED, attempt=attempt
            )
            return msgspec.structs.replace(call, state=CallState.DISPATCHED, attempt=attempt)
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


async def _redispatch(call: PlannedCall, log: EffectLog) -> PlannedCall:
    attempt = call.attempt + 1
    await log.record(call, source=CallState.DISPATCHED, state=CallState.DISPATCHED, attempt=attempt)
    return msgspec.structs.replace(call, attempt=attempt)


async def _run(bound: BoundTool, call: PlannedCall, context: ToolContext) -> Settlement:
    began = time.perf_counter()
    settlement = await _outcome(bound, call, context)
    outcome = "failed" if settlement.is_error else settlement.state.value
    TOOL_CALLS.add(1, bound.spec.name, outcome)
    if settlement.state is not CallState.WAITING:
        TOOL_SECONDS.observe(time.perf_counter() - began, bound.spec.name)
    return settlement


async def _outcome(bound: BoundTool, call: PlannedCall, context: ToolContext) -> Settlement:
    """Run the effect itself. Whatever goes wrong becomes a settlement; only being cancelled by
    the caller passes."""
    spec = bound.spec
    task = asyncio.current_task()
    context = msgspec.structs.replace(context, attempt=call.attempt)
    try:
        async with asyncio.timeout(spec.timeout_seconds):
            work = bound.tool.call(call.request.arguments or {}, context)
            result = await (work if bound.guard is None else bound.guard(work, context))
    except TimeoutError:
        return unknown_or_failed(
            spec, f"{spec.name} did not answer within {spec.timeout_seconds:g} seconds."
        )
    except OutcomeUnknownError as error:
        return unknown_or_failed(spec, str(error))
    except ToolError as error:
        return failure(str(error))
    except asyncio.CancelledError:
        if task is not None and task.cancelling():
            raise
        return unknown_or_failed(spec, f"{spec.name} broke: it was cancelled from within.")
    except Exception as error:  # a plugin's defect must not take the run along
        logger.exception("tool_crashed", extra={"tool": spec.name})
        return unknown_or_failed(spec, f"{spec.name} broke: {type(error).__name__}: {error}")
    reach("effect.after")
    if isinstance(result, Park):
        # Who is asked and what a yes means is for policy to say, never for a tool.
        park = msgspec.structs.replace(result, ask=None, approval_id=None)
        return Settlement(state=CallState.WAITING, park=park)
    return fitted(success(result, spec), result, bound.output)


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
        decision=verdict.record() if verdict else None,
        attempt=attempt,
        settlement=settlement,
    )
