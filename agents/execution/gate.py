"""The gate: asks a workspace's policy about calls, off the loop, and takes approved ones.

Shared by all drivers of a process. What a policy takes too long for, or breaks at, is denied.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.db import transaction

from agents.contracts import RunState
from agents.execution.context import OpenCall, RunContext
from agents.execution.database import DatabaseThread
from agents.execution.granted import take_granted
from agents.execution.questions import AskedCall, facts_of, question_of, recorded_question
from agents.execution.shadows import Shadows, Watched
from agents.journal.records import ApprovalRow
from agents.models import Run
from core import clock
from core.errors import LeaseLostError
from core.ids import new_id
from core.redaction import redact_text
from governance.binding import EXPIRY, changed_facts, digest_of_facts
from governance.contracts import ApprovalKind, ApprovalState
from governance.policy.contracts import (
    Effect,
    OnExpiry,
    PolicyDecision,
    PolicyEngine,
    PolicyInput,
    abnormal,
)
from governance.selectors.approvals import approval_binding
from governance.selectors.policies import (
    PoliciesAsked,
    PolicyInForce,
    policies_asked,
    policy_in_force,
    policy_text,
)
from governance.services import policies
from governance.services.approvals import approval_used
from governance.services.secret_values import outside_versions, secret_places
from plugins.contracts import CallState, EffectClass, ToolSpec
from plugins.dispatch import PlannedCall, arguments_digest
from plugins.policy import Decision, Refusal, decide
from plugins.services.asked import call_of, call_take_approved
from sandbox.site import SiteRules

logger = logging.getLogger(__name__)
POLICY_SECONDS = 5.0
MAX_ENGINES = 64
T = TypeVar("T")

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
            await self._answer(policy, question) if policy is not None else _builtin(asked.spec)
        )
        if policies_now.shadow is not None:
            self._shadows.offer(
                policies_now.shadow, Watched(question=question, decided=answer, call_id=call_id)
            )
        if policy is None:
            return msgspec.structs.replace(decide(asked.spec), question=recorded_question(question))
        if answer.effect is not Effect.ASK:
            return _decision(answer, question)
        expires_at = clock.now() + timedelta(seconds=answer.expires_seconds)
        asked = await self._with_outside(asked)
        facts, owner_id = await self._database.run(
            partial(_bound_to, asked, policy_id=policy.id, expires_at=expires_at)
        )
        row = _row(context, asked, answer, question, facts, owner_id, expires_at)
        return msgspec.structs.replace(_decision(answer, question), ask=msgspec.to_builtins(row))

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
            _take,
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
        asked = self._gate.asked(self._context, call, self._position)
        taking = self._gate.take(self._context, asked, call.id, park.approval_id, attempt)
        refusal, was_cancelled = await _to_its_end(taking)
        if refusal is None:
            self._taken(attempt)
        if was_cancelled:
            raise asyncio.CancelledError
        return refusal

    async def granted(
        self, call: PlannedCall, decision: Decision, *, attempt: int
    ) -> Decision | None:
        """Take a covered call; being cancelled waits for the transaction, as with `claim`."""
        asked = self._gate.asked(self._context, call, self._position)
        taking = self._gate.take_granted(self._context, asked, call.id, decision, attempt)
        granted, was_cancelled = await _to_its_end(taking)
        if granted is not None:
            self._taken(attempt, granted.record())
        if was_cancelled:
            raise asyncio.CancelledError
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


async def _to_its_end(work: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """Await work that must not be left halfway; also says whether that was asked meanwhile."""
    task = asyncio.ensure_future(work)
    was_cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            was_cancelled = True
    return task.result(), was_cancelled


def _question(asked: AskedCall) -> tuple[PoliciesAsked, PolicyInput]:
    return policies_asked(asked.workspace_id), question_of(asked)


def _bound_to(
    asked: AskedCall, *, policy_id: UUID, expires_at: datetime
) -> tuple[dict[str, str], UUID | None]:
    """Return what a yes is about, and who wrote the version of the agent that asks."""
    facts = facts_of(asked, policy_id=policy_id, expires_at=expires_at)
    owners = Run.objects.filter(pk=asked.run_id).values_list("version__created_by_id", flat=True)
    return facts, owners.first()


def _builtin(spec: ToolSpec) -> PolicyDecision:
    """What holds without a policy, as a policy would say it."""
    verdict = decide(spec)
    return PolicyDecision(
        effect=Effect.ALLOW if verdict.is_allowed else Effect.DENY,
        rule=verdict.rule,
        reason=verdict.reason,
        version=verdict.version,
    )


def _outside(asked: AskedCall) -> dict[str, str]:
    places = secret_places(asked.workspace_id, asked.spec.secrets)
    return outside_versions(asked.workspace_id, places)


def _decision(answer: PolicyDecision, question: PolicyInput) -> Decision:
    return Decision(
        is_allowed=answer.effect is Effect.ALLOW,
        rule=answer.rule,
        reason=answer.reason or f"The policy says {answer.effect.value} ({answer.rule}).",
        version=answer.version,
        is_abnormal=answer.is_abnormal,
        question=recorded_question(question),
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


def _take(
    asked: AskedCall, *, fence: int, call_id: UUID, approval_id: UUID, attempt: int
) -> Refusal | None:
    """Compare an approved call with what was approved, and claim it, in one transaction.

    Safe to repeat: a call that this attempt has taken already is taken.
    """
    with transaction.atomic():
        owned = Run.objects.select_for_update().filter(
            pk=asked.run_id, fence=fence, state=RunState.RUNNING.value
        )
        if not owned.values_list("pk").first():
            raise LeaseLostError(f"The run {asked.run_id} is no longer owned by this worker.")
        call = call_of(call_id)
        if call.state == CallState.CLAIMED.value and call.attempt == attempt:
            return None
        approved = approval_binding(approval_id)
        if approved is None or approved.state is not ApprovalState.APPROVED:
            return Refusal(sentence="The approval of this call does not hold any more.")
        stored = arguments_digest(call.arguments)
        digests = {stored, call.arguments_digest, asked.arguments_digest}
        expiry = approved.facts.get(EXPIRY, "")
        policy = policy_in_force(asked.workspace_id)
        present = facts_of(
            msgspec.structs.replace(
                asked,
                position=call.position,
                index=call.index,
                arguments_digest=stored if len(digests) == 1 else "altered",
            ),
            policy_id=policy.id if policy else None,
            expires_at=datetime.fromisoformat(expiry) if expiry else None,
        )
        changed = changed_facts(approved.facts, present)
        if digest_of_facts(approved.facts) != approved.digest and not changed:
            changed = ["approval"]
        is_late = bool(expiry) and datetime.fromisoformat(expiry) <= clock.now()
        if changed or is_late:
            return _refusal(changed, is_late=is_late)
        if not call_take_approved(call_id, attempt=attempt):
            return Refusal(sentence=f"The call is {call.state}; it cannot be taken.")
        approval_used(approval_id)
    return None


def _refusal(changed: list[str], *, is_late: bool) -> Refusal:
    names = [name.replace("_", " ") for name in changed]
    if is_late:
        names.append(EXPIRY)
    what = ", ".join(names)
    return Refusal(
        sentence=f"The call was approved, but what was approved is not what would run any more. "
        f"Changed since: {what}. Nothing was done; ask again if it is still wanted.",
        is_late=is_late and not changed,
    )
