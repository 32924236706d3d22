"""The gate: asks a workspace's policy about calls, off the loop, and takes approved ones.

Shared by all drivers of a process. What a policy takes too long for, or breaks at, is denied.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from agents.execution.approved import take_approved
from agents.execution.context import OpenCall, RunContext
from agents.execution.database import DatabaseThread
from agents.execution.granted import take_granted
from agents.execution.questions import (
    AskedCall,
    builtin_answer,
    facts_of,
    question_of,
    recorded_question,
)
from agents.execution.shadows import Shadows, Watched
from agents.journal.records import ApprovalRow
from agents.models import Run
from core import clock
from core.finishing import undivided
from core.ids import new_id
from core.redaction import redact_text
from governance.binding import digest_of_facts
from governance.contracts import ApprovalKind
from governance.policy.contracts import (
    Effect,
    OnExpiry,
    PolicyDecision,
    PolicyEngine,
    PolicyInput,
    abnormal,
)
from governance.selectors.policies import (
    PoliciesAsked,
    PolicyInForce,
    policies_asked,
    policy_text,
)
from governance.services import policies
from governance.services.secret_values import outside_versions, secret_places
from plugins.contracts import CallState, EffectClass, ToolSpec
from plugins.dispatch import PlannedCall
from plugins.policy import Decision, Refusal, decide
from sandbox.site import SiteRules

logger = logging.getLogger(__name__)
POLICY_SECONDS = 5.0
MAX_ENGINES = 64

# The declared specification of a run's tool by name, and the address it calls.
SpecOf = Callable[[RunContext, str], tuple[ToolSpec, str]]


class PolicyGate:
    """A pool for asking engines, the shadows, and the database thread of the host."""

    def __init__(
        self,
        *,
        database: DatabaseThread,
        credentials: DatabaseThread,
        spec_of: SpecOf,
        rules: SiteRules,
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._rules = rules
        self._spec_of = spec_of
        self._engines: dict[UUID, PolicyEngine] = {}
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="policy")
        self._shadows = Shadows(database=database)

    def close(self) -> None:
        self._shadows.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def of(self, context: RunContext, known: OpenCall, position: int) -> "CallGate":
        return CallGate(self, context, known, position)

    def asked(self, context: RunContext, call: PlannedCall, position: int) -> AskedCall:
        spec, url = self._spec_of(context, call.request.tool)
        return AskedCall(
            run_id=context.run_id,
            workspace_id=context.workspace_id,
            position=position,
            index=call.request.index,
            spec=spec,
            spec_digest=call.spec_digest,
            arguments=call.request.arguments or {},
            arguments_digest=call.arguments_digest,
            url=url,
            sandbox=None if spec.sandbox is None else self._rules.applied(spec.sandbox),
        )

    async def judge(self, context: RunContext, asked: AskedCall, call_id: UUID) -> Decision:
        """Ask the policy in force, or the built-in rule where there is none any more."""
        policies_now, question = await self._database.run(partial(_question, asked))
        policy = policies_now.deciding
        answer = (
            await self._answer(policy, question)
            if policy is not None
            else builtin_answer(asked.spec)
        )
        if policies_now.shadow is not None:
            self._shadows.offer(
                policies_now.shadow, Watched(question=question, decided=answer, call_id=call_id)
            )
        kept = recorded_question(question, url=asked.url)
        if policy is None:
            return msgspec.structs.replace(decide(asked.spec), question=kept)
        if answer.effect is not Effect.ASK:
            return _decision(answer, kept)
        expires_at = clock.now() + timedelta(seconds=answer.expires_seconds)
        asked = await self._with_outside(asked)
        facts, owner_id = await self._database.run(
            partial(_bound_to, asked, policy_id=policy.id, expires_at=expires_at)
        )
        row = _row(context, asked, answer, question, facts, owner_id, expires_at)
        return msgspec.structs.replace(_decision(answer, kept), ask=msgspec.to_builtins(row))

    async def _with_outside(self, asked: AskedCall) -> AskedCall:
        """Note which values its secrets from outside have; the rest is read in the transaction."""
        if not asked.spec.secrets:
            return asked
        found = await self._credentials.run(partial(_outside, asked))
        return msgspec.structs.replace(asked, outside=found)

    async def _answer(self, policy: PolicyInForce, question: PolicyInput) -> PolicyDecision:
        """Decide in a thread; whatever goes wrong is a no that says so."""
        loop = asyncio.get_running_loop()
        try:
            engine = self._engines.get(policy.id) or await self._built(policy)
            async with asyncio.timeout(POLICY_SECONDS):
                return await loop.run_in_executor(self._pool, engine.decide, question)
        except TimeoutError:
            why = f"it did not answer within {POLICY_SECONDS:g} seconds"
        except Exception as error:  # a policy that cannot be asked allows nothing
            logger.exception("policy_failed", extra={"version": policy.number})
            why = f"it failed ({type(error).__name__})"
        return abnormal(why, version=policy.digest)

    async def _built(self, policy: PolicyInForce) -> PolicyEngine:
        source, language = await self._database.run(partial(policy_text, policy.id))
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(POLICY_SECONDS):
            engine = await loop.run_in_executor(
                self._pool, policies.policy_engine, source, language
            )
        if len(self._engines) >= MAX_ENGINES:
            self._engines.clear()
        self._engines[policy.id] = engine
        return engine

    async def take(
        self, context: RunContext, asked: AskedCall, call_id: UUID, approval_id: UUID, attempt: int
    ) -> Refusal | None:
        asked = await self._with_outside(asked)
        job = partial(
            take_approved,
            asked,
            fence=context.fence,
            call_id=call_id,
            approval_id=approval_id,
            attempt=attempt,
        )
        return await self._database.run(job)

    async def take_granted(
        self, context: RunContext, asked: AskedCall, call_id: UUID, decision: Decision, attempt: int
    ) -> Decision | None:
        asked = await self._with_outside(asked)
        job = partial(
            take_granted,
            asked,
            fence=context.fence,
            call_id=call_id,
            decision=decision,
            attempt=attempt,
        )
        return await self._database.run(job)


class CallGate:
    """The gate as one call's door sees it."""

    def __init__(
        self, gate: PolicyGate, context: RunContext, known: OpenCall, position: int
    ) -> None:
        self._gate = gate
        self._context = context
        self._known = known
        self._position = position

    async def judge(self, call: PlannedCall) -> Decision | None:
        if not self._context.is_governed:
            return None
        asked = self._gate.asked(self._context, call, self._position)
        return await self._gate.judge(self._context, asked, call.id)

    async def claim(self, call: PlannedCall, *, attempt: int) -> Refusal | None:
        """Take an approved call. Being cancelled waits for the transaction all the same, so that
        where the call stands is never unknown."""
        park = self._known.park
        if park is None or park.approval_id is None:
            return Refusal(sentence="The call is approved, and nobody can say by whom.")
        return await undivided(self._claim(call, park.approval_id, attempt))

    async def _claim(self, call: PlannedCall, approval_id: UUID, attempt: int) -> Refusal | None:
        asked = self._gate.asked(self._context, call, self._position)
        refusal = await self._gate.take(self._context, asked, call.id, approval_id, attempt)
        if refusal is None:
            self._taken(attempt)
        return refusal

    async def granted(
        self, call: PlannedCall, decision: Decision, *, attempt: int
    ) -> Decision | None:
        """Take a covered call; being cancelled waits for the transaction, as with `claim`."""
        return await undivided(self._granted(call, decision, attempt))

    async def _granted(
        self, call: PlannedCall, decision: Decision, attempt: int
    ) -> Decision | None:
        asked = self._gate.asked(self._context, call, self._position)
        granted = await self._gate.take_granted(self._context, asked, call.id, decision, attempt)
        if granted is not None:
            self._taken(attempt, granted.record())
        return granted

    def _taken(self, attempt: int, decision: dict[str, Any] | None = None) -> None:
        """Note what the transaction has written already."""
        known = self._known
        known.state = CallState.CLAIMED
        known.call = msgspec.structs.replace(
            known.call,
            state=CallState.CLAIMED,
            attempt=attempt,
            decision=decision or known.call.decision,
        )


def _question(asked: AskedCall) -> tuple[PoliciesAsked, PolicyInput]:
    return policies_asked(asked.workspace_id), question_of(asked)


def _bound_to(
    asked: AskedCall, *, policy_id: UUID, expires_at: datetime
) -> tuple[dict[str, str], UUID | None]:
    """Return what a yes is about, and who wrote the version of the agent that asks."""
    facts = facts_of(asked, policy_id=policy_id, expires_at=expires_at)
    owners = Run.objects.filter(pk=asked.run_id).values_list("version__created_by_id", flat=True)
    return facts, owners.first()


def _outside(asked: AskedCall) -> dict[str, str]:
    places = secret_places(asked.workspace_id, asked.spec.secrets)
    return outside_versions(asked.workspace_id, places)


def _decision(answer: PolicyDecision, question: dict[str, Any]) -> Decision:
    return Decision(
        is_allowed=answer.effect is Effect.ALLOW,
        rule=answer.rule,
        reason=answer.reason or f"The policy says {answer.effect.value} ({answer.rule}).",
        version=answer.version,
        is_abnormal=answer.is_abnormal,
        question=question,
    )


def _row(
    context: RunContext,
    asked: AskedCall,
    answer: PolicyDecision,
    question: PolicyInput,
    facts: dict[str, str],
    owner_id: UUID | None,
    expires_at: datetime,
) -> ApprovalRow:
    """Write the question down; the call it is about is filled in by whoever records it."""
    return ApprovalRow(
        id=new_id(),
        workspace_id=context.workspace_id,
        kind=ApprovalKind.TOOL_CALL.value,
        subject_id=context.run_id,
        run_id=context.run_id,
        agent_name=context.agent,
        requester_id=context.requested_by_id,
        requester_name=question.subject.user,
        title=f"{context.agent} wants to call {asked.spec.name}",
        question=redact_text(answer.reason),
        binding=facts,
        binding_digest=digest_of_facts(facts),
        arguments=None,
        owner_id=owner_id,
        allow_owner=answer.allow_owner,
        tool=asked.spec.name,
        effect=asked.spec.effect.value,
        is_privileged=asked.spec.privileged,
        is_grantable=_is_grantable(answer, asked.spec),
        approvers=list(answer.approvers),
        quorum=answer.quorum,
        allow_self=answer.allow_self,
        rule=answer.rule,
        policy_version=answer.version,
        expires_seconds=answer.expires_seconds,
        expires_at=expires_at,
        on_expiry=OnExpiry(answer.on_expiry).value,
        escalate_to=list(answer.escalate_to),
        created_at=clock.now(),
    )


def _is_grantable(answer: PolicyDecision, spec: ToolSpec) -> bool:
    if answer.is_grantable is not None:
        return answer.is_grantable
    is_grave = spec.privileged and spec.effect is EffectClass.IRREVERSIBLE
    return answer.quorum == 1 and not is_grave
